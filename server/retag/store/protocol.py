"""Store: the narrow seam between the journal and an engine. Append in bulk, fold in bulk, never row by row.

Every method runs on the journal's one writer thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from retag.events import Event
from retag.store.census import Census

T = TypeVar("T")


class Folded(msgspec.Struct, frozen=True):
    """One slice of folding: `events` taken, settled `counts` by standing (duplicate, quarantined, …)."""

    events: int
    counts: dict[str, int]
    step: int
    waiting: int
    """Events appended and not yet folded."""


class Store(Protocol):
    """One engine. `unsound` says what a check of the file found, None while nothing has been; `census` knows
    the sizes of audiences, for any thread that asks."""

    unsound: str | None
    census: Census

    def open(self) -> None:
        """Open, check and migrate. Raises store.sqlite.Unusable with one line."""

    def append(self, events: Sequence[Event], apart: Sequence[Event]) -> None:
        """One durable transaction: on return all are on disk, on an exception none is."""

    def waiting(self) -> tuple[int, float]:
        """`(events not yet folded, since when on the monotonic clock in s, 0 when none)`."""

    def draft(self, now: int, most: int, portion: int) -> Iterator[None]:
        """Read and reckon for the next fold, of which some `portion` events are written at a time. Between
        two steps events may be appended, and nothing else done: else the fold does it again."""

    def portions(self) -> Iterator[None]:
        """Write what was drafted, a transaction at a time, all but the last portion. Between two of them
        events may be appended, and nothing else done."""

    def fold(self, now: int, most: int, bare: bool = False) -> Folded:
        """Fold what is left of what was drafted, or up to `most` events, in one transaction, the watermark
        with them; `bare` leaves rules aside. What was broken off is gone on with, and so is what power loss
        takes back."""

    def write(self, job: Callable[[Any], T], durable: bool = True) -> T:
        """Run `job` in one transaction; rolled back when it raises."""

    def checkpoint(self, idle: bool, first: Callable[[], object]) -> None:
        """Move the write-ahead log into the file when that is due; `first` is called before, and may append
        events: it takes as long as some slices."""

    def is_poison(self, error: BaseException) -> bool:
        """Whether the error is one row's own fault."""

    def is_fatal(self, error: BaseException) -> bool:
        """Whether the disk can no longer be trusted: the process must exit and recover from disk."""

    def close(self) -> None:
        """Fold nothing more; leave an empty WAL."""
