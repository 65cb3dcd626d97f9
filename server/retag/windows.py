"""When a rule holds: `Window(opens, closes)`, UTC milliseconds, half open.

A window speaks of one instant and everything after it: what holds now, and until when if nothing more
happens. So intersections and unions are again one window, and one indexed comparison answers "who is in".
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

EVER = 1 << 62
"""A window that closes at EVER never closes by itself."""

DAY = 86_400_000
MINUTE = 60_000


class Window(msgspec.Struct, frozen=True, gc=False, order=True):
    """A visitor is a member at t while `opens <= t < closes`."""

    opens: int
    closes: int

    def holds(self, at: int) -> bool:
        return self.opens <= at < self.closes

    @property
    def empty(self) -> bool:
        return self.opens >= self.closes


NEVER = Window(EVER, EVER)


def after(start: int, span: int) -> int:
    """The instant `span` ms after `start`; EVER when the span is endless."""
    return EVER if span >= EVER else start + span


def either(windows: Iterable[Window]) -> Window:
    """The unbroken stretch, during which at least one holds, that closes last; NEVER for none of them."""
    latest = [w for w in windows if w.opens < w.closes]
    if len(latest) <= 1:
        return latest[0] if latest else NEVER
    latest.sort(key=lambda w: w.closes, reverse=True)
    opens, closes = latest[0].opens, latest[0].closes
    for window in latest:
        if window.closes >= opens:
            opens = min(opens, window.opens)
    return Window(opens, closes)
