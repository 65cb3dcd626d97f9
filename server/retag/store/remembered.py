"""Remembered: what rules remember of a visitor, in one row, as msgpack `[{build: mark}, {trace: time}]`.

A mark is `[last, memories, opens, closes]`, the last two left out when there is no window. A trace is when
the visitor last did what by itself lets nobody in (rules.Rule.traced): a purchase is noted once, however many
rules exclude buyers, and a visitor of whom a rule knows nothing else has no mark of it. What is not asked for
is not read: it goes from the old row to the new one as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from retag.rules import Memory, Rule
from retag.store.membership import Mark
from retag.windows import EVER

Place = tuple[bytes, int]
"""`(visitor, part)`: a row has the builds of one part, so that it does not grow with the number of rules."""
PART = 32

Traced = Mapping[int, int]
"""The trace of each clause of a rule that has one, by the clause's place."""
NO_TRACES: dict[int, int] = {}

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode  # not as floats: a time stays whole
_read = msgspec.msgpack.Decoder(tuple[dict[int, msgspec.Raw], dict[int, int]]).decode


class Row(msgspec.Struct, gc=False):
    """`marks` by build: msgspec.Raw as stored, or a Mark once it was asked for; `traces`: UTC ms by trace."""

    marks: dict[int, Any]
    traces: dict[int, int]
    dirty: bool = False

    @property
    def empty(self) -> bool:
        return not (self.marks or self.traces)


def read(stored: bytes) -> Row:
    """A row as it was stored."""
    return Row(*_read(stored))


def stored(row: Row) -> bytes:
    """The row again; its marks are packed (`pack`)."""
    return _encode((row.marks, row.traces))


def pack(mark: Mark, traced: Traced, traces: dict[int, int]) -> Any:
    """One mark, to be stored with the others of its row; None where it says nothing that the traces do not.

    What the row's traces have not heard yet is added to them.
    """
    memories: list[Memory] = mark.memories or []
    if traced and memories:
        memories = memories.copy()
        for place, trace in traced.items():
            if memory := memories[place]:
                traces[trace] = max(int(memory[0][0]), traces.get(trace, -EVER))
                memories[place] = []
    if mark.opens < mark.closes:
        return mark.last, memories, mark.opens, mark.closes
    return (mark.last, memories) if any(memories) else None


def unpack(kept: Any, rule: Rule, traced: Traced, traces: Mapping[int, int]) -> Mark:
    """The mark again, with what the traces say; its window is also the one before. A new one for None."""
    last, memories, opens, closes = 0, rule.nothing(), EVER, EVER
    if kept is not None:
        last, remembered, *window = _decode(kept)
        memories, (opens, closes) = remembered or memories, window or (EVER, EVER)
    was = opens, closes, last
    if traces:
        for place, trace in traced.items():
            time = traces.get(trace)
            if time is not None and not (memories[place] and memories[place][0][0] >= time):
                memories[place] = [[time, 0]]
                if time > last and place not in rule.none:
                    last = time
    return Mark(opens, closes, last, memories, was)


class Gathering:
    """An SQL aggregate, `gathered(build, opens, closes, last, memory)`: one place's marks, for schema 7."""

    def __init__(self) -> None:
        self._found: dict[int, Any] = {}

    def step(self, build: int, opens: int, closes: int, last: int, memory: bytes) -> None:
        mark = Mark(opens, closes, last, _decode(memory))
        self._found[build] = pack(mark, NO_TRACES, {}) or (last, mark.memories)

    def finalize(self) -> bytes:
        return _encode(self._found)
