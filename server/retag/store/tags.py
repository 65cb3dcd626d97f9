"""Tags as rows: a name, a status and a configuration in JSON (what `ingest.Tag` reads)."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import msgspec

FIRST_ID = 2_600_000_000_001
"""Tag ids have 13 digits and start with 26; Pinterest's own templates check for that."""

SELECT = "SELECT id, account, name, status, config, created, updated, last_fired FROM tag"


class Row(msgspec.Struct, frozen=True):
    """One tag; times in UTC milliseconds."""

    id: int
    account: int
    name: str
    status: str
    config: dict[str, Any]
    created: int
    updated: int
    last_fired: int | None


def decode(row: tuple[Any, ...]) -> Row:
    """A row of SELECT as a Row."""
    fields = dict(zip(Row.__struct_fields__, row, strict=True))
    return Row(**fields | {"config": json.loads(fields["config"])})


def create(cn: sqlite3.Connection, account: int, name: str, config: dict[str, Any], now: int) -> int:
    """A new ACTIVE tag; its id, above all others."""
    last = cn.execute("SELECT max(id) FROM tag").fetchone()[0]
    tag_id = max(last or 0, FIRST_ID - 1) + 1
    sql = "INSERT INTO tag (id, account, name, config, created, updated) VALUES (?, ?, ?, ?, ?, ?)"
    cn.execute(sql, (tag_id, account, name, json.dumps(config), now, now))
    return tag_id


def update(
    cn: sqlite3.Connection, tag_id: int, now: int, *, name: str, status: str, config: dict[str, Any]
) -> None:
    """Set all that can be set."""
    sql = "UPDATE tag SET name = ?, status = ?, config = ?, updated = ? WHERE id = ?"
    cn.execute(sql, (name, status, json.dumps(config), now, tag_id))
