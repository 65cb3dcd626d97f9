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

ALWAYS = Window(-EVER, EVER)


def after(start: int, span: int) -> int:
    """The instant `span` ms after `start`; EVER when the span is endless."""
    return EVER if span >= EVER else start + span


def both(windows: Iterable[Window]) -> Window:
    """While all of them hold; ALWAYS for none of them."""
    opens, closes = -EVER, EVER
    for window in windows:
        opens, closes = max(opens, window.opens), min(closes, window.closes)
    return Window(opens, closes) if opens < closes else NEVER


def either(windows: Iterable[Window]) -> Window:
    """The unbroken stretch, during which at least one holds, that closes last; NEVER for none of them."""
    latest = sorted((w for w in windows if not w.empty), key=lambda w: w.closes, reverse=True)
    if not latest:
        return NEVER
    opens, closes = latest[0].opens, latest[0].closes
    for window in latest:
        if window.closes >= opens:
            opens = min(opens, window.opens)
    return Window(opens, closes)
