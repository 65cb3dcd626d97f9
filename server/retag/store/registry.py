"""The registry: the ad account, its tags, the signing keys, and API keys with their scopes.

A key reads `rtk_live_<8 public>_<43 secret><6 check>`: looked up by its public prefix, compared by SHA-256 in
constant time (256 random bits need no slow hash), shown once. The check lets a typing error be told at once.
"""

from __future__ import annotations

import base64
import hashlib
import re
import sqlite3
import zlib
from collections.abc import Iterable
from typing import Any

import msgspec

from retag import errors
from retag.ingest import Tag, tag_of
from retag.store import tags

SCOPES = ("events:write", "audiences:read", "audiences:write", "exports:read", "admin")
FIRST_ACCOUNT, ACCOUNTS = 549_000_000_000, 999_999_999
SECRET_BYTES = 32
KEY = re.compile(r"rtk_live_([A-Za-z0-9]{8})_([A-Za-z0-9_-]{43})([0-9a-f]{6})")


class Made(msgspec.Struct, frozen=True):
    """What `retag init` prints: ids are kept from run to run, the key is new each time."""

    ad_account_id: str
    tag_id: str
    api_key: str


class ApiKey(msgspec.Struct, frozen=True):
    """A key as it is listed; times in UTC ms. The key itself is nowhere."""

    prefix: str
    account: int
    name: str
    scopes: tuple[str, ...]
    created: int
    last_used: int | None
    revoked: int | None


def init(cn: sqlite3.Connection, now: int, entropy: bytes) -> Made:
    """The account, a tag and a signing key if there are none, and a new API key with every scope.

    `entropy` is 96 random bytes.
    """
    account = account_id(cn) or _create_account(cn, now, entropy[:8])
    row = cn.execute("SELECT min(id) FROM tag WHERE account = ?", (account,)).fetchone()
    tag = row[0] or tags.create(cn, account, "Retag", {}, now)
    if not cn.execute("SELECT 1 FROM signing_key").fetchone():
        cn.execute("INSERT INTO signing_key (secret, created) VALUES (?, ?)", (entropy[8:40], now))
    key = create_key(cn, account, "retag init", SCOPES, now, entropy[40:])
    return Made(str(account), str(tag), key)


def begin(cn: sqlite3.Connection, now: int, entropy: bytes) -> Made | None:
    """What `init` makes, in a database that has no account yet; else None."""
    return init(cn, now, entropy) if account_id(cn) is None else None


def account_id(cn: sqlite3.Connection) -> int | None:
    """The server's ad account, or None before `init`."""
    row = cn.execute("SELECT min(id) FROM account").fetchone()
    return int(row[0]) if row[0] else None


def _create_account(cn: sqlite3.Connection, now: int, entropy: bytes) -> int:
    account = FIRST_ACCOUNT + int.from_bytes(entropy, "big") % ACCOUNTS
    cn.execute("INSERT INTO account (id, name, created) VALUES (?, 'Retag', ?)", (account, now))
    return account


def create_key(
    cn: sqlite3.Connection, account: int, name: str, scopes: Iterable[str], now: int, entropy: bytes
) -> str:
    """A new key, which is stored as its hash alone; `entropy` is at least 40 random bytes."""
    wanted = tuple(scopes)
    for scope in wanted:
        if scope not in SCOPES:
            raise errors.Invalid("scope", f"must be one of {', '.join(SCOPES)}, not {scope[:40]!r}")
    if len(entropy) < 8 + SECRET_BYTES:
        raise errors.Invalid("entropy", "must be at least 40 random bytes")
    prefix = base64.b32encode(entropy[:5]).decode().lower()
    secret = base64.urlsafe_b64encode(entropy[8 : 8 + SECRET_BYTES]).decode().rstrip("=")
    body = f"rtk_live_{prefix}_{secret}"
    key = body + check_of(body)
    cn.execute(
        "INSERT INTO api_key (prefix, account, name, hash, scopes, created) VALUES (?, ?, ?, ?, ?, ?)",
        (prefix, account, name, digest(key), " ".join(wanted), now),
    )
    return key


def check_of(body: str) -> str:
    """Six hexadecimal digits of a CRC."""
    return f"{zlib.crc32(body.encode()) & 0xFFFFFF:06x}"


def prefix_of(key: str) -> str | None:
    """The public part of a well-formed key, None for anything else."""
    found = KEY.fullmatch(key)
    return found[1] if found and check_of(key[:-6]) == found[3] else None


def digest(key: str) -> bytes:
    """What is stored of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def list_keys(cn: sqlite3.Connection) -> list[ApiKey]:
    """Every key, oldest first, revoked ones too."""
    columns = "prefix, account, name, scopes, created, last_used, revoked"
    sql = f"SELECT {columns} FROM api_key ORDER BY created, prefix"
    return [
        ApiKey(prefix, account, name, tuple(scopes.split()), created, last_used, revoked)
        for prefix, account, name, scopes, created, last_used, revoked in cn.execute(sql)
    ]


def revoke_key(cn: sqlite3.Connection, prefix: str, now: int) -> None:
    """The key is refused from now on; NotFound when there is none."""
    sql = "UPDATE api_key SET revoked = ? WHERE prefix = ? AND revoked IS NULL"
    if not cn.execute(sql, (now, prefix)).rowcount:
        raise errors.NotFound(f"No key {prefix} is in use: see `retag keys list`.")


def signing_keys(cn: sqlite3.Connection) -> list[bytes]:
    """Oldest to newest: the newest signs, all verify."""
    return [row[0] for row in cn.execute("SELECT secret FROM signing_key ORDER BY id")]


def load_tags(cn: sqlite3.Connection) -> dict[int, Tag]:
    """Every tag by id, as the door reads it."""
    return door_tags(cn.execute(tags.SELECT).fetchall())


def door_tags(rows: Iterable[tuple[Any, ...]]) -> dict[int, Tag]:
    """Rows of tags.SELECT as the door's tags."""
    found = map(tags.decode, rows)
    return {one.id: tag_of(one.id, one.account, one.status, one.config) for one in found}
