"""Desk: what the writer thread keeps at hand: the live builds with their rules, by account."""

from __future__ import annotations

import json
import sqlite3
from functools import lru_cache

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


@lru_cache(maxsize=4096)
def compiled(kind: str, raw: str) -> Rule:
    """The rule of a build, parsed once."""
    return rules.parse(kind, json.loads(raw))


def live_builds(cn: sqlite3.Connection) -> dict[int, Live]:
    """Every build that is not retired, by id."""
    return {
        id_: Live(id_, audience, account, compiled(kind, raw), live_from, backfilled, bool(ready))
        for id_, audience, account, kind, raw, live_from, backfilled, ready in cn.execute(LIVE).fetchall()
    }


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
        self.builds = live_builds(cn)
        if self.builds.keys() != before.keys():
            self._index()
        self.graves = graves.load(cn, self.graves)
        self.stale = False

    def _index(self) -> None:
        accounts = {build.account for build in self.builds.values()}
        self.books = {
            account: Book({b.id: b.rule for b in self.builds.values() if b.account == account})
            for account in accounts
        }
