"""Raw events in the order of their arrival, in short reads, without those of visitors who are gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from retag.events import STANDINGS

PAGE = 2_000
SLACK = 60_000
"""Places follow arrivals but for the time that a batch takes, in ms."""
GONE = f"{STANDINGS['opted_out']}, {STANDINGS['erased']}"
SQL = (
    "SELECT seq, received, visitor, name, time, event_id, source, platform, standing, url, tag, data,"
    f" context, account = ? AND standing NOT IN ({GONE}) AND visitor NOT IN (SELECT visitor FROM opt_out)"
    " FROM log WHERE seq > ? ORDER BY seq LIMIT ?"
)
Row = tuple[Any, ...]
"""`(seq, received, visitor, name, time, event_id, source, platform, standing, url, tag, data, context)`, and
whether it is to be told."""


async def pages(reader: Any, account: int, first: int, last: int) -> AsyncIterator[list[Row]]:
    """The account's events that arrived from `first` until before `last`, UTC ms. Empty pages say that the
    log is still being read."""
    after = await before(reader, "log", "seq", "received", first - SLACK)
    while True:
        rows = await reader.all(SQL, (account, after, PAGE))
        yield [row for row in rows if row[13] and first <= row[1] < last]
        if len(rows) < PAGE or rows[-1][1] > last + SLACK:
            return
        after = rows[-1][0]


async def before(reader: Any, table: str, place: str, time: str, instant: int) -> int:
    """A place such that no row up to it is later than `instant`: halving, for no index has the times."""
    low, high = 0, (await reader.one(f"SELECT coalesce(max({place}), 0) FROM {table}"))[0]
    sql = f"SELECT {place}, {time} FROM {table} WHERE {place} > ? ORDER BY {place} LIMIT 1"
    while low < high:
        middle = (low + high) // 2
        row = await reader.one(sql, (middle,))
        if row is None or row[1] >= instant:
            high = middle
        else:
            low = row[0]
    return int(low)
