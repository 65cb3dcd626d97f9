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

PENDING = 2_000_000
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
    """Collects events; `activity(now)` is the table."""

    def __init__(self) -> None:
        self._visitors: dict[bytes, int] = {}
        self._features: dict[str, int] = {}
        self._rows, self._sizes, self._cols = array("i"), array("i"), array("i")
        self._counts: Table = sparse.csr_matrix((0, 0), dtype=np.float32)
        self._first, self._last, self._days = array("q"), array("q"), array("i")

    def see(self, visitor: bytes, time: int, words: Iterable[str]) -> None:
        """One counted event. A visitor's active days are exact for events in order of time."""
        self.add(visitor, time, self.columns(words))

    def columns(self, words: Iterable[str]) -> array[int]:
        """The columns of these features, to be kept for when they come again."""
        features = self._features
        found = array("i")
        for word in words:
            if word in features or len(features) < MOST_FEATURES:
                found.append(features.setdefault(word, len(features)))
        return found

    def add(self, visitor: bytes, time: int, *columns: array[int]) -> None:
        """One counted event with its features as columns."""
        self._rows.append(self._row(visitor, time))
        before = len(self._cols)
        for some in columns:
            self._cols.extend(some)
        self._sizes.append(len(self._cols) - before)
        if before > PENDING:
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
            np.frombuffer(self._last, np.int64)[rows],
        )

    def know(self, visitor: bytes) -> int:
        """The visitor's row, though nothing of what they did be told."""
        row = self._visitors.setdefault(visitor, len(self._visitors))
        if row == len(self._first):
            self._first.append(ENDLESS)
            self._last.append(0)
            self._days.append(0)
        return row

    def _row(self, visitor: bytes, time: int) -> int:
        row = self.know(visitor)
        if time > self._last[row]:
            self._days[row] += time // DAY > self._last[row] // DAY
            self._last[row] = time
        self._first[row] = min(self._first[row], time)
        return row

    def _compress(self) -> None:
        """Pending pairs become counts."""
        rows = np.repeat(np.frombuffer(self._rows, np.int32), np.frombuffer(self._sizes, np.int32))
        cols = np.frombuffer(self._cols, np.int32)
        shape = (len(self._visitors), len(self._features))
        ones = np.ones(len(rows), np.float32)
        self._counts.resize(shape)
        self._counts = self._counts + sparse.csr_matrix((ones, (rows, cols)), shape=shape)
        self._rows, self._sizes, self._cols = array("i"), array("i"), array("i")

    def _profile(self, now: int) -> NDArray[np.float32]:
        first, last = np.frombuffer(self._first, np.int64), np.frombuffer(self._last, np.int64)
        days = np.frombuffer(self._days, np.int32)
        columns = (np.maximum(now - last, 0) / DAY, np.maximum(last - first, 0) / DAY, days)
        return np.asarray(np.log1p(np.column_stack(columns)), np.float32)


def _order(names: list[Any]) -> NDArray[np.int64]:
    return np.array(sorted(range(len(names)), key=names.__getitem__), np.int64)
