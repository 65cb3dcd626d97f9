"""History: a line of past events, as a file has it, becomes an event. Pure.

Columns (`--map theirs=ours` renames): `event` (default pagevisit), `time` (required), `visitor` or an
identifier (`em`, `ph`, `external_id`), `event_id`, `url`, and anything else as event data. A visitor's name
in the file makes their id, so the same name is the same visitor in every import. Without `event_id` the
line's own content is its id: importing again is a no-op at any age.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from retag import errors, fields, people, scrub
from retag.browser_side import name_of
from retag.events import PLATFORMS, SOURCES, Event

OWN = ("event", "time", "visitor", "event_id", "url", "platform")
APART = frozenset((*OWN, *people.SPELLINGS))
"""Columns that are no event data."""
SPANS = ((1e11, 1000), (1e14, 1), (1e17, 1e-3))
"""A number below the first is seconds, milliseconds or microseconds: what to multiply by."""
NUMERIC = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,9})?(?:[eE]\+?[0-9]{1,2})?")
DATE = re.compile(r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])")
WEB = PLATFORMS["web"]
UUID8, FREE = 8 << 76 | 2 << 62, ~(0xF << 76 | 3 << 62)
"""The version's and variant's bits, and all others."""


class Reading(msgspec.Struct, frozen=True):
    """How one file is read: the account, renamed columns, and ms to add to every time."""

    account: int
    renamed: Mapping[str, str]
    now: int
    shift: int = 0


def event_of(row: Mapping[str, Any], reading: Reading) -> Event:
    """One event; errors.Invalid says what is wrong with the row."""
    given, data = _sorted(row, reading.renamed)
    time = time_of(given.get("time")) + reading.shift
    if time > reading.now:
        raise errors.Invalid("time", "is in the future")
    name = _name(str(given["event"])) if "event" in given else "pagevisit"
    if name is None:
        raise errors.Invalid("event", "must be 1 to 100 of A-Z a-z 0-9 _ -")
    shown = people.identifiers(given)
    who = given.get("visitor") or (shown[0][1] if shown else None)
    if who is None:
        raise errors.Invalid("visitor", "is missing, and so is every identifier")
    cleaned = fields.clean(data)
    return Event(
        account=reading.account,
        tag=0,
        visitor=visitor_of(reading.account, str(who)),
        name=name,
        time=time,
        received=reading.now,
        event_id=str(given.get("event_id") or _fingerprint(row))[:256],
        source=SOURCES["file_upload"],
        platform=PLATFORMS.get(str(given["platform"]), WEB) if "platform" in given else WEB,
        url=scrub.url(str(given["url"])) if "url" in given else "",
        data=msgspec.json.encode(cleaned) if cleaned else b"",
        people=msgspec.json.encode(shown) if shown else b"",
        context=b"",
    )


def _sorted(row: Mapping[str, Any], new: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """`(what is known apart, event data)`: renamed, and without what is empty."""
    apart: dict[str, Any] = {}
    data: dict[str, Any] = {}
    for key, value in row.items():
        if value is not None and value != "":
            name = new.get(key, key) if new else key
            (apart if name in APART else data)[name] = value
    return apart, data


@lru_cache(4096)
def _name(given: str) -> str | None:
    """A file has few names."""
    return name_of(given)


def visitor_of(account: int, who: str) -> bytes:
    """The id of a visitor whom a file names: UUIDv8, from the name alone (RFC 9562 §5.8)."""
    found = hashlib.blake2b(f"{account}/{who}".encode("utf-8", "replace"), digest_size=16).digest()
    return (int.from_bytes(found, "big") & FREE | UUID8).to_bytes(16, "big")


def _fingerprint(row: Mapping[str, Any]) -> str:
    return hashlib.blake2b(msgspec.json.encode(row, order="deterministic"), digest_size=16).hexdigest()


def _number(value: Any) -> float | int:
    """A number, or a text that is nothing else: a date (20240131) is none, nor is its year. 0 without one."""
    if type(value) is str and NUMERIC.fullmatch(value.strip()) and not DATE.fullmatch(value.strip()):
        return float(value)
    return value if type(value) is int or type(value) is float else 0


def time_of(value: Any) -> int:
    """UTC ms from a Unix number (s, ms or µs) or an ISO 8601 text, which is UTC when it names no zone."""
    number = _number(value)
    if number > 0:
        for most, factor in SPANS:
            if number < most:
                return int(number * factor)
    try:
        found = datetime.fromisoformat(str(value).strip())
    except ValueError:
        raise errors.Invalid("time", f"must be a Unix time or ISO 8601, not {str(value)[:40]!r}") from None
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)
