"""What a clause remembers of one visitor, and until when it holds on that.

A memory is a list of `[time, value]` pairs, newest first; `[]` is nothing. Whatever can never matter again
is dropped: all but the newest for a plain clause, all beyond the k newest for `min_count` k, all beyond the
shortest run that reaches `min_value`, and all that lie a whole retention before the newest. Which pairs
remain depends on the set of pairs alone, so neither order nor repetition of merging changes the memory.
"""

from __future__ import annotations

import msgspec

from retag.windows import EVER, NOTHING, Span, after

Memory = list[list[float]]
"""`[[time: int ms, value: float], …]`, newest first."""

LONGEST = 1000
"""A run of `min_value` longer than this joins its oldest two pairs, at the older time."""


class Recall(msgspec.Struct, frozen=True, gc=False):
    """How much is remembered: `count` matches, and values summing to `total`, within `retention` ms."""

    retention: int
    count: int = 1
    total: float | None = None

    @property
    def plain(self) -> bool:
        return self.count == 1 and self.total is None

    def add(self, memory: Memory, time: int, value: float) -> Memory:
        """The memory with one more match. Unchanged (the same list) when the match adds nothing."""
        worth = 0 if self.total is None else value
        if not memory:
            return [[time, worth]]
        if self.total is None and memory[0][0] < time:
            if self.count == 1:
                return [[time, 0]]
            served = time - self.retention
            return [[time, 0], *[pair for pair in memory[: self.count - 1] if pair[0] > served]]
        return memory if self.plain else self.merge(memory, [[time, worth]])

    def merge(self, one: Memory, other: Memory) -> Memory:
        """The memory of both histories; the same list as `one` when `other` adds nothing."""
        merged = self._trim(sorted(one + other, key=_newest_first))
        return one if merged == one else merged

    def span(self, memory: Memory) -> Span:
        """From the newest match until the first instant at which too few of them are left."""
        if len(memory) < self.count:
            return NOTHING
        if self.total is None:
            return self._until(memory, memory[self.count - 1])
        found, total = 0, 0.0
        for pair in memory:
            found, total = found + 1, total + pair[1]
            if self._enough(found, total):
                return self._until(memory, pair)
        return NOTHING

    def _until(self, memory: Memory, needed: list[float]) -> Span:
        opens, closes = int(memory[0][0]), after(int(needed[0]), self.retention)
        return (opens, closes) if opens < closes else NOTHING

    def _enough(self, found: int, total: float) -> bool:
        # Sums of money in floats: 0.7 + 0.1 must reach 0.8.
        return found >= self.count and (self.total is None or round(total, 6) >= self.total)

    def _trim(self, newest_first: Memory) -> Memory:
        kept: Memory = []
        total = 0.0
        for pair in newest_first:
            if after(int(pair[0]), self.retention) <= newest_first[0][0] or self._enough(len(kept), total):
                break
            if len(kept) < self.count or pair[1] > 0:
                kept.append(pair)
                total += pair[1]
        while len(kept) > LONGEST:
            older = kept.pop()
            kept[-1] = [older[0], kept[-1][1] + older[1]]
        return kept


class Standing(msgspec.Struct, frozen=True, gc=False):
    """Membership that others decide (customer lists, act-alikes): `[[since, 0]]` while it lasts."""

    retention: int = EVER
    plain: bool = False

    def add(self, memory: Memory, time: int, value: float) -> Memory:
        return memory or [[time, 0]]

    def merge(self, one: Memory, other: Memory) -> Memory:
        return one if not other or (one and one[0][0] <= other[0][0]) else other

    def span(self, memory: Memory) -> Span:
        return (int(memory[0][0]), EVER) if memory else NOTHING


def _newest_first(pair: list[float]) -> tuple[float, float]:
    return -pair[0], -pair[1]
