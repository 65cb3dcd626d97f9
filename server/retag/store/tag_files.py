"""The tag's files as they were served: a page that names one by its hash keeps it over changes."""

from __future__ import annotations

import sqlite3

KEPT = 100
"""Files, some 8 KB each: the latest to have been current."""


def keep(cn: sqlite3.Connection, name: str, plain: bytes, now: int) -> dict[str, bytes]:
    """Note the current file, `now` in UTC milliseconds; every kept file by its name."""
    sql = "INSERT INTO tag_file VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET served = excluded.served"
    cn.execute(sql, (name, plain, now))
    latest = "SELECT name FROM tag_file ORDER BY served DESC, name LIMIT ?"
    cn.execute(f"DELETE FROM tag_file WHERE name NOT IN ({latest})", (KEPT,))
    return dict(cn.execute("SELECT name, plain FROM tag_file").fetchall())
