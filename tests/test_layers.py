"""The drawing of the river, executable: imports point one way, and the pure files touch nothing."""

import ast
import pathlib

import pytest

import retag

ROOT = pathlib.Path(retag.__file__).parent
LAYERS = [
    {"errors", "settings", "windows"},
    {"hits", "events", "people", "scrub", "fields", "wire", "devices", "screen", "identity", "keyring",
     "newcomers", "landing", "wish", "browser_side", "server_side", "ingest", "history"},
    {"rules", "likeness", "stats", "formats", "slots", "webhooks"},
    {"clock", "store", "journal", "writer", "pace", "draft", "fold", "slices", "ticking", "upkeep"},
    {"press", "courier"},
    {"web"},
    {"app"},
    {"cli", "__main__"},
]  # fmt: skip
"""From the spring to the mouth: a file imports only from its own layer or those above."""
IMPURE = {"asyncio", "starlette", "uvicorn", "aiosqlite", "sqlite3", "os", "time", "random", "socket"}
PURE = {name for layer in LAYERS[:3] for name in layer} - {"settings"}
FILES = sorted(ROOT.rglob("*.py"))


def part(path):
    """The noun a file belongs to."""
    name = path.relative_to(ROOT).parts[0].removesuffix(".py")
    return "" if name == "__init__" else name


def depth(name):
    return next((i for i, layer in enumerate(LAYERS) if name in layer), None)


def imports(path):
    """Every module that a file imports, in full; `from retag import x` names retag.x."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (
                [f"retag.{alias.name}" for alias in node.names] if node.module == "retag" else [node.module]
            )


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_upstream(path):
    """A layer knows only the layers above it."""
    own = depth(part(path))
    assert own is not None or not part(path), f"{path.name} has no place in the drawing"
    for name in imports(path):
        if name.startswith("retag.") and own is not None:
            theirs = depth(name.split(".")[1])
            assert theirs is None or theirs <= own, f"{part(path)} imports {name}"


@pytest.mark.parametrize("path", [p for p in FILES if part(p) in PURE], ids=lambda path: path.name)
def test_pure_files_touch_no_clock_and_no_world(path):
    """Now and random bytes are arguments."""
    assert not IMPURE & {name.split(".")[0] for name in imports(path)}


def test_no_import_hides_in_a_function():
    """What a file needs stands at its head."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                inner = [one for one in ast.walk(node) if isinstance(one, ast.Import | ast.ImportFrom)]
                assert not inner or "likeness" in path.parts, f"{path.name}: {node.name}"
