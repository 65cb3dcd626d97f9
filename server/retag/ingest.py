"""Ingest: one hit becomes events of one visitor, or refusals with their reasons. Pure: now is the hit's own.

In order: decode the wire, find the tag, screen each event, find or mint the visitor, clean what is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from retag import devices, fields, identity, landing, people, scrub, wire
from retag.devices import Device
from retag.events import INIT, PLATFORMS, SOURCES, Event, canonical
from retag.hits import Hit
from retag.keyring import Keyring
from retag.landing import Landing
from retag.newcomers import Newcomers
from retag.screen import Case, Policy, Tag, check, said
from retag.windows import DAY
from retag.wire import Beacon, Malformed

__all__ = ["Door", "Intake", "Policy", "Tag", "tag_of"]

NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
LATEST = 7 * DAY
MOST_KNOWN = 20_000


class Wish(msgspec.Struct, frozen=True, gc=False):
    """What a known visitor's browser says about being followed: by which mechanism, and when, UTC ms."""

    account: int
    visitor: bytes
    granted: bool
    mechanism: str
    at: int


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
        self._names: dict[str, str] = {}

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
        tag = self.tags.get(int(beacons[0].tag)) if beacons[0].tag.isdecimal() else None
        if tag is None:
            return Intake(
                outcomes={"unknown_tag": len(beacons)}, reasons=(f"no tag {beacons[0].tag[:20]!r}",)
            )
        return self._screened(hit, tag, beacons, entropy)

    def _screened(self, hit: Hit, tag: Tag, beacons: list[Beacon], entropy: bytes) -> Intake:
        device = self._devices.get(hit.user_agent, devices.UNKNOWN)
        visitor, fresh = self._visitor(hit, tag, beacons[0], entropy)
        gone = None if fresh else self.banned(visitor)
        events: list[Event] = []
        apart: list[Event] = []
        landings: dict[str, Event] = {}
        outcomes: dict[str, int] = {}
        reasons: list[str] = []
        faults = 0
        wanted = hit.path[:2] == "/v"
        for beacon in beacons:
            refused = check(Case(hit, beacon, tag, device, self.policy))
            if gone is not None and (refused is None or refused[0] == "bot"):
                refused = (gone, "the visitor was erased" if gone == "erased" else "the visitor objected")
            if refused is None and beacon.tag != beacons[0].tag:
                refused = ("malformed", "one request serves one tag")
            if refused is None or refused[0] == "bot":
                arrived = landing.read(_address(hit, beacon), tag.params)
                event = self._event(hit, tag, beacon, visitor, device, arrived) if wanted else None
                if wanted and event is None:
                    refused = ("malformed", "the event's name must be 1 to 100 of A-Z a-z 0-9 _ -")
                elif event is not None and refused is not None:
                    apart.append(kept_apart(event, refused[1]))
                elif event is not None:
                    events.append(event)
                    came = landing.click(event, arrived) if tag.pin_clicks else None
                    if came is not None:
                        landings[came.event_id] = came
            if refused is not None:
                outcomes[refused[0]] = outcomes.get(refused[0], 0) + 1
                reasons.append(refused[1])
            elif beacon.faults:
                faults += beacon.faults
                reasons.append("ed, pd or ad could not be read and was left out")
        known = bool(events) or (not wanted and not outcomes)
        if fresh and known:
            self._newcomers.note(tag.account, hit, beacons[0].pd.get("first"), visitor)
        says = gone != "erased" and (hit.gpc or hit.dnt or spoken(beacons))
        wish = wish_of(hit, tag, self.policy, beacons, visitor) if says else None
        left = wish is not None and not wish.granted and heard(outcomes)
        return Intake(
            events=tuple(events),
            apart=tuple(apart),
            landings=tuple(landings.values()),
            outcomes=outcomes,
            reasons=tuple(reasons),
            visitor=visitor if known else None,
            fresh=fresh and known,
            tag=tag,
            faults=faults,
            forget=gone == "erased" or (left and hit.cookie != ""),
            click="" if wanted else click_of(beacons[0], _address(hit, beacons[0])),
            wish=news(wish, granted=bool(events or gone), objected=left and not (fresh or gone)),
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

    def _event(
        self, hit: Hit, tag: Tag, beacon: Beacon, visitor: bytes, device: Device, arrived: Landing
    ) -> Event | None:
        name = self._names.get(beacon.event) or self._name(beacon.event)
        if name is None:
            return None
        data = fields.clean(beacon.ed) if beacon.ed else {}
        shown: list[tuple[int, str]] = []
        if beacon.pd or arrived.clicks:
            shown = people.identifiers(dict(arrived.clicks) | beacon.pd)
        return Event(
            account=tag.account,
            tag=tag.id,
            visitor=visitor,
            name=name,
            time=time_of(hit.received, beacon.ts, beacon.sent),
            received=hit.received,
            event_id=fields.event_id(beacon.ed) if beacon.ed else "",
            source=SOURCES["tag"],
            platform=PLATFORMS["web"],
            url=arrived.url,
            data=msgspec.json.encode(data) if data else b"",
            people=msgspec.json.encode(shown) if shown else b"",
            context=self._context(hit, beacon, device, tag.params),
        )

    def _name(self, given: str) -> str | None:
        name = name_of(given)
        if name is not None and len(self._names) < MOST_KNOWN:
            self._names[given] = name
        return name

    def _context(self, hit: Hit, beacon: Beacon, device: Device, params: frozenset[str]) -> bytes:
        ad = beacon.ad
        context: dict[str, Any] = {"device": device.kind}
        if country := hit.country or people.country(beacon.pd.get("country")):
            context["country"] = country
        if isinstance(ad.get("ref"), str) and ad["ref"]:
            context["ref"] = scrub.url(ad["ref"], params)
        for name, key in (("title", "title"), ("lang", "language")):
            if isinstance(ad.get(key), str):
                context[name] = scrub.text(ad[key][:200])
        for name in ("sw", "sh"):
            if isinstance(ad.get(name), int):
                context[name] = ad[name] if abs(ad[name]) < 100_000 else 0
        if beacon.consent is not None:
            context["consent"] = str(beacon.consent)[:20]
        return msgspec.json.encode(context)


def kept_apart(event: Event, reason: str) -> Event:
    """The event with the reason why it does not count, as the table of those has it."""
    context = msgspec.json.decode(event.context) if event.context else {}
    return msgspec.structs.replace(event, context=msgspec.json.encode({**context, "apart": reason}))


def _address(hit: Hit, beacon: Beacon) -> str:
    """The page's address as it came; a pixel without one has its referrer's."""
    address = beacon.ad.get("loc") or hit.referer
    return address if isinstance(address, str) else ""


def click_of(beacon: Beacon, address: str) -> str:
    """The pin's click id that a page knows or was reached by, '' for none."""
    for given in (beacon.pd.get("epik"), dict(landing.read(address, frozenset()).clicks).get("epik")):
        if isinstance(given, str) and people.click(given):
            return given
    return ""


def spoken(beacons: list[Beacon]) -> bool:
    """Whether the page says anything of consent."""
    return beacons[0].consent is not None or beacons[-1].consent is not None


def wish_of(hit: Hit, tag: Tag, policy: Policy, beacons: list[Beacon], visitor: bytes) -> Wish | None:
    """An objection before consent, the browser's before the page's."""
    if hit.gpc:
        return Wish(tag.account, visitor, False, "Sec-GPC", hit.received)
    if policy.dnt and hit.dnt:
        return Wish(tag.account, visitor, False, "DNT", hit.received)
    words = {said(one.consent) for one in beacons}
    if False in words or True in words:
        return Wish(tag.account, visitor, False not in words, "tag", hit.received)
    return None


def news(wish: Wish | None, granted: bool, objected: bool) -> Wish | None:
    """The wish if it changes anything: of somebody known, and what decided."""
    return wish if wish is not None and (granted if wish.granted else objected) else None


def heard(outcomes: Mapping[str, int]) -> bool:
    """Whether it was an objection that decided: not one from a foreign page, or for a tag that is none."""
    return "opted_out" in outcomes or "no_consent" in outcomes


def name_of(given: str) -> str | None:
    """The stored name, or None for a name that cannot be one."""
    plain = "".join(given.split())
    if plain and not NAME.fullmatch(plain):
        return None
    return canonical(plain) if plain else INIT


def time_of(received: int, ts: Any, sent: Any) -> int:
    """received − (sent − ts) when both are given, clamped to the last seven days. Milliseconds."""
    then, now = fields.number(ts), fields.number(sent)
    if then is None or now is None:
        return received
    return int(min(received, max(received - LATEST, received - (now - then))))
