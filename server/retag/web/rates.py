"""Rate limits at the door: token buckets by address block and by visitor, generous and bounded in memory.

A bucket that is full again is forgotten, so a flood of names holds a table's worth of memory and no more.
"""

from __future__ import annotations

from collections.abc import Hashable

import msgspec


class Rate(msgspec.Struct, frozen=True):
    """`burst` at once, refilled by `per_second`; `most` names are remembered."""

    burst: float
    per_second: float
    most: int = 50_000


BY_ADDRESS = Rate(burst=600, per_second=60)
"""Requests: an office or a mobile carrier's gateway browses well within it."""
BY_VISITOR = Rate(burst=300, per_second=10)
"""Events: nobody clicks ten times a second for long."""
BY_HOUR = Rate(burst=3_000, per_second=3_000 / 3_600)
"""Events of a visitor: no person does something every second for an hour."""

BY_WISH = Rate(burst=30, per_second=1)
"""Changes of a visitor's mind: one may mean that all they ever did is counted again."""


class Buckets:
    """Tokens by name. Times are UTC milliseconds; a clock that goes back refills nothing."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self._levels: dict[Hashable, tuple[float, int]] = {}

    def take(self, name: Hashable, cost: int, now: int) -> bool:
        """Whether `name` may have `cost` tokens now; if so they are spent."""
        level, seen = self._levels.pop(name, (self.rate.burst, now))
        level = min(self.rate.burst, level + max(now - seen, 0) * self.rate.per_second / 1000)
        enough = level >= cost
        self._levels[name] = (level - cost if enough else level, now)
        if len(self._levels) > self.rate.most:
            self._forget(now)
        return enough

    def _forget(self, now: int) -> None:
        """Drop what is full again; then, if need be, who has not been seen for longest."""
        whole = self.rate.burst / self.rate.per_second * 1000
        self._levels = {name: one for name, one in self._levels.items() if now - one[1] < whole}
        for name in list(self._levels)[: max(0, len(self._levels) - self.rate.most * 3 // 4)]:
            del self._levels[name]
