"""Draft: what the next events will change, reckoned before the transactions that write it.

Reading and reckoning take two thirds of a fold's time. They need no transaction, since whoever reckons is the
only one who writes; so the writer commits what comes to the door between two steps of it, and only writing
keeps the door waiting. That is done in two rounds. In the order of the log some events at a time are settled:
what counts, and whose it is. Then, in the order of the visitors' files, portion by portion is written what
the rules make of it: so a page that many events change is written once, and not for each of them. An event is
in its visitor's file when its portion is written: so goes on what was broken off (`owed`).
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from operator import attrgetter

import msgspec

from retag import people
from retag.events import SOURCES, Event
from retag.store import folding, log, marking, matching, replay, settle, showing
from retag.store.desk import Desk
from retag.store.membership import Touch, fact_of

STEP = 64
"""Events of one step: a millisecond or two."""

MOST_OWED = 1 << 30
"""sys.maxsize and one more is no number for SQLite."""

decode = msgspec.json.decode
visitor_of = attrgetter("visitor")


class Settling:
    """`batch` are events in order of the log, all that it has up to place `upto`.

    `settled` are those whose fate it decided: it ends behind the first that makes an earlier event change
    hands (`moves`), since what follows must see that. `matches` are lists that match who showed identifiers.
    `met` are visitors of events settled before, and not filed yet.
    """

    def __init__(
        self, desk: Desk, batch: Sequence[settle.Entry], upto: int, met: Iterable[bytes] = ()
    ) -> None:
        self.batch, self.upto, self._met = batch, upto, met
        self.settled: list[settle.Entry] = []
        self.moves: list[settle.Move] = []
        self.matches: list[matching.Match] = []
        self._desk = desk
        self._erased: list[settle.Entry] = []
        self._ledger = settle.Ledger()
        self._showings = showing.Showings(people.STRENGTH, ())

    @property
    def done(self) -> int:
        """How many of the batch are done with once it is written."""
        if not self.moves:
            return len(self.batch)
        return next(place for place, one in enumerate(self.batch, 1) if one is self.settled[-1])

    def cut(self) -> None:
        """Leave what is behind the settled to another one."""
        self.batch = self.batch[: self.done]
        self.upto = self.batch[-1].seq
        self._erased = [one for one in self._erased if one.seq <= self.upto]

    def reckon(self, cn: sqlite3.Connection) -> Iterator[None]:
        """Decide standing and owner of each event, in order; in steps of some milliseconds."""
        batch, graves = self._bury(), self._desk.graves
        shown = {one.seq: showing.of(one.event) for one in batch if one.event.people}
        showings = folding.load_showings(cn, {i for some in shown.values() for i in some}, people.STRENGTH)
        folding.load_shown(cn, showings, {one.visitor for one in batch if one.seq in shown})
        ledger = folding.load_ledger(cn, batch)
        # A server's event with identifiers: if nobody has met its visitor, its owner is to be found.
        asked = {one.seq: one for one in batch if one.seq in shown and one.event.source != SOURCES["tag"]}
        met = folding.known_visitors(cn, {one.visitor for one in asked.values()})
        if asked:
            met.update(self._met)
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
        self.matches = matching.find(cn, showings.links)

    def write(self, cn: sqlite3.Connection) -> None:
        """Store it, in the caller's transaction."""
        folding.drop(cn, [one.seq for one in self._erased])
        folding.save_ledger(cn, self._ledger)
        folding.save_showings(cn, self._showings)
        folding.save_standings(cn, self.settled)
        log.set_progress(cn, "settled", self.upto)

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


class Draft:
    """`batch` are the events, all that the log has up to place `upto`. It holds for as long as nothing else
    is written but events.

    `bare` leaves the rules aside; `portion` is how many events a portion may have before the next visitor
    begins another one. `parts` are what is still to be written, each in a transaction or some in one, the
    last with the watermark; `ahead` of these are to be written before that: none for the sake of one portion,
    or where events change hands.
    """

    def __init__(self, desk: Desk, now: int, bare: bool = False, portion: int = sys.maxsize) -> None:
        self.batch: list[settle.Entry] = []
        self.upto = 0
        self.moves: list[settle.Move] = []
        self.parts: list[Callable[[sqlite3.Connection], None]] = []
        self.ahead = 0
        self._desk, self._now, self._bare, self._most = desk, now, bare, portion
        self._settled: list[settle.Entry] = []
        self._matches: list[matching.Match] = []

    def met(self) -> Iterator[bytes]:
        """Whose events are in it."""
        return map(visitor_of, self._settled)

    def add(self, one: Settling) -> None:
        """Take these up too, whose place is behind all others'."""
        self.batch += one.batch[: one.done]
        self.upto, self.moves = one.upto, one.moves
        self.parts.append(one.write)
        self._settled += one.settled
        self._matches += one.matches

    def write(self, cn: sqlite3.Connection, parts: int = sys.maxsize) -> None:
        """Store what is left of it, or some parts, in the caller's transaction: if that fails it is no more
        use. What is written is let go of: it would hold the draft itself, until a collector looked."""
        for part in self.parts[:parts]:
            part(cn)
        del self.parts[:parts]

    def take(self, cn: sqlite3.Connection) -> Iterator[None]:
        """The rules' memories and windows after the events that count, in steps of some milliseconds."""
        settled = len(self.parts)
        for entries in shares(self._settled, self._most):
            marks = marking.Marks(self._desk.builds)
            counted = [] if self._bare else [(one.event, one.visitor) for one in entries if not one.standing]
            for start in range(0, len(counted), STEP):
                self._match(cn, marks, touches_of(self._desk, counted[start : start + STEP]))
                yield
            self.parts.append(partial(self._file, entries, marks))
        if len(self.parts) > settled + 1 and not self.moves:
            self.ahead = len(self.parts) - 1
        self.parts.append(self._conclude)

    def _match(self, cn: sqlite3.Connection, marks: marking.Marks, touches: list[Touch]) -> None:
        out = self._desk.graves.opted_out
        if out:
            touches = [one for one in touches if one[0] not in out]
        marking.load_more(cn, marks, [touch[:2] for touch in touches])
        marks.take(touches)

    def _file(self, entries: Sequence[settle.Entry], marks: marking.Marks, cn: sqlite3.Connection) -> None:
        folding.file(cn, entries)
        self._save(cn, marks)

    def _conclude(self, cn: sqlite3.Connection) -> None:
        """The lists that match, once what those did whom they match is filed."""
        if not self._matches:
            return
        matching.note(cn, self._matches, self.batch[-1].event.received if self.batch else self._now)
        if not self._bare:
            marks = marking.Marks(self._desk.builds)
            self._match(cn, marks, matching.touches(self._desk, self._matches, self._now))
            self._save(cn, marks)

    def _save(self, cn: sqlite3.Connection, marks: marking.Marks) -> None:
        replay.date_back(cn, marks)  # reads the events again, as they are filed now
        marking.save(cn, marks, self._now)


def whole(
    cn: sqlite3.Connection, desk: Desk, batch: Sequence[settle.Entry], upto: int, now: int, bare: bool = False
) -> Draft:
    """Events up to the first that makes an earlier one change hands, reckoned without a stop."""
    one = Settling(desk, batch, upto)
    for _ in one.reckon(cn):
        pass
    return _taken(cn, one, Draft(desk, now, bare))


def owed(
    cn: sqlite3.Connection, desk: Desk, after: int, upto: int, now: int, most: int, bare: bool = False
) -> Draft:
    """The rest of a fold of which some portions are written, or its next `most` events: what behind place
    `after`, up to `upto`, is settled and in nobody's file yet. Its `upto` is `after` while more is left."""
    batch = folding.load_settled(cn, after, upto, min(most, MOST_OWED) + 1)
    if len(batch) > most:
        one = Settling(desk, batch[:most], after)
    else:
        one = Settling(desk, batch, upto)
        one.matches = matching.owed(cn, after, upto)
    one.settled = list(one.batch)
    draft = _taken(cn, one, Draft(desk, now, bare))
    del draft.parts[0]  # settled it is
    return draft


def _taken(cn: sqlite3.Connection, one: Settling, draft: Draft) -> Draft:
    draft.add(one)
    for _ in draft.take(cn):
        pass
    return draft


def shares(entries: Iterable[settle.Entry], most: int) -> Iterator[list[settle.Entry]]:
    """They in order of their visitors, as many at a time; nobody's are torn apart."""
    share: list[settle.Entry] = []
    for one in sorted(entries, key=visitor_of):
        if len(share) >= most and one.visitor != share[-1].visitor:
            yield share
            share = []
        share.append(one)
    if share:
        yield share


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
