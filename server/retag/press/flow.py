"""Flow: how far a file has grown, and how far it may. Whoever waits for either is woken by every change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

AHEAD = 1 << 20
"""Bytes that a file may be ahead of its quickest reader: what is not printed yet can still leave somebody out
who objects."""
EVER = 1 << 62


class Flow:
    """`size` bytes are there, `allowed` may be; `over` at the end, with a `fault` when it is a bad one."""

    def __init__(self, allowed: int = AHEAD) -> None:
        self.size, self.allowed = 0, allowed
        self.over, self.fault = False, ""
        self._changed = asyncio.Event()

    def grow(self, size: int) -> None:
        self.size = size
        self._changed.set()

    def allow(self, size: int) -> None:
        self.allowed = max(self.allowed, size)
        self._changed.set()

    def end(self, fault: str = "") -> None:
        self.over, self.fault = True, fault
        self._changed.set()

    async def room(self, size: int) -> None:
        """Wait until a file of `size` bytes may grow."""
        await self._until(lambda: size <= self.allowed)

    async def beyond(self, size: int) -> None:
        """Wait until there are more than `size` bytes, or the end."""
        await self._until(lambda: self.over or self.size > size)

    async def _until(self, true: Callable[[], bool]) -> None:
        while not true():
            self._changed.clear()
            await self._changed.wait()
