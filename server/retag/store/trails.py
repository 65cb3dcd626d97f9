"""Trails: everything that visitors did, one visitor after the other, in constant memory.

For questions about the whole past (lift, insights, act-alikes), asked in a process of their own: pages are
short reads, so nothing pins the WAL, and the door's process does none of the work.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

import msgspec

from retag.rules import Fact

PAGE = 20_000
COLUMNS = (
    "t.visitor, t.seq, l.received, l.context, l.name, l.time, l.tag, l.source, l.platform, l.url, l.data"
)
NO_DATA: dict[str, Any] = {}


class Trace(msgspec.Struct, gc=False):
    """One counted event of a visitor; `data` and `context` are JSON, or empty."""

    received: int
    context: bytes
    name: str
    time: int
    tag: int
    source: int
    platform: int
    url: str
    data: bytes

    def fact(self) -> Fact:
        """The event as rules see it."""
        data = msgspec.json.decode(self.data) if self.data else NO_DATA
        return Fact(self.name, self.time, self.tag, self.source, self.platform, self.url, data)


def last_place(cn: sqlite3.Connection) -> int:
    """The log's newest place: what comes later is left out of one question's every page."""
    return int(cn.execute("SELECT coalesce(max(seq), 0) FROM log").fetchone()[0])


def first_place(cn: sqlite3.Connection) -> int:
    """The log's oldest place that is still kept."""
    return int(cn.execute("SELECT coalesce(min(seq), 1) FROM log").fetchone()[0])


def walk(cn: sqlite3.Connection, account: int, upto: int) -> Iterator[tuple[bytes, list[Trace]]]:
    """Each visitor of the account with their counted events up to place `upto`, in order of visitor id."""
    for visitor, rows in groupby(_rows(cn, account, upto), key=itemgetter(0)):
        yield visitor, [Trace(*row[2:]) for row in rows]


def scan(cn: sqlite3.Connection, account: int, since: int, until: int) -> Iterator[tuple[Any, ...]]:
    """Every counted event of the account from after `since` to `until` (UTC ms), in the order of the log.

    `(visitor, context, name, time, tag, source, platform, url, data)`: the fastest way through.
    """
    sql = (
        "SELECT visitor, context, name, time, tag, source, platform, url, data FROM log"
        " WHERE seq > ? AND seq <= ? AND account = ? AND standing = 0 AND time > ? AND time <= ?"
    )
    upto = last_place(cn)
    for after in range(first_place(cn) - 1, upto, PAGE):
        yield from cn.execute(sql, (after, min(after + PAGE, upto), account, since, until)).fetchall()


def _rows(cn: sqlite3.Connection, account: int, upto: int) -> Iterator[tuple[Any, ...]]:
    sql = (
        f"SELECT {COLUMNS}, l.account, l.standing FROM trail t JOIN log l ON l.seq = t.seq"
        " WHERE (t.visitor, t.seq) > (?, ?) ORDER BY t.visitor, t.seq LIMIT ?"
    )
    after: tuple[bytes, int] = (b"", 0)
    while page := cn.execute(sql, (*after, PAGE)).fetchall():
        after = page[-1][:2]
        for *row, owner, standing in page:
            if owner == account and not standing and row[1] <= upto:
                yield tuple(row)
