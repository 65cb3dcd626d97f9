"""What an audience is worth: of its members at a past instant, how many then acted, beside other visitors.

No look-ahead: membership, recency and frequency at the instant are those of what had been received by then,
and the outcome is what happened after it. Rules of events are recomputed from the log. Customer lists and
act-alikes leave no events, so their members are read from the transitions, as far as these reach back.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from retag.errors import Conflict
from retag.rules import Fact, Memory, Rule, parse
from retag.stats import Group, Lift, Stratum, lift, stratum
from retag.store import sqlite, trails
from retag.store.recognising import Recognised
from retag.windows import DAY

ALIVE = 180 * DAY
"""Others are those with a counted event within so long before the instant."""
KEPT = 30 * DAY
"""How long transitions are kept."""

VALUE = "json_extract(CAST(nullif(data, x'') AS TEXT), '$.value')"


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


class Recorded:
    """Members that are known as a set."""

    def __init__(self, known: frozenset[bytes]) -> None:
        self._known = known

    def holds(self, visitor: bytes) -> bool:
        return visitor in self._known


class Recomputed:
    """Members at `at` by a rule of events, which must be shown in the order of the log."""

    def __init__(self, rule: Rule, at: int) -> None:
        self._rule, self._at = rule, at
        self.clauses = rule.clauses
        self._memories: dict[bytes, list[Memory]] = {}
        self._strangers = rule.window(rule.nothing()).holds(at)

    def remember(self, visitor: bytes, place: int, time: int, value: float) -> None:
        """An event that the clause at `place` matches."""
        if (memories := self._memories.get(visitor)) is None:
            memories = self._memories[visitor] = self._rule.nothing()
        memories[place] = self.clauses[place].remember(memories[place], time, value)

    def holds(self, visitor: bytes) -> bool:
        memories = self._memories.get(visitor)
        return self._strangers if memories is None else self._rule.window(memories).holds(self._at)


Members = Recorded | Recomputed


Match = tuple[Recomputed, int, float]
"""The rule, the place of its clause, and what the event counts."""


class Matches(Recognised[tuple[Match, ...]]):
    """The clauses that an event matches; `matters`, the instant after which it may, is one more parameter of
    the column."""

    def __init__(self, rules: Sequence[Recomputed]) -> None:
        self._clauses = [(rule, i, clause) for rule in rules for i, clause in enumerate(rule.clauses)]
        clauses = [clause for _, _, clause in self._clauses]
        super().__init__(clauses, self._match, "time > :matters")
        self.back = max((clause.retention for clause in clauses), default=0)
        """How long before the instant something may have happened that matters at it, ms."""

    def _match(self, fact: Fact) -> tuple[Match, ...]:
        return tuple(
            (rule, i, clause.value(fact)) for rule, i, clause in self._clauses if clause.matches(fact)
        )


class Crowd:
    """Everybody of whom something had been received by the instant: how lately and how often they were seen
    until then, and what they spent on the event since, for those who did it."""

    def __init__(self) -> None:
        self.rows: dict[bytes, int] = {}
        self.last, self.times = array("q"), array("q")
        self.spent: dict[bytes, float] = {}

    def see(self, visitor: bytes, time: int) -> None:
        row = self.rows.get(visitor)
        if row is None:
            self.rows[visitor] = len(self.rows)
            self.last.append(time)
            self.times.append(1)
            return
        self.times[row] += 1
        self.last[row] = max(self.last[row], time)

    def lift(self, members: Members, at: int) -> Lift:
        """Members beside the others who were alive."""
        strata: dict[Stratum, list[list[float]]] = {}
        for (visitor, _), last, times in zip(self.rows.items(), self.last, self.times, strict=True):
            inside = members.holds(visitor)
            if not inside and at - last >= ALIVE:
                continue
            pair = strata.setdefault(stratum(at - last, times), [[0, 0, 0.0, 0.0], [0, 0, 0.0, 0.0]])
            group = pair[not inside]
            group[0] += 1
            if (spent := self.spent.get(visitor)) is not None:
                group[1] += 1
                group[2] += spent
                group[3] += spent * spent
        return lift((_group(*one), _group(*other)) for _, (one, other) in sorted(strata.items()))


def answer(path: str, question: Question) -> list[Lift]:
    """The lift of each audience asked about; raises Conflict where the past is no longer known.

    Reads the log of the account once, in its order: for a process of its own.
    """
    cn = sqlite.connect(path, readonly=True)
    try:
        members = [_members(cn, asked, question) for asked in question.asked]
        crowd = _read(cn, question, members)
    finally:
        cn.close()
    return [crowd.lift(one, question.at) for one in members]


def _read(cn: sqlite3.Connection, question: Question, members: Sequence[Members]) -> Crowd:
    """The past of everybody, shown to the rules, and the outcome."""
    crowd, at = Crowd(), question.at
    matches = Matches([one for one in members if isinstance(one, Recomputed)])
    see, spent = crowd.see, crowd.spent
    for rows in _pages(cn, question, matches):
        matches.trim()
        for visitor, time, told in rows:
            if time > at:
                spent[visitor] = spent.get(visitor, 0.0) + _value(told)
                continue
            see(visitor, time)
            if told is not None:
                for rule, place, value in matches[told]:
                    rule.remember(visitor, place, time, value)
    return crowd


def _pages(cn: sqlite3.Connection, question: Question, matches: Matches) -> Iterator[list[trails.Row]]:
    """`(visitor, time, what is told)` of the past, as it had been received by then, and `(visitor, time,
    value)` of the outcome."""
    columns = f"visitor, time, CASE WHEN time > :at THEN {VALUE} ELSE {matches.told} END"
    where = (
        "account = :account AND (time <= :at AND received <= :at"
        " OR name = :event AND time > :at AND time < :until)"
    )
    asked = {"account": question.account, "at": question.at, "until": question.until, "event": question.event}
    asked["matters"] = question.at - matches.back
    return trails.pages(cn, columns, where, asked | matches.names)


def _value(value: Any) -> float:
    return max(0.0, float(value)) if isinstance(value, int | float) else 0.0


def _members(cn: sqlite3.Connection, asked: Asked, question: Question) -> Members:
    rule = parse(asked.kind, asked.rule)
    if any(clause.list_id is not None or clause.seeds for clause in rule.clauses):
        return Recorded(_recorded(cn, asked.build, question.at, question.until))
    return Recomputed(rule, question.at)


def _group(size: float, acted: float, revenue: float, squares: float) -> Group:
    return Group(int(size), int(acted), revenue, squares)


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
