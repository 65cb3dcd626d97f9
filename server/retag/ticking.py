"""Jobs that are done again and again: every so often, and at once when woken. A failure is logged."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

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


class Turns(Ticker):
    """What is `due` is done, `at_once` at a time, each `(number, what)` by `work(what)` and never twice at a
    time. Whatever stops it, it is due again until `work` has written down that it is done."""

    def __init__(
        self,
        name: str,
        due: Callable[[], Awaitable[Iterable[tuple[int, Any]]]],
        work: Callable[[Any], Awaitable[None]],
        at_once: int,
        pause: float,
    ) -> None:
        super().__init__(name, self._look, pause)
        self.due, self.work, self.at_once = due, work, at_once
        self._under_way: dict[int, asyncio.Task[None]] = {}

    async def close(self) -> None:
        """Stop, with what is under way."""
        await super().close()
        for number in list(self._under_way):
            await self.drop(number)

    async def drop(self, number: int) -> None:
        """Break one off."""
        task = self._under_way.get(number)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _look(self) -> None:
        for number, what in await self.due():
            if number not in self._under_way and len(self._under_way) < self.at_once:
                task = asyncio.get_running_loop().create_task(self._try(what))
                self._under_way[number] = task
                task.add_done_callback(partial(self._done, number))

    def _done(self, number: int, _: asyncio.Task[None]) -> None:
        del self._under_way[number]
        self.wake()

    async def _try(self, what: Any) -> None:
        try:
            await self.work(what)
        except errors.Overloaded:
            await asyncio.sleep(self.pause)  # how it went could not be written down
        except Exception:
            log.exception("%s failed; it is tried again", self.name)
            await asyncio.sleep(self.pause)
