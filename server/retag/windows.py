"""When a rule holds: `Window(opens, closes)`, UTC milliseconds, half open."""

from __future__ import annotations

import msgspec

EVER = 1 << 62
"""A window that closes at EVER never closes by itself."""

DAY = 86_400_000


class Window(msgspec.Struct, frozen=True, gc=False, order=True):
    """A visitor is a member at t while `opens <= t < closes`."""

    opens: int
    closes: int

    def holds(self, at: int) -> bool:
        return self.opens <= at < self.closes


NEVER = Window(EVER, EVER)
