"""Pace: when to fold, and how much at a time.

Small slices keep the door's answers quick, larger ones cost less an event: they write a page once for more
events, and at every call into SQLite the door's thread and the writer's hand the interpreter's lock to and
fro. So up to two thousand events are drafted together, between whose steps the door's events are committed
(retag.draft), and written in portions, during which they wait: that is what is measured here. At a busy door
99 in 100 events were committed within 14 to 17 ms with portions of 8 ms, and within 12 with 5. So: fold when
a thousand wait or the oldest has waited a tenth of a second; a portion is as many as are written in some
milliseconds, by what an event has cost lately; more when the wait grows.
"""

from __future__ import annotations

import time
from bisect import bisect_left

HANDFUL = 1024
WAIT_S = 0.1
LATE_S = 0.4
IDLE_S = 1.0
LATE, QUIET = 2, 5
"""How much larger portions may be then."""
QUIET_S = 0.25
LEAST, MOST = 64, 20_000


BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


class Waits:
    """How many waits ended within each of BOUNDS_S, and beyond; `total` in seconds."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.total = 0.0

    def note(self, seconds: float) -> None:
        """One wait."""
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.total += seconds


class Pace:
    """Kept by the writer thread. `since`: when the oldest unfolded event was committed, monotonic seconds."""

    def __init__(self, slice_ms: float) -> None:
        self._slice = slice_ms / 1000
        self._cost = 40e-6

    def due(self, waiting: int, since: float, closing: bool) -> bool:
        """Whether to fold now."""
        return waiting > 0 and (closing or waiting >= HANDFUL or time.monotonic() - since >= WAIT_S)

    def nap(self, waiting: int, since: float) -> float:
        """How long the writer may sleep if nothing wakes it."""
        return max(0.001, since + WAIT_S - time.monotonic()) if waiting else IDLE_S

    def most(self, since: float, quiet: bool) -> int:
        """Events of a portion; more when the oldest is late, or nobody is at the door."""
        late = time.monotonic() - since > LATE_S
        return max(
            LEAST, min(MOST, int(self._slice * (QUIET if quiet else LATE if late else 1) / self._cost))
        )

    def folded(self, events: int, seconds: float) -> None:
        """Learn from what was written."""
        if events >= LEAST:
            self._cost += 0.2 * (max(seconds / events, 1e-6) - self._cost)
