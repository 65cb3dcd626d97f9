"""From HTTP to `Hit`: the body first, then the few headers that matter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.types import Receive, Scope

from retag import identity
from retag.hits import Hit
from retag.web.peers import Client

USER_AGENT_LIMIT = 512
PURPOSES = ("sec-purpose", "purpose", "x-purpose", "x-moz")
AS_IT_CAME = ("content-type", "origin", "referer", "user-agent", "cookie", "host")
RARE = ("content-encoding", "sec-fetch-site", "sec-gpc", "dnt", "x-forwarded-for", "x-forwarded-proto")
WANTED = {
    **{name.encode(): (0, name.replace("-", "_")) for name in AS_IT_CAME},
    **{name.encode(): (1, name) for name in (*RARE, *PURPOSES)},
}
"""Headers that a hit holds as they came, under its own names for them, and those that are read first."""
JOINED = {"cookie": "; ", "x-forwarded-for": ",", "sec-gpc": ","}


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A request without its body; `headers` in small letters, as they came."""

    method: str
    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
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
            scope["headers"],
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


def gather(headers: list[tuple[bytes, bytes]]) -> tuple[dict[str, str], dict[str, str]]:
    """The wanted headers, plain and rare. Repeated ones: lists are joined, of the others the first counts."""
    found: tuple[dict[str, str], dict[str, str]] = ({}, {})
    for name, value in headers:
        if name in WANTED:
            kind, key = WANTED[name]
            some = found[kind]
            if key not in some:
                some[key] = value.decode("latin-1")
            elif key in JOINED:
                some[key] += JOINED[key] + value.decode("latin-1")
    return found


def hit_of(
    asked: Asked, plain: dict[str, str], rare: Mapping[str, str], body: bytes, client: Client, now: int
) -> Hit:
    """The facts of one request, `now` in UTC milliseconds."""
    scheme = (client.believed and rare.get("x-forwarded-proto")) or asked.scheme
    if len(plain.get("user_agent", "")) > USER_AGENT_LIMIT:
        plain["user_agent"] = plain["user_agent"][:USER_AGENT_LIMIT]
    return Hit(
        method=asked.method,
        path=asked.path,
        query=asked.query,
        body=body,
        received=now,
        secure=scheme == "https",
        address=client.address,
        country=client.country,
        **plain,  # type: ignore[arg-type]
        **(_said(rare) if rare else {}),
    )


def _said(rare: Mapping[str, str]) -> dict[str, Any]:
    """What the browser says of the request and its user's wishes."""
    return {
        "purpose": next((rare[name].lower() for name in PURPOSES if rare.get(name)), ""),
        "fetch_site": rare.get("sec-fetch-site", "").lower(),
        "gpc": "1" in [one.strip() for one in rare.get("sec-gpc", "").split(",")],
        "dnt": rare.get("dnt") == "1",
    }


def cookies_of(request: Request) -> set[str]:
    """Our cookie's values in a request that is no hit."""
    plain = identity.is_plain(request.headers.get("host", ""), request.url.scheme == "https")
    return identity.cookies_of("; ".join(request.headers.getlist("cookie")), plain)
