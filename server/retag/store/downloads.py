"""Downloads: who took which export, with its rows and hash."""

from __future__ import annotations

import sqlite3
from typing import Any

Row = tuple[Any, ...]
COLUMNS = "account, at, who, export, audience, format, as_of, rows, sha256"


def row(about: Any, who: str, now: int) -> Row:
    """One download of the export that a manifest is about; of raw events the audience is 0. Without a hash it
    was broken off."""
    export = (
        about.export_id,
        int(about.audience_id or 0),
        about.format,
        about.as_of,
        about.rows,
        about.sha256,
    )
    return (int(about.ad_account_id), now, who, *export)


def note(cn: sqlite3.Connection, rows: list[Row]) -> None:
    cn.executemany(f"INSERT INTO download ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
