"""From HTTP to `Hit`: the body first, then the few headers that matter."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
from starlette.requests import Request
from starlette.types import Receive, Scope

from retag import identity
from retag.hits import Hit
from retag.web.peers import Client

USER_AGENT_LIMIT = 512
PURPOSES = (b"sec-purpose", b"purpose", b"x-purpose", b"x-moz")
SAYINGS = frozenset((*PURPOSES, b"sec-fetch-site", b"sec-gpc", b"dnt"))
"""What a browser says of the request and its user's wishes."""
JOINED = {b"cookie": b"; ", b"x-forwarded-for": b",", b"sec-gpc": b","}
"""Repeated headers that are one list, and what joins them."""

Headers = Mapping[bytes, bytes]


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A request without its body; `headers` by their names in small letters, as `by_name` has them."""

    method: str
    path: str
    query: bytes
    headers: Headers
    peer: str
    scheme: str

    @classmethod
    def of(cls, scope: Scope) -> Asked:
        """What an ASGI scope asks."""
        peer = scope["client"]
        return cls(
            scope["method"],
            scope["path"],
            scope["query_string"],
            by_name(scope["headers"]),
            peer[0] if peer else "",
            scope["scheme"],
        )


class Gone(Exception):
    """The client hung up before its body was whole: there is nothing to store and nobody to answer."""


async def read_body(receive: Receive, limit: int) -> bytes | None:
    """The whole body, None when it is longer than `limit`; nothing awaits before the first receive."""
    parts = bytearray()
    message = await receive()
    while message["type"] == "http.request":
        parts += message["body"]
        if len(parts) > limit:
            return None
        if not message["more_body"]:
            return bytes(parts)
        message = await receive()
    raise Gone


def by_name(headers: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers by name. Repeated ones: lists are joined, of the others the first counts."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name not in found:
            found[name] = value
        elif name in JOINED:
            found[name] += JOINED[name] + value
    return found


def hit_of(asked: Asked, body: bytes, client: Client, now: int) -> Hit:
    """The facts of one request, `now` in UTC milliseconds. The arguments are in the order of Hit's fields."""
    get = asked.headers.get
    forwarded = client.believed and get(b"x-forwarded-proto", b"").decode("latin-1")
    return Hit(
        asked.method,
        asked.path,
        asked.query,
        body,
        now,
        get(b"content-type", b"").decode("latin-1"),
        get(b"origin", b"").decode("latin-1"),
        get(b"referer", b"").decode("latin-1"),
        get(b"user-agent", b"")[:USER_AGENT_LIMIT].decode("latin-1"),
        get(b"cookie", b"").decode("latin-1"),
        *(UNSAID if SAYINGS.isdisjoint(asked.headers) else _said(get)),
        get(b"host", b"").decode("latin-1"),
        (forwarded or asked.scheme) == "https",
        client.address,
        client.country,
    )


UNSAID = ("", "", False, False)


def _said(get: Callable[..., bytes]) -> tuple[str, str, bool, bool]:
    """`(purpose, fetch_site, gpc, dnt)`."""
    return (
        next((get(name).lower().decode("latin-1") for name in PURPOSES if get(name)), ""),
        get(b"sec-fetch-site", b"").lower().decode("latin-1"),
        b"1" in [one.strip() for one in get(b"sec-gpc", b"").split(b",")],
        get(b"dnt") == b"1",
    )


def cookies_of(request: Request) -> set[str]:
    """Our cookie's values in a request that is no hit."""
    plain = identity.is_plain(request.headers.get("host", ""), request.url.scheme == "https")
    return identity.cookies_of("; ".join(request.headers.getlist("cookie")), plain)
