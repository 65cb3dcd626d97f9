"""Draft: what a slice of events will change, reckoned before the transaction that writes it.

Reading and reckoning take two thirds of a fold's time. They need no transaction, since whoever reckons is the
only one who writes; so the writer commits what comes to the door between two steps of it, and only `write`
keeps the door waiting.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from retag import people
from retag.events import SOURCES, Event
from retag.store import folding, marking, matching, replay, settle, showing
from retag.store.desk import Desk
from retag.store.membership import Touch, fact_of

STEP = 128
"""Events of one step: two or three milliseconds."""

decode = msgspec.json.decode


class Draft:
    """`batch` are the events in order of the log, all that it has up to place `upto`. It holds for as long as
    nothing else is written but events.

    `settled` are those whose fate it decided: it ends behind the first that makes an earlier event change
    hands (`moves`), since what follows must see that. `bare` leaves the rules aside.
    """

    def __init__(
        self, desk: Desk, batch: Sequence[settle.Entry], upto: int, now: int, bare: bool = False
    ) -> None:
        self.batch, self.upto = batch, upto
        self.settled: list[settle.Entry] = []
        self.moves: list[settle.Move] = []
        self.bare = bare
        self._desk, self._now = desk, now
        self._erased: list[settle.Entry] = []
        self._matches: list[matching.Match] = []
        self._ledger = settle.Ledger()
        self._showings = showing.Showings(people.STRENGTH, ())
        self._marks = marking.Marks(desk.builds)

    @property
    def folded(self) -> int:
        """How many of the batch are done with once it is written."""
        if not self.moves:
            return len(self.batch)
        return next(place for place, one in enumerate(self.batch, 1) if one is self.settled[-1])

    def reckon(self, cn: sqlite3.Connection) -> Iterator[None]:
        """All that reads and reckons, in steps of some milliseconds."""
        living = self._bury()
        yield from self._settle(cn, living)
        if not self.bare:
            yield from self._take(cn)

    def whole(self, cn: sqlite3.Connection) -> Draft:
        """The same, reckoned without a stop."""
        for _ in self.reckon(cn):
            pass
        return self

    def write(self, cn: sqlite3.Connection) -> None:
        """Store it, in the caller's transaction."""
        folding.drop(cn, [one.seq for one in self._erased])
        folding.save_ledger(cn, self._ledger)
        folding.save_showings(cn, self._showings)
        matching.note(cn, self._matches, self._arrived)
        folding.save_log(cn, self.settled)
        replay.date_back(cn, self._marks)  # reads the events again, as they are filed now
        marking.save(cn, self._marks, self._now)

    @property
    def _arrived(self) -> int:
        return self.batch[-1].event.received if self.batch else 0

    def _bury(self) -> list[settle.Entry]:
        """Late events of the erased leave the log; what objectors do since then counts for nothing."""
        graves = self._desk.graves
        if not graves.any:
            return list(self.batch)
        for one in self.batch:
            if graves.erased(one.visitor):
                one.standing = settle.ERASED
            elif graves.objected(one.visitor, one.event.received):
                one.standing = settle.OPTED_OUT
        self._erased = [one for one in self.batch if one.standing == settle.ERASED]
        return [one for one in self.batch if one.standing != settle.ERASED]

    def _settle(self, cn: sqlite3.Connection, batch: list[settle.Entry]) -> Iterator[None]:
        """Decide standing and owner of each event, in order."""
        graves = self._desk.graves
        shown = {one.seq: showing.of(one.event) for one in batch if one.event.people}
        showings = folding.load_showings(cn, {i for some in shown.values() for i in some}, people.STRENGTH)
        folding.load_shown(cn, showings, {one.visitor for one in batch if one.seq in shown})
        ledger = folding.load_ledger(cn, batch)
        # A server's event with identifiers: if nobody has met its visitor, its owner is to be found.
        asked = {one.seq: one for one in batch if one.seq in shown and one.event.source != SOURCES["tag"]}
        met = folding.known_visitors(cn, {one.visitor for one in asked.values()})
        self._ledger, self._showings = ledger, showings
        for one in batch:
            self.settled.append(one)
            if len(self.settled) % STEP == 0:
                yield
            if not (one.key or one.order or one.event.people):
                met.add(one.visitor)
                continue
            identifiers = shown.get(one.seq, [])
            if one.seq in asked and one.visitor not in met:
                _find_owner(one, identifiers, showings)
                if graves.objected(one.visitor, one.event.received):
                    one.standing = settle.OPTED_OUT
            if one.standing == settle.COUNTED:
                ledger.settle(one)
            one.moved = one.visitor != one.event.visitor
            met.add(one.visitor)
            if one.standing in (settle.COUNTED, settle.DUPLICATE, settle.REPEATED):
                showings.attach(identifiers, one.visitor, one.event.time)
            if ledger.moves:
                break
        self.moves = ledger.moves
        self._matches = matching.find(cn, showings.links)

    def _take(self, cn: sqlite3.Connection) -> Iterator[None]:
        """The rules' memories and windows after the events that count, and after the lists that match."""
        counted = [(one.event, one.visitor) for one in self.settled if not one.standing]
        for start in range(0, len(counted), STEP):
            self._match(cn, touches_of(self._desk, counted[start : start + STEP]))
            yield
        self._match(cn, matching.touches(self._desk, self._matches, self._now))

    def _match(self, cn: sqlite3.Connection, touches: list[Touch]) -> None:
        out = self._desk.graves.opted_out
        if out:
            touches = [one for one in touches if one[0] not in out]
        marking.load_more(cn, self._marks, [touch[:2] for touch in touches])
        self._marks.take(touches)


def _find_owner(one: settle.Entry, identifiers: list[showing.Identifier], showings: showing.Showings) -> None:
    owner = showings.owner(identifiers)
    if owner is not None:
        one.visitor = owner
    elif one.standing == settle.COUNTED and showings.useless(identifiers):
        one.standing = settle.QUARANTINED


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
