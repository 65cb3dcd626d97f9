"""The log read from end to end, in short reads, so that nothing pins the WAL.

For questions about the past (lift, insights, act-alikes), asked in a process of their own. Always in the
order of the log: following each visitor's trail instead jumps about in the file, which a disk punishes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from retag.likeness.features import of_act, of_context
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


def scan(
    cn: sqlite3.Connection, columns: str, where: str, params: Mapping[str, Any], after: int = -1
) -> Iterator[Row]:
    """`columns` of the counted events behind place `after` for which `where` holds, in the order of the log.
    What is not folded yet is left out: whether it counts, and for whom, is not known."""
    sql = f"SELECT {columns} FROM log WHERE seq > :after AND seq <= :upto AND standing = 0 AND {where}"
    last = log.progress(cn, "folded")
    for page in range(max(after, _oldest(cn) - 1), last, PAGE):
        pages = {"after": page, "upto": min(page + PAGE, last)}
        yield from cn.execute(sql, {**params, **pages}).fetchall()


def _oldest(cn: sqlite3.Connection) -> int:
    return int(cn.execute("SELECT coalesce(min(seq), 1) FROM log").fetchone()[0])


T = TypeVar("T")


class Words(Generic[T]):
    """What events said, as `learn` keeps it. The same bytes come again and again, so its answers are kept;
    when these are many, `forget` is told and they are asked for anew."""

    def __init__(self, learn: Callable[[Iterable[str]], T], forget: Callable[[], None]) -> None:
        self._learn, self._forget = learn, forget
        self._acts: dict[tuple[str, str, bytes], T] = {}
        self._contexts: dict[bytes, T] = {}

    def of(self, name: str, url: str, data: bytes, context: bytes) -> tuple[T, T]:
        """What was done, and where from. Room is made before either is looked up: `forget` would else undo
        the first for the second."""
        if len(self._acts) + len(self._contexts) >= MOST_KEPT:
            self._acts.clear()
            self._contexts.clear()
            self._forget()
        act, where = self._acts.get((name, url, data)), self._contexts.get(context)
        if act is None:
            act = self._acts[name, url, data] = self._learn(of_act(name, url, data))
        if where is None:
            where = self._contexts[context] = self._learn(of_context(context))
        return act, where
