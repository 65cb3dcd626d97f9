"""Scrubbing: what identifies a person does not reach the disk by accident.

Addresses keep the query parameters on a list and lose the rest, and their fragment. Any text is masked where
it looks like an e-mail address, a payment card or a token. Masking is counted, never silent: `masks` finds in
what is stored what was put in the place of something.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from retag import errors

URL_LIMIT = 1024
DEPTH = 8
"""How deep data may nest, itself included."""
TEXT_LIMIT = 1024
KEY_LIMIT = 100
PARAMS = frozenset(
    {
        *("utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term", "utm_id"),
        *(
            "q",
            "query",
            "s",
            "search",
            "p",
            "page",
            "category",
            "cat",
            "product",
            "product_id",
            "pid",
            "sku",
            "variant",
        ),
        *("color", "colour", "size", "brand", "collection", "lang", "currency", "sort", "pp"),
    }
)
"""Query parameters that are kept on every tag; a tag may add more."""
EMAIL = re.compile(r"(?<![\w.%+'-])[\w.%+'-]+(?:@|%(?:25)*40)[\w%-]{1,63}(?:\.[\w%-]{1,63})+")
"""Tried once for a run of letters, not at each of them."""
CARD = re.compile(r"(?<![\d.])[2-6]\d(?:[ -]?\d){12,17}(?![\d.])")
"""Issuers' first digits; a check digit decides. Thirteen digits are a product's (EAN), of which one in ten
would pass; Visa has given no such card since the 1990s."""
TOKEN = re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?|\b[0-9a-fA-F]{32,}\b|[A-Za-z0-9_-]{24,}")
HEXADECIMAL = re.compile(r"[0-9a-fA-F]{32,}")
EDGE = re.compile(r"[A-Za-z](?=[0-9])|[0-9](?=[A-Za-z])")
SHORTEST_CARD, SHORTEST_TOKEN = 14, 20
MASKS = ("email", "card", "token")
MASK = re.compile(rb"\[(email|card|token)\]")
MASK_BEGINS = re.compile(rb"\[[ect]")
"""Rare in JSON, where a bracket is followed by a quote or a brace."""
SLACK = 320
"""Characters looked at behind a cut, so that no half of an e-mail address is left in front of it."""


def text(value: str) -> str:
    """A text with e-mail addresses, cards and tokens masked."""
    if "@" in value or ("%" in value and "40" in value):
        value = EMAIL.sub("[email]", value)
    if len(value) >= SHORTEST_CARD:
        value = CARD.sub(_card, value)
        if len(value) >= SHORTEST_TOKEN:
            value = TOKEN.sub(_token, value)
    return value


def cut(value: str, limit: int = TEXT_LIMIT) -> str:
    """A text masked, `limit` characters at most."""
    return text(value) if len(value) <= limit else text(value[: limit + SLACK])[:limit]


def key(name: str) -> str:
    """The name of a value, masked like one."""
    return name if len(name) <= KEY_LIMIT and name.replace("_", "").isalpha() else cut(name, KEY_LIMIT)


def masks(stored: bytes) -> list[str]:
    """What was masked in something stored, by name, as often as it was."""
    return [name.decode() for name in MASK.findall(stored)]


def _token(match: re.Match[str]) -> str:
    """Hexadecimal, a JWT, or as good as random: letters of both cases among digits. A slug is none."""
    found = match[0]
    plain = found[:3] != "eyJ" and not HEXADECIMAL.fullmatch(found)
    if plain and (found.islower() or found.isupper() or len(EDGE.findall(found)) < 4):
        return found
    return "[token]"


def _card(match: re.Match[str]) -> str:
    digits = [int(one) for one in match[0] if one.isdigit()]
    doubled = [sum(divmod(2 * one, 10)) if i % 2 else one for i, one in enumerate(reversed(digits))]
    return "[card]" if sum(doubled) % 10 == 0 and len(set(digits)) > 1 else match[0]


def url(address: str, more: frozenset[str] = frozenset()) -> str:
    """An http address with the listed parameters alone, masked, URL_LIMIT at most; '' for any other."""
    page, _, query = address.strip()[: 2 * URL_LIMIT].partition("#")[0].partition("?")
    kept = _page(page)
    if not query or not kept:
        return kept
    for removed in "\t\r\n":
        query = query.replace(removed, "")
    listed = [pair for pair in query.split("&") if _listed(pair.partition("=")[0].lower(), more)]
    return f"{kept}?{text('&'.join(listed))}"[:URL_LIMIT] if listed else kept


@lru_cache(4096)
def _page(address: str) -> str:
    """An address without its parameters: a shop has few of them, and they are asked for again and again."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not host:
        return ""
    host = f"[{host}]" if ":" in host else host
    return text(urlunsplit((parts.scheme, host + port, parts.path, "", "")))[:URL_LIMIT]


def _listed(name: str, more: frozenset[str]) -> bool:
    return name in PARAMS or name in more


def data(value: Any, depth: int = DEPTH) -> Any:
    """The same data with every text in it masked and cut; errors.Invalid when it nests deeper."""
    if isinstance(value, str):
        return cut(value)
    if isinstance(value, list | dict):
        if not depth:
            raise errors.Invalid("data", f"is nested deeper than {DEPTH}: send it flatter")
        if isinstance(value, list):
            return [data(one, depth - 1) for one in value]
        return {key(name): data(one, depth - 1) for name, one in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
