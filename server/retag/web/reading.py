"""From ASGI to `Hit`: the body first, then the few headers that matter."""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import Receive, Scope

from retag import identity
from retag.hits import Hit
from retag.web.peers import Client, Peers

USER_AGENT_LIMIT = 512
WANTED = frozenset(
    b"content-type content-encoding origin referer user-agent cookie sec-purpose purpose x-purpose x-moz"
    b" sec-fetch-site sec-gpc dnt host x-forwarded-for x-forwarded-proto".split()
)
JOINED = {b"cookie": b"; ", b"x-forwarded-for": b",", b"sec-gpc": b","}


class Gone(Exception):
    """The client hung up before its body was whole: there is nothing to store and nobody to answer."""


async def read_body(receive: Receive, limit: int) -> bytes | None:
    """The whole body, None when it is longer than `limit`; nothing awaits before the first receive."""
    message = await receive()
    if message["type"] == "http.request" and not message["more_body"]:
        body: bytes = message["body"]
        return body if len(body) <= limit else None
    parts = bytearray()
    while message["type"] == "http.request":
        parts += message["body"]
        if len(parts) > limit:
            return None
        if not message["more_body"]:
            return bytes(parts)
        message = await receive()
    raise Gone


def gather(scope: Scope) -> dict[bytes, bytes]:
    """The wanted headers. Repeated ones: lists are joined, of the others the first counts."""
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in WANTED:
            if name not in found:
                found[name] = value
            elif name in JOINED:
                found[name] += JOINED[name] + value
    return found


def client_of(scope: Scope, headers: dict[bytes, bytes], peers: Peers) -> Client:
    peer = scope["client"]
    return peers.client(peer[0] if peer else "", headers.get(b"x-forwarded-for", b"").decode("latin-1"))


def hit_of(scope: Scope, headers: dict[bytes, bytes], body: bytes, client: Client, now: int) -> Hit:
    """The facts of one request, `now` in UTC milliseconds."""
    get = headers.get
    scheme = (client.believed and get(b"x-forwarded-proto", b"").decode("latin-1")) or scope["scheme"]
    return Hit(
        method=scope["method"],
        path=scope["path"],
        query=scope["query_string"],
        body=body,
        received=now,
        content_type=get(b"content-type", b"").decode("latin-1"),
        origin=get(b"origin", b"").decode("latin-1"),
        referer=get(b"referer", b"").decode("latin-1"),
        user_agent=get(b"user-agent", b"").decode("latin-1")[:USER_AGENT_LIMIT],
        cookie=get(b"cookie", b"").decode("latin-1"),
        purpose=_purpose(headers),
        fetch_site=get(b"sec-fetch-site", b"").decode("latin-1").lower(),
        gpc=b"sec-gpc" in headers and b"1" in [one.strip() for one in headers[b"sec-gpc"].split(b",")],
        dnt=get(b"dnt") == b"1",
        host=get(b"host", b"").decode("latin-1"),
        secure=scheme == "https",
        address=client.address,
        country=client.country,
    )


def cookies_of(request: Request) -> set[str]:
    """Our cookie's values in a request that is no hit."""
    plain = identity.is_plain(request.headers.get("host", ""), request.url.scheme == "https")
    return identity.cookies_of("; ".join(request.headers.getlist("cookie")), plain)


def _purpose(headers: dict[bytes, bytes]) -> str:
    for name in (b"sec-purpose", b"purpose", b"x-purpose", b"x-moz"):
        if name in headers:
            return headers[name].decode("latin-1").lower()
    return ""
