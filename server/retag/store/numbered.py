"""Numbered rows: those that the API makes and changes, each with an id above all others."""

from __future__ import annotations

import sqlite3
from typing import Any


def create(cn: sqlite3.Connection, table: str, first: int, values: dict[str, Any], now: int) -> int:
    """A new row; its id, `first` for the first."""
    last = cn.execute(f"SELECT max(id) FROM {table}").fetchone()[0]
    row = {"id": max(last or 0, first - 1) + 1} | values | {"created": now, "updated": now}
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    cn.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(row.values()))
    return int(row["id"])


def update(cn: sqlite3.Connection, table: str, number: int, values: dict[str, Any], now: int) -> None:
    """Set some of its columns."""
    row = values | {"updated": now}
    names = ", ".join(f"{name} = ?" for name in row)
    cn.execute(f"UPDATE {table} SET {names} WHERE id = ?", (*row.values(), number))
