"""Members: who is in an audience at an as_of, and how many.

An `as_of` names an instant and a fold step. A reader takes each row and undoes the transitions of later
steps: the window before the first of them is the window then. So size, list and export are one set, without a
snapshot. Pages follow the table's key, each its own short read.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Protocol

import msgspec

from retag import errors
from retag.store import log
from retag.windows import DAY, EVER

KEPT_MS = 30 * DAY
"""Transitions are kept this long."""
TOKEN = re.compile(r"([0-9a-f]{1,16})-([0-9a-f]{1,16})(?:-([0-9a-f]{1,15}))?")
LAST = b"\xff" * 17
GONE = "Somebody in this export was erased or opted out since: take a full export."


PAGE = 6_000
"""Rows of one read: some milliseconds, during which the reader pins the WAL."""
MOST_BOUND = 1_000

LATER = "SELECT visitor, opens, closes, last, cause FROM transition WHERE build = ? AND step > ?"
BACKWARDS = "ORDER BY visitor, step DESC, id DESC"

Row = tuple[Any, ...]
"""One member at an as_of: `(visitor, opens, closes, last)`; UTC ms, `closes` may be windows.EVER."""


class AsOf(msgspec.Struct, frozen=True):
    """An instant, UTC ms, and the fold step up to which changes count.

    `folded` is the place in the log up to which events were known, None in tokens of earlier versions.
    """

    instant: int
    step: int
    folded: int | None = None

    def __str__(self) -> str:
        told = f"{self.instant:x}-{self.step:x}"
        return told if self.folded is None else f"{told}-{self.folded:x}"

    def later(self, other: AsOf) -> bool:
        """Whether more is known than at the other."""
        return self.step > other.step or (self.folded or 0) > (other.folded or 0)


class Queries(Protocol):
    """A reader or a snapshot of one."""

    async def all(self, sql: str, params: Any = ()) -> list[tuple[Any, ...]]: ...

    async def one(self, sql: str, params: Any = ()) -> tuple[Any, ...] | None: ...


def parse(token: str, now: int, name: str = "as_of") -> AsOf:
    """The as_of that a token names; Invalid when this server never gave it, Gone when it is too old."""
    found = TOKEN.fullmatch(token)
    folded = int(found[3], 16) if found and found[3] else None
    as_of = AsOf(int(found[1], 16), int(found[2], 16), folded) if found else AsOf(now + 1, 0)
    if as_of.instant > now or as_of.step >= EVER:
        raise errors.Invalid(name, "must be a token that an earlier export gave")
    check_age(as_of, now, name)
    return as_of


def check_age(as_of: AsOf, now: int, name: str = "as_of") -> None:
    """Gone when what it takes to know who was in then may be deleted by now."""
    if as_of.instant < now - KEPT_MS:
        raise errors.Gone(f"This {name} is older than 30 days: take a full export.")


async def current(reader: Queries, now: int) -> AsOf:
    """What is known at `now`."""
    rows = dict(await reader.all("SELECT name, value FROM progress WHERE name IN ('step', 'folded')"))
    return AsOf(now, rows.get("step", 0), rows.get("folded", 0))


def at(cn: sqlite3.Connection, now: int) -> AsOf:
    """The same on the writer."""
    return AsOf(now, log.progress(cn, "step"), log.progress(cn, "folded"))


async def departures(reader: Queries) -> int:
    """How often somebody was erased, objected, or agreed again."""
    row = await reader.one("SELECT value FROM progress WHERE name = 'graves'")
    return int(row[0]) if row else 0


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
    reader: Queries, build: int, as_of: AsOf, after: bytes, limit: int, objectors: bool = True
) -> tuple[list[Row], bytes | None]:
    """Members behind `after` in order of id, out of `limit` rows, and where to go on; None at the end.

    Without `objectors`, nobody who has since been erased or opted out.
    """
    sql = (
        "SELECT visitor, opens, closes, last FROM member WHERE build = ? AND visitor > ?"
        " ORDER BY visitor LIMIT ?"
    )
    rows = await reader.all(sql, (build, after, limit))
    upto = rows[-1][0] if len(rows) == limit else LAST
    undone = await _undone(reader, build, as_of, after, upto, objectors)
    instant, further = as_of.instant, upto if upto != LAST else None
    if undone:
        known = {row[0]: row for row in rows} | undone
        rows = [row for _, row in sorted(known.items())]
    return [row for row in rows if row[1] <= instant < row[2]], further


async def _undone(
    reader: Queries, build: int, as_of: AsOf, after: bytes, upto: bytes, objectors: bool = True
) -> dict[bytes, Row]:
    """The windows then of those whom a later step changed; the earliest such step knows."""
    sql = f"{LATER} AND visitor > ? AND visitor <= ? {BACKWARDS}"
    return _then(await reader.all(sql, (build, as_of.step, after, upto)), objectors)


def _then(rows: list[Row], objectors: bool) -> dict[bytes, Row]:
    """By visitor, the window before the first of these transitions, which come latest first."""
    found = {row[0]: row[:4] for row in rows}
    gone = set() if objectors else {row[0] for row in rows if row[4]}
    return found | {one: (one, EVER, EVER, 0) for one in gone}


async def among(
    reader: Queries, build: int, as_of: AsOf, visitors: Sequence[bytes], objectors: bool = True
) -> dict[bytes, Row]:
    """Those of some visitors who were members, as `page` has them."""
    found: dict[bytes, Row] = {}
    for some in some_of(visitors):
        own = f"visitor IN ({marks(some)})"
        sql = f"SELECT visitor, opens, closes, last FROM member WHERE build = ? AND {own}"
        rows = {row[0]: row for row in await reader.all(sql, (build, *some))}
        later = await reader.all(f"{LATER} AND {own} {BACKWARDS}", (build, as_of.step, *some))
        found |= rows | _then(later, objectors)
    return {one: row for one, row in found.items() if _holds(row, as_of.instant)}


def _holds(row: Row, instant: int) -> bool:
    return bool(row[1] <= instant < row[2])


async def pages(
    store: Any, build: int | None, as_of: AsOf, limit: int = PAGE, objectors: bool = True
) -> AsyncIterator[list[Row]]:
    """Every member at an as_of, in order of id, in constant memory. `store` is a reader that can snapshot."""
    after: bytes | None = b"" if build is not None else None
    while after is not None and build is not None:
        async with store.snapshot() as snapshot:
            found, after = await page(snapshot, build, as_of, after, limit, objectors)
        if found:
            yield found


async def members(store: Any, build: int | None, as_of: AsOf, objectors: bool = True) -> AsyncIterator[Row]:
    """The same, one by one."""
    async for found in pages(store, build, as_of, objectors=objectors):
        for one in found:
            yield one


async def check_whole(
    reader: Queries, build: int, as_of: AsOf, behind: int | None = None, cause: int = 1
) -> None:
    """Gone when somebody who was in has since been erased or objected: their id is given out no more. With
    `behind`, only since that later step; `cause` is the least that counts."""
    gone = "SELECT 1 FROM transition gone WHERE build = ?1 AND step > ?4 AND cause > 0 AND cause >= ?5"
    sql = f"{gone} AND ({was_in('gone')}) LIMIT 1"
    params = (build, as_of.step, as_of.instant, as_of.step if behind is None else behind, cause)
    if await reader.one(sql, params):
        raise errors.Gone(GONE)


def was_in(who: str) -> str:
    """SQL: whether the visitor of the table `who` was in build ?1 at step ?2 and instant ?3, null where no
    later step changed that."""
    return (
        "SELECT t.opens <= ?3 AND t.closes > ?3 FROM transition t WHERE t.build = ?1"
        f" AND t.visitor = {who}.visitor AND t.step > ?2 ORDER BY t.step, t.id LIMIT 1"
    )


def some_of(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The values, as many at a time as one statement takes."""
    for start in range(0, len(values), MOST_BOUND):
        yield values[start : start + MOST_BOUND]


def marks(values: Sequence[Any]) -> str:
    return ",".join("?" * len(values))
