"""Members: who is in an audience at an as_of, and how many.

An `as_of` names an instant and a fold step. A reader takes each row and undoes the transitions of later
steps: the window before the first of them is the window then. So size, list and export are one set, without a
snapshot. Pages follow the table's key, each its own short read.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any, Protocol

import msgspec

from retag import errors
from retag.windows import DAY

KEPT_MS = 30 * DAY
"""Transitions are kept this long."""
TOKEN = re.compile(r"([0-9a-f]{1,16})-([0-9a-f]{1,16})")
LAST = b"\xff" * 17


class Member(msgspec.Struct, frozen=True, gc=False):
    """One member at an as_of; UTC ms, `closes` may be windows.EVER."""

    visitor: bytes
    opens: int
    closes: int
    last: int


class AsOf(msgspec.Struct, frozen=True):
    """An instant, UTC ms, and the fold step up to which changes count."""

    instant: int
    step: int

    def __str__(self) -> str:
        return f"{self.instant:x}-{self.step:x}"


class Queries(Protocol):
    """A reader or a snapshot of one."""

    async def all(self, sql: str, params: Any = ()) -> list[tuple[Any, ...]]: ...

    async def one(self, sql: str, params: Any = ()) -> tuple[Any, ...] | None: ...


def parse(token: str, now: int) -> AsOf:
    """The as_of that a token names; Invalid when this server never gave it, Gone when it is too old."""
    found = TOKEN.fullmatch(token)
    if found is None:
        raise errors.Invalid("as_of", "must be a token that an earlier export gave")
    as_of = AsOf(int(found[1], 16), int(found[2], 16))
    if as_of.instant > now:
        raise errors.Invalid("as_of", "must be a token that an earlier export gave")
    if as_of.instant < now - KEPT_MS:
        raise errors.Gone("This as_of is older than 30 days: take a full export.")
    return as_of


async def current(reader: Queries, now: int) -> AsOf:
    """What is known at `now`."""
    row = await reader.one("SELECT value FROM progress WHERE name = 'step'")
    return AsOf(now, row[0] if row else 0)


async def build_at(reader: Queries, audience: int, as_of: AsOf) -> int | None:
    """The build that answered for the audience then, None before there was one."""
    sql = (
        "SELECT id FROM build WHERE audience = ? AND ready_step <= ?"
        " AND (retired_step IS NULL OR retired_step > ?) ORDER BY id DESC LIMIT 1"
    )
    row = await reader.one(sql, (audience, as_of.step, as_of.step))
    return row[0] if row else None


async def size(reader: Queries, build: int, now: int) -> int:
    """How many are in at `now`, by all that is known."""
    sql = "SELECT count(*) FROM member WHERE build = ? AND opens <= ? AND closes > ?"
    row = await reader.one(sql, (build, now, now))
    return int(row[0]) if row else 0


async def size_at(reader: Queries, build: int, as_of: AsOf) -> int:
    """How many were in at an as_of: the rows as they stand, corrected by what later steps changed."""
    now = await size(reader, build, as_of.instant)
    later = "SELECT DISTINCT visitor FROM transition WHERE build = ?1 AND step > ?2"
    held = (
        "SELECT count(*) FROM member WHERE build = ?1 AND opens <= ?3 AND closes > ?3"
        f" AND visitor IN ({later})"
    )
    row = await reader.one(held, (build, as_of.step, as_of.instant))
    undone = await _undone(reader, build, as_of, b"", LAST)
    return now - (row[0] if row else 0) + sum(_holds(one, as_of.instant) for one in undone.values())


async def page(
    reader: Queries, build: int, as_of: AsOf, after: bytes, limit: int
) -> tuple[list[Member], bytes | None]:
    """Members behind `after` in order of id, out of `limit` rows, and where to go on; None at the end."""
    sql = (
        "SELECT visitor, opens, closes, last FROM member WHERE build = ? AND visitor > ?"
        " ORDER BY visitor LIMIT ?"
    )
    rows = await reader.all(sql, (build, after, limit))
    upto = rows[-1][0] if len(rows) == limit else LAST
    undone = await _undone(reader, build, as_of, after, upto)
    instant, further = as_of.instant, upto if upto != LAST else None
    if not undone:
        return [Member(*row) for row in rows if row[1] <= instant < row[2]], further
    found = {row[0]: Member(*row) for row in rows} | undone
    return [one for _, one in sorted(found.items()) if _holds(one, instant)], further


async def _undone(reader: Queries, build: int, as_of: AsOf, after: bytes, upto: bytes) -> dict[bytes, Member]:
    """The windows then of those whom a later step changed; the earliest such step knows."""
    sql = (
        "SELECT visitor, opens, closes, last FROM transition WHERE build = ? AND visitor > ? AND visitor <= ?"
        " AND step > ? ORDER BY visitor, step DESC, id DESC"
    )
    rows = await reader.all(sql, (build, after, upto, as_of.step))
    return {row[0]: Member(*row) for row in rows}


def _holds(one: Member, instant: int) -> bool:
    return one.opens <= instant < one.closes


async def pages(store: Any, build: int | None, as_of: AsOf, limit: int = 2000) -> AsyncIterator[list[Member]]:
    """Every member at an as_of, in order of id, in constant memory. `store` is a reader that can snapshot."""
    after: bytes | None = b"" if build is not None else None
    while after is not None and build is not None:
        async with store.snapshot() as snapshot:
            found, after = await page(snapshot, build, as_of, after, limit)
        if found:
            yield found


async def members(store: Any, build: int | None, as_of: AsOf) -> AsyncIterator[Member]:
    """The same, one by one."""
    async for found in pages(store, build, as_of):
        for one in found:
            yield one


async def check_whole(reader: Queries, build: int, as_of: AsOf) -> None:
    """Gone when somebody who was in has since been erased or objected: their id is given out no more."""
    sql = (
        "SELECT 1 FROM transition WHERE build = ? AND step > ? AND cause > 0 AND opens <= ? AND closes > ?"
        " LIMIT 1"
    )
    if await reader.one(sql, (build, as_of.step, as_of.instant, as_of.instant)):
        raise errors.Gone("Somebody in this export was erased or opted out since: take a full export.")
