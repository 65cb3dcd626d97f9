"""Tail: the end of the log that is not folded yet, kept in memory so that the fold need not read it back."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence

from retag.events import Event
from retag.store import log

MOST = 50_000
"""Events kept; those behind them are read from the log."""


class Tail:
    """The writer's: `next` is the place of the next event, `folded` the watermark. Any thread may ask
    `waiting`."""

    def __init__(self, next_: int = 1, folded: int = 0) -> None:
        self.next, self.folded = next_, folded
        self._entries: deque[log.Entry] = deque()
        self._since: deque[tuple[int, float]] = deque()
        """The last place of each commit, and when it was."""
        if next_ - 1 > folded:
            self._since.append((next_ - 1, time.monotonic()))

    def add(self, events: Sequence[Event]) -> None:
        """They are in the log now, from place `next` on."""
        if not events:
            return
        last = self._entries[-1][0] if self._entries else self.folded
        if last == self.next - 1 and len(self._entries) < MOST:
            self._entries.extend(enumerate(events, self.next))
        self.next += len(events)
        self._since.append((self.next - 1, time.monotonic()))

    def waiting(self) -> tuple[int, float]:
        """`(places not yet folded, since when on the monotonic clock, 0 when none)`."""
        try:
            return self.next - 1 - self.folded, self._since[0][1]
        except IndexError:
            return 0, 0.0

    def first(self, most: int) -> list[log.Entry]:
        """The oldest of them, as far as they are kept."""
        if not self._entries or self._entries[0][0] != self.folded + 1:
            return []
        return [self._entries[i] for i in range(min(most, len(self._entries)))]

    def fold(self, upto: int) -> None:
        """Everything up to this place is folded."""
        self.folded = upto
        while self._entries and self._entries[0][0] <= upto:
            self._entries.popleft()
        while self._since and self._since[0][0] <= upto:
            self._since.popleft()
