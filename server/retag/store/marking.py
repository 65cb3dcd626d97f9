"""Marks: what each build knows of each visitor, loaded and stored in bulk.

The window of whoever is in, or is to come in, is a row of `member`, in the order in which audiences are read.
What the rules remember lies in `memory`, all rules of one visitor in one row, so that a visit changes one
page and not one for each rule. A plain rule remembers no more than its window, and has no part in that row.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from retag.store import bulk, sqlite
from retag.store.desk import Live
from retag.store.membership import SOON, Mark, Pair, changed
from retag.store.remembered import PART, Place, Remembered, encode, packed, read, unpack

unhex = bytes.fromhex

Changes = list[tuple[int, bytes, tuple[int, int, int]]]
"""Transitions due: `(build, visitor, window before with its last match)`."""


class Marks(dict[Pair, Mark]):
    """The marks asked for. `remembered`: the rows of which they are a part; `places`: which of which."""

    remembered: dict[Place, Remembered]
    places: dict[Place, list[Pair]]

    def replaced(self, marks: Mapping[Pair, Mark]) -> Marks:
        """Others of the same builds and visitors."""
        new = Marks(marks)
        new.remembered, new.places = self.remembered, self.places
        return new


def load(cn: sqlite3.Connection, pairs: Iterable[Pair], builds: Mapping[int, Live]) -> Marks:
    """The marks of these, a new one where there is none."""
    marks, plain, places = Marks(), plain_of(builds), defaultdict[Place, list[Pair]](list)
    windows = []
    for pair in set(pairs):
        if pair[0] in plain:
            windows.append(pair)
        else:
            places[pair[1], pair[0] // PART].append(pair)
    marks.places, marks.remembered = places, load_remembered(cn, sorted(places))
    for place, some in places.items():
        known = marks.remembered.get(place, {})
        for pair in some:
            kept = known.get(pair[0])
            marks[pair] = Mark() if kept is None else unpack(kept)
    _load_windows(cn, marks, sorted(windows))
    return marks


def plain_of(builds: Mapping[int, Live]) -> set[int]:
    """Those that remember no more than a window."""
    return {number for number, build in builds.items() if build.rule.plain}


def _load_windows(cn: sqlite3.Connection, marks: Marks, pairs: Sequence[Pair]) -> None:
    marks.update((pair, Mark()) for pair in pairs)
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
    save_remembered(cn, _remember(marks))
    moved = [
        (pair, mark)
        for pair, mark in marks.items()
        if mark.dirty and (mark.opens, mark.closes, mark.last) != mark.was
    ]
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


def _remember(marks: Marks) -> dict[Place, Remembered]:
    """The rows of which a mark has changed, with all that is remembered now."""
    touched: dict[Place, Remembered] = {}
    for place, pairs in marks.places.items():
        dirty = [(pair[0], mark) for pair in pairs if (mark := marks[pair]).dirty]
        if not dirty:
            continue
        kept = touched[place] = marks.remembered.setdefault(place, {})
        for build, mark in dirty:
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
