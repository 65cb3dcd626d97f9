"""Remembered: a visitor's marks in one row, as bytes: msgpack `{build: [last, memories, opens, closes]}`.

The last two are left out when there is no window. What is not asked for is not read: it goes from the old row
to the new one as it is.
"""

from __future__ import annotations

from typing import Any

import msgspec

from retag.rules import Memory
from retag.store.membership import Mark
from retag.windows import EVER

Packed = Any
"""A mark: msgspec.Raw as it was stored, or a tuple as it is now."""
Remembered = dict[int, Packed]
"""By build."""
Place = tuple[bytes, int]
"""`(visitor, part)`: a row has the builds of one part, so that it does not grow with the number of rules."""
PART = 32

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder().decode  # not as floats: a time stays whole
read = msgspec.msgpack.Decoder(dict[int, msgspec.Raw]).decode


def packed(last: int, memories: list[Memory] | None, opens: int, closes: int) -> Packed:
    """One mark, to be encoded with the others of its row."""
    if opens < closes:
        return last, memories or (), opens, closes
    return last, memories or ()


def unpack(kept: Packed) -> Mark:
    """The mark again; its window is also the one before."""
    found = decode(kept) if isinstance(kept, msgspec.Raw) else kept
    last, memories, opens, closes = found if len(found) == 4 else (*found, EVER, EVER)
    return Mark(opens, closes, last, memories or None, (opens, closes, last))


class Gathering:
    """An SQL aggregate, `gathered(build, opens, closes, last, memory)`: the rows of one place become one."""

    def __init__(self) -> None:
        self._found: Remembered = {}

    def step(self, build: int, opens: int, closes: int, last: int, memory: bytes) -> None:
        self._found[build] = packed(last, decode(memory), opens, closes)

    def finalize(self) -> bytes:
        return encode(self._found)
