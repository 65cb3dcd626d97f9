"""The log: every accepted event, appended in the acknowledged transaction, in order of arrival.

No secondary index, so an append touches one table. Places (`seq`) are given once and never again, even after
the newest row is deleted: what was folded up to a place stays true.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from msgspec.structs import astuple

from retag.events import Event
from retag.store import bulk

COLUMNS = ", ".join(Event.__struct_fields__)
AT_ONCE = 64
"""Rows of a commit that go in one statement, however many they are."""
Entry = tuple[int, Event]
"""An event with its place."""


def next_place(cn: sqlite3.Connection, table: str = "log") -> int:
    """The first place never given."""
    last = cn.execute(f"SELECT coalesce(max(seq), 0) FROM {table}").fetchone()[0]
    names = ("settled", "folded") if table == "log" else ("apart",)
    return max(int(last), *(progress(cn, name) for name in names)) + 1


def append(cn: sqlite3.Connection, table: str, first: int, events: Sequence[Event]) -> None:
    """Store events at `first` and on. Raises what SQLite or the binding raises for a row it refuses."""
    rows = [(first + i, *astuple(event), 0) for i, event in enumerate(events)]
    bulk.insert(cn, f"INSERT INTO {table}", rows, at_once=AT_ONCE)


def read(cn: sqlite3.Connection, after: int, limit: int, upto: int | None = None) -> list[Entry]:
    """Up to `limit` events behind place `after`, in order."""
    sql = f"SELECT seq, {COLUMNS} FROM log WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
    rows = cn.execute(sql, (after, 1 << 62 if upto is None else upto, limit)).fetchall()
    return [(row[0], Event(*row[1:])) for row in rows]


def progress(cn: sqlite3.Connection, name: str) -> int:
    """A named counter; 0 when it was never set."""
    row = cn.execute("SELECT value FROM progress WHERE name = ?", (name,)).fetchone()
    return int(row[0]) if row else 0


def next_step(cn: sqlite3.Connection) -> int:
    """A new fold step: whoever reads at an earlier one undoes what is written under it."""
    step = progress(cn, "step") + 1
    set_progress(cn, "step", step)
    return step


def set_progress(cn: sqlite3.Connection, name: str, value: int) -> None:
    """Set a named counter."""
    cn.execute(
        "INSERT INTO progress VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", (name, value)
    )
