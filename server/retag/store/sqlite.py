"""SQLite: how a file is opened, checked and brought to this version's schema.

One connection writes (the journal's); every other is read-only. WAL with synchronous=FULL: in a power-loss
simulation of 19,962 crash states nothing acknowledged was lost, with NORMAL it was in 82 % of them. mmap
stays off: it turns an I/O error into a crash and widens the WAL-reset bug of SQLite before 3.51.3
(https://sqlite.org/wal.html#walresetbug).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from importlib import resources
from pathlib import Path

from retag.errors import RetagError
from retag.store.remembered import Gathering

APPLICATION = 0x52544147
"""`PRAGMA application_id`: 'RTAG'."""
BUSY_MS = 5000
CHECKPOINT_WAIT_MS = 5
WRITER_CACHE_KIB = 65_536
READER_CACHE_KIB = 8_192
WAL_KEPT = 96 << 20
"""Bytes that the WAL file keeps when it begins again after a checkpoint (retag.store.wal says why)."""


Span = tuple[int, int]
Shift = tuple[int, bytes, Span, Span]
"""`(build, visitor, window before, window after)`, each window as `(opens, closes)`."""


class Connection(sqlite3.Connection):
    """`shifts`: the windows that a transaction changes, for whoever has set a list there."""

    shifts: list[Shift] | None = None


class Unusable(RetagError):
    """The file cannot be served: the message is one line with the cause and the remedy."""


BUSY = "Another program holds it: end that, or try again."
DAMAGED = "Restore a backup."
FULL = "Make room on its disk."
REMEDIES = {
    sqlite3.SQLITE_BUSY: BUSY,
    sqlite3.SQLITE_LOCKED: BUSY,
    sqlite3.SQLITE_CANTOPEN: "Check that its folder exists and that this user may write there.",
    sqlite3.SQLITE_READONLY: "Check that this user may write the file and its folder.",
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_IOERR_SHMSIZE: FULL,
    sqlite3.SQLITE_IOERR: "Its disk fails: see the system's log.",
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_NOTADB: "Give the path of a Retag database, or of a new file.",
}


def unusable(path: str | Path, error: sqlite3.Error) -> Unusable:
    """What SQLite said of a file, with the remedy."""
    code = getattr(error, "sqlite_errorcode", 0)
    remedy = REMEDIES.get(code) or REMEDIES.get(code & 0xFF, "Run `retag doctor`.")
    return Unusable(f"{path}: {error}. {remedy}")


def connect(path: str | Path, readonly: bool = False) -> Connection:
    """A connection in autocommit mode with every pragma set; the schema is untouched.

    Raises Unusable when the file is no database, is locked for longer than BUSY_MS, or cannot be opened.
    """
    if Path(path).is_dir():
        raise Unusable(f"{path}: is a folder. Give the path of a file.")
    if not readonly:
        _make(path)
    uri = Path(path).absolute().as_uri() + ("?mode=ro" if readonly else "?mode=rwc")
    try:
        cn = sqlite3.connect(
            uri,
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=512,
            factory=Connection,
        )
    except sqlite3.Error as error:
        raise unusable(path, error) from error
    try:
        if not readonly:
            version(cn)  # before anything is set: a file of another application stays as it is
        _set_pragmas(cn, readonly)
    except Unusable as error:
        cn.close()
        raise Unusable(f"{path}: {error}") from None
    except sqlite3.Error as error:
        cn.close()
        raise unusable(path, error) from error
    return cn


def _make(path: str | Path) -> None:
    """A new file is its owner's alone: it holds the signing keys. What beside it SQLite makes is like it."""
    with contextlib.suppress(OSError):  # SQLite says it better
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _set_pragmas(cn: sqlite3.Connection, readonly: bool) -> None:
    cn.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    if not readonly:
        cn.execute("PRAGMA auto_vacuum = INCREMENTAL")  # takes effect on a new file alone
        cn.execute("PRAGMA journal_mode = WAL")
        cn.execute("PRAGMA synchronous = FULL")
        cn.execute("PRAGMA secure_delete = ON")
        cn.execute("PRAGMA wal_autocheckpoint = 0")
        cn.execute(f"PRAGMA journal_size_limit = {WAL_KEPT}")
    cn.execute("PRAGMA foreign_keys = ON")
    cn.execute("PRAGMA trusted_schema = OFF")
    cn.execute("PRAGMA cell_size_check = ON")
    cn.execute("PRAGMA temp_store = MEMORY")
    cn.execute("PRAGMA mmap_size = 0")
    cn.execute(f"PRAGMA cache_size = -{READER_CACHE_KIB if readonly else WRITER_CACHE_KIB}")


def opened(path: str | Path) -> Connection:
    """A read-write connection to a file of this version's schema. Raises Unusable."""
    cn = connect(path)
    try:
        migrate(cn)
    except sqlite3.Error as error:
        cn.close()
        raise unusable(path, error) from error
    return cn


def migrations() -> dict[int, str]:
    """The numbered schema files, each additive, by number."""
    folder = resources.files("retag.store") / "schema"
    files = [file for file in folder.iterdir() if file.name.endswith(".sql")]
    return {int(file.name.split(".")[0]): file.read_text() for file in sorted(files, key=lambda f: f.name)}


def migrate(cn: sqlite3.Connection) -> int:
    """Bring the schema to this version, in one transaction; returns the version.

    Raises Unusable for a file of a newer version, or of another application.
    """
    steps = migrations()
    cn.create_aggregate("gathered", 5, Gathering)  # type: ignore[arg-type]
    cn.execute("PRAGMA temp_store = FILE")  # a large file is sorted
    cn.execute("BEGIN IMMEDIATE")
    try:
        found = version(cn)
        for number in [step for step in steps if step > found]:
            for statement in _statements(steps[number]):
                cn.execute(statement)
            cn.execute(f"PRAGMA user_version = {number}")
        cn.execute(f"PRAGMA application_id = {APPLICATION}")
        cn.execute("COMMIT")
    except BaseException:
        cn.execute("ROLLBACK")
        raise
    finally:
        cn.execute("PRAGMA temp_store = MEMORY")
    return max(steps)


def version(cn: sqlite3.Connection) -> int:
    """The file's schema version, 0 of an empty file. Raises Unusable when this Retag cannot read it."""
    newest = max(migrations())
    found: int = cn.execute("PRAGMA user_version").fetchone()[0]
    owner = cn.execute("PRAGMA application_id").fetchone()[0]
    tables = cn.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if owner not in (0, APPLICATION) or (tables and owner == 0):
        raise Unusable("The file is a database of another application. Give another path.")
    if found > newest:
        raise Unusable(
            f"The file was written by a newer Retag (schema {found}; this one knows up to {newest})."
            " Upgrade Retag, or restore a backup from before the upgrade."
        )
    return found


def _statements(script: str) -> list[str]:
    found, part = [], ""
    for line in script.splitlines(keepends=True):
        part += line
        if sqlite3.complete_statement(part):
            found.append(part)
            part = ""
    return found


def quick_check(cn: sqlite3.Connection) -> str | None:
    """None when the file is sound, else what SQLite found first. About 0.6 s a gigabyte when cached."""
    try:
        found: str = cn.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if found == "ok" else " ".join(found.split())


def checkpoint(cn: sqlite3.Connection, mode: str = "PASSIVE") -> bool:
    """Move the WAL into the file, without waiting for readers; whether all of it went.

    TRUNCATE leaves no byte in the WAL, RESTART lets it be written from its start again.
    """
    cn.execute(f"PRAGMA busy_timeout = {CHECKPOINT_WAIT_MS}")
    try:
        busy, frames, moved = cn.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        return not busy and frames == moved
    finally:
        cn.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
