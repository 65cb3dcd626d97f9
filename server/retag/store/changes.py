"""Changes: who came and who left between two as_ofs of one build, without reading everybody.

Membership differs at two as_ofs only where a window opened or closed between their instants, or where a later
step changed it, which a transition says (store.members). So the members' key is walked in long strides, of
which SQLite gives out those rows alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from retag.store.members import LAST, AsOf, Queries, Row

STRIDE = 20_000
"""Members of one read: some milliseconds, during which the reader pins the WAL."""
Change = tuple[Row | None, Row | None]
"""A visitor's row at the first as_of and at the second, None while not a member."""


async def pages(store: Any, build: int, since: AsOf, until: AsOf) -> AsyncIterator[list[Change]]:
    """Whoever is in at one of the two and not at the other, in order of id; nobody comes who has since been
    erased or opted out. `store` is a reader that can snapshot."""
    after = b""
    while after < LAST:
        async with store.snapshot() as snapshot:
            found, after = await _page(snapshot, build, since, until, after)
        if found:
            yield found


async def _page(
    reader: Queries, build: int, since: AsOf, until: AsOf, after: bytes
) -> tuple[list[Change], bytes]:
    sql = "SELECT visitor FROM member WHERE build = ? AND visitor > ? ORDER BY visitor LIMIT 1 OFFSET ?"
    end = await reader.one(sql, (build, after, STRIDE))
    upto: bytes = end[0] if end else LAST
    span = (build, after, upto)
    told = await _transitions(reader, span, since)
    rows = await _rows(reader, span, since, until, list(told))
    found = []
    for visitor in sorted(rows.keys() | told.keys()):
        row, later = rows.get(visitor), told.get(visitor, [])
        before = _holding(_undone(row, later, since.step), since.instant)
        gone = any(one[4] and one[5] > until.step for one in later)
        now = None if gone else _holding(_undone(row, later, until.step), until.instant)
        if (before is None) != (now is None):
            found.append((before, now))
    return found, upto


async def _rows(
    reader: Queries, span: tuple[int, bytes, bytes], since: AsOf, until: AsOf, told: list[bytes]
) -> dict[bytes, Row]:
    """The rows whose window opened or closed in between, and those of `told` visitors."""
    columns = "SELECT visitor, opens, closes, last FROM member WHERE build = ?"
    moved = (
        f"{columns} AND visitor > ? AND visitor <= ?"
        " AND (opens > ?4 AND opens <= ?5 OR closes > ?4 AND closes <= ?5)"
    )
    rows = await reader.all(moved, (*span, since.instant, until.instant))
    for start in range(0, len(told), 1_000):
        some = told[start : start + 1_000]
        rows += await reader.all(f"{columns} AND visitor IN ({','.join('?' * len(some))})", (span[0], *some))
    return {row[0]: row for row in rows}


async def _transitions(
    reader: Queries, span: tuple[int, bytes, bytes], since: AsOf
) -> dict[bytes, list[Row]]:
    """By visitor, the earliest first."""
    sql = (
        "SELECT visitor, opens, closes, last, cause, step FROM transition"
        " WHERE build = ? AND visitor > ? AND visitor <= ? AND step > ? ORDER BY visitor, step, id"
    )
    found: dict[bytes, list[Row]] = {}
    for row in await reader.all(sql, (*span, since.step)):
        found.setdefault(row[0], []).append(row)
    return found


def _undone(row: Row | None, later: list[Row], step: int) -> Row | None:
    """The row as it was at a step."""
    return next((one[:4] for one in later if one[5] > step), row)


def _holding(row: Row | None, instant: int) -> Row | None:
    return row if row is not None and row[1] <= instant < row[2] else None
