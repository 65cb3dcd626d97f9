"""Scrubbing: what identifies a person does not reach the disk by accident.

Addresses keep the query parameters on a list and lose the rest, and their fragment. Any text is masked where
it looks like an e-mail address, a payment card or a token. Masking is counted, never silent.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit, urlunsplit

URL_LIMIT = 1024
TEXT_LIMIT = 1024
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
EMAIL = re.compile(r"[A-Za-z0-9._%+'-]{1,64}(?:@|%40)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+")
CARD = re.compile(r"(?<![\d.])\d(?:[ -]?\d){12,18}(?![\d.])")
TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?|\b[0-9a-fA-F]{32,}\b")


def text(value: str) -> str:
    """A text with e-mail addresses, cards and tokens masked."""
    if "@" in value or "%40" in value:
        value = EMAIL.sub("[email]", value)
    if len(value) > 12:
        value = CARD.sub(_card, value)
        value = TOKEN.sub("[token]", value)
    return value


def _card(match: re.Match[str]) -> str:
    digits = [int(one) for one in match[0] if one.isdigit()]
    doubled = [sum(divmod(2 * one, 10)) if i % 2 else one for i, one in enumerate(reversed(digits))]
    return "[card]" if sum(doubled) % 10 == 0 and len(set(digits)) > 1 else match[0]


def url(address: str, more: frozenset[str] = frozenset()) -> str:
    """An http address with the listed parameters alone, masked, URL_LIMIT at most; '' for any other."""
    return _url(address.strip()[: 2 * URL_LIMIT], more)


@lru_cache(4096)
def _url(address: str, more: frozenset[str]) -> str:
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not host:
        return ""
    kept = [pair for pair in parts.query.split("&") if _listed(pair.partition("=")[0].lower(), more)]
    host = f"[{host}]" if ":" in host else host
    return text(urlunsplit((parts.scheme, host + port, parts.path, "&".join(kept), "")))[:URL_LIMIT]


def _listed(name: str, more: frozenset[str]) -> bool:
    return name in PARAMS or name in more


def data(value: Any) -> Any:
    """The same data with every text in it masked and cut."""
    if isinstance(value, str):
        return text(value[:TEXT_LIMIT])
    if isinstance(value, list):
        return [data(one) for one in value]
    if isinstance(value, dict):
        return {key: data(one) for key, one in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
