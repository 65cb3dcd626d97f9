"""Marks: what each build knows of each visitor, loaded and stored in bulk.

The window of whoever is in, or is to come in, is a row of `member`, in the order in which audiences are read.
What the rules remember lies in `memory`, all rules of one visitor in one row, so that a visit changes one
page and not one for each rule. A plain rule remembers no more than its window, and has no part in that row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from retag.store import bulk, sqlite
from retag.store.desk import Live
from retag.store.membership import SOON, Mark, Pair, changed
from retag.store.remembered import PART, Place, Remembered, encode, packed, read, unpack

unhex = bytes.fromhex

Changes = list[tuple[int, bytes, tuple[int, int, int]]]
"""Transitions due: `(build, visitor, window before with its last match)`."""


class Marks(dict[Pair, Mark]):
    """The marks asked for. `remembered`: all rows of which they are a part."""

    remembered: dict[Place, Remembered]

    def replaced(self, marks: Mapping[Pair, Mark]) -> Marks:
        """Others of the same visitors."""
        new = Marks(marks)
        new.remembered = self.remembered
        return new


def load(cn: sqlite3.Connection, pairs: Iterable[Pair], builds: Mapping[int, Live]) -> Marks:
    """The marks of these, a new one where there is none."""
    marks, plain = Marks(), plain_of(builds)
    wanted = {pair: (pair[1], pair[0] // PART) for pair in pairs}
    places = {place for (build, _), place in wanted.items() if build not in plain}
    known = marks.remembered = load_remembered(cn, sorted(places))
    for pair, place in wanted.items():
        kept = known[place].get(pair[0]) if place in known else None
        marks[pair] = Mark() if kept is None else unpack(kept)
    _load_windows(cn, marks, sorted(pair for pair in marks if pair[0] in plain))
    return marks


def plain_of(builds: Mapping[int, Live]) -> set[int]:
    """Those that remember no more than a window."""
    return {number for number, build in builds.items() if build.rule.plain}


def _load_windows(cn: sqlite3.Connection, marks: Marks, pairs: Sequence[Pair]) -> None:
    columns = "build, hex(visitor), opens, closes, last"
    source = "k CROSS JOIN member m USING (build, visitor)"
    for build, visitor, *window in bulk.lookup(cn, pairs, "build, visitor", columns, source):
        opens, closes, last = window
        marks[build, unhex(visitor)] = Mark(opens, closes, last, None, (opens, closes, last))


def load_remembered(cn: sqlite3.Connection, places: Sequence[Place]) -> dict[Place, Remembered]:
    """What the rules remember, of those of whom they remember anything."""
    columns, source = "hex(visitor), part, hex(marks)", "k CROSS JOIN memory m USING (visitor, part)"
    rows = bulk.lookup(cn, places, "visitor, part", columns, source)
    return {(unhex(visitor), part): read(unhex(kept)) for visitor, part, kept in rows}


def save_remembered(cn: sqlite3.Connection, remembered: Mapping[Place, Remembered]) -> None:
    """Store it anew. Nothing needs no row."""
    rows = [(*place, encode(kept)) for place, kept in sorted(remembered.items()) if kept]
    bulk.insert(cn, "INSERT OR REPLACE INTO memory", rows)
    gone = [place for place, kept in remembered.items() if not kept]
    cn.executemany("DELETE FROM memory WHERE visitor = ? AND part = ?", gone)


def save(cn: sqlite3.Connection, marks: Marks, builds: Mapping[int, Live], now: int) -> Changes:
    """Store what changed; returns the transitions due, of the builds that answer."""
    dirty = [(pair, mark) for pair, mark in marks.items() if mark.dirty]
    save_remembered(cn, _remember(marks, dirty, builds))
    moved = [one for one in dirty if (one[1].opens, one[1].closes, one[1].last) != one[1].was]
    _save_windows(cn, moved)
    changes, soon, shifts = [], now + SOON, shifts_of(cn)
    for pair, mark in moved:
        opens, closes, _ = mark.was
        if (mark.opens == opens and mark.closes > soon < closes) or not builds[pair[0]].ready:
            continue
        if changed(mark, now):
            changes.append((*pair, mark.was))
        shifts.append((*pair, (opens, closes), (mark.opens, mark.closes)))
    return changes


def _remember(
    marks: Marks, dirty: Iterable[tuple[Pair, Mark]], builds: Mapping[int, Live]
) -> dict[Place, Remembered]:
    """The rows of these marks with all that is remembered now."""
    touched: dict[Place, Remembered] = {}
    plain = plain_of(builds)
    for (build, visitor), mark in dirty:
        if build in plain:
            continue
        place = visitor, build // PART
        kept = touched.get(place)
        if kept is None:
            kept = touched[place] = marks.remembered.setdefault(place, {})
        if mark.last or not mark.empty:
            kept[build] = packed(mark.last, mark.memories, mark.opens, mark.closes)
        else:
            kept.pop(build, None)
    return touched


def _save_windows(cn: sqlite3.Connection, moved: Iterable[tuple[Pair, Mark]]) -> None:
    rows, gone = [], []
    for pair, mark in moved:
        if mark.opens < mark.closes:
            rows.append((*pair, mark.opens, mark.closes, mark.last))
        elif mark.was[0] < mark.was[1]:
            gone.append(pair)
    bulk.insert(cn, "INSERT OR REPLACE INTO member", sorted(rows))
    cn.executemany("DELETE FROM member WHERE build = ? AND visitor = ?", gone)


def shifts_of(cn: sqlite3.Connection) -> list[sqlite.Shift]:
    """Where this transaction's changes of windows are told; nowhere if nobody asked."""
    told = cn.shifts if isinstance(cn, sqlite.Connection) else None
    return [] if told is None else told


def save_changes(cn: sqlite3.Connection, changes: Changes, step: int, now: int, cause: int = 0) -> None:
    """Write transitions under one step."""
    rows = [(step, build, visitor, *was, now, cause) for build, visitor, was in changes]
    into = "INSERT INTO transition (step, build, visitor, opens, closes, last, at, cause)"
    bulk.insert(cn, into, rows)
