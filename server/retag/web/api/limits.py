"""How much one key, one link, or one address that shows no valid key or link may ask in a minute.

Fixed windows of a minute, counted in memory; the tables are bounded, so that a flood of names costs nothing.
Those of `ads_…` are Pinterest's, as measured (`ads_conversions`) or as third parties report them.
"""

from __future__ import annotations

import math

import msgspec

from retag import errors

MINUTE = 60_000
PER_MINUTE = {"ads_read": 1_000, "ads_write": 400, "ads_conversions": 120_000, "link": 60, "failures": 10}
BOUND = 10_000


class Allowance(msgspec.Struct, frozen=True):
    """What is left of a window: `reset` is in seconds, rounded up."""

    category: str
    limit: int
    remaining: int
    reset: int

    def headers(self) -> dict[str, str]:
        """The three headers of every answer, in Pinterest's form."""
        return {
            "x-ratelimit-limit": f'{self.limit}, {self.limit};w=60;name="{self.category}"',
            "x-ratelimit-remaining": str(max(self.remaining, 0)),
            "x-ratelimit-reset": str(self.reset),
        }


class Limits:
    """Counts of the current minute for each (category, who)."""

    def __init__(self, per_minute: dict[str, int] | None = None) -> None:
        self.per_minute = PER_MINUTE | (per_minute or {})
        self._minute = 0
        self._spent: dict[tuple[str, str], int] = {}

    def look(self, category: str, who: str, now: int) -> Allowance:
        """The allowance as it is, nothing spent. `now` in UTC milliseconds."""
        self._turn(now)
        limit = self.per_minute[category]
        reset = math.ceil(((self._minute + 1) * MINUTE - now) / 1000)
        return Allowance(category, limit, limit - self._spent.get((category, who), 0), reset)

    def spend(self, category: str, who: str, now: int) -> Allowance:
        """Count one; the allowance after it, whose `remaining` is negative when it was one too many."""
        self._turn(now)
        if (category, who) in self._spent or len(self._spent) < BOUND:
            self._spent[category, who] = self._spent.get((category, who), 0) + 1
        return self.look(category, who, now)

    def _turn(self, now: int) -> None:
        if now // MINUTE != self._minute:
            self._minute = now // MINUTE
            self._spent.clear()


def check(allowance: Allowance) -> Allowance:
    """Raise RateLimited when more was spent than there was."""
    if allowance.remaining < 0:
        raise errors.RateLimited(allowance.reset)
    return allowance
