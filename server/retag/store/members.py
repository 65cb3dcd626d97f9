"""Members: who is in an audience at an as_of, and how many.

An `as_of` names an instant and a fold step. A reader takes each row and undoes the transitions of later
steps: the window before the first of them is the window then. So size, list and export are one set, without a
snapshot. Pages follow the table's key, each its own short read.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

import msgspec

from retag import errors
from retag.windows import DAY, EVER

KEPT_MS = 30 * DAY
"""Transitions are kept this long."""
TOKEN = re.compile(r"([0-9a-f]{1,16})-([0-9a-f]{1,16})")
LAST = b"\xff" * 17
GONE = "Somebody in this export was erased or opted out since: take a full export."


PAGE = 3_000
"""Rows of one read: some milliseconds, during which the reader pins the WAL."""
MOST_BOUND = 1_000

Row = tuple[Any, ...]
"""One member at an as_of: `(visitor, opens, closes, last)`; UTC ms, `closes` may be windows.EVER."""


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


def parse(token: str, now: int, name: str = "as_of") -> AsOf:
    """The as_of that a token names; Invalid when this server never gave it, Gone when it is too old."""
    found = TOKEN.fullmatch(token)
    as_of = AsOf(int(found[1], 16), int(found[2], 16)) if found else AsOf(now + 1, 0)
    if as_of.instant > now or as_of.step >= EVER:
        raise errors.Invalid(name, "must be a token that an earlier export gave")
    if as_of.instant < now - KEPT_MS:
        raise errors.Gone(f"This {name} is older than 30 days: take a full export.")
    return as_of


async def current(reader: Queries, now: int) -> AsOf:
    """What is known at `now`."""
    row = await reader.one("SELECT value FROM progress WHERE name = 'step'")
    return AsOf(now, row[0] if row else 0)


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
    sql = (
        "SELECT visitor, opens, closes, last, cause FROM transition WHERE build = ? AND visitor > ?"
        " AND visitor <= ? AND step > ? ORDER BY visitor, step DESC, id DESC"
    )
    rows = await reader.all(sql, (build, after, upto, as_of.step))
    found = {row[0]: row[:4] for row in rows}
    gone = set() if objectors else {row[0] for row in rows if row[4]}
    return found | {one: (one, EVER, EVER, 0) for one in gone}


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


async def check_whole(reader: Queries, build: int, as_of: AsOf, behind: int | None = None) -> None:
    """Gone when somebody who was in has since been erased or objected: their id is given out no more. With
    `behind`, only since that later step."""
    then = (
        "SELECT t.opens <= ?3 AND t.closes > ?3 FROM transition t WHERE t.build = ?1"
        " AND t.visitor = gone.visitor AND t.step > ?2 ORDER BY t.step, t.id LIMIT 1"
    )
    sql = f"SELECT 1 FROM transition gone WHERE build = ?1 AND step > ?4 AND cause > 0 AND ({then}) LIMIT 1"
    params = (build, as_of.step, as_of.instant, as_of.step if behind is None else behind)
    if await reader.one(sql, params):
        raise errors.Gone(GONE)


async def check_shared(reader: Queries, build: int, as_of: AsOf) -> None:
    """Gone when somebody who was in has since withheld their identifiers: no file has them any more."""
    then = (
        "SELECT t.opens <= ?3 AND t.closes > ?3 FROM transition t WHERE t.build = ?1"
        " AND t.visitor = w.visitor AND t.step > ?2 ORDER BY t.step, t.id LIMIT 1"
    )
    now = "SELECT m.opens <= ?3 AND m.closes > ?3 FROM member m WHERE m.build = ?1 AND m.visitor = w.visitor"
    sql = f"SELECT 1 FROM withheld w WHERE w.step > ?2 AND coalesce(({then}), ({now})) LIMIT 1"
    if await reader.one(sql, (build, as_of.step, as_of.instant)):
        raise errors.Gone(GONE)


async def withdrawn(reader: Queries, build: int, since: AsOf, until: AsOf) -> list[Row]:
    """Members at both who withheld their identifiers in between: for whoever has these they are gone."""
    sql = "SELECT visitor FROM withheld WHERE step > ? AND step <= ?"
    found = []
    for (visitor,) in await reader.all(sql, (since.step, until.step)):
        before, now = [await _row(reader, build, as_of, visitor) for as_of in (since, until)]
        if before and now:
            found.append(now)
    return found


async def _row(reader: Queries, build: int, as_of: AsOf, visitor: bytes) -> Row | None:
    """A member's row at an as_of, None for no member."""
    just_before = (int.from_bytes(visitor, "big") - 1).to_bytes(len(visitor), "big")
    rows, _ = await page(reader, build, as_of, just_before, 1)
    return rows[0] if rows and rows[0][0] == visitor else None


async def shown(
    reader: Queries, account: int, visitors: Sequence[bytes], kinds: Sequence[int], all: bool = False
) -> dict[bytes, list[tuple[int, bytes, int]]]:
    """The identifiers of these kinds that visitors showed, `(kind, value, seen)`, the latest first.

    Not those in quarantine, which are nobody's, nor, unless `all`, any of visitors who withhold theirs.
    """
    found: dict[bytes, list[tuple[int, bytes, int]]] = {}
    for start in range(0, len(visitors), MOST_BOUND):
        some = visitors[start : start + MOST_BOUND]
        sql = (
            "SELECT visitor, kind, value, seen FROM identifier i INDEXED BY identifier_visitor"
            f" WHERE visitor IN ({_marks(some)}) AND account = ? AND kind IN ({_marks(kinds)})"
            " AND NOT EXISTS (SELECT 1 FROM quarantine q"
            " WHERE q.account = i.account AND q.kind = i.kind AND q.value = i.value)"
            f" {'' if all else 'AND visitor NOT IN (SELECT visitor FROM withheld)'}"
            " ORDER BY seen DESC, value"
        )
        for visitor, *about in await reader.all(sql, (*some, account, *kinds)):
            found.setdefault(visitor, []).append(tuple(about))
    return found


def _marks(values: Sequence[Any]) -> str:
    return ",".join("?" * len(values))
