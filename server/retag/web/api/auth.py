"""Who calls: a bearer key with scopes, or HTTP Basic with the same key. One constant answer to a wrong one.

A key is looked up by its public prefix and compared by hash in constant time, a prefix that nobody has too.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress

import msgspec
from starlette.requests import Request

from retag import errors
from retag.store import registry

LONGEST = 200
NOBODY = bytes(32)


class Caller(msgspec.Struct, frozen=True):
    """A key that was accepted: its public prefix, its ad account and what it may do.

    A `guest` has shown no key but a link.
    """

    prefix: str
    account: int
    scopes: frozenset[str]
    guest: bool = False


async def require(request: Request, scope: str, account: int) -> Caller:
    """The caller, or Unauthorized (no, wrong or revoked key), or Forbidden (not its account or scope)."""
    caller = await identify(request)
    if caller.account != account:
        raise errors.Forbidden("The key belongs to another ad account: use a key of this one.")
    if scope not in caller.scopes and "admin" not in caller.scopes:
        raise errors.Forbidden(f"The key lacks the scope {scope}: make one with `retag keys create`.")
    return caller


async def identify(request: Request) -> Caller:
    """The caller by key alone; Unauthorized without saying which part was wrong."""
    key = presented(request.headers.get("authorization", ""))
    prefix = registry.prefix_of(key)
    row = await request.app.state.reader.one(
        "SELECT account, hash, scopes FROM api_key WHERE prefix = ? AND revoked IS NULL", (prefix or "",)
    )
    account, known, scopes = row or (0, NOBODY, "")
    same = hmac.compare_digest(registry.digest(key), known)
    if not (same and prefix and row):
        raise errors.Unauthorized
    return Caller(prefix, account, frozenset(scopes.split()))


def presented(header: str) -> str:
    """The key in an Authorization header, '' without one: Bearer, or Basic with it as user or password."""
    manner, _, given = header.strip().partition(" ")
    if manner.lower() == "bearer":
        return given.strip()[:LONGEST]
    if manner.lower() != "basic":
        return ""
    try:
        user, _, password = base64.b64decode(given.strip(), validate=True).decode("ascii").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return (password or user)[:LONGEST]


def address(request: Request) -> str:
    """The peer's address, '' when the server does not know it (a socket file)."""
    return request.client.host if request.client else ""


def public(request: Request) -> bool:
    """Whether the peer is one of the world; a private one may be a proxy that speaks for everybody."""
    try:
        return ipaddress.ip_address(address(request)).is_global
    except ValueError:
        return False
