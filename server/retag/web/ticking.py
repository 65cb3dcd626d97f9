"""A job that is done again and again: every so often, and at once when it is woken. A failure is logged."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from retag import errors

log = logging.getLogger("retag")


class Ticker:
    """`job` every `pause` seconds, never twice at a time."""

    def __init__(self, name: str, job: Callable[[], Awaitable[None]], pause: float) -> None:
        self.name, self.job, self.pause = name, job, pause
        self._bell = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """In the loop."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name=self.name)

    def wake(self) -> None:
        """Do it now."""
        self._bell.set()

    async def close(self) -> None:
        """Stop, in the middle of the job if need be."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            self._bell.clear()
            try:
                await self.job()
            except errors.Overloaded:
                pass  # the journal is full or closing: the next turn finds the same to do
            except Exception:
                log.exception("%s failed; it is tried again", self.name)
            # Not wait_for, which in CPython 3.11 may lose a cancellation (python/cpython#86296).
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.pause):
                    await self._bell.wait()
