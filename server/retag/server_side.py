"""Events from servers: the Conversions API's body becomes events, each with its own verdict.

https://developers.pinterest.com/docs/api/v5/events-create
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import msgspec

from retag import errors, fields, identity, people, scrub, wire
from retag.events import KNOWN, PLATFORMS, SOURCES, Event, canonical
from retag.screen import limited, said

MOST = 1000
MOST_PARTS = 200_000
"""Lists and objects in a body: the millions that fit into one would stop the door for a second."""
LARGEST_DATA = 64 << 10
"""Bytes of one event's data, as it is stored: what a whole beacon may have."""
HANDFUL = 64
"""Events: about a millisecond."""
PLATFORM = {
    "web": PLATFORMS["web"], "app_android": PLATFORMS["mobile"], "app_ios": PLATFORMS["mobile"],
    "offline": PLATFORMS["offline"],
}  # fmt: skip
"""By action source."""
SECOND = 1000
CountryOf = Callable[[str], str]
VisitorOf = Callable[[str], bytes | None]
SIGNED = ("pin_unauth", "_pin_unauth")
"""Where a server says what our cookie said: the id that decides, before any identifier."""
REQUIRED = ("event_name", "action_source", "event_time", "user_data")
NOTHING = (None, "")
LONGEST_NAME = 200
NAME_LENGTH = "event_name must be a text of 1 to 100 characters."
SUPPORT = "We highly recommend this on all events. It may improve reporting performance such as ROAS/CPA."
STRANGE = (
    "This event has a non-standard name and is currently being labeled as an 'Unknown' event. "
    "Use a supported conversion event_name, for example checkout."
)
OBJECTED = "The person opted out (opt_out, or opt_out_type LDP): the event was not stored."
GONE = "The visitor objected or was erased: the event was not stored."
ITEM = {"id": "product_id", "item_name": "product_name", "item_category": "product_category"} | {
    "item_brand": "product_brand", "item_price": "product_price", "quantity": "product_quantity",
}  # fmt: skip


class Result(msgspec.Struct, frozen=True):
    """One event's fate: the event, or an error that names the field; and a warning, '' for none.

    Neither event nor error: it was not stored, because its person objects or was erased (`outcome`).
    """

    event: Event | None = None
    error: str = ""
    warning: str = ""
    outcome: str = ""


def nowhere(_: str) -> str:
    """The country of an address, for who has no database of them."""
    return ""


def nobody(_: str) -> bytes | None:
    """The visitor of a signed id, for who has no keys."""
    return None


class Sending(msgspec.Struct, frozen=True):
    """What the events of one call have in common; `received` in UTC ms.

    `country_of` says where an address is, in two capital letters; `visitor_of` whom a signed id names;
    `banned` is the outcome of an event of one who is gone or objected, else None.
    """

    account: int
    received: int
    country_of: CountryOf = nowhere
    visitor_of: VisitorOf = nobody
    banned: Callable[[bytes], str | None] = lambda _: None


def server_events(body: bytes, sending: Sending, entropy: bytes) -> Iterator[list[Result]]:
    """Every event of a batch, in order, HANDFUL at a time, so that others may be served in between.

    `entropy` is 16 random bytes. Raises errors.Invalid, before any, when the body is no batch.
    """
    batch = _opened(body)
    visitors = identity.mints(sending.received, entropy, len(batch))
    for start in range(0, len(batch), HANDFUL):
        handful = slice(start, start + HANDFUL)
        yield [_result(sending, *one) for one in zip(batch[handful], visitors[handful], strict=True)]


def _opened(body: bytes) -> list[Any]:
    """The events of a body, unread; errors.Invalid when it is no batch."""
    if len(body) > MOST_PARTS and body.count(b"[") + body.count(b"{") > MOST_PARTS:
        raise errors.Invalid("body", f"has more than {MOST_PARTS} lists and objects: send fewer events")
    try:
        given = wire.decoded(body)
    except RecursionError:
        raise errors.Invalid("body", f"is nested deeper than {scrub.DEPTH}: send it flatter") from None
    except (msgspec.DecodeError, UnicodeError, ValueError):
        raise errors.Invalid("body", "is not valid JSON") from None
    data = given.get("data") if isinstance(given, dict) else None
    if not isinstance(data, list) or not 1 <= len(data) <= MOST:
        raise errors.Invalid("data", f"must be an array of 1 to {MOST} events")
    return data


def _result(sending: Sending, one: Any, visitor: bytes) -> Result:
    """One event's fate. A stored one is, until the fold knows better, a new visitor's."""
    if type(one) is not dict:
        return Result(error="An event must be an object.")
    error = _error(one, sending.received)
    if error:
        return Result(error=error)
    if _objects(one):
        return Result(warning=OBJECTED, outcome="opted_out")
    named = _named(sending, one["user_data"])
    gone = sending.banned(named) if named else None
    if gone:
        return Result(warning=GONE, outcome=gone)
    visitor = named or visitor
    try:
        event = _event(sending, one, visitor)
    except errors.Invalid as nested:
        return Result(error=f"custom_{nested}.")
    shown = one["user_data"]
    external, click = bool(shown.get("external_id")), bool(shown.get("click_id"))
    return Result(event, "", _warning(event.name in KNOWN, external, click))


def _error(one: dict[str, Any], received: int) -> str:
    """The first thing wrong with an event, '' when nothing is."""
    for required in REQUIRED:
        if one.get(required) in NOTHING:
            return f"{required} is missing: it is required on every event."
    name, source, time, user = one["event_name"], one["action_source"], one["event_time"], one["user_data"]
    fault = _fault(name) if type(name) is str and len(name) <= LONGEST_NAME else NAME_LENGTH
    if fault:
        return fault
    if type(source) is not str or source not in PLATFORM:
        return f"action_source must be one of {', '.join(PLATFORM)}."
    if type(time) is not int or not 0 < time < 1 << 40:
        return "event_time must be a time in UNIX seconds."
    if time * SECOND > received + SECOND:
        return "event_time cannot be in the future."
    if type(user) is not dict or not _identified(user):
        return "user_data must hold em, hashed_maids, or client_ip_address with client_user_agent."
    return ""


def _objects(one: dict[str, Any]) -> bool:
    """`opt_out`, or limited data processing, as for the tag's own events."""
    if "opt_out" in one and said(one["opt_out"]) is True:
        return True
    parts = (one["user_data"], one.get("custom_data"))
    return any(type(part) is dict and limited(part.get("opt_out_type")) for part in parts)


@lru_cache(4096)
def _fault(name: str) -> str:
    """What is wrong with an event's name, spaces aside as in the tag's; shops have few of them."""
    plain = "".join(name.split())
    if not 1 <= len(plain) <= 100:
        return NAME_LENGTH
    parts = [part for part in plain.replace("_", "-").split("-") if part.strip()]
    sound = all(part.isalnum() and part.isascii() for part in parts)
    return "" if sound else "event_name may hold A-Z a-z 0-9 _ and - only."


def _identified(user: dict[str, Any]) -> bool:
    if user.get("em"):
        return True
    both = bool(user.get("client_ip_address")) and bool(user.get("client_user_agent"))
    return both or any(user.get(name) for name in (*people.SPELLINGS, *SIGNED))


@lru_cache(8)
def _warning(known: bool, external: bool, click: bool) -> str:
    """`known`: the event's name; `external`, `click`: whether it brought an external_id, a click_id."""
    shown = {"external_id": external, "click_id": click}
    found = [f"{name} is missing. {SUPPORT}" for name, given in shown.items() if not given]
    return "; ".join(found if known else [STRANGE, *found])


def _event(sending: Sending, one: dict[str, Any], visitor: bytes) -> Event:
    user, custom, address = one["user_data"], one.get("custom_data"), one.get("event_source_url")
    data = _encoded(custom) if type(custom) is dict else b""
    shown = people.identifiers(user)
    country = _country(user, sending.country_of)
    return Event(
        account=sending.account,
        tag=0,
        visitor=visitor,
        name=canonical(one["event_name"]),
        time=min(one["event_time"] * SECOND, sending.received),
        received=sending.received,
        event_id=fields.event_id(one),
        source=SOURCES["conversions_api"],
        platform=PLATFORM[one["action_source"]],
        url=scrub.url(address) if type(address) is str else "",
        data=data,
        people=msgspec.json.encode(shown) if shown else b"",
        context=msgspec.json.encode({"country": country}) if country else b"",
    )


def _some(value: Any) -> list[Any]:
    """As many as are kept."""
    return fields.listed(value)[: fields.MOST_ITEMS]


def _named(sending: Sending, user: dict[str, Any]) -> bytes | None:
    """The visitor that the server names by a signed id."""
    for key in SIGNED:
        if key in user and type(user[key]) is str:
            return sending.visitor_of(user[key])
    return None


def _country(user: dict[str, Any], country_of: CountryOf) -> str:
    address = user.get("client_ip_address")
    found = country_of(address) if isinstance(address, str) and address else ""
    return found or (people.country(user["country"]) if "country" in user else "")


def _encoded(custom: dict[str, Any]) -> bytes:
    """Custom data as it is stored; errors.Invalid when it is too much."""
    data = _data(custom)
    found = msgspec.json.encode(data) if data else b""
    if len(found) > LARGEST_DATA:
        raise errors.Invalid("data", f"is larger than {LARGEST_DATA} bytes: send less with one event")
    return found


def _data(custom: dict[str, Any]) -> dict[str, Any]:
    """Custom data in the tag's terms: `contents` are line items, and so are `content_ids` without them."""
    given = dict(custom)
    contents = [one for one in _some(given.pop("contents", None)) if type(one) is dict]
    if not contents and "content_ids" in given:
        contents = [{"id": one} for one in _some(given.pop("content_ids"))]
    if contents:
        given["line_items"] = [{ITEM.get(key, key): value for key, value in one.items()} for one in contents]
    if "search_string" in given and "search_query" not in given:
        given["search_query"] = given.pop("search_string")
    if "num_items" in given and "order_quantity" not in given:
        given["order_quantity"] = given["num_items"]
    return fields.clean(given)
