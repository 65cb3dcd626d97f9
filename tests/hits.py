"""Hits and doors with valid defaults."""

from __future__ import annotations

import json
from typing import Any

from retag.hits import Hit
from retag.ingest import Door
from retag.keyring import Keyring
from retag.screen import Tag
from retag.server_side import Result, Sending, server_events

NOW = 1_795_478_400_000
KEYS = (bytes(range(32)), bytes(range(32, 64)))
TAG, ACCOUNT = 2_612_345_678_901, 549_755_885_175
CHROME = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36"
)
ENTROPY = bytes(range(16))


def hit(event: dict[str, Any] | None = None, **changes: Any) -> Hit:
    """A page visit as the tag sends it; None has no body."""
    body = {"tid": str(TAG), "event": "pagevisit"} | (event or {})
    fields: dict[str, Any] = {
        "method": "POST",
        "path": "/v3/",
        "query": b"",
        "body": json.dumps(body).encode() if event is not None else b"",
        "received": NOW,
        "content_type": "text/plain",
        "user_agent": CHROME,
        "host": "shop.example",
    }
    return Hit(**fields | changes)


def door(**changes: Any) -> Door:
    """A door with one tag; `changes` are the tag's."""
    tag = Tag(**{"id": TAG, "account": ACCOUNT} | changes)
    return Door({TAG: tag}, Keyring(KEYS))


def server_results(body: bytes) -> list[Result]:
    """What becomes of the events of a Conversions API body."""
    return [one for some in server_events(body, Sending(ACCOUNT, NOW), ENTROPY) for one in some]
