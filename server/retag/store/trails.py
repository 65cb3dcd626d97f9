"""The log read from end to end, in short reads, so that nothing pins the WAL.

For questions about the past (lift, insights, act-alikes), asked in a process of their own. Always in the
order of the log: following each visitor's trail instead jumps about in the file, which a disk punishes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from retag.likeness.features import Told, of_act, of_context, page, told
from retag.store import log

PAGE = 20_000
SLACK = 60_000
"""Places follow arrivals but for the time that a batch takes, in ms."""
MOST_KEPT = 200_000
Row = tuple[Any, ...]


def place_before(cn: sqlite3.Connection, instant: int) -> int:
    """A place such that nothing up to it arrived from `instant` (UTC ms) on: by halving, for no index has the
    times. What happened from `instant` on arrived behind it too."""
    low, high = _oldest(cn) - 1, log.progress(cn, "folded")
    while low < high:
        middle = (low + high) // 2
        sql = "SELECT seq, received FROM log WHERE seq > ? ORDER BY seq LIMIT 1"
        row = cn.execute(sql, (middle,)).fetchone()
        if row is None or row[1] >= instant - SLACK:
            high = middle
        else:
            low = row[0]
    return low


def pages(
    cn: sqlite3.Connection, columns: str, where: str, params: Mapping[str, Any], after: int = -1
) -> Iterator[list[Row]]:
    """`columns` of the counted events behind place `after` for which `where` holds, in the order of the log,
    some thousands at a time. What is not folded yet is left out: whether it counts, and for whom, is not
    known."""
    sql = f"SELECT {columns} FROM log WHERE seq > :after AND seq <= :upto AND standing = 0 AND {where}"
    last = log.progress(cn, "folded")
    for start in range(max(after, _oldest(cn) - 1), last, PAGE):
        limits = {"after": start, "upto": min(start + PAGE, last)}
        if rows := cn.execute(sql, {**params, **limits}).fetchall():
            yield rows


def scan(
    cn: sqlite3.Connection, columns: str, where: str, params: Mapping[str, Any], after: int = -1
) -> Iterator[Row]:
    """The rows of `pages`, one by one."""
    for rows in pages(cn, columns, where, params, after):
        yield from rows


def _oldest(cn: sqlite3.Connection) -> int:
    return int(cn.execute("SELECT coalesce(min(seq), 1) FROM log").fetchone()[0])


K = TypeVar("K")
T = TypeVar("T")


class Kept(dict[K, T]):
    """What `learn` said, once for each key."""

    def __init__(self, learn: Callable[[K], T]) -> None:
        super().__init__()
        self._learn = learn

    def __missing__(self, key: K) -> T:
        found = self[key] = self._learn(key)
        return found


ACT = (
    "CASE WHEN data = x'' THEN '' ELSE json_remove(CAST(data AS TEXT), '$.value', '$.order_id') END"
    " || char(31) || name || char(31) || url"
)
"""What an event said was done, without what differs each time, as one text: SQLite removes and joins in half
the time that Python takes to look. No JSON has a raw character 31."""


class Words(Generic[T]):
    """What events said, as `learn` keeps it. The same is said again and again, so its answers are kept; when
    these are many, `forget` is told and they are asked for anew."""

    def __init__(self, learn: Callable[[Iterable[str]], T], forget: Callable[[], None]) -> None:
        self._forget = forget
        self._texts = Kept[str, T](self._read)
        self._pages = Kept[str, str](page)
        self._acts = Kept[tuple[str, str, Told], T](lambda act: learn(of_act(*act)))
        self._contexts = Kept[bytes, T](lambda context: learn(of_context(context)))

    def of(self, acts: Iterable[str], contexts: Iterable[bytes]) -> tuple[list[T], list[T]]:
        """What was done in each event of a page of the log, its `ACT`, and where from: good until asked
        again. The loops are those of the interpreter: there may be many millions of events."""
        if len(self._acts) + len(self._contexts) >= MOST_KEPT:
            self._acts.clear()
            self._contexts.clear()
            self._texts.clear()
            self._forget()
        if len(self._texts) >= MOST_KEPT:
            self._texts.clear()
        if len(self._pages) >= MOST_KEPT:
            self._pages.clear()
        return list(map(self._texts.__getitem__, acts)), list(map(self._contexts.__getitem__, contexts))

    def _read(self, act: str) -> T:
        data, _, rest = act.partition("\x1f")
        name, _, url = rest.partition("\x1f")
        return self._acts[name, self._pages[url], told(data)]
