"""Desk: what the writer thread keeps at hand: the live builds with their rules, by account."""

from __future__ import annotations

import json
import sqlite3

import msgspec

from retag import rules
from retag.rules import Book, Rule
from retag.store import graves


class Live(msgspec.Struct, frozen=True):
    """One build being folded into. `ready`: it answers for its audience, so its changes write transitions.

    Events up to `backfilled`, and those after `live_from`, have reached it.
    """

    id: int
    audience: int
    account: int
    rule: Rule
    live_from: int
    backfilled: int
    ready: bool


LIVE = (
    "SELECT b.id, b.audience, a.account, a.type, b.rule, b.live_from, b.backfilled, b.ready IS NOT NULL"
    " FROM build b JOIN audience a ON a.id = b.audience WHERE b.retired IS NULL"
)


def live_builds(cn: sqlite3.Connection, known: dict[int, Live] | None = None) -> dict[int, Live]:
    """Every build that is not retired, by id; rules parsed before are taken from `known`."""
    found = {}
    for id_, audience, account, kind, raw, live_from, backfilled, ready in cn.execute(LIVE).fetchall():
        old = (known or {}).get(id_)
        rule = old.rule if old else rules.parse(kind, json.loads(raw))
        found[id_] = Live(id_, audience, account, rule, live_from, backfilled, bool(ready))
    return found


class Desk:
    """`stale` makes the next use read everything again."""

    def __init__(self) -> None:
        self.stale = True
        self.builds: dict[int, Live] = {}
        self.books: dict[int, Book[int]] = {}
        self.graves = graves.Graves()

    def refresh(self, cn: sqlite3.Connection) -> None:
        """Read builds and graves again if anything but a fold has written since."""
        if not self.stale:
            return
        before = self.builds
        self.builds = live_builds(cn, before)
        if self.builds.keys() != before.keys() or not self.books:
            self._index()
        self.graves = graves.load(cn)
        self.stale = False

    def _index(self) -> None:
        accounts = {build.account for build in self.builds.values()}
        self.books = {
            account: Book({b.id: b.rule for b in self.builds.values() if b.account == account})
            for account in accounts
        }
