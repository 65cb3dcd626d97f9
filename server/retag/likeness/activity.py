"""Activity: what visitors did, gathered event by event into one sparse table of counts.

Rows are visitors in the order of their ids and columns are features in the order of their names, so that the
same events in any order give the same table. Pending pairs are folded into the table every few million, so
memory follows the table and not the events.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Table = Any
"""A scipy CSR matrix of float32 counts, (visitors, features)."""

PENDING = 1_000_000
MOST_FEATURES = 400_000
DAY = 86_400_000
ENDLESS = 1 << 62


class Activity(msgspec.Struct, frozen=True):
    """`counts` (n, m) and, per visitor, `profile` (n, p): recency, tenure and frequency on a log scale."""

    visitors: list[bytes]
    features: list[str]
    counts: Table
    profile: NDArray[np.float32]
    last: NDArray[np.int64]


class Gathering:
    """Collects events; `activity(now)` is the table.

    An event is a visitor, a time and two bundles of features, what was done and where from: a few numbers,
    which become counts a million events at a time.
    """

    def __init__(self) -> None:
        self._visitors: dict[bytes, int] = {}
        self._features: dict[str, int] = {}
        self._counts: Table = sparse.csr_matrix((0, 0), dtype=np.float32)
        self._first, self._last = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._days = np.zeros(0, np.int32)
        self._start()

    def _start(self) -> None:
        self._rows, self._times = array("i"), array("q")
        self._acts, self._contexts = array("i"), array("i")
        self._ends, self._cols = array("q", [0, 0]), array("i")

    def see(self, visitor: bytes, time: int, words: Iterable[str]) -> None:
        """One counted event. A visitor's active days are exact for events in order of time."""
        self.add(visitor, time, self.bundle(words))

    def bundle(self, words: Iterable[str]) -> int:
        """The number of these features together, good until `forget`; 0 is none."""
        features = self._features
        for word in words:
            if word in features or len(features) < MOST_FEATURES:
                self._cols.append(features.setdefault(word, len(features)))
        self._ends.append(len(self._cols))
        return len(self._ends) - 2

    def forget(self) -> None:
        """The bundles so far come no more."""
        self._compress()
        self._start()

    def add(self, visitor: bytes, time: int, act: int, context: int = 0) -> None:
        """One counted event with its bundles."""
        self._rows.append(self._visitors.setdefault(visitor, len(self._visitors)))
        self._times.append(time)
        self._acts.append(act)
        self._contexts.append(context)
        if len(self._rows) >= PENDING:
            self._compress()

    def activity(self, now: int) -> Activity:
        """The table as of `now` (UTC ms). It takes what was gathered with it: gather anew for another."""
        self._compress()
        visitors, features = list(self._visitors), list(self._features)
        rows, cols = _order(visitors), _order(features)
        counts = self._counts[rows]
        counts.indices = np.argsort(cols).astype(np.int32)[counts.indices]
        counts.sort_indices()
        return Activity(
            [visitors[i] for i in rows],
            [features[i] for i in cols],
            counts,
            self._profile(now)[rows],
            self._last[rows],
        )

    def know(self, visitor: bytes) -> None:
        """The visitor, though nothing of what they did be told."""
        self._visitors.setdefault(visitor, len(self._visitors))

    def _compress(self) -> None:
        """Pending events become counts."""
        size, bundles = len(self._visitors), len(self._ends) - 1
        rows = np.array(self._rows, np.int32)
        said = [np.array(one, np.int32) for one in (self._acts, self._contexts)]
        del self._rows[:], self._acts[:], self._contexts[:]
        ones = np.ones(2 * len(rows), np.float32)
        places = np.concatenate([rows, rows]), np.concatenate(said)
        happened = sparse.csr_matrix((ones, places), shape=(size, bundles))
        ends, cols = np.array(self._ends, np.int64), np.array(self._cols, np.int32)
        shape = (bundles, len(self._features))
        bundled = sparse.csr_matrix((np.ones(len(cols), np.float32), cols, ends), shape=shape)
        self._counts.resize(size, shape[1])
        self._counts = self._counts + happened @ bundled
        self._date(rows)

    def _date(self, rows: NDArray[np.int32]) -> None:
        """When the visitors of pending events were there first and last, and on how many days."""
        times, more = np.array(self._times, np.int64), len(self._visitors) - len(self._last)
        del self._times[:]
        self._first = np.concatenate([self._first, np.full(more, ENDLESS)])
        self._last = np.concatenate([self._last, np.zeros(more, np.int64)])
        self._days = np.concatenate([self._days, np.zeros(more, np.int32)])
        visits = np.unique(rows.astype(np.int64) << 32 | times // DAY)
        seen, days = visits >> 32, visits & 0xFFFFFFFF
        fresh = seen[days > self._last[seen] // DAY]
        self._days += np.bincount(fresh, minlength=len(self._days)).astype(np.int32)
        np.minimum.at(self._first, rows, times)
        np.maximum.at(self._last, rows, times)

    def _profile(self, now: int) -> NDArray[np.float32]:
        columns = (
            np.maximum(now - self._last, 0) / DAY,
            np.maximum(self._last - self._first, 0) / DAY,
            self._days,
        )
        return np.asarray(np.log1p(np.column_stack(columns)), np.float32)


def _order(names: list[Any]) -> NDArray[np.int64]:
    return np.array(sorted(range(len(names)), key=names.__getitem__), np.int64)
