"""The README is true: what exists is named there, and what is named there exists."""

import pathlib
import re
import subprocess
import sys

import pytest

from retag.cli import COMMANDS
from retag.formats import COLUMNS, FORMATS
from retag.settings import FIELDS
from retag.webhooks import EVENTS

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("variable", [field[1] for field in FIELDS])
def test_every_setting_is_named_with_its_default(variable):
    """A setting nobody can find is none."""
    default = next(field[2] for field in FIELDS if field[1] == variable)
    row = next(line for line in README.splitlines() if line.startswith(f"| `{variable}` |"))
    assert f"`{default}`" in row or not default


@pytest.mark.parametrize("word", [*FORMATS, *COLUMNS])
def test_every_export_format_and_column_is_named(word):
    """Ad tooling is written from this page."""
    assert f"`{word}`" in README


@pytest.mark.parametrize("word", EVENTS)
def test_every_event_of_a_webhook_is_named(word):
    """Receivers are written from this page."""
    assert f"`{word}`" in (ROOT / "docs" / "exports.md").read_text()


def test_commands_that_the_readme_runs_exist():
    """Of `retag` and of make."""
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"`?retag ([a-z]+)\b", README)) - {"serves"} <= set(COMMANDS)
    assert set(re.findall(r"\bmake (run|test|install)\b", README)) <= targets


def test_links_lead_somewhere():
    """Every relative link is a file."""
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / link).exists(), link


def test_the_tag_is_as_small_as_the_readme_says():
    """The byte budget."""
    size = (ROOT / "server" / "retag" / "web" / "static" / "tag" / "core.js").stat().st_size
    assert size <= float(re.search(r"\*\*([\d.]+) KB\*\*", README)[1]) * 1000 + 50


@pytest.mark.parametrize("script", sorted(path.name for path in (ROOT / "benchmarks").glob("*.py")))
def test_every_benchmark_can_be_loaded(script):
    """Those that a number comes from can be run by anyone: nothing that they ask of the project has gone."""
    code = f"import sys, runpy; sys.path.insert(0, 'benchmarks'); runpy.run_path('benchmarks/{script}')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    missing = re.search(r"No module named '(duckdb|sklearn|scipy|lightgbm)'", done.stderr)
    assert done.returncode == 0 or missing, done.stderr
