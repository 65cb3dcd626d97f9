"""Packing: a compressed copy of a file that may still be growing, in constant memory.

The copy is kept as its original is, so a compressed download can be resumed as well.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import BinaryIO

from retag import errors
from retag.press.codecs import CODECS
from retag.press.flow import AHEAD, Flow
from retag.press.job import Pack
from retag.press.printing import Guarded, Told

CHUNK = 1 << 18


async def into(order: Pack, path: Path, source: BinaryIO, growing: Flow, flow: Flow, told: Told) -> int:
    """Compress `source`, as far as `growing` says that it is there, into the file at `path`, which appears
    when it is whole; how many bytes it has. errors.Overloaded when the original is never whole, or the disk
    is short."""
    part = path.with_suffix(path.suffix + ".part")
    try:
        with part.open("wb", buffering=0) as file:
            guarded = Guarded(file, path.parent, order.least_free)
            size = await _compress(source, growing, order.encoding, guarded, flow, told)
        part.replace(path)
        return size
    finally:
        part.unlink(missing_ok=True)


async def _compress(
    source: BinaryIO, growing: Flow, encoding: str, file: Guarded, flow: Flow, told: Told
) -> int:
    stream, taken, size = CODECS[encoding].open(), 0, 0
    while True:
        await growing.beyond(taken)
        await flow.room(size)
        part = await asyncio.to_thread(source.read, min(CHUNK, growing.size - taken))
        if not part:
            break
        taken += len(part)
        growing.allow(taken + AHEAD)
        size += file.write(await asyncio.to_thread(stream.compress, part))
        told(size)
    if growing.fault:
        raise errors.Overloaded(growing.fault)
    return size + file.write(stream.flush())
