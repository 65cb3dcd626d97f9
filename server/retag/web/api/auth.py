"""Who calls: a bearer key with scopes, or HTTP Basic with the same key. One constant answer to a wrong one.

A key is looked up by its public prefix and compared by hash in constant time (`store/registry.py`).
"""

from __future__ import annotations

import base64
import binascii
import ipaddress

import msgspec
from starlette.requests import Request

from retag import errors
from retag.store import registry


class Caller(msgspec.Struct, frozen=True):
    """A key that was accepted: its public prefix, its ad account and what it may do."""

    prefix: str
    account: int
    scopes: frozenset[str]


async def require(request: Request, scope: str, account: int) -> Caller:
    """The caller, or Unauthorized (no, wrong or revoked key), or Forbidden (another account, no such scope)."""
    caller = await identify(request)
    if caller.account != account:
        raise errors.Forbidden("The key belongs to another ad account. Use a key of this one.")
    if scope not in caller.scopes and "admin" not in caller.scopes:
        raise errors.Forbidden(
            f"The key lacks the scope {scope}. Make one with: retag keys create --scope {scope}"
        )
    return caller
