"""The size of a rule not yet saved: exact on a short log, else from a sample of it, with its error.

The sample takes places of the log at random. A place whose event is counted votes for its visitor with
1 / (the visitor's events among the places), so that a busy visitor weighs no more than a quiet one
(Horvitz and Thompson 1952, https://doi.org/10.1080/01621459.1952.10483446); an empty place votes 0. The mean
vote times the number of places is the size without bias, and the spread of the votes is its error.
"""

from __future__ import annotations

import math
import random
import sqlite3
import time
from typing import Any

import msgspec

from retag import rules
from retag.rules import Fact, Memory, Rule
from retag.store import lists, lookup
from retag.windows import EVER

SHORT = 30_000
"""Up to so many places of the log, every visitor is asked."""
BUDGET_S = 0.6
LEAST, MOST = 200, 20_000
BUSY = 2_000
"""Events of one visitor that are looked at, the newest: a machine that never stops must not take the time."""


class Estimate(msgspec.Struct):
    """`size` visitors, give or take `margin` (95 %), 0 when `exact`; from `sampled` places of the log."""

    size: int
    exact: bool
    margin: int
    lower: int
    upper: int
    sampled: int


def exactly(size: int) -> Estimate:
    return Estimate(size, True, 0, size, size, 0)


class Sampler:
    """Asks whether visitors of one account match one rule now, on a read-only connection."""

    def __init__(self, cn: sqlite3.Connection, account: int, rule: Rule, now: int) -> None:
        self.cn = cn
        self.account = account
        self.rule = rule
        self.now = now
        self._known: dict[bytes, float] = {}

    def estimate(self, seed: int) -> Estimate:
        """The size; exact when the log is short, else within BUDGET_S seconds."""
        first, last = self._places()
        if last < first:
            return exactly(0)
        if last - first < SHORT:
            return exactly(self._count_all(first))
        return self._sample(first, last, random.Random(seed))  # noqa: S311 (a sample, not a secret)

    def _places(self) -> tuple[int, int]:
        """The places where a member must have an event: the log, or its end when the rule forgets."""
        # Asked for together, SQLite reads the whole log for them (https://sqlite.org/optoverview.html#minmax).
        sql = "SELECT (SELECT min(seq) FROM log), (SELECT max(seq) FROM log)"
        first, last = self.cn.execute(sql).fetchone()
        if first is None:
            return 1, 0
        reach = reach_of(self.rule)
        return (first if reach >= EVER else self._first_received(first, last, self.now - reach)), last

    def _first_received(self, low: int, high: int, since: int) -> int:
        """The first place received at or after `since`; the log is in order of receipt, to within a batch."""
        while low < high:
            middle = (low + high) // 2
            row = self.cn.execute(
                "SELECT received FROM log WHERE seq >= ? ORDER BY seq LIMIT 1", (middle,)
            ).fetchone()
            low, high = (low, middle) if row is None or row[0] >= since else (middle + 1, high)
        return low

    def _count_all(self, first: int) -> int:
        sql = "SELECT DISTINCT visitor FROM log WHERE seq >= ? AND account = ? AND standing = 0"
        visitors = self.cn.execute(sql, (first, self.account)).fetchall()
        return sum(self.holds(visitor) for (visitor,) in visitors)

    def _sample(self, first: int, last: int, chance: random.Random) -> Estimate:
        places, votes, squares, taken = last - first + 1, 0.0, 0.0, 0
        deadline = time.monotonic() + BUDGET_S
        while taken < LEAST or (taken < MOST and time.monotonic() < deadline):
            vote = self._vote(chance.randint(first, last), first)
            votes, squares, taken = votes + vote, squares + vote * vote, taken + 1
        mean = votes / taken
        margin = 1.96 * places * math.sqrt(max(squares / taken - mean * mean, 0.0) / taken)
        # No vote at all still leaves room for what 3 in so many would be (the rule of three).
        margin = margin or 3 * places / taken
        size = round(mean * places)
        return Estimate(size, False, round(margin), max(0, round(size - margin)), round(size + margin), taken)

    def _vote(self, place: int, first: int) -> float:
        sql = "SELECT visitor FROM log WHERE seq = ? AND account = ? AND standing = 0"
        row = self.cn.execute(sql, (place, self.account)).fetchone()
        if row is None:
            return 0.0
        if row[0] not in self._known:
            self._known[row[0]] = self._weight(row[0], first)
        return self._known[row[0]]

    def _weight(self, visitor: bytes, first: int) -> float:
        if not self.holds(visitor):
            return 0.0
        filed = "SELECT count(*) FROM trail WHERE visitor = ? AND seq >= ?"
        most: int = self.cn.execute(filed, (visitor, first)).fetchone()[0]
        if most > BUSY:
            return 1.0 / most
        sql = (
            "SELECT count(*) FROM trail t JOIN log l ON l.seq = t.seq"
            " WHERE t.visitor = ? AND t.seq >= ? AND l.account = ? AND l.standing = 0"
        )
        count: int = self.cn.execute(sql, (visitor, first, self.account)).fetchone()[0]
        return 1.0 / max(count, 1)

    def holds(self, visitor: bytes) -> bool:
        """Whether the rule holds for the visitor now, from their events, lists and seeds; for no objector."""
        if self.cn.execute("SELECT 1 FROM opt_out WHERE visitor = ?", (visitor,)).fetchone():
            return False
        memories = [self._standing(clause, visitor) for clause in self.rule.clauses]
        for fact in self._facts(visitor):
            for place, clause in enumerate(self.rule.clauses):
                if clause.list_id is None and not clause.seeds and clause.matches(fact):
                    memories[place] = clause.remember(memories[place], fact.time, clause.value(fact))
        return self.rule.window(memories).holds(self.now)

    def _facts(self, visitor: bytes) -> list[Fact]:
        sql = (
            f"SELECT {lookup.FACT} FROM (SELECT seq FROM trail WHERE visitor = ? ORDER BY seq DESC LIMIT ?) t"
            " JOIN log l ON l.seq = t.seq WHERE l.account = ? AND l.standing = 0 AND l.time <= ?"
        )
        rows = self.cn.execute(sql, (visitor, BUSY, self.account, self.now))
        return [lookup.fact_of(row) for row in rows]

    def _standing(self, clause: rules.Clause, visitor: bytes) -> Memory:
        if clause.list_id is not None:
            return [[0, 0]] if lists.matched(self.cn, clause.list_id, visitor) else []
        sql = (
            "SELECT 1 FROM audience a JOIN member m ON m.build = a.build AND m.visitor = ?"
            " WHERE a.id = ? AND m.opens <= ? AND m.closes > ?"
        )
        held = any(self.cn.execute(sql, (visitor, s, self.now, self.now)).fetchone() for s in clause.seeds)
        return [[0, 0]] if held else []


def reach_of(rule: Rule) -> int:
    """How far back, in ms, a member must have an event at the latest; EVER when the rule does not say."""
    must = [rule.clauses[place] for place in rule.must]
    any_ = [rule.clauses[place] for place in rule.any_]
    bounds = [_span(clause) for clause in must]
    if any_:
        bounds.append(max(_span(clause) for clause in any_))
    return min(bounds, default=EVER)


def _span(clause: rules.Clause) -> int:
    return EVER if clause.list_id is not None or clause.seeds else clause.retention


def existing(cn: sqlite3.Connection, account: int, kind: str, rule: dict[str, Any]) -> int | None:
    """A ready build of the account that already answers for the very same rule."""
    wanted = msgspec.json.encode(rule, order="deterministic")
    sql = (
        "SELECT b.id, b.rule FROM audience a JOIN build b ON b.id = a.build"
        " WHERE a.account = ? AND a.type = ? AND a.removed IS NULL AND b.ready IS NOT NULL"
    )
    for build, known in cn.execute(sql, (account, kind)):
        if msgspec.json.encode(msgspec.json.decode(known), order="deterministic") == wanted:
            return int(build)
    return None


def measure(cn: sqlite3.Connection, account: int, rule: Rule, now: int) -> Estimate:
    """The best that can be said in BUDGET_S seconds."""
    build = existing(cn, account, rule.kind, rule.raw)
    if build is not None:
        sql = "SELECT count(*) FROM member WHERE build = ? AND opens <= ? AND closes > ?"
        return exactly(cn.execute(sql, (build, now, now)).fetchone()[0])
    return Sampler(cn, account, rule, now).estimate(seed=now)
