"""From HTTP to `Hit`: the body first, then the few headers that matter."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.types import Receive, Scope

from retag import identity
from retag.hits import Hit
from retag.web.peers import Client, Peers

USER_AGENT_LIMIT = 512
PURPOSES = ("sec-purpose", "purpose", "x-purpose", "x-moz")
NAMES = {
    name.encode(): name
    for name in (
        *("content-type", "content-encoding", "origin", "referer", "user-agent", "cookie", "sec-fetch-site"),
        *("sec-gpc", "dnt", "host", "x-forwarded-for", "x-forwarded-proto"),
        *PURPOSES,
    )
}
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


def gather(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """The wanted headers. Repeated ones: lists are joined, of the others the first counts."""
    found: dict[str, str] = {}
    for name, value in headers:
        if name in NAMES:
            wanted = NAMES[name]
            if wanted not in found:
                found[wanted] = value.decode("latin-1")
            elif wanted in JOINED:
                found[wanted] += JOINED[wanted] + value.decode("latin-1")
    return found


def client_of(asked: Asked, headers: dict[str, str], peers: Peers) -> Client:
    return peers.client(asked.peer, headers.get("x-forwarded-for", ""))


def hit_of(asked: Asked, headers: dict[str, str], body: bytes, client: Client, now: int) -> Hit:
    """The facts of one request, `now` in UTC milliseconds."""
    get = headers.get
    return Hit(
        method=asked.method,
        path=asked.path,
        query=asked.query,
        body=body,
        received=now,
        content_type=get("content-type", ""),
        origin=get("origin", ""),
        referer=get("referer", ""),
        user_agent=get("user-agent", "")[:USER_AGENT_LIMIT],
        cookie=get("cookie", ""),
        purpose=_purpose(headers),
        fetch_site=get("sec-fetch-site", "").lower(),
        gpc="sec-gpc" in headers and "1" in [one.strip() for one in headers["sec-gpc"].split(",")],
        dnt=get("dnt") == "1",
        host=get("host", ""),
        secure=((client.believed and get("x-forwarded-proto")) or asked.scheme) == "https",
        address=client.address,
        country=client.country,
    )


def cookies_of(request: Request) -> set[str]:
    """Our cookie's values in a request that is no hit."""
    plain = identity.is_plain(request.headers.get("host", ""), request.url.scheme == "https")
    return identity.cookies_of("; ".join(request.headers.getlist("cookie")), plain)


def _purpose(headers: dict[str, str]) -> str:
    for name in PURPOSES:
        if name in headers:
            return headers[name].lower()
    return ""
