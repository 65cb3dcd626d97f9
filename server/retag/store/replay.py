"""Replay: a visitor's membership from their events in the log, in the order in which things happened.

The fold takes events as they arrive, which gives the right members whatever the order. Since when a visitor
has been one is another matter: an event that comes late may join two stretches, of which the memories know
the later one alone. So whoever got such an event is told anew here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from retag.rules import Fact, Memory, Rule
from retag.store.desk import Live
from retag.store.marking import Marks
from retag.store.membership import Mark, Pair, match, settle
from retag.windows import EVER

MOST = 2_000
"""Events of one visitor that are told anew because of a late one, the newest."""
decode = msgspec.json.decode


Told = tuple[int, int, Fact]
"""One event as rules see it: `(place in the log, account, fact)`."""


def trail(cn: sqlite3.Connection, visitor: bytes, most: int = -1) -> list[Told]:
    """The visitor's counted events in order of arrival; the newest `most`."""
    sql = (
        "SELECT seq, account, name, time, tag, source, platform, url, data FROM log WHERE seq IN"
        " (SELECT seq FROM trail WHERE visitor = ? ORDER BY seq DESC LIMIT ?) AND standing = 0 ORDER BY seq"
    )
    return [
        (seq, account, Fact(name, time, tag, source, platform, url, decode(data) if data else {}))
        for seq, account, name, time, tag, source, platform, url, data in cn.execute(sql, (visitor, most))
    ]


def horizon(cn: sqlite3.Connection) -> int:
    """Matches from before this instant may be of events that retention has purged."""
    row = cn.execute("SELECT seq, received FROM log ORDER BY seq LIMIT 1").fetchone()
    return EVER if row is None else row[1] if row[0] > 1 else -EVER


def again(build: Live, before: Mark, events: list[Told], horizon: int) -> Mark:
    """A mark from the events that have reached the build, what lists and seeds said, and what was purged."""
    rule, mark = build.rule, Mark(was=before.was, dirty=True)
    kept = before.memories or rule.nothing()
    mark.memories = None if rule.plain else rule.nothing()
    decided = [i for i, clause in enumerate(rule.clauses) if clause.list_id is not None or clause.seeds]
    if decided:
        mark.memories = [kept[i] if i in decided else [] for i in range(len(kept))]
        settle(rule, mark)
    found = [one for one in _purged(rule, before, events, horizon) if one[1] not in decided]
    for time, place, value in sorted([*found, *_matches(build, events, decided)]):
        match(rule, mark, place, time, value)
    mark.dirty = (mark.opens, mark.closes, mark.last) != before.was or mark.memories != before.memories
    return mark


Match = tuple[int, int, float]
"""`(time, place of the clause, value)`."""


def _matches(build: Live, events: list[Told], decided: list[int]) -> Iterable[Match]:
    clauses = [(i, clause) for i, clause in enumerate(build.rule.clauses) if i not in decided]
    # A trace is shared with builds that the event has reached already.
    ahead = build.traced.keys() if build.rule.prefill else ()
    for seq, account, fact in events:
        if account == build.account:
            reached = seq <= build.backfilled or seq > build.live_from
            for place, clause in clauses:
                if (reached or place in ahead) and clause.matches(fact):
                    yield fact.time, place, clause.value(fact)


def _purged(rule: Rule, before: Mark, events: list[Told], horizon: int) -> Iterable[Match]:
    """What a mark remembers of events that are no longer in the log."""
    memories: list[Memory] | None = before.memories
    if memories is None:
        memories = [[[before.last, 0]]] if rule.plain and before.opens < before.closes else rule.nothing()
    kept = {fact.time for _, _, fact in events}
    for place, memory in enumerate(memories):
        for time, value in memory:
            if time < horizon and time not in kept:
                yield int(time), place, value


def date_back(cn: sqlite3.Connection, marks: Marks) -> None:
    """Since when those are members who got a late event.

    Where the log no longer has every event, or they are too many, a membership is only found to be older.
    """
    late: dict[bytes, list[Pair]] = {}
    for pair, mark in marks.items():
        if mark.late and mark.opens < mark.closes:
            late.setdefault(pair[1], []).append(pair)
    oldest = horizon(cn) if late else EVER
    for visitor, some in late.items():
        events = trail(cn, visitor, MOST)
        whole = oldest == -EVER and len(events) < MOST
        for pair in some:
            mark = marks[pair]
            then = again(marks.builds[pair[0]], mark, events, oldest)
            if then.closes == mark.closes:
                mark.opens = then.opens if whole else min(then.opens, mark.opens)
