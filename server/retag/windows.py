"""When a rule holds: `Window(opens, closes)`, UTC milliseconds, half open.

A window speaks of one instant and everything after it: what holds now, and until when if nothing more
happens. So intersections and unions are again one window, and one indexed comparison answers "who is in".
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter

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

Span = tuple[int, int]
"""A window as the fold reckons with it, some millions of times a minute: `(opens, closes)`."""
NOTHING: Span = (EVER, EVER)
_closing = itemgetter(1)


def window(span: Span) -> Window:
    """NEVER when the span is empty."""
    return Window(*span) if span[0] < span[1] else NEVER


def after(start: int, span: int) -> int:
    """The instant `span` ms after `start`; EVER when the span is endless."""
    return EVER if span >= EVER else start + span


def either(spans: Iterable[Span]) -> Span:
    """The unbroken stretch, during which at least one holds, that closes last; NOTHING for none of them."""
    latest = [span for span in spans if span[0] < span[1]]
    if len(latest) <= 1:
        return latest[0] if latest else NOTHING
    latest.sort(key=_closing, reverse=True)
    opens, closes = latest[0]
    for begins, ends in latest:
        if ends >= opens:
            opens = min(opens, begins)
    return opens, closes
