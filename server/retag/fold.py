"""The fold: the log becomes audience membership, a second behind at most.

`advance` writes, in the caller's transaction, everything that follows from the next events (retag.draft):
what counts, whose it is, who is in, and the watermark. So after kill -9 at any point the same events are
folded again to the same result. `refold` computes visitors anew from their trail; `mark` and `mark_list` are
for membership that others decide; every change of who is in writes a transition under a new step.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

from retag.draft import Draft, whole
from retag.events import STANDINGS
from retag.store import folding, log, marking, matching, replay, settle
from retag.store.desk import Builds, Desk, live_builds
from retag.store.membership import Mark, Touch, match
from retag.store.membership import settle as settle_window

NAMES = {number: name for name, number in STANDINGS.items()}
standing_of = attrgetter("standing")
MOST_AFTER_A_MOVE = 256
Tally = dict[str, int]
"""Events by standing (`counted`, `duplicate`, …)."""


def advance(
    cn: sqlite3.Connection,
    desk: Desk,
    first: Draft,
    left: Sequence[settle.Entry],
    now: int,
    bare: bool = False,
) -> tuple[Tally, int]:
    """Write what is left of a reckoned draft, then the events `left` behind it, and move the watermark behind
    all: `(tally, step)`."""
    counts: Counter[int] = Counter()
    draft = first
    while True:
        draft.write(cn)
        _move(cn, draft.moves, now)
        counts.update(map(standing_of, draft.batch))
        if not left:
            break
        # An event changed hands: what follows must see that, and is reckoned after it.
        draft = whole(cn, desk, left[:MOST_AFTER_A_MOVE], first.upto, now, bare)
        left = left[len(draft.batch) :]
    log.set_progress(cn, "folded", first.upto)
    return {NAMES[standing]: count for standing, count in counts.items()}, log.progress(cn, "step")


def take(cn: sqlite3.Connection, builds: Builds, touches: list[Touch], now: int, filled: int = 0) -> None:
    """The rules' memories and windows after these matches."""
    marks = marking.load(cn, [touch[:2] for touch in touches], builds, filled)
    marks.take(touches)
    replay.date_back(cn, marks)
    marking.save(cn, marks, now)


def _move(cn: sqlite3.Connection, moves: Sequence[settle.Move], now: int) -> None:
    """Earlier events changed hands: both sides are computed anew."""
    if not moves:
        return
    folding.save_moves(cn, moves)
    touched = {move.giver for move in moves} | {move.taker for move in moves}
    for visitor in sorted(touched):
        gained, lost = matching.retell(cn, visitor, now)
        for one in gained:
            mark_list(cn, one.account, one.list, [visitor], [], now)
        for one in lost:
            mark_list(cn, one.account, one.list, [], [visitor], now)
    refold(cn, touched, now)


def refold(cn: sqlite3.Connection, visitors: Iterable[bytes], now: int, cause: int = 0) -> None:
    """Compute these visitors' membership anew, from their events in the log and the lists they are on."""
    builds, horizon = live_builds(cn), replay.horizon(cn)
    graves = {row[0] for row in cn.execute("SELECT visitor FROM opt_out").fetchall()}
    for visitor in sorted(visitors):
        events = [] if visitor in graves else replay.trail(cn, visitor)
        marks = marking.load(cn, [(visitor, number) for number in builds], builds)
        before = {(number, visitor): marks[number, visitor] for number in builds}
        if visitor in graves:
            anew = {pair: Mark(was=mark.was, dirty=True) for pair, mark in before.items()}
        else:
            anew = {
                pair: replay.again(builds[pair[0]], mark, events, horizon) for pair, mark in before.items()
            }
        marks.replace(anew)
        marking.save(cn, marks, now, cause)


def mark(
    cn: sqlite3.Connection, build: int, place: int, added: Sequence[bytes], removed: Sequence[bytes], now: int
) -> None:
    """Clause `place` of a build (a list's or a seed's) now holds for `added` and not for `removed`."""
    builds = live_builds(cn)
    if build not in builds:
        return
    rule = builds[build].rule
    marks = marking.load(cn, [(visitor, build) for visitor in (*added, *removed)], builds)
    for visitor in added:
        match(rule, marks[build, visitor], place, now, 0.0)
    for visitor in removed:
        one = marks[build, visitor]
        kept = one.memories or rule.nothing()
        one.memories = [[] if i == place else memory for i, memory in enumerate(kept)]
        settle_window(rule, one)
    marking.save(cn, marks, now)


def mark_list(
    cn: sqlite3.Connection,
    account: int,
    list_id: int,
    added: Sequence[bytes],
    removed: Sequence[bytes],
    now: int,
) -> None:
    """A customer list now matches `added`, and no longer `removed`."""
    for build in live_builds(cn).values():
        if build.account == account:
            for place, clause in enumerate(build.rule.clauses):
                if clause.list_id == list_id:
                    mark(cn, build.id, place, added, removed, now)


def start_build(
    cn: sqlite3.Connection, audience_id: int, rule_raw: dict[str, Any], now: int, prefill: bool
) -> int:
    """A new build of an audience: live events reach it from here on, the log behind by `builds.backfill`.

    It answers at once when there is nothing to fill in; an unfinished earlier one is given up.
    """
    folded = log.progress(cn, "folded")
    cn.execute(
        "UPDATE build SET retired = ?, retired_step = 0 WHERE audience = ? AND ready IS NULL"
        " AND retired IS NULL",
        (now, audience_id),
    )
    columns = "audience, rule, live_from, backfilled, ready, ready_step"
    sql = f"INSERT INTO build ({columns}) VALUES (?, ?, ?, 0, NULL, NULL) RETURNING id"
    build: int = cn.execute(sql, (audience_id, json.dumps(rule_raw), folded)).fetchone()[0]
    lists = any(clause.list_id is not None or clause.seeds for clause in live_builds(cn)[build].rule.clauses)
    if not lists and (not prefill or not folded):
        finish_build(cn, build, now)
    return build


def finish_build(cn: sqlite3.Connection, build: int, now: int) -> None:
    """The build is whole: from this step on it answers for its audience, and its forerunner is frozen."""
    step = log.next_step(cn)
    row = cn.execute("SELECT audience FROM build WHERE id = ?", (build,)).fetchone()
    cn.execute("UPDATE build SET ready = ?, ready_step = ? WHERE id = ?", (now, step, build))
    cn.execute(
        "UPDATE build SET retired = ?, retired_step = ? WHERE audience = ? AND id <> ? AND retired IS NULL",
        (now, step, row[0], build),
    )
    cn.execute("UPDATE audience SET build = ? WHERE id = ?", (build, row[0]))
