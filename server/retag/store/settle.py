"""Settle: which events count, and whose they are. Pure: a batch and what is known become decisions.

Duplicates (design: key is tag, name and event id; browsers' events also by visitor). A server's event pairs
with one browser's event of the same key; whichever half came first is counted; when they disagree about the
visitor, the event is the browser's. 48 hours are measured between event times.

Orders: an order id counts once for a tag; a refund, or an order of no value, is not a purchase.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Any

import msgspec

from retag import fields
from retag.events import SOURCES, STANDINGS, Event

HOURS_48 = 48 * 3_600_000
TAG, FILE = SOURCES["tag"], SOURCES["file_upload"]
COUNTED, DUPLICATE, REPEATED = (STANDINGS[n] for n in ("counted", "duplicate", "repeated_order"))
QUARANTINED, NOT_PURCHASE, OPTED_OUT, ERASED = (
    STANDINGS[n] for n in ("quarantined", "not_purchase", "opted_out", "erased")
)
ORDERS = "checkout"
ANY_TAG = bytes(8)
NEWEST = 16
"""Browsers of one event id, the newest visitors first, among whom a server's event looks for its half."""
TIMED = re.compile(r"([12][0-9]{12})[0-9]{20}")
"""The tag's own ids: the ms at which their page began, and 128 random bits. An import's key has no time: it
is kept for ever, and was before there was one."""
TIME_BITS = (1 << 35) - 1
"""Until 2039; then times begin again, and ids are told apart as before."""
Key = tuple[int, bytes]


class Seen(msgspec.Struct, gc=False):
    """One id met before (table seen). `visitor` is the owner of a server's event."""

    key: int
    who: bytes
    seq: int
    time: int
    pair: int = 0
    visitor: bytes = b""
    met: int = 0
    dirty: bool = False


class Entry(msgspec.Struct, gc=False):
    """An event being settled: `visitor` and `standing` are decided here."""

    seq: int
    event: Event
    visitor: bytes
    standing: int = COUNTED
    key: int = 0
    order: int = 0
    moved: bool = False


class Move(msgspec.Struct, frozen=True, gc=False):
    """An earlier event changes hands: the browser's half named its visitor."""

    seq: int
    giver: bytes
    taker: bytes


def digest(account: int, kind: str, text: str) -> int:
    """A 63-bit key. Two ids that collide would also have to meet within 48 h, at one visitor."""
    raw = f"{account}\0{kind}\0{text}".encode()
    return int.from_bytes(blake2b(raw, digest_size=8).digest(), "big") >> 1


def key_of(account: int, name: str, event_id: str, source: int) -> int:
    """The key of an event's id, 0 of none: 35 bits of time before 28 of the digest where the id has a time.

    So the ids of one hour lie together in the file, and the next one goes beside them: spread by a digest
    alone, each would be a page to read and write, the more of them the more are kept.
    """
    if not event_id or fields.is_template(event_id):
        return 0
    key = digest(account, name, event_id)
    timed = TIMED.match(event_id) if source != FILE else None
    return (int(timed[1]) >> 6 & TIME_BITS) << 28 | key >> 35 if timed else key


def order_of(event: Event) -> tuple[str, bool]:
    """`(order id or '', whether it is a purchase)` of a checkout."""
    data: dict[str, Any] = msgspec.json.decode(event.data) if event.data else {}
    value = data.get("value")
    paid = not isinstance(value, int | float) or value > 0
    order = str(data.get("order_id") or "")
    return "" if fields.is_template(order) else order, paid


def entry(seq: int, event: Event) -> Entry:
    """An event with its keys; what is no purchase is settled at once."""
    one = Entry(seq, event, event.visitor)
    one.key = key_of(event.account, event.name, event.event_id, event.source)
    if event.name == ORDERS and event.data:
        order, paid = order_of(event)
        one.order = digest(event.account, "\0order", order) if order else 0
        if not paid:
            one.standing = NOT_PURCHASE
    return one


def tag_bytes(tag: int) -> bytes:
    return tag.to_bytes(8, "big")


class Ledger:
    """The ids met: `rows` as loaded, and as this batch leaves them."""

    def __init__(self, rows: Iterable[Seen] = ()) -> None:
        self.rows: dict[Key, Seen] = {}
        self._by_key: dict[int, list[Seen]] = {}
        for row in rows:
            self._put(row)
        self.moves: list[Move] = []

    def _put(self, row: Seen) -> None:
        old = self.rows.get((row.key, row.who))
        if old is not None and old in self._by_key[row.key]:
            self._by_key[row.key].remove(old)
        self.rows[row.key, row.who] = row
        rows = self._by_key.setdefault(row.key, [])
        rows.append(row)
        if len(rows) > 4 * NEWEST:
            # A constant event id: the newest visitors are enough to pair with, as when rows are loaded.
            rows.sort(key=lambda one: (len(one.who) != 24, one.who))
            del rows[: len(rows) - NEWEST]

    def changed(self) -> list[Seen]:
        return [row for row in self.rows.values() if row.dirty]

    def settle(self, one: Entry) -> None:
        """Decide `one.standing`, and `one.visitor` where its other half knows better."""
        if one.key:
            SETTLERS.get(one.event.source, Ledger._server)(self, one)
        if one.standing == COUNTED and one.order:
            self._order(one)

    def _browser(self, one: Entry) -> None:
        event, who = one.event, one.visitor + tag_bytes(one.event.tag)
        own = self.rows.get((one.key, who))
        if own is not None and _near(own, event):
            one.standing = DUPLICATE
            return
        other = self._server_half(one)
        if other is not None:
            one.standing, other.pair, other.dirty = DUPLICATE, one.seq, True
            if other.visitor != one.visitor:
                self.moves.append(Move(other.seq, other.visitor, one.visitor))
                other.visitor = one.visitor
        self._meet(one, who, other)

    def _server(self, one: Entry) -> None:
        again = self._half(one, lambda row: len(row.who) == 8)
        if again is not None:
            one.standing, one.visitor = DUPLICATE, again.visitor
            return
        other = self._half(one, lambda row: len(row.who) == 24 and not row.pair)
        if other is not None:
            one.standing, other.pair, other.dirty = DUPLICATE, one.seq, True
            one.visitor = other.who[:16]
        self._meet(one, tag_bytes(one.event.tag), other)

    def _file(self, one: Entry) -> None:
        """An import's ids are permanent: the same line again is a duplicate at any age."""
        who = b"f" + tag_bytes(one.event.tag)
        if (one.key, who) in self.rows:
            one.standing = DUPLICATE
        else:
            self._meet(one, who, None)

    def _order(self, one: Entry) -> None:
        tag = tag_bytes(one.event.tag)
        if any(_same_tag(row.who[1:], tag) for row in self._by_key.get(one.order, ())):
            one.standing = REPEATED
            return
        self._put(Seen(one.order, b"o" + tag, one.seq, one.event.time, met=one.event.received, dirty=True))

    def _meet(self, one: Entry, who: bytes, other: Seen | None) -> None:
        event, pair = one.event, other.seq if other else 0
        owner = one.visitor if len(who) == 8 else b""
        self._put(Seen(one.key, who, one.seq, event.time, pair, owner, event.received, dirty=True))

    def _server_half(self, one: Entry) -> Seen | None:
        for tag in (tag_bytes(one.event.tag), ANY_TAG):
            row = self.rows.get((one.key, tag))
            if row is not None and not row.pair and _near(row, one.event):
                return row
        return None

    def _half(self, one: Entry, fits: Callable[[Seen], bool]) -> Seen | None:
        """The best match among rows that fit: the same visitor, then the nearest in time, then the latest."""
        tag, time = tag_bytes(one.event.tag), one.event.time
        found = [
            row
            for row in self._by_key.get(one.key, ())
            if fits(row) and _near(row, one.event) and _same_tag(row.who[-8:], tag)
        ]
        return min(
            found, key=lambda row: (row.who[:16] != one.visitor, abs(row.time - time), -row.seq), default=None
        )


SETTLERS = {TAG: Ledger._browser, FILE: Ledger._file}


def _near(row: Seen, event: Event) -> bool:
    return abs(row.time - event.time) <= HOURS_48


def _same_tag(one: bytes, other: bytes) -> bool:
    return one == other or ANY_TAG in (one, other)


def probes(one: Entry) -> list[Key]:
    """The exact rows that settling a browser's or a file's event may ask for."""
    tag = tag_bytes(one.event.tag)
    found: list[Key] = []
    if one.key and one.event.source == TAG:
        found = [(one.key, one.visitor + tag)]
    elif one.key and one.event.source == FILE:
        found = [(one.key, b"f" + tag)]
    return found


def orders(one: Entry) -> int:
    """The key whose rows of any tag settling a checkout may ask for; 0 for none."""
    return one.order


def halves(one: Entry) -> int:
    """The key whose rows of servers settling the event may ask for; 0 for none."""
    return one.key if one.event.source != FILE else 0


def searches(one: Entry) -> int:
    """The key whose rows of browsers settling a server's event may ask for; 0 for none."""
    return one.key if one.event.source not in (TAG, FILE) else 0
