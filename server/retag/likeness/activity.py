"""Activity: what visitors did, gathered event by event into one sparse table of counts.

Rows are visitors in the order of their ids and columns are features in the order of their names, so that the
same events in any order give the same table. Pending events become counts every million, so that memory
follows what visitors did and not how often.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from retag.likeness.features import country

Table = Any
"""A scipy CSR matrix of counts, (visitors, features)."""

PENDING = 1_000_000
MOST_FEATURES = 400_000
MOST_COUNTED = 65_535
"""Times that a visitor did a thing, in one part: two bytes."""
MOST_CONTEXTS = 100_000
DAY = 86_400_000
ENDLESS = 1 << 62


class Activity(msgspec.Struct, frozen=True):
    """`counts` (n, m) and, per visitor, `profile` (n, p): recency, tenure and frequency on a log scale.
    `order` is each visitor's number in the gathering."""

    order: NDArray[np.int64]
    visitors: list[bytes]
    features: list[str]
    counts: Parts
    profile: NDArray[np.float32]
    last: NDArray[np.int64]


class Part(msgspec.Struct, frozen=True):
    """How often visitors did the things that are bundles, `happened` (visitors, bundles), and what these are,
    `bundled` (bundles, features)."""

    happened: Table
    bundled: Table


class Parts:
    """A table of counts (n, m) that was gathered in parts. The rows asked for are put together then, for the
    whole is several times as large. Row i is row `rows[i]` of the parts, column `places[j]` is their j."""

    def __init__(self, parts: list[Part], rows: NDArray[np.int64], places: NDArray[np.int32]) -> None:
        self.shape = len(rows), len(places)
        self._parts, self._rows, self._places = parts, rows, places

    def active(self) -> NDArray[np.bool_]:
        """Which rows have any feature."""
        found = np.zeros(self.shape[0], bool)
        for part in self._parts:
            telling = part.bundled.getnnz(axis=1) > 0
            found |= np.asarray(part.happened @ telling.astype(np.int32)) > 0
        return found[self._rows]

    def __getitem__(self, key: slice | NDArray[Any]) -> Table:
        """These rows, as a scipy CSR matrix of float32."""
        rows = self._rows[key]
        taken = [part.happened[rows].astype(np.float32) @ part.bundled for part in self._parts]
        at = [np.repeat(np.arange(len(rows), dtype=np.int32), np.diff(one.indptr)) for one in taken]
        places = _joined(at, np.int32), self._places[_joined([one.indices for one in taken], np.int32)]
        counts = _joined([one.data for one in taken], np.float32)
        return sparse.csr_matrix((counts, places), shape=(len(rows), self.shape[1]))


class Numbers(dict[Any, int]):
    """A number for whatever is asked for, in the order of asking."""

    def __missing__(self, key: Any) -> int:
        number = self[key] = len(self)
        return number


class Gathering:
    """Collects events; `activity(now)` is the table.

    An event is a visitor, a time and two bundles of features, what was done and where from: a few numbers,
    which become counts a million events at a time.
    """

    def __init__(self) -> None:
        self._visitors, self._features = Numbers(), Numbers()
        self._parts: list[Part] = []
        self._first, self._last = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._days = np.zeros(0, np.int32)
        self._pending: list[tuple[NDArray[Any], ...]] = []
        self._start()

    def __len__(self) -> int:
        """Visitors so far."""
        return len(self._visitors)

    def _start(self) -> None:
        self._ends, self._cols = array("q", [0, 0]), array("i")
        self._happened: list[Table] = []

    def see(self, visitor: bytes, time: int, words: Iterable[str]) -> None:
        """One counted event. A visitor's active days are exact for events in order of time."""
        self.take([visitor], [time], [self.bundle(words)], [0])

    def bundle(self, words: Iterable[str]) -> int:
        """The number of these features together, good until `forget`; 0 is none."""
        features = self._features
        self._cols.extend(
            features[word] for word in words if word in features or len(features) < MOST_FEATURES
        )
        self._ends.append(len(self._cols))
        return len(self._ends) - 2

    def forget(self) -> None:
        """The bundles so far come no more."""
        self._compress()
        ends, cols = np.array(self._ends, np.int64), np.array(self._cols, np.int32)
        shape = len(ends) - 1, len(self._features)
        bundled = sparse.csr_matrix((np.ones(len(cols), np.float32), cols, ends), shape=shape)
        for happened in self._happened:
            happened.resize(happened.shape[0], shape[0])
            self._parts.append(Part(happened, bundled))
        self._start()

    def take(
        self,
        visitors: Sequence[bytes],
        times: Sequence[int],
        acts: Sequence[int],
        contexts: Sequence[int],
        silent: Sequence[int] = (),
    ) -> NDArray[np.int32]:
        """Counted events with their bundles; the number of each one's visitor. The events at the places
        `silent` tell that there is such a visitor, and nothing more."""
        rows = np.fromiter(map(self._visitors.__getitem__, visitors), np.int32, len(visitors))
        said = rows, np.array(times, np.int64), np.array(acts, np.int32), np.array(contexts, np.int32)
        self._pending.append(tuple(np.delete(one, silent) for one in said) if silent else said)
        if sum(len(one[0]) for one in self._pending) >= PENDING:
            self._compress()
        return rows

    def activity(self, now: int) -> Activity:
        """The table as of `now` (UTC ms). It takes what was gathered with it: gather anew for another."""
        self.forget()
        visitors, features = list(self._visitors), list(self._features)
        self._visitors, self._features = Numbers(), Numbers()
        rows, cols = _order(visitors), _order(features)
        for part in self._parts:
            part.happened.resize(len(visitors), part.happened.shape[1])
            part.bundled.resize(part.bundled.shape[0], len(features))
        return Activity(
            rows,
            [visitors[i] for i in rows],
            [features[i] for i in cols],
            Parts(self._parts, rows, np.argsort(cols).astype(np.int32)),
            self._profile(now)[rows],
            self._last[rows],
        )

    def _compress(self) -> None:
        """Pending events become counts."""
        columns = zip(*self._pending, strict=True) if self._pending else [[]] * 4
        rows, times, acts, contexts = (_joined(list(one), None) for one in columns)
        self._pending.clear()
        self._date(rows.astype(np.int64), times.astype(np.int64))
        if not len(rows):
            return
        places = np.tile(rows, 2), np.concatenate([acts, contexts])
        shape = len(self._visitors), len(self._ends) - 1
        counts = sparse.csr_matrix((np.ones(2 * len(rows), np.int32), places), shape=shape)
        counts.data = np.minimum(counts.data, MOST_COUNTED).astype(np.uint16)
        self._happened.append(counts)

    def _date(self, rows: NDArray[np.int64], times: NDArray[np.int64]) -> None:
        """When the visitors of pending events were there first and last, and on how many days."""
        more = len(self._visitors) - len(self._last)
        self._first = np.concatenate([self._first, np.full(more, ENDLESS)])
        self._last = np.concatenate([self._last, np.zeros(more, np.int64)])
        self._days = np.concatenate([self._days, np.zeros(more, np.int32)])
        visits = np.unique(rows << 32 | times // DAY)
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


class Whereabouts:
    """In which country visitors were seen last, as far as it is known, and whether that is `wanted`."""

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted
        self._latest = np.zeros(0, np.int64)
        """Of each visitor the latest time, doubled, and one more if it was in the country; 0 is not known."""
        self._here = lru_cache(MOST_CONTEXTS)(self._read)

    def see(self, rows: NDArray[np.int32], times: Sequence[int], contexts: Sequence[bytes]) -> None:
        """Events of the visitors with these numbers."""
        here = np.fromiter(map(self._here, contexts), np.int8, len(rows))
        known = here >= 0
        more = max(0, int(rows.max(initial=-1)) + 1 - len(self._latest))
        self._latest = np.concatenate([self._latest, np.zeros(more, np.int64)])
        np.maximum.at(self._latest, rows[known], 2 * np.array(times, np.int64)[known] + here[known])

    def _read(self, context: bytes) -> int:
        found = country(context)
        return int(found == self.wanted) if found else -1

    @property
    def located(self) -> int | None:
        """Visitors whose country is known; None when it does not matter."""
        return int((self._latest > 0).sum()) if self.wanted else None

    def inside(self, order: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Who of the visitors with these numbers is in the country; all, if any will do."""
        return self._latest[order] % 2 == 1 if self.wanted else np.ones(len(order), bool)


def _order(names: list[Any]) -> NDArray[np.int64]:
    return np.array(sorted(range(len(names)), key=names.__getitem__), np.int64)


def _joined(arrays: list[Any], kind: Any) -> NDArray[Any]:
    return np.concatenate(arrays).astype(kind or arrays[0].dtype, copy=False) if arrays else np.zeros(0, kind)
