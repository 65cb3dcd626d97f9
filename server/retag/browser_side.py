"""The browser's side: one beacon of a page becomes an event, cleaned of what is not kept.

The server's side has the same for the Conversions API (`server_side`).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import msgspec

from retag import fields, landing, people, scrub
from retag.devices import Device
from retag.events import INIT, PLATFORMS, SOURCES, Event, canonical
from retag.hits import Hit
from retag.landing import Landing
from retag.screen import Tag
from retag.windows import DAY
from retag.wire import Beacon

NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
LATEST = 7 * DAY
LONGEST_NAME = 200
LONGEST_TEXT, LONGEST_ADDRESS = 200, 4096
LARGEST_SCREEN = 100_000
MOST_REMEMBERED = 4096
"""Bytes of a request up to which what it says of its page is remembered."""
TAG, WEB = SOURCES["tag"], PLATFORMS["web"]

encode = msgspec.json.encode


def event_of(
    hit: Hit, tag: Tag, beacon: Beacon, visitor: bytes, device: Device, arrived: Landing
) -> Event | None:
    """The event, or None for a name that cannot be one."""
    name = name_of(beacon.event)
    if name is None:
        return None
    data = fields.clean(beacon.ed) if beacon.ed else None
    shown = people.identifiers(dict(arrived.clicks) | beacon.pd) if beacon.pd or arrived.clicks else None
    return Event(
        account=tag.account,
        tag=tag.id,
        visitor=visitor,
        name=name,
        time=time_of(hit.received, beacon.ts, beacon.sent),
        received=hit.received,
        event_id=fields.event_id(beacon.ed) if beacon.ed else "",
        source=TAG,
        platform=WEB,
        url=arrived.url,
        data=encode(data) if data else b"",
        people=encode(shown) if shown else b"",
        context=context_of(hit, tag, beacon, device),
    )


@lru_cache(4096)
def name_of(given: str) -> str | None:
    """The stored name, or None for a name that cannot be one."""
    plain = "".join(given.split())
    if plain and not NAME.fullmatch(plain):
        return None
    return canonical(plain) if plain else INIT


def time_of(received: int, ts: Any, sent: Any) -> int:
    """received − (sent − ts) when both are given, clamped to the last seven days. Milliseconds."""
    if ts is None or sent is None:
        return received
    then, now = fields.number(ts), fields.number(sent)
    if then is None or now is None:
        return received
    return int(min(received, max(received - LATEST, received - (now - then))))


def address_of(hit: Hit, beacon: Beacon) -> str:
    """The page's address as it came; a pixel, or a frame that is `about:srcdoc`, has its referrer's."""
    for address in (beacon.ad.get("loc"), hit.referer, beacon.ad.get("ref")):
        if isinstance(address, str) and address[:4].lower() == "http":
            return address
    return ""


def click_of(hit: Hit, beacon: Beacon) -> str:
    """The pin's click id that a page knows or was reached by, '' for none."""
    reached = dict(landing.read(address_of(hit, beacon), frozenset()).clicks).get("epik")
    for given in (beacon.pd.get("epik"), reached):
        if isinstance(given, str) and people.click(given):
            return given
    return ""


def context_of(hit: Hit, tag: Tag, beacon: Beacon, device: Device) -> bytes:
    """What is kept of the page and its browser, as JSON."""
    get = beacon.ad.get
    said = (
        device.kind,
        hit.country or (people.country(beacon.pd.get("country")) if beacon.pd else ""),
        get("ref"),
        get("title"),
        get("language"),
        get("sw"),
        get("sh"),
        get("vw"),
        get("vh"),
        beacon.consent,
        tag.params,
    )
    try:
        return _context(*said) if len(hit.body) + len(hit.query) < MOST_REMEMBERED else _worded(*said)
    except TypeError:  # a list where a text should be cannot be looked up
        return _worded(*said)


def _worded(
    device: str,
    country: str,
    ref: Any,
    title: Any,
    language: Any,
    width: Any,
    height: Any,
    view_width: Any,
    view_height: Any,
    consent: Any,
    params: frozenset[str],
) -> bytes:
    ref, title, language = (
        _text(ref, LONGEST_ADDRESS),
        _text(title, LONGEST_TEXT),
        _text(language, LONGEST_TEXT),
    )
    said = {
        "device": device,
        "country": country or None,
        "ref": scrub.url(ref, params) if ref else None,
        "title": None if title is None else scrub.text(title),
        "lang": None if language is None else scrub.text(language),
        "sw": _pixels(width),
        "sh": _pixels(height),
        "vw": _pixels(view_width),
        "vh": _pixels(view_height),
        "consent": None if consent is None else str(consent)[:20],
    }
    return encode({name: value for name, value in said.items() if value is not None})


_context = lru_cache(4096, typed=True)(_worded)
"""The events of one page's view share it. `typed`, since to a dict 1 and True are one key."""


def _text(value: Any, limit: int) -> str | None:
    return value[:limit] if type(value) is str else None


def _pixels(value: Any) -> int | None:
    if type(value) is not int:
        return None
    return value if abs(value) < LARGEST_SCREEN else 0


def kept_apart(event: Event, reason: str) -> Event:
    """The event with the reason why it does not count, as the table of those has it."""
    context = msgspec.json.decode(event.context) if event.context else {}
    return msgspec.structs.replace(event, context=encode({**context, "apart": reason}))
