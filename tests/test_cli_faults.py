"""What the world gets wrong is told in one line with a remedy, and an exit code: never a traceback."""

import contextlib
import os
import pathlib
import re
import socket
import sqlite3
import subprocess
import sys

import pytest

from door import prepared
from server import serving
from test_cli import run


def refused(folder, *arguments, **given):
    """The one line of a command that is refused."""
    line = run(folder, *arguments, status=2, **given)
    assert line.startswith("retag: ")
    assert line.count("\n") == 1, line
    return line


@pytest.fixture
def database(tmp_path):
    return pathlib.Path(prepared(tmp_path)[0])


def change(path, sql):
    with contextlib.closing(sqlite3.connect(path)) as cn, cn:
        cn.execute(sql)


def newer(path):
    change(path, "PRAGMA user_version = 99")


def foreign(path):
    path.unlink()
    change(path, "CREATE TABLE theirs (x)")


def text(path):
    path.write_text("Dear diary,\n" * 100)


def torn(path):
    os.truncate(path, 3000)


def scribbled(path):
    with path.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096 * 40)


def a_folder(path):
    path.unlink()
    path.mkdir()


UNFIT = {
    newer: "Upgrade Retag",
    foreign: "another application",
    text: "not a database",
    torn: "Restore a backup",
    scribbled: "Restore a backup",
    a_folder: "is a folder",
}


@pytest.mark.parametrize("spoil", UNFIT, ids=lambda spoil: spoil.__name__)
def test_a_file_that_is_not_fit_is_never_served(tmp_path, database, spoil):
    """It stays as it is, the cause is named, and the doctor sees it too."""
    spoil(database)
    before = database.read_bytes() if database.is_file() else b""
    assert UNFIT[spoil] in refused(tmp_path, "serve", "--port", "0")
    assert run(tmp_path, "doctor", status=1) == ""
    assert not database.is_file() or database.read_bytes() == before


@pytest.mark.parametrize("command", [["keys", "list"], ["serve", "--port", "0"]], ids=lambda one: one[0])
def test_a_locked_file_is_not_called_damaged(tmp_path, database, command):
    """Who holds the lock is to end, not the data to be restored."""
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as cn:
        cn.execute("BEGIN IMMEDIATE")
        assert "Another program holds it" in refused(tmp_path, *command)


def test_a_port_in_use_is_named_before_anything_is_made(tmp_path):
    """No database and no key that nobody saw."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        line = refused(tmp_path, "serve", "--port", str(taken.getsockname()[1]))
    assert "give another --port" in line
    assert not (tmp_path / "retag.db").exists()
    assert "--host" in refused(tmp_path, "serve", "--port", "0", "--host", "192.0.2.1")


def test_a_file_has_one_server(tmp_path):
    """A second one is refused while the first lives, by another name too; other commands are not."""
    with serving(tmp_path):
        assert "another server serves it" in refused(tmp_path, "serve", "--port", "0")
        (tmp_path / "link.db").symlink_to("retag.db")
        database = f"sqlite:///{tmp_path / 'link.db'}"
        assert "another server" in refused(tmp_path, "serve", "--port", "0", "--database", database)
        run(tmp_path, "keys", "create", "--scope", "admin")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["import", "none.ndjson"], "none.ndjson: No such file"),
        (["import", "."], "Is a directory"),
        (["import", "some.csv", "--map", "CustomerID"], "THEIRS=OURS"),
        (["import", "some.csv", "--map", "CustomerID="], "THEIRS=OURS"),
        (["import", "some.csv", "--map", "=time"], "THEIRS=OURS"),
        (["snippet", "--address", "javascript:alert(1)"], "must be like https://"),
        (["snippet", "--address", 'https://a.example/"><script>'], "must be like https://"),
        (["serve", "--rate-limits", "perhaps"], "on or off"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, database, arguments, words):
    """A file, an address, a word."""
    (tmp_path / "some.csv").write_text("time\n")
    assert words in refused(tmp_path, *arguments)


@pytest.mark.parametrize("folder", ["/proc/nobody", "a.file/below"])
@pytest.mark.parametrize("command", ["init", "serve"])
def test_a_folder_that_cannot_be_made_is_named(tmp_path, command, folder):
    """Nor is there a traceback when the database has no place to be."""
    (tmp_path / "a.file").touch()
    found = subprocess.run(
        [sys.executable, "-m", "retag", command, "--database", f"sqlite:///{tmp_path / folder}/retag.db"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stdout, found.stderr.count("\n")) == (2, "", 1), found.stderr
    assert (tmp_path / folder).name in found.stderr or "a.file" in found.stderr


def test_a_new_file_is_its_owners_alone(tmp_path):
    """Who reads the signing keys can forge visitors; the doctor sees a file that was opened to all."""
    run(tmp_path, "init")
    file = tmp_path / "retag.db"
    assert file.stat().st_mode & 0o777 == 0o600
    assert "chmod 600" not in run(tmp_path, "doctor")
    file.chmod(0o644)
    assert "chmod 600" in run(tmp_path, "doctor")


def filled(folder):
    with contextlib.suppress(OSError), (folder / "ballast").open("wb", 0) as ballast:
        while ballast.write(bytes(4096)):
            pass


@pytest.fixture
def full_disk(tmp_path):
    """A folder on a disk of its own without a free byte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder]
    if os.geteuid() or subprocess.run(mount, check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        run(folder, "init")
        filled(folder)
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_told_as_one(full_disk):
    """By the command that wanted to write, and by the doctor whatever the setting."""
    assert "Make room on its disk" in refused(full_disk, "keys", "list")
    (full_disk / "ballast").unlink()
    with contextlib.closing(sqlite3.connect(full_disk / "retag.db")) as cn:  # as a running server
        cn.execute("SELECT count(*) FROM api_key").fetchone()
        filled(full_disk)
        assert "Make room on its disk" in refused(full_disk, "keys", "create", "--scope", "admin")
    found = subprocess.run(
        [sys.executable, "-m", "retag", "doctor", "--database", f"sqlite:///{full_disk / 'retag.db'}"],
        env=os.environ | {"RETAG_MIN_FREE_MB": "0"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "0 MB free on the disk: below 1 MB" in found.stdout
    assert found.returncode == 1


def test_output_that_has_no_room_is_told_with_its_remedy(tmp_path):
    """No number of an error, which few know by heart."""
    with pathlib.Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "retag", "settings"]
        found = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    told = "retag: No space left on device. Make room on its disk.\n"
    assert (found.returncode, found.stderr.splitlines()[0] + "\n") == (2, told)


def test_the_start_prints_what_the_first_commands_need(tmp_path):
    """The shop, the console, and the account that stands in every path of the API."""
    with serving(tmp_path) as server:
        printed = (tmp_path / "server.log").read_text()
        assert re.search(rf"paths: +{server.account}$", printed, re.M)
        assert f"{server.url}/shop/" in printed
