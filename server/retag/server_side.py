"""Events from servers: the Conversions API's body becomes events, each with its own verdict.

https://developers.pinterest.com/docs/api/v5/events-create
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from retag import errors, fields, identity, people, scrub
from retag.events import KNOWN, PLATFORMS, SOURCES, Event, canonical

MOST = 1000
PLATFORM = {"web": "web", "app_android": "mobile", "app_ios": "mobile", "offline": "offline"}
SECOND = 1000
CountryOf = Callable[[str], str]
SUPPORT = "We highly recommend this on all events. It may improve reporting performance such as ROAS/CPA."
STRANGE = (
    "This event has a non-standard name and is currently being labeled as an 'Unknown' event. "
    "Use a supported conversion event_name, for example checkout."
)
OBJECTED = "The person opted out (opt_out, or opt_out_type LDP): the event was not stored."
ITEM = {"id": "product_id", "item_name": "product_name", "item_category": "product_category"} | {
    "item_brand": "product_brand", "item_price": "product_price", "quantity": "product_quantity",
}  # fmt: skip


class Result(msgspec.Struct, frozen=True):
    """One event's fate: the event, or an error that names the field; and a warning, '' for none.

    Neither event nor error: it says itself that its person objects, and was not stored.
    """

    event: Event | None = None
    error: str = ""
    warning: str = ""


def nowhere(_: str) -> str:
    """The country of an address, for who has no database of them."""
    return ""


def server_events(
    account: int, body: bytes, received: int, entropy: bytes, country_of: CountryOf = nowhere
) -> list[Result]:
    """Every event of a batch, in order; errors.Invalid when the body is no batch. `entropy`: 16 bytes.

    `country_of` says where an address is, in two capital letters.
    """
    try:
        given = msgspec.json.decode(body)
    except RecursionError:
        raise errors.Invalid("body", f"is nested deeper than {scrub.DEPTH}: send it flatter") from None
    except (msgspec.DecodeError, UnicodeError, ValueError):
        raise errors.Invalid("body", "is not valid JSON") from None
    data = given.get("data") if isinstance(given, dict) else None
    if not isinstance(data, list) or not 1 <= len(data) <= MOST:
        raise errors.Invalid("data", f"must be an array of 1 to {MOST} events")
    seed = int.from_bytes(entropy[:10], "big")
    return [_result(account, one, received, _derived(seed, i), country_of) for i, one in enumerate(data)]


def _derived(seed: int, number: int) -> bytes:
    """Ten bytes for each event: 80 random bits, and its number added."""
    return ((seed + number * 0x9E3779B97F4A7C15) % (1 << 80)).to_bytes(10, "big")


def _result(account: int, one: Any, received: int, entropy: bytes, country_of: CountryOf) -> Result:
    if not isinstance(one, dict):
        return Result(error="An event must be an object.")
    error = _error(one, received)
    if error:
        return Result(error=error)
    if _objects(one):
        return Result(warning=OBJECTED)
    try:
        event = _event(account, one, received, entropy, country_of)
    except errors.Invalid as nested:
        return Result(error=f"custom_{nested}.")
    return Result(event=event, warning=_warning(one))


def _error(one: dict[str, Any], received: int) -> str:
    """The first thing wrong with an event, '' when nothing is."""
    for name in ("event_name", "action_source", "event_time", "user_data"):
        if one.get(name) in (None, ""):
            return f"{name} is missing: it is required on every event."
    name, time, user = one["event_name"], one["event_time"], one["user_data"]
    if not isinstance(name, str) or len(name) > 200 or not 1 <= len("".join(name.split())) <= 100:
        return "event_name must be a text of 1 to 100 characters."
    if not all(
        part.isalnum() and part.isascii() for part in name.replace("_", "-").split("-") if part.strip()
    ):
        return "event_name may hold A-Z a-z 0-9 _ and - only."
    if not isinstance(one["action_source"], str) or one["action_source"] not in PLATFORM:
        return f"action_source must be one of {', '.join(PLATFORM)}."
    if isinstance(time, bool) or not isinstance(time, int) or not 0 < time < 1 << 40:
        return "event_time must be a time in UNIX seconds."
    if time * SECOND > received + SECOND:
        return "event_time cannot be in the future."
    if not isinstance(user, dict) or not _identified(user):
        return "user_data must hold em, hashed_maids, or client_ip_address with client_user_agent."
    return ""


def _objects(one: dict[str, Any]) -> bool:
    """`opt_out`, or limited data processing, as for the tag's own events."""
    custom = one.get("custom_data")
    limited = custom.get("opt_out_type") if isinstance(custom, dict) else None
    return one.get("opt_out") is True or (limited is not None and "LDP" in str(limited))


def _identified(user: dict[str, Any]) -> bool:
    both = bool(user.get("client_ip_address")) and bool(user.get("client_user_agent"))
    return both or any(user.get(name) for name in people.SPELLINGS)


def _warning(one: dict[str, Any]) -> str:
    found = [
        f"{name} is missing. {SUPPORT}"
        for name in ("external_id", "click_id")
        if not one["user_data"].get(name)
    ]
    return "; ".join([STRANGE, *found] if canonical(one["event_name"]) not in KNOWN else found)


def _event(account: int, one: dict[str, Any], received: int, entropy: bytes, country_of: CountryOf) -> Event:
    user = one["user_data"]
    custom = one.get("custom_data")
    data = _data(custom) if isinstance(custom, dict) else {}
    shown = people.identifiers(user)
    address = one.get("event_source_url")
    event_id = one.get("event_id")
    time = one["event_time"] * SECOND
    country = _country(user, country_of)
    return Event(
        account=account,
        tag=0,
        visitor=identity.mint(received, entropy),
        name=canonical(one["event_name"]),
        time=min(time, received),
        received=received,
        event_id=str(event_id)[:256] if isinstance(event_id, str | int) else "",
        source=SOURCES["conversions_api"],
        platform=PLATFORMS[PLATFORM[one["action_source"]]],
        url=scrub.url(address) if isinstance(address, str) else "",
        data=msgspec.json.encode(data) if data else b"",
        people=msgspec.json.encode(shown) if shown else b"",
        context=msgspec.json.encode({"country": country}) if country else b"",
    )


def _country(user: dict[str, Any], country_of: CountryOf) -> str:
    address = user.get("client_ip_address")
    found = country_of(address) if isinstance(address, str) and address else ""
    return found or people.country(user.get("country"))


def _data(custom: dict[str, Any]) -> dict[str, Any]:
    """Custom data in the tag's terms: `contents` are line items."""
    contents = [one for one in fields.listed(custom.get("contents")) if isinstance(one, dict)]
    given = {key: value for key, value in custom.items() if key != "contents"}
    if contents:
        given["line_items"] = [{ITEM.get(key, key): value for key, value in one.items()} for one in contents]
    if "num_items" in given and "order_quantity" not in given:
        given["order_quantity"] = given["num_items"]
    return fields.clean(given)
