"""What an audience is worth: of its members at a past instant, how many then acted, beside other visitors.

No look-ahead: membership, recency and frequency at the instant are those of what had been received by then,
and the outcome is what happened after it. Rules of events are recomputed from the log. Customer lists and
act-alikes leave no events, so their members are read from the transitions, as far as these reach back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from retag.errors import Conflict
from retag.rules import Rule, parse
from retag.stats import Group, Lift, Stratum, lift, stratum
from retag.store import sqlite, trails
from retag.store.trails import Trace
from retag.windows import DAY

ALIVE = 180 * DAY
"""Others are those with a counted event within so long before the instant."""
KEPT = 30 * DAY
"""How long transitions are kept."""

Member = Callable[[bytes, list[Trace]], bool]


class Asked(msgspec.Struct, frozen=True):
    """One audience: its type and rule, and the build that answers for it (None when it is not saved)."""

    kind: str
    rule: dict[str, Any]
    build: int | None = None


class Question(msgspec.Struct, frozen=True):
    """Who of each audience did `event` from `at` on, until `until`; UTC ms, `until` exclusive."""

    account: int
    asked: tuple[Asked, ...]
    event: str
    at: int
    until: int


class Tally:
    """Counts members and others by stratum."""

    def __init__(self) -> None:
        self._strata: dict[Stratum, list[Group]] = {}

    def add(self, where: Stratum, one: Group, *, member: bool) -> None:
        pair = self._strata.setdefault(where, [Group(0, 0), Group(0, 0)])
        pair[not member] += one

    def lift(self) -> Lift:
        return lift((members, others) for _, (members, others) in sorted(self._strata.items()))


def answer(path: str, question: Question) -> list[Lift]:
    """The lift of each audience asked about; raises Conflict where the past is no longer known.

    Reads the whole log of the account once: for a process of its own.
    """
    cn = sqlite.connect(path, readonly=True)
    try:
        members = [_member(cn, asked, question) for asked in question.asked]
        tallies = [Tally() for _ in members]
        for visitor, traces in trails.walk(cn, question.account, trails.last_place(cn)):
            _count(question, members, tallies, visitor, traces)
        return [tally.lift() for tally in tallies]
    finally:
        cn.close()


def _count(
    question: Question,
    members: Sequence[Member],
    tallies: Sequence[Tally],
    visitor: bytes,
    traces: list[Trace],
) -> None:
    before = [one for one in traces if one.received <= question.at and one.time <= question.at]
    if not before:
        return
    recency = question.at - max(one.time for one in before)
    where = stratum(recency, len(before))
    outcome = _outcome(question, traces)
    for member, tally in zip(members, tallies, strict=True):
        inside = member(visitor, before)
        if inside or recency < ALIVE:
            tally.add(where, outcome, member=inside)


def _outcome(question: Question, traces: list[Trace]) -> Group:
    acts = [t for t in traces if t.name == question.event and question.at < t.time < question.until]
    spent = sum(_value(one) for one in acts)
    return Group(1, bool(acts), spent, spent * spent)


def _value(trace: Trace) -> float:
    value = trace.fact().data.get("value", 0)
    return max(0.0, float(value)) if isinstance(value, int | float) else 0.0


def _member(cn: sqlite3.Connection, asked: Asked, question: Question) -> Member:
    rule = parse(asked.kind, asked.rule)
    if any(clause.list_id is not None or clause.seeds for clause in rule.clauses):
        known = _recorded(cn, asked.build, question.at, question.until)
        return lambda visitor, traces: visitor in known
    return lambda visitor, traces: _held(rule, traces, question.at)


def _held(rule: Rule, traces: list[Trace], at: int) -> bool:
    memories = rule.nothing()
    for trace in traces:
        fact = None
        for i, clause in enumerate(rule.clauses):
            if clause.names is None or trace.name in clause.names:
                fact = fact or trace.fact()
                if clause.matches(fact):
                    memories[i] = clause.remember(memories[i], fact.time, clause.value(fact))
    return rule.window(memories).holds(at)


def _recorded(cn: sqlite3.Connection, build: int | None, at: int, now: int) -> frozenset[bytes]:
    """The members of a build at a past instant, from its rows with the later transitions undone."""
    ready = build and cn.execute("SELECT ready FROM build WHERE id = ?", (build,)).fetchone()
    if at < now - KEPT or not ready or ready[0] is None or ready[0] > at:
        raise Conflict(
            "This audience's members come from a list or a model, and who they were so long ago is not known:"
            " it was made or changed since, or its changes are no longer kept. Ask for fewer days."
        )
    first = "SELECT visitor, min(id) AS id FROM transition WHERE build = ? AND at > ? GROUP BY visitor"
    sql = (
        "SELECT visitor FROM member WHERE build = ? AND opens <= ? AND closes > ?"
        f" AND visitor NOT IN (SELECT visitor FROM ({first}))"
        f" UNION ALL SELECT t.visitor FROM transition t JOIN ({first}) f ON f.id = t.id"
        " WHERE t.opens <= ? AND t.closes > ?"
    )
    rows = cn.execute(sql, (build, at, at, build, at, build, at, at, at))
    return frozenset(row[0] for row in rows)
