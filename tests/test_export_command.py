"""`retag export`: whole files or none, what changed since, and every one of them in the audit log."""

import gzip
import hashlib
import re
import subprocess
import sys
import time

import pytest

from beds import DAY, Bed, event
from retag.cli import exporting
from test_cli import run


@pytest.fixture
def bed(tmp_path):
    """Two visitors who bought an hour ago."""
    bed, now = Bed(tmp_path / "retag.db"), int(time.time() * 1000)
    bed.made = bed.audience({"event": "pagevisit"}, now=now - DAY)
    bed.take(event(visitor=1, time=now - 9), event(visitor=2, time=now - 9), now=now)
    return bed


def told(tmp_path, *arguments):
    """What goes to standard error, for people: rows, as_of, hash."""
    command = [sys.executable, "-m", "retag", "export", *arguments]
    command += ["--database", f"sqlite:///{tmp_path / 'retag.db'}"]
    done = subprocess.run(command, capture_output=True, check=True, cwd=tmp_path)
    found = re.search(r"([\d,]+) rows.*as of (\S+), sha256 (\w{64})", done.stderr.decode())
    return done.stdout, found.groups()


def test_a_file_appears_when_it_is_whole_and_is_as_hashed(tmp_path, bed):
    """Nothing else is left; compressed, the hash is of its content."""
    for arguments in ((), ("--compress", "gzip")):
        _, (rows, _, sha256) = told(tmp_path, str(bed.made), "--output", "members", *arguments)
        content = (tmp_path / "members").read_bytes()
        plain = gzip.decompress(content) if arguments else content
        assert (rows, sha256) == ("2", hashlib.sha256(plain).hexdigest())
        assert not list(tmp_path.glob(".*part"))
    assert bed.rows("SELECT who, rows FROM download") == [("command line", 2)] * 2


def test_exports_that_overlap_do_not_write_into_each_other(tmp_path):
    """Each file that appears is one of them, whole; the last to end stays."""
    file = tmp_path / "members"
    with exporting._opened(file, None) as first:
        first.write(b"one")
        with exporting._opened(file, None) as second:
            second.write(b"2")
        assert file.read_bytes() == b"2"
        first.write(b" more")
    assert file.read_bytes() == b"one more"
    assert [one.name for one in tmp_path.iterdir()] == ["members"]


def test_a_folder_is_no_file_to_write(tmp_path, bed):
    """Named as it was given, and before the audience is read."""
    (tmp_path / "members").mkdir()
    line = run(tmp_path, "export", str(bed.made), "--output", "members", status=2)
    assert line == "retag: members: Is a directory. Give a file.\n"


def test_what_changed_since_the_last_time(tmp_path, bed):
    """By the as_of that it said; the same as_of is the same set."""
    first, (_, as_of, _) = told(tmp_path, str(bed.made))
    now = int(time.time() * 1000)
    bed.take(event(visitor=3, time=now - 5), now=now)
    changed = run(tmp_path, "export", str(bed.made), "--since", as_of, "--fields", "op,visitor_id")
    assert re.fullmatch(r"op,visitor_id\s+add,[0-9a-f-]{36}\s+", changed)
    assert told(tmp_path, str(bed.made), "--as-of", as_of)[0] == first


@pytest.mark.parametrize("arguments", [("--fields", "name"), ("--since", "x"), ("--op", "add")])
def test_a_wrong_option_is_named_and_leaves_no_file(tmp_path, bed, arguments):
    """One line, and exit code 2."""
    said = run(tmp_path, "export", str(bed.made), "--output", "members", *arguments, status=2)
    assert arguments[0].strip("-") in said
    assert not list(tmp_path.glob("*members*"))
