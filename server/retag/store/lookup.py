"""One visitor: who is meant, what they did, and which audiences hold them.

Works on any read-only connection; nothing here scans the log (the trail leads to a visitor's events).
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Sequence
from typing import Any

import msgspec

from retag import rules
from retag.store import lists, records

FACT = "l.name, l.time, l.tag, l.source, l.platform, l.url, l.data"
MOST_EVENTS = 20_000
"""Events of one visitor that are looked at, newest first."""


class Held(msgspec.Struct, frozen=True):
    """An audience that holds a visitor, and the rule that says so."""

    id: int
    name: str
    kind: str
    rule: dict[str, Any]
    opens: int
    closes: int


class Step(msgspec.Struct, frozen=True):
    """One event of a visitor as rules see it, with its place in the log."""

    seq: int
    standing: int
    fact: rules.Fact


def visitors_named(cn: sqlite3.Connection, account: int, name: str) -> list[bytes]:
    """The account's visitors that an id or identifier names, last seen first; none when it names nobody."""
    own = visitor_id(name)
    if own is not None and known(cn, account, own):
        return [own]
    shown = {visitor: None for value in values_of(name) for visitor in _showing(cn, account, value)}
    return list(shown)


def visitor_id(name: str) -> bytes | None:
    """The 16 bytes of a visitor id in UUID form, or None."""
    try:
        return uuid.UUID(name).bytes if len(name) in (32, 36) else None
    except ValueError:
        return None


def known(cn: sqlite3.Connection, account: int, visitor: bytes) -> bool:
    """Whether the account has an event or an identifier of this visitor, or holds them in an audience."""
    trail = (
        "SELECT 1 FROM trail t JOIN log l ON l.seq = t.seq WHERE t.visitor = ? AND l.account = ? LIMIT 1",
        "SELECT 1 FROM identifier WHERE visitor = ? AND account = ? LIMIT 1",
        "SELECT 1 FROM audience a JOIN member m ON m.build = a.build AND m.visitor = ?"
        " WHERE a.account = ? LIMIT 1",
    )
    return any(cn.execute(sql, (visitor, account)).fetchone() for sql in trail)


def elsewhere(cn: sqlite3.Connection, account: int, visitor: bytes) -> bool:
    """Whether another account has an event or an identifier of this visitor."""
    trail = (
        "SELECT 1 FROM trail t JOIN log l ON l.seq = t.seq WHERE t.visitor = ? AND l.account <> ? LIMIT 1",
        "SELECT 1 FROM identifier WHERE visitor = ? AND account <> ? LIMIT 1",
    )
    return any(cn.execute(sql, (visitor, account)).fetchone() for sql in trail)


def values_of(name: str) -> list[bytes]:
    """The digests an identifier may be stored under: itself when a hash, else those of its usual forms."""
    found: dict[bytes, None] = {}
    for manner in records.READERS:
        read = records.read(name.strip(), manner)
        if not isinstance(read, str):
            found |= dict.fromkeys(read)
    return list(found)


def _showing(cn: sqlite3.Connection, account: int, value: bytes) -> list[bytes]:
    sql = (
        f"SELECT visitor FROM identifier WHERE account = ? AND kind IN ({lists.KINDS}) AND value = ?"
        " ORDER BY seen DESC"
    )
    return [row[0] for row in cn.execute(sql, (account, value))]


def held(cn: sqlite3.Connection, account: int, visitor: bytes, now: int) -> list[Held]:
    """The audiences that hold the visitor now, by id; none that is still being filled in."""
    sql = (
        "SELECT a.id, a.name, a.type, b.rule, m.opens, m.closes FROM audience a"
        " JOIN build b ON b.id = a.build JOIN member m ON m.build = a.build AND m.visitor = ?"
        " WHERE a.account = ? AND a.removed IS NULL AND b.ready IS NOT NULL AND m.opens <= ? AND m.closes > ?"
        " ORDER BY a.id"
    )
    return [
        Held(id_, name, kind, json.loads(rule), opens, closes)
        for id_, name, kind, rule, opens, closes in cn.execute(sql, (visitor, account, now, now))
    ]


def identifiers(cn: sqlite3.Connection, account: int, visitor: bytes) -> dict[int, int]:
    """How many identifiers of each kind the visitor showed; one in three hashes is one."""
    each = (
        "SELECT kind, count(*) AS n FROM identifier WHERE visitor = ? AND account = ?"
        f" GROUP BY kind, CASE WHEN kind IN ({lists.KINDS}) THEN length(value) END"
    )
    return dict(cn.execute(f"SELECT kind, max(n) FROM ({each}) GROUP BY kind", (visitor, account)).fetchall())


def steps(cn: sqlite3.Connection, account: int, visitor: bytes) -> list[Step]:
    """The visitor's events, newest first, at most MOST_EVENTS."""
    sql = (
        f"SELECT l.seq, l.standing, {FACT} FROM trail t"
        " JOIN log l ON l.seq = t.seq WHERE t.visitor = ? AND l.account = ? ORDER BY t.seq DESC LIMIT ?"
    )
    return [
        Step(seq, standing, fact_of(fact))
        for seq, standing, *fact in cn.execute(sql, (visitor, account, MOST_EVENTS))
    ]


def fact_of(row: Sequence[Any]) -> rules.Fact:
    """A row of FACT, the columns of the log that rules see, as a Fact."""
    name, time, tag, source, platform, url, data = row
    return rules.Fact(name, time, tag, source, platform, url, msgspec.json.decode(data) if data else {})
