"""The committed build is what the sources make."""

import pathlib
import subprocess

ROOT = pathlib.Path(__file__).parents[2]
COMMITTED = ROOT / "server/retag/web/static/tag"


def test_a_rebuild_gives_the_same_bytes(tmp_path):
    """From the pinned tools; the build itself fails above the byte budget."""
    if not (ROOT / "snippet/node_modules/esbuild").exists():
        subprocess.run(["npm", "install", "--no-audit", "--no-fund"], cwd=ROOT / "snippet", check=True)
    subprocess.run(
        ["node", "build.mjs", str(tmp_path)], cwd=ROOT / "snippet", check=True, capture_output=True
    )
    built = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
    assert built == {one.name: one.read_bytes() for one in COMMITTED.iterdir()}
