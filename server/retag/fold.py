"""The fold: the log becomes audience membership, a second behind at most.

`advance` takes the next events and leaves, in the caller's transaction, everything that follows from them:
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

import msgspec

from retag import people
from retag.events import SOURCES, STANDINGS, Event
from retag.store import folding, log, marking, matching, replay, settle, showing
from retag.store.desk import Builds, Desk, live_builds
from retag.store.graves import Graves
from retag.store.membership import Mark, Touch, fact_of, match
from retag.store.membership import settle as settle_window

NAMES = {number: name for name, number in STANDINGS.items()}
decode = msgspec.json.decode
standing_of = attrgetter("standing")
MOST_AFTER_A_MOVE = 256


def advance(
    cn: sqlite3.Connection, desk: Desk, entries: Sequence[log.Entry], upto: int, now: int, bare: bool = False
) -> tuple[dict[str, int], int]:
    """Fold `entries` and move the watermark to `upto`: `(counts by standing, step)`.

    `bare` leaves the rules aside.
    """
    desk.refresh(cn)
    counts: Counter[int] = Counter()
    batch = [settle.entry(seq, event) for seq, event in entries]
    size = len(batch)
    while batch:
        done = _advance(cn, desk, batch[:size], now, bare)
        counts.update(map(standing_of, batch[:done]))
        # An event changed hands: what follows must see that, whatever the batch, so the rest is settled anew.
        batch, size = batch[done:], MOST_AFTER_A_MOVE
    log.set_progress(cn, "folded", upto)
    return {NAMES[standing]: count for standing, count in counts.items()}, log.progress(cn, "step")


def _advance(cn: sqlite3.Connection, desk: Desk, batch: list[settle.Entry], now: int, bare: bool) -> int:
    """Fold up to the first event that makes another change hands; how many were folded."""
    living = _bury(cn, desk, batch)
    settled, moves, matches = _settle(cn, living, desk.graves)
    folding.save_log(cn, settled)
    if not bare:
        touches = touches_of(desk, [(one.event, one.visitor) for one in settled if not one.standing])
        touches += matching.touches(desk, matches, now)
        if desk.graves.opted_out:
            touches = [one for one in touches if one[0] not in desk.graves.opted_out]
        take(cn, desk.builds, touches, now)
    if not moves:
        return len(batch)
    _move(cn, moves, now)
    return next(place for place, one in enumerate(batch, 1) if one is settled[-1])


def _bury(cn: sqlite3.Connection, desk: Desk, batch: list[settle.Entry]) -> list[settle.Entry]:
    """Late events of the erased leave the log; what objectors do since they objected counts for nothing."""
    graves = desk.graves
    if not graves.any:
        return batch
    for one in batch:
        if graves.erased(one.visitor):
            one.standing = settle.ERASED
        elif graves.objected(one.visitor, one.event.received):
            one.standing = settle.OPTED_OUT
    folding.drop(cn, [one.seq for one in batch if one.standing == settle.ERASED])
    return [one for one in batch if one.standing != settle.ERASED]


def _settle(
    cn: sqlite3.Connection, batch: list[settle.Entry], graves: Graves
) -> tuple[list[settle.Entry], list[settle.Move], list[matching.Match]]:
    """Decide standing and owner of each event, in order, and store what that taught.

    Stops behind the first event that makes an earlier one change hands: `(settled, moves, list matches)`.
    """
    shown = {one.seq: showing.of(one.event) for one in batch if one.event.people}
    showings = folding.load_showings(cn, {i for some in shown.values() for i in some}, people.STRENGTH)
    folding.load_shown(cn, showings, {one.visitor for one in batch if one.seq in shown})
    ledger = folding.load_ledger(cn, batch)
    strangers = _strangers(cn, batch, shown)
    settled = []
    for one in batch:
        settled.append(one)
        if not (one.key or one.order or one.event.people):
            continue
        identifiers = shown.get(one.seq, [])
        if one.seq in strangers:
            _find_owner(one, identifiers, showings)
            if graves.objected(one.visitor, one.event.received):
                one.standing = settle.OPTED_OUT
        if one.standing == settle.COUNTED:
            ledger.settle(one)
        one.moved = one.visitor != one.event.visitor
        if one.standing in (settle.COUNTED, settle.DUPLICATE, settle.REPEATED):
            showings.attach(identifiers, one.visitor, one.event.time)
        if ledger.moves:
            break
    folding.save_ledger(cn, ledger)
    folding.save_showings(cn, showings)
    return settled, ledger.moves, matching.note(cn, showings.links, batch[-1].event.received if batch else 0)


def _strangers(
    cn: sqlite3.Connection, batch: list[settle.Entry], shown: dict[int, list[showing.Identifier]]
) -> set[int]:
    """Server events with identifiers, whose visitor nobody has met: their owner is to be found."""
    asked = [one for one in batch if one.event.source != SOURCES["tag"] and one.seq in shown]
    if not asked:
        return set()
    known = folding.known_visitors(cn, {one.visitor for one in asked})
    first: dict[bytes, int] = {}
    for one in batch:
        first.setdefault(one.visitor, one.seq)
    return {one.seq for one in asked if one.visitor not in known and first[one.visitor] == one.seq}


def _find_owner(one: settle.Entry, identifiers: list[showing.Identifier], showings: showing.Showings) -> None:
    owner = showings.owner(identifiers)
    if owner is not None:
        one.visitor = owner
    elif one.standing == settle.COUNTED and showings.useless(identifiers):
        one.standing = settle.QUARANTINED


def take(cn: sqlite3.Connection, builds: Builds, touches: list[Touch], now: int, filled: int = 0) -> None:
    """The rules' memories and windows after these matches."""
    marks = marking.load(cn, [touch[:2] for touch in touches], builds, filled)
    marks.take(touches)
    replay.date_back(cn, marks)
    _save(cn, marks, now)


def _move(cn: sqlite3.Connection, moves: list[settle.Move], now: int) -> None:
    """Earlier events changed hands: both sides are computed anew."""
    folding.save_moves(cn, moves)
    touched = {move.giver for move in moves} | {move.taker for move in moves}
    for visitor in sorted(touched):
        gained, lost = matching.retell(cn, visitor, now)
        for one in gained:
            mark_list(cn, one.account, one.list, [visitor], [], now)
        for one in lost:
            mark_list(cn, one.account, one.list, [], [visitor], now)
    refold(cn, touched, now)


def touches_of(desk: Desk, counted: Iterable[tuple[Event, bytes]]) -> list[Touch]:
    """Which clauses these events match."""
    found: list[Touch] = []
    for event, visitor in counted:
        book = desk.books.get(event.account)
        if book is None:
            continue
        shelf = book.shelf(event.name)
        rows = shelf.touching(event.url)
        if not rows:
            continue
        fact = fact_of(event, decode(event.data) if shelf.needs_data and event.data else {})
        for key, place, clause in rows:
            # The shelf knows the name already, so this is clause.matches without its first half.
            for check in clause.checks:
                if not check(fact):
                    break
            else:
                value = clause.value(fact) if clause.sums else 0.0
                found.append((visitor, key, place, event.time, value))
    return found


def _save(cn: sqlite3.Connection, marks: marking.Marks, now: int, cause: int = 0) -> None:
    changes = marking.save(cn, marks, now)
    if changes:
        marking.save_changes(cn, changes, next_step(cn), now, cause)


def next_step(cn: sqlite3.Connection) -> int:
    """A new fold step: whoever reads at an earlier one undoes what is written under it."""
    step = log.progress(cn, "step") + 1
    log.set_progress(cn, "step", step)
    return step


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
        _save(cn, marks, now, cause)


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
    _save(cn, marks, now)


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
    step = next_step(cn)
    row = cn.execute("SELECT audience FROM build WHERE id = ?", (build,)).fetchone()
    cn.execute("UPDATE build SET ready = ?, ready_step = ? WHERE id = ?", (now, step, build))
    cn.execute(
        "UPDATE build SET retired = ?, retired_step = ? WHERE audience = ? AND id <> ? AND retired IS NULL",
        (now, step, row[0], build),
    )
    cn.execute("UPDATE audience SET build = ? WHERE id = ?", (build, row[0]))
