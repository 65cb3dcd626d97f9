"""Features: one counted event becomes words for what was done, such as `product:11` or `campaign:spring`.

Never who someone is: no identifiers, no addresses, no query strings. `Told` is what event data say of it,
without what differs each time (values, order ids), so that the same act is the same again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import msgspec

DEPTH = 2
"""Path segments that make a page; deeper ones differ for each product, which `product:` has already."""

PLAIN = {
    "property": "property",
    "search_query": "search",
    "page_name": "page name",
    "video_title": "video",
    "promo_code": "promotion",
    "lead_type": "lead",
    "pin_id": "pin",
    "campaign_id": "campaign",
    "ad_id": "ad",
}
PRODUCT = {
    "product_id": "product",
    "product_category": "category",
    "product_brand": "brand",
}
LONGEST = 80

One: TypeAlias = str | int | float | bool | None
Few: TypeAlias = One | tuple[One, ...]
"""A field of a product may be a list: `product_id[0]`, `product_id[1]`."""


class Item(msgspec.Struct, frozen=True, gc=False):
    """A line item."""

    product_id: Few = None
    product_category: Few = None
    product_brand: Few = None


class Told(msgspec.Struct, frozen=True, gc=False):
    """Event data, as far as they are features."""

    property: One = None
    search_query: One = None
    page_name: One = None
    video_title: One = None
    promo_code: One = None
    lead_type: One = None
    pin_id: One = None
    campaign_id: One = None
    ad_id: One = None
    product_id: Few = None
    product_category: Few = None
    product_brand: Few = None
    line_items: tuple[Item, ...] | None = None


NOTHING = Told()
decode = msgspec.json.Decoder(Told).decode
decode_any = msgspec.json.Decoder(dict[str, Any]).decode


def told(data: bytes | str) -> Told:
    """What event data say; a JSON object, or empty."""
    if not data:
        return NOTHING
    try:
        return decode(data)
    except msgspec.ValidationError:
        return _liberal(decode_any(data))


def of_act(name: str, page: str, said: Told) -> list[str]:
    """The features of what was done, without repetition; `page` as `page` gives it."""
    found = [f"event:{name}", page] if page else [f"event:{name}"]
    found += _of(PLAIN, said)
    found += _of(PRODUCT, said)
    for item in said.line_items or ():
        found += _of(PRODUCT, item)
    return list(dict.fromkeys(found))


def of_context(context: bytes) -> list[str]:
    """The features of where it was done from; a JSON object, or empty."""
    return list(_context(decode_any(context))) if context else []


def country(context: bytes) -> str:
    """The country (ISO 3166, two letters) that a context names, or ''."""
    found = decode_any(context).get("country") if context else None
    return found.upper() if isinstance(found, str) else ""


def page(url: str) -> str:
    """The page of an address, as a feature, or ''."""
    try:
        path = urlsplit(url).path
    except ValueError:
        return ""
    return f"page:/{'/'.join(path.strip('/').split('/')[:DEPTH])}"[:LONGEST] if url else ""


def _liberal(data: Mapping[str, Any]) -> Told:
    """Whatever fits, of data whose fields are not all of the kinds expected."""
    plain = {field: data[field] for field in PLAIN if isinstance(data.get(field), str | int)}
    listed = data.get("line_items")
    items = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return Told(**plain, **_product(data), line_items=tuple(Item(**_product(one)) for one in items))


def _product(data: Mapping[str, Any]) -> dict[str, Any]:
    return {field: _fitting(data.get(field)) for field in PRODUCT}


def _fitting(value: Any) -> Few:
    if isinstance(value, list):
        return tuple(one for one in value if isinstance(one, str | int))
    return value if isinstance(value, str | int) else None


def _of(fields: Mapping[str, str], said: Told | Item) -> Iterator[str]:
    for field, word in fields.items():
        value = getattr(said, field)
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, str | int) and one != "":
                yield f"{word}:{str(one)[:LONGEST]}"


def _context(context: Mapping[str, Any]) -> Iterator[str]:
    if device := context.get("device"):
        yield f"device:{device}"
    if campaign := context.get("utm_campaign"):
        yield f"campaign:{str(campaign)[:LONGEST]}"
    if source := context.get("utm_source"):
        yield f"source:{str(source)[:LONGEST]}"
    if referrer := _host(str(context.get("ref") or "")):
        yield f"referrer:{referrer}"


def _host(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").removeprefix("www.")[:LONGEST]
    except ValueError:
        return ""
