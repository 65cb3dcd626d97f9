"""Desk: what the writer thread keeps at hand: the live builds with their rules, by account."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b

import msgspec

from retag import rules
from retag.rules import Book, Rule
from retag.rules.book import Row
from retag.store import graves
from retag.store.remembered import PART, Traced


class Live(msgspec.Struct, frozen=True):
    """One build being folded into. `ready`: it answers for its audience, so its changes write transitions.

    Events up to `backfilled`, and those after `live_from`, have reached it. `traced`: its clauses' traces.
    """

    id: int
    audience: int
    account: int
    rule: Rule
    traced: Traced
    live_from: int
    backfilled: int
    ready: bool


class Builds(dict[int, Live]):
    """Live builds by id. `plain`: those that remember no more than a window; `sharing`: whose each trace is,
    `{trace: {part: {build: places of its clauses}}}`."""

    def __init__(self, builds: Iterable[Live] = ()) -> None:
        super().__init__((build.id, build) for build in builds)
        self.plain = {build.id for build in self.values() if build.rule.plain}
        self.sharing: dict[int, dict[int, dict[int, list[int]]]] = defaultdict(lambda: defaultdict(dict))
        for build in self.values():
            for place, trace in build.traced.items():
                self.sharing[trace][build.id // PART].setdefault(build.id, []).append(place)


LIVE = (
    "SELECT b.id, b.audience, a.account, a.type, b.rule, b.live_from, b.backfilled, b.ready IS NOT NULL"
    " FROM build b JOIN audience a ON a.id = b.audience WHERE b.retired IS NULL"
)


@lru_cache(maxsize=4096)
def compiled(kind: str, raw: str) -> Rule:
    """The rule of a build, parsed once."""
    return rules.parse(kind, json.loads(raw))


@lru_cache(maxsize=4096)
def traced(rule_of: tuple[str, str], account: int, apart: int) -> Traced:
    """The traces of a rule's clauses; negative, so that no build is named like one.

    A rule that must not know what was before it has its own (`apart`, its build).
    """
    rule = compiled(*rule_of)
    return {place: _trace(account, apart, rule.clauses[place].predicate) for place in rule.traced}


def _trace(account: int, apart: int, predicate: str) -> int:
    named = f"{account}\0{apart}\0{predicate}".encode()
    return -1 - (int.from_bytes(blake2b(named, digest_size=8).digest(), "big") >> 1)


def live_builds(cn: sqlite3.Connection) -> Builds:
    """Every build that is not retired."""
    return Builds(_live(*row) for row in cn.execute(LIVE).fetchall())


def _live(
    id_: int, audience: int, account: int, kind: str, raw: str, live_from: int, backfilled: int, ready: int
) -> Live:
    rule = compiled(kind, raw)
    traces = traced((kind, raw), account, 0 if rule.prefill else id_)
    return Live(id_, audience, account, rule, traces, live_from, backfilled, bool(ready))


class Desk:
    """`stale` makes the next use read everything again."""

    def __init__(self) -> None:
        self.stale = True
        self.builds = Builds()
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
        """By account, the clauses to ask about an event: those that share a trace once."""
        rows: dict[int, dict[tuple[int, int], Row[int]]] = defaultdict(dict)
        for build in self.builds.values():
            for place, clause in enumerate(build.rule.clauses):
                trace = build.traced.get(place)
                row = (build.id, place, clause) if trace is None else (trace, 0, clause)
                rows[build.account].setdefault(row[:2], row)
        self.books = {account: Book(some.values()) for account, some in rows.items()}
