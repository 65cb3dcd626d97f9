"""Event data as it comes, and as it is kept: numbers that are numbers, items that are a list, bounded keys.

https://help.pinterest.com/en/business/article/add-event-codes has the field names; sites send all the rest.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from retag import scrub

MOST_KEYS, MOST_ITEMS = 64, 100
EVENT_IDS = ("event_id", "eventID", "eid")
PLACEHOLDERS = frozenset(("", "undefined", "null", "nan", "none", "n/a"))
OPENINGS = frozenset("<{%$")
AMOUNT = re.compile(
    r"(?:[-+]?[0-9]|(?<![\w.,])[-+]?[.,](?=[0-9]))[0-9.,'\u00a0\u202f ]*(?:[eE][-+]?[0-9]{1,2})?"
)
"""`.50` is half of one; the point of `Rs.50` belongs to the word."""
PLAIN = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,6})?")
INDEXED = re.compile(r"(product_[a-z_]{1,30}?|line_items)\[?\]?\[(\d{1,2})\]")
TYPOGRAPHIC = str.maketrans({"\u2019": "'", "\u2212": "-", "\u2009": " "})
"""What `Intl.NumberFormat` writes: the Swiss apostrophe, the minus of Scandinavia, thin spaces."""
LARGEST = 1e15
EXACT = 1 << 53
"""A larger whole number loses digits where numbers are floats, as in JavaScript: it is kept as text."""
LONGEST_AMOUNT, LONGEST_CODE = 40, 12


def number(value: Any) -> float | int | None:
    """A finite number out of a number or a text (`1.234,50 €`), or None."""
    kind = type(value)
    if kind is int or kind is float:
        return value if -LARGEST < value < LARGEST else None
    return _number(value) if kind is str and len(value) <= LONGEST_AMOUNT else None


@lru_cache(4096)
def _number(value: str) -> float | int | None:
    """A shop has few prices."""
    if PLAIN.fullmatch(value):
        return float(value) if "." in value else int(value)
    found = AMOUNT.search(value if value.isascii() else value.translate(TYPOGRAPHIC))
    return _read(found[0].strip().rstrip(" .,'\u00a0\u202f")) if found else None


def _read(text: str) -> float | int | None:
    """The last of comma and point is the decimal one, unless three digits follow a lone or repeated one."""
    text = re.sub(r"['\u00a0\u202f ]", "", text)
    comma, point = text.rfind(","), text.rfind(".")
    if comma > point:
        small = text.lstrip("+-")[0] in "0,"
        whole = text.count(",") > 1 or (point < 0 and len(text) - comma == 4 and not small)
        text = text.replace(",", "") if whole else text.replace(".", "").replace(",", ".")
    else:
        text = text.replace(",", "")
        text = text.replace(".", "") if text.count(".") > 1 else text
    try:
        found = float(text)
    except ValueError:
        return None
    if not math.isfinite(found) or abs(found) >= LARGEST:
        return None
    return int(found) if found.is_integer() and "." not in text else found


def event_id(data: dict[str, Any]) -> str:
    """The deduplication id under any of its names, '' without one."""
    for name in EVENT_IDS:
        value = data.get(name)
        if type(value) is str or type(value) is int:
            text = str(value).strip()[:256]
            if text.lower() not in PLACEHOLDERS:
                return named(text)
    return ""


def clean(data: dict[str, Any]) -> dict[str, Any]:
    """Event data as it is kept: MOST_KEYS keys, what is nothing left out; errors.Invalid when too deep."""
    return _clean(data, READERS)


def _clean(data: dict[str, Any], readers: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in data.items():
        if key in readers:
            kept = readers[key](value)
        elif "[" in key and (match := INDEXED.fullmatch(key)):
            _indexed(found, match[1], value)
            continue
        else:
            kept, key = plain(value), scrub.key(key)
        if kept is not None:
            found[key] = kept
            if len(found) >= MOST_KEYS:
                break
    return found


def _indexed(found: dict[str, Any], name: str, value: Any) -> None:
    """`product_name[0]`: the values of several items, as one list."""
    kept = READERS.get(name, plain)(value)
    place = found.setdefault(name, [])
    if kept is not None and isinstance(place, list) and len(place) < MOST_ITEMS:
        place.append(kept)


def listed(value: Any) -> list[Any]:
    """A list as it is; an object with numeric keys as the list it means; one object as a list of one."""
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        numeric = value and all(isinstance(key, str) and key.isdecimal() for key in value)
        return list(value.values()) if numeric else [value]
    return []


def items(value: Any) -> list[dict[str, Any]] | None:
    """Line items: cleaned objects, at most MOST_ITEMS; None for none."""
    return [_clean(one, OF_ITEMS) for one in listed(value)[:MOST_ITEMS] if type(one) is dict] or None


def whole(value: Any) -> int | None:
    """A whole number, as `number` reads it."""
    found = number(value)
    return None if found is None else int(found)


def name(value: Any) -> Any:
    """A text in which a number is one too."""
    if type(value) is int or type(value) is float:
        return str(value)[: scrub.TEXT_LIMIT]
    return plain(value)


def code(value: Any) -> Any:
    """A currency: of a placeholder, nothing."""
    return _code(value) if type(value) is str and len(value) <= LONGEST_CODE else name(value)


@lru_cache(1024)
def _code(value: str) -> Any:
    """There are few, and every event has one."""
    return None if value.strip().lower() in PLACEHOLDERS else plain(value)


def id_of(value: Any) -> Any:
    """The id of an order, product or pin, or several: its digits are no card, and each is its own."""
    kind = type(value)
    if kind is not str:
        if kind is list:
            return [kept for one in value[:MOST_ITEMS] if (kept := id_of(one)) is not None] or None
        if kind is not int and kind is not float:
            return plain(value)
        value = str(value)
    text: str = value.strip()[: scrub.TEXT_LIMIT]
    return None if text.lower() in PLACEHOLDERS else named(text)


def is_template(text: str) -> bool:
    """Whether an id is a template that nobody filled in: all of a shop's events would share it."""
    return text[:1] in OPENINGS or text[:5].lower() == "your_"


def named(text: str) -> str:
    """An id as it is; one that holds an e-mail address as its digest, since two must not become one."""
    if ("@" in text or "%" in text) and scrub.EMAIL.search(text):
        return "sha256-" + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]
    return text


def plain(value: Any) -> Any:
    """Any other value as it is kept: masked, finite. A text is a text, though a script may have said it."""
    kind = type(value)
    if kind is str:
        return scrub.cut(value) if value else None
    if kind is int:
        return value if -EXACT <= value <= EXACT else str(value)[: scrub.TEXT_LIMIT]
    return scrub.data(value) if value or kind is bool or kind is float else None


def nothing(_: Any) -> None:
    """The event's id is kept beside the data."""


READERS: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("value", "product_price", "predicted_ltv"), number),
    **dict.fromkeys(("order_quantity", "product_quantity", "num_items"), whole),
    **dict.fromkeys(("order_id", "product_id", "product_variant_id"), id_of),
    **dict.fromkeys(("pin_id", "campaign_id", "ad_id"), id_of),
    **dict.fromkeys(("promo_code", "coupon"), name),
    "currency": code,
    **dict.fromkeys(EVENT_IDS, nothing),
    "line_items": items,
}
"""How a known key's value is read; any other is `plain`."""
OF_ITEMS = {key: reader for key, reader in READERS.items() if reader is not items}
"""An item holds no items."""
