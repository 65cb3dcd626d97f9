"""Tags as rows: a name, a status and a configuration in JSON (what `ingest.Tag` reads)."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import msgspec

from retag.store import numbered

TABLE, FIRST_ID = "tag", 2_600_000_000_001
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
    values = {"account": account, "name": name, "config": json.dumps(config)}
    return numbered.create(cn, TABLE, FIRST_ID, values, now)


def update(
    cn: sqlite3.Connection, tag_id: int, now: int, *, name: str, status: str, config: dict[str, Any]
) -> None:
    """Set all that can be set."""
    numbered.update(cn, TABLE, tag_id, {"name": name, "status": status, "config": json.dumps(config)}, now)
