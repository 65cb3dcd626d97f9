"""What is held of one visitor, for that visitor: more than the account sees of anybody in one answer.

https://gdpr-info.eu/art-15-gdpr/ asks for the data themselves, so the events are told one by one, and every
change of consent with its proof.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from retag.store import lookup, sqlite
from retag.web.api import visitors

MOST = 1_000
"""Events told one by one, the newest."""
CHANGES = (
    "SELECT at, granted, mechanism, proof FROM consent_log WHERE account = ? AND visitor = ? ORDER BY id"
)


class MyEvent(msgspec.Struct):
    """One event; `time` in UTC milliseconds."""

    event: str
    time: int
    url: str
    data: dict[str, Any]


class Change(msgspec.Struct):
    """A change of consent; `at` in UTC milliseconds."""

    at: int
    granted: bool
    mechanism: str
    proof: str


class Mine(visitors.VisitorView):
    """The visitor as the account sees them, the newest events, the consent log, and whether they objected."""

    history: tuple[MyEvent, ...] = ()
    consent: tuple[Change, ...] = ()
    opted_out: bool = False


def look(path: str, account: int, visitor: bytes, now: int) -> Mine:
    """Everything at one instant. `now` in UTC milliseconds."""
    cn = sqlite.connect(path, readonly=True)
    try:
        cn.execute("BEGIN")
        return told(cn, account, visitor, now)
    finally:
        cn.close()


def told(cn: sqlite3.Connection, account: int, visitor: bytes, now: int) -> Mine:
    seen = visitors.view(cn, account, [visitor], now)
    facts = [step.fact for step in lookup.steps(cn, account, visitor)[:MOST]]
    rows = cn.execute(CHANGES, (account, visitor)).fetchall()
    objected = cn.execute("SELECT 1 FROM opt_out WHERE visitor = ?", (visitor,)).fetchone()
    return Mine(
        **msgspec.structs.asdict(seen),
        history=tuple(MyEvent(one.name, one.time, one.url, one.data) for one in facts),
        consent=tuple(Change(at, bool(granted), *proof) for at, granted, *proof in rows),
        opted_out=objected is not None,
    )
