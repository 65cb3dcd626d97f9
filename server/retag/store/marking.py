"""Marks: what each build knows of each visitor, loaded and stored in bulk.

The window of whoever is in, or is to come in, is a row of `member`, in the order in which audiences are read.
What the rules remember lies in the visitor's file, all rules in one row, beside the places of their events:
so a visit changes one page and not one for each rule. A plain rule remembers no more than its window, and has
no part in that row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from retag.store import bulk, log, sqlite
from retag.store.desk import Builds
from retag.store.membership import SOON, Mark, Pair, Touch, changed, match
from retag.store.remembered import PART, Place, Row, pack, read, stored, unpack
from retag.windows import EVER

unhex = bytes.fromhex

Changes = list[tuple[int, bytes, tuple[int, int, int]]]
"""Transitions due: `(build, visitor, window before with its last match)`."""


class Marks(dict[Pair, Mark]):
    """The marks of the visitors loaded, each made when asked for. `rows`: what they are parts of.

    `filled`: the one build to which the events are new; 0 when they are to all.
    """

    def __init__(self, builds: Builds, filled: int = 0) -> None:
        super().__init__()
        self.builds, self.filled = builds, filled
        self.rows: dict[Place, Row] = {}

    def __missing__(self, pair: Pair) -> Mark:
        number, visitor = pair
        if number in self.builds.plain:
            mark = Mark()
        else:
            row, build = self.rows[visitor, number // PART], self.builds[number]
            mark = unpack(row.marks.get(number), build.rule, build.traced, row.traces)
            row.marks[number] = mark
        self[pair] = mark
        return mark

    def take(self, touches: Iterable[Touch]) -> None:
        """These matches, in their order."""
        builds = self.builds
        for visitor, key, place, time, value in touches:
            if key >= 0:
                match(builds[key].rule, self[key, visitor], place, time, value)
            else:
                self._trace(visitor, key, time)

    def _trace(self, visitor: bytes, trace: int, time: int) -> None:
        """A match of a clause that several rules share: it matters to those who know the visitor already."""
        for part, sharing in self.builds.sharing[trace].items():
            row = self.rows[visitor, part]
            newer = time > row.traces.get(trace, -EVER)
            known = row.marks.keys() & sharing.keys()
            for build in known if newer or not self.filled else known & {self.filled}:
                for place in sharing[build]:
                    match(self.builds[build].rule, self[build, visitor], place, time, 0.0)
            if newer:
                row.traces[trace], row.dirty = time, True

    def replace(self, marks: Mapping[Pair, Mark]) -> None:
        """Others of the same builds and visitors, which know all that the traces are to say."""
        for row in self.rows.values():
            row.traces, row.dirty = {}, True
        for pair, mark in marks.items():
            self[pair] = mark
            if pair[0] not in self.builds.plain:
                self.rows[pair[1], pair[0] // PART].marks[pair[0]] = mark


def load(
    cn: sqlite3.Connection, wanted: Iterable[tuple[bytes, int]], builds: Builds, filled: int = 0
) -> Marks:
    """What is known of each `(visitor, build or trace)`."""
    marks = Marks(builds, filled)
    load_more(cn, marks, wanted)
    return marks


def load_more(cn: sqlite3.Connection, marks: Marks, wanted: Iterable[tuple[bytes, int]]) -> None:
    """The same of others; what is loaded already stays as it has become since."""
    builds, windows, places = marks.builds, set[Pair](), set[Place]()
    for visitor, key in set(wanted):
        if key in builds.plain:
            windows.add((key, visitor))
        elif key >= 0:
            places.add((visitor, key // PART))
        else:
            places.update((visitor, part) for part in builds.sharing[key])
    places -= marks.rows.keys()
    marks.rows |= {place: Row({}, {}) for place in places}
    marks.rows |= load_rows(cn, sorted(places))
    _load_windows(cn, marks, sorted(windows - marks.keys()))


def _load_windows(cn: sqlite3.Connection, marks: Marks, pairs: Sequence[Pair]) -> None:
    columns = "build, hex(visitor), opens, closes, last"
    source = "k CROSS JOIN member m USING (build, visitor)"
    for build, visitor, *window in bulk.lookup(cn, pairs, "build, visitor", columns, source):
        opens, closes, last = window
        marks[build, unhex(visitor)] = Mark(opens, closes, last, None, (opens, closes, last))


def load_rows(cn: sqlite3.Connection, places: Sequence[Place]) -> dict[Place, Row]:
    """What the rules remember, of those of whom they remember anything."""
    columns, source = "hex(visitor), -place, hex(marks)", "k CROSS JOIN visitor_file f USING (visitor, place)"
    asked = [(visitor, -part) for visitor, part in places]
    rows = bulk.lookup(cn, asked, "visitor, place", columns, source)
    return {(unhex(visitor), part): read(unhex(kept)) for visitor, part, kept in rows}


def save_rows(cn: sqlite3.Connection, rows: Mapping[Place, Row]) -> None:
    """Store them anew, with their marks packed. Nothing needs no row."""
    kept = [(visitor, -part, stored(row)) for (visitor, part), row in sorted(rows.items()) if not row.empty]
    bulk.insert(cn, "INSERT OR REPLACE INTO visitor_file", kept)
    gone = [(visitor, -part) for (visitor, part), row in rows.items() if row.empty]
    cn.executemany("DELETE FROM visitor_file WHERE visitor = ? AND place = ?", gone)


def save(cn: sqlite3.Connection, marks: Marks, now: int, cause: int = 0) -> None:
    """Store what changed, and under one step the transitions due, of the builds that answer."""
    builds, moved = marks.builds, []
    for pair, mark in marks.items():
        if mark.dirty:
            if mark.memories is not None:
                marks.rows[pair[1], pair[0] // PART].dirty = True
            if (mark.opens, mark.closes, mark.last) != mark.was:
                moved.append((pair, mark))
    save_rows(cn, {place: _packed(row, builds) for place, row in marks.rows.items() if row.dirty})
    _save_windows(cn, moved)
    changes, soon, shifts = [], now + SOON, shifts_of(cn)
    for pair, mark in moved:
        opens, closes, _ = mark.was
        if (mark.opens == opens and mark.closes > soon < closes) or not builds[pair[0]].ready:
            continue
        if changed(mark, now):
            changes.append((*pair, mark.was))
        shifts.append((*pair, (opens, closes), (mark.opens, mark.closes)))
    if changes:
        _save_changes(cn, changes, log.next_step(cn), now, cause)


def _packed(row: Row, builds: Builds) -> Row:
    """All that is remembered now."""
    kept = {}
    for build, mark in row.marks.items():
        packed = pack(mark, builds[build].traced, row.traces) if type(mark) is Mark else mark
        if packed is not None:
            kept[build] = packed
    return Row(kept, row.traces)


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


def _save_changes(cn: sqlite3.Connection, changes: Changes, step: int, now: int, cause: int) -> None:
    """Write transitions under one step."""
    rows = [(step, build, visitor, *was, now, cause) for build, visitor, was in changes]
    into = "INSERT INTO transition (step, build, visitor, opens, closes, last, at, cause)"
    bulk.insert(cn, into, rows)
