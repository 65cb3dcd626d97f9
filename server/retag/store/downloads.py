"""Downloads: who took which export, with its rows and hash."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

COLUMNS = "account, at, who, export, audience, format, as_of, rows, sha256"


def note(cn: sqlite3.Connection, about: Any, who: str, now: int) -> int:
    """One download of the export that a manifest is about; its line. Of raw events the audience is 0. Without
    a hash it is under way, or was broken off."""
    row = (
        int(about.ad_account_id),
        now,
        who,
        about.export_id,
        int(about.audience_id or 0),
        about.format,
        about.as_of,
        about.rows,
        about.sha256,
    )
    sql = f"INSERT INTO download ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
    return int(cn.execute(sql, row).lastrowid or 0)


def settle(cn: sqlite3.Connection, lines: Iterable[int], about: Any) -> None:
    """What the export of these lines came to."""
    rows = [(about.rows, about.sha256, line) for line in lines]
    cn.executemany("UPDATE download SET rows = ?, sha256 = ? WHERE id = ?", rows)
