"""Features: one counted event becomes words for what was done, such as `product:11` or `campaign:spring`.

Never who someone is: no identifiers, no addresses, no query strings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
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
decode = msgspec.json.Decoder(dict[str, Any]).decode


def words(name: str, url: str, data: Mapping[str, Any], context: Mapping[str, Any]) -> list[str]:
    """The features of one event, without repetition."""
    return list(dict.fromkeys([f"event:{name}", *page(url), *_data(data), *_context(context)]))


def of_act(name: str, url: str, data: bytes) -> list[str]:
    """The features of what was done; `data` is a JSON object, or empty."""
    return list(dict.fromkeys([f"event:{name}", *page(url), *(_data(decode(data)) if data else ())]))


def of_context(context: bytes) -> list[str]:
    """The features of where it was done from; a JSON object, or empty."""
    return list(_context(decode(context))) if context else []


def _data(data: Mapping[str, Any]) -> list[str]:
    found = [*_of(PLAIN, data), *_of(PRODUCT, data)]
    for item in _items(data):
        found += _of(PRODUCT, item)
    return found


def _of(fields: Mapping[str, str], data: Mapping[str, Any]) -> list[str]:
    return [
        f"{word}:{str(data[field])[:LONGEST]}"
        for field, word in fields.items()
        if isinstance(data.get(field), str | int) and data[field] != ""
    ]


def _items(data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    listed = data.get("line_items")
    if isinstance(listed, list):
        yield from (item for item in listed if isinstance(item, dict))


def page(url: str) -> list[str]:
    """The page of an address, or none."""
    try:
        path = urlsplit(url).path
    except ValueError:
        return []
    return [f"page:/{'/'.join(path.strip('/').split('/')[:DEPTH])}"[:LONGEST]] if url else []


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
