"""Ingest: one hit becomes events of one visitor, or refusals with their reasons. Pure: now is the hit's own.

In order: decode the wire, find the tag, find or mint the visitor, screen each event, clean what is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from retag import devices, identity, landing, wire
from retag.browser_side import address_of, click_of, event_of, kept_apart
from retag.devices import Device
from retag.events import Event
from retag.hits import Hit
from retag.keyring import Keyring
from retag.newcomers import Newcomers
from retag.screen import Case, Policy, Tag, check
from retag.wire import Beacon, Malformed
from retag.wish import Wish, objects, wish_of

__all__ = ["Door", "Intake", "Policy", "Tag", "tag_of"]

MOST_KNOWN = 20_000
GONE = {"erased": "the visitor was erased", "opted_out": "the visitor objected"}
UNREAD = "ed, pd or ad could not be read and was left out"
UNNAMED = "the event's name must be 1 to 100 of A-Z a-z 0-9 _ -"


class Intake(msgspec.Struct, frozen=True, gc=False):
    """What one request holds. `outcomes` counts refusals and `apart`; `events` count once they are on disk.

    `landings` are the clicks on pins that brought these events: stored with them, none of the page's own.
    `faults` counts parts of stored events (`ed`, `pd`, `ad`) that could not be read and were left out.
    `fresh` is whether the visitor was minted for this request; `forget` whether the browser should drop it.
    `wish` is what the visitor says of being followed at all; `click` the click id of a pin, for `/user/`.
    """

    events: tuple[Event, ...] = ()
    apart: tuple[Event, ...] = ()
    landings: tuple[Event, ...] = ()
    outcomes: dict[str, int] = {}
    reasons: tuple[str, ...] = ()
    visitor: bytes | None = None
    fresh: bool = False
    tag: Tag | None = None
    faults: int = 0
    forget: bool = False
    wish: Wish | None = None
    click: str = ""


class Sorting(msgspec.Struct, gc=False):
    """Events of one request as they are sorted: what counts, what is kept apart, what is refused and why."""

    events: tuple[Event, ...] = ()
    apart: tuple[Event, ...] = ()
    landings: tuple[Event, ...] = ()
    outcomes: dict[str, int] = {}
    reasons: tuple[str, ...] = ()
    faults: int = 0

    def count(self, event: Event, came: Event | None) -> None:
        """An event, with the click that brought it, if one did: the same click once."""
        self.events = (*self.events, event)
        if came is not None:
            self.landings = (*(one for one in self.landings if one.event_id != came.event_id), came)

    def lose(self, faults: int) -> None:
        """Parts of an event were unreadable."""
        self.faults += faults
        self.reasons = (*self.reasons, UNREAD)

    def refuse(self, outcome: str, reason: str) -> None:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        self.reasons = (*self.reasons, reason)


def tag_of(number: int, account: int, status: str, config: Mapping[str, Any]) -> Tag:
    """A tag out of its row and configuration."""
    return Tag.parse(number, account, status, config)


class Door:
    """`banned(visitor)` says `erased` or `opted_out` of a visitor who is gone or objected, else None."""

    def __init__(
        self,
        tags: Mapping[int, Tag],
        keys: Keyring,
        policy: Policy | None = None,
        banned: Callable[[bytes], str | None] = lambda _: None,
    ) -> None:
        self.tags = tags
        self.keys = keys
        self.policy = policy or Policy()
        self.banned = banned
        self._newcomers = Newcomers()
        self._devices: dict[str, Device] = {}

    def unclassified(self, hit: Hit) -> str | None:
        """A user agent to classify before `take`, or None."""
        return hit.user_agent if hit.user_agent and hit.user_agent not in self._devices else None

    def learn(self, agent: str, device: Device) -> None:
        if len(self._devices) >= MOST_KNOWN:
            self._devices.clear()
        self._devices[agent] = device

    def take(self, hit: Hit, entropy: bytes) -> Intake:
        """What the hit holds; `entropy` is 16 random bytes."""
        try:
            beacons = wire.decode(hit)
        except Malformed as error:
            return Intake(outcomes={"malformed": 1}, reasons=(error.message,))
        first = beacons[0]
        tag = self.tags.get(int(first.tag)) if first.tag.isdecimal() else None
        if tag is None:
            return Intake(outcomes={"unknown_tag": len(beacons)}, reasons=(f"no tag {first.tag[:20]!r}",))
        visitor, fresh = self._visitor(hit, tag, first, entropy)
        gone = None if fresh else self.banned(visitor)
        found = Sorting()
        for beacon in beacons:
            if beacon.tag != first.tag:
                found.refuse("malformed", "one request serves one tag")
            else:
                self._sort(hit, tag, beacon, visitor, gone, found)
        return self._intake(hit, tag, beacons, visitor, fresh, gone, found)

    def _sort(
        self, hit: Hit, tag: Tag, beacon: Beacon, visitor: bytes, gone: str | None, found: Sorting
    ) -> None:
        """One event: it counts, is kept apart as a bot's, or is refused."""
        device = self._devices.get(hit.user_agent, devices.UNKNOWN)
        refused = check(Case(hit, beacon, tag, device, self.policy))
        if gone is not None and (refused is None or refused[0] == "bot"):
            refused = gone, GONE[gone]
        event: Event | None = None
        if hit.path[:2] == "/v" and (refused is None or refused[0] == "bot"):
            arrived = landing.read(address_of(hit, beacon), tag.params)
            event = event_of(hit, tag, beacon, visitor, device, arrived)
            if event is None:
                refused = "malformed", UNNAMED
            elif refused is None:
                found.count(event, landing.click(event, arrived) if tag.pin_clicks else None)
        if refused is not None:
            found.refuse(*refused)
            if event is not None:
                found.apart = (*found.apart, kept_apart(event, refused[1]))
        elif beacon.faults:
            found.lose(beacon.faults)

    def _intake(
        self,
        hit: Hit,
        tag: Tag,
        beacons: list[Beacon],
        visitor: bytes,
        fresh: bool,
        gone: str | None,
        found: Sorting,
    ) -> Intake:
        known = bool(found.events) or (hit.path[:2] != "/v" and not found.outcomes)
        if fresh and known:
            self._newcomers.note(tag.account, hit, beacons[0].pd.get("first"), visitor)
        wish = None if gone == "erased" else wish_of(hit, tag, self.policy, beacons, visitor)
        left = objects(wish, found.outcomes)
        if wish is not None:
            # It is news of somebody known, when it is what decided.
            decided = bool(found.events or gone) if wish.granted else left and not (fresh or gone)
            wish = wish if decided else None
        return Intake(
            events=found.events,
            apart=found.apart,
            landings=found.landings,
            outcomes=found.outcomes,
            reasons=found.reasons,
            visitor=visitor if known else None,
            fresh=fresh and known,
            tag=tag,
            faults=found.faults,
            forget=gone == "erased" or (left and hit.cookie != ""),
            click="" if hit.path[:2] == "/v" else click_of(hit, beacons[0]),
            wish=wish,
        )

    def _visitor(self, hit: Hit, tag: Tag, beacon: Beacon, entropy: bytes) -> tuple[bytes, bool]:
        """`(id, whether it is new)`: the cookie's, else the one handed to this tag's page, else a new one.

        A new browser's requests that are under way at once share one new id."""
        if hit.cookie:
            cookies = identity.cookies_of(hit.cookie, identity.is_plain(hit.host, hit.secure))
            known = self.keys.visitor(tag.account).only(cookies)
            if known is not None:
                return known, False
        for given in (beacon.pd.get("pin_unauth"), beacon.pd.get("_pin_unauth")):
            if isinstance(given, str):
                own = self.keys.tag(tag.account, tag.id).verify(given)
                if own is not None:
                    return own, False
        met = self._newcomers.find(tag.account, hit, beacon.pd.get("first"))
        if met is not None and self.banned(met) is None:
            return met, True
        return identity.mint(hit.received, entropy), True
