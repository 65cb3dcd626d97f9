"""Builds: a new rule sees the log behind it, in slices between the door's batches.

A slice takes a range of the log and moves `backfilled` in the same transaction, so after a crash it goes on
where it was, and no event is counted twice: the live fold has those behind `live_from`.
"""

from __future__ import annotations

import sqlite3
import time

import msgspec

from retag import fold, rules
from retag.store import bulk, graves, marking, remembered, replay
from retag.store.desk import Builds, Live, live_builds
from retag.store.membership import match

PART = 1_000
"""Places of the log at a time within a slice."""
PAGE = 500
"""Visitors of a customer list at a time."""


def unfinished(cn: sqlite3.Connection) -> list[int]:
    """Builds still being filled, oldest first; act-alikes wait for their first fit (store.alike)."""
    sql = (
        "SELECT b.id FROM build b JOIN audience a ON a.id = b.audience"
        " WHERE b.ready IS NULL AND b.retired IS NULL"
        " AND (a.type <> 'ACTALIKE' OR b.id IN (SELECT build FROM likeness)) ORDER BY b.id"
    )
    return [row[0] for row in cn.execute(sql)]


def backfill(cn: sqlite3.Connection, build_id: int, seconds: float, now: int) -> bool:
    """Fill for about so many seconds; True when the whole log has been seen."""
    builds = live_builds(cn)
    build = builds.get(build_id)
    if build is None or build.ready or not build.rule.prefill:
        return True
    # A build that answers has heard of all that is found here.
    filling = [
        one
        for one in builds.values()
        if not one.ready and one.id // remembered.PART == build.id // remembered.PART
    ]
    wanted = names(build.rule)
    if wanted is not None and not wanted:
        _reach(cn, build_id, build.live_from)
        return True
    at, until = build.backfilled, time.perf_counter() + seconds
    while at < build.live_from and time.perf_counter() < until:
        upto = min(at + PART, build.live_from)
        _fill(cn, filling, build, at, upto, wanted, now)
        at = upto
    _reach(cn, build_id, at)
    return at >= build.live_from


def _reach(cn: sqlite3.Connection, build: int, place: int) -> None:
    cn.execute("UPDATE build SET backfilled = ? WHERE id = ?", (place, build))


def names(rule: rules.Rule) -> frozenset[str] | None:
    """The event names that the rule can match, None for any."""
    found: frozenset[str] = frozenset()
    for clause in _of_events(rule).values():
        if clause.names is None:
            return None
        found |= clause.names
    return found


def _of_events(rule: rules.Rule) -> dict[int, rules.Clause]:
    return {i: c for i, c in enumerate(rule.clauses) if c.list_id is None and not c.seeds}


def _fill(
    cn: sqlite3.Connection,
    builds: list[Live],
    build: Live,
    after: int,
    upto: int,
    wanted: frozenset[str] | None,
    now: int,
) -> None:
    clauses, keys = _of_events(build.rule), build.traced
    data = "data" if any(clause.needs_data for clause in clauses.values()) else "x''"
    where = (
        "tag, source, platform, url" if any(clause.checks for clause in clauses.values()) else "0, 0, 0, ''"
    )
    some = "" if wanted is None else f" AND name IN ({','.join('?' * len(wanted))})"
    sql = (
        f"SELECT visitor, {data}, name, time, {where} FROM log"
        f" WHERE seq > ? AND seq <= ? AND standing = 0 AND account = ?{some}{graves.SPARED} ORDER BY seq"
    )
    rows = cn.execute(sql, (after, upto, build.account, *sorted(wanted or ()))).fetchall()
    found = []
    for visitor, raw, name, at, tag, source, platform, url in rows:
        fact = rules.Fact(name, at, tag, source, platform, url, bulk.decode(raw) if raw else {})
        for place, clause in clauses.items():
            if clause.matches(fact):
                value = clause.value(fact) if clause.needs_data else 0.0
                found.append((visitor, keys.get(place, build.id), place, at, value))
    reached = msgspec.structs.replace(build, backfilled=upto)
    fold.take(cn, Builds([*builds, reached]), found, now, build.id)


class Page(msgspec.Struct):
    """Where the filling from the customer list of clause `place` is: behind visitor `after`."""

    build: int
    place: int
    after: bytes = b""


def fill_list(cn: sqlite3.Connection, page: Page, now: int) -> bool:
    """One page of the list; whether there is more."""
    build = live_builds(cn).get(page.build)
    if build is None:
        return False
    list_id = build.rule.clauses[page.place].list_id
    sql = (
        f"SELECT visitor, since FROM customer_match WHERE list = ? AND visitor > ?{graves.SPARED}"
        " ORDER BY visitor LIMIT ?"
    )
    rows = cn.execute(sql, (list_id, page.after, PAGE)).fetchall()
    marks = marking.load(cn, [(visitor, build.id) for visitor, _ in rows], Builds([build]))
    for visitor, since in rows:
        match(build.rule, marks[build.id, visitor], page.place, since, 0.0)
        page.after = visitor
    replay.date_back(cn, marks)
    marking.save(cn, marks, now)
    return len(rows) == PAGE


def list_places(cn: sqlite3.Connection, build_id: int) -> list[int]:
    """The clauses of a build that name customer lists."""
    build = live_builds(cn).get(build_id)
    return [i for i, c in enumerate(build.rule.clauses) if c.list_id is not None] if build else []


def finish(cn: sqlite3.Connection, build_id: int, now: int) -> None:
    """Let the build answer for its audience, unless a newer one has replaced it or it does already."""
    if build_id in unfinished(cn):
        fold.finish_build(cn, build_id, now)
