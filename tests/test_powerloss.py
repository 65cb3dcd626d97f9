"""Promise 1: a 2xx is on disk, also when the power goes; kill -9 cannot tell, for the kernel lives on."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "powerloss.py"


def tracing():
    """Whether processes can be traced here."""
    strace = shutil.which("strace")
    return strace and not subprocess.run([strace, "-o", "/dev/null", "true"], check=False).returncode


@pytest.mark.skipif(not tracing(), reason="strace is absent, or tracing is forbidden here")
def test_nothing_acknowledged_is_lost_in_any_crash_state():
    """NORMAL loses and OFF corrupts in the same run: so the harness would see it."""
    command = [sys.executable, str(SCRIPT), "--states", "200", "--seconds", "2"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    verdicts = {one["level"]: one for one in map(json.loads, found.stdout.splitlines())}
    assert found.returncode == 0, (verdicts, found.stderr)
    full = verdicts["FULL"]
    assert (full["states"], full["lost"], full["corrupt"], full["miscounted"]) == (200, 0, 0, 0)
    assert full["acknowledged"] > 200
