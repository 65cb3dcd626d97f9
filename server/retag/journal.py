"""The journal: group commit. What the loop hands over is on disk when it is told so.

What came in one turn of the event loop is handed to the writer together, and committed together.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from retag import errors
from retag.clock import time_ms
from retag.events import Event
from retag.pace import Waits
from retag.store.protocol import Folded, Store
from retag.writer import Done, Job, Submission, Writer, exit_now

T = TypeVar("T")

MOST_JOBS = 1000
LOOK_S = 0.01


class Journal:
    """The queue in front of the writer: bounded, and closed when the writer has failed."""

    def __init__(
        self,
        store: Store,
        *,
        limit: int = 20_000,
        on_folded: Callable[[Folded], None] | None = None,
        on_fatal: Callable[[BaseException], None] = exit_now,
        now: Callable[[], int] = time_ms,
        slice_ms: float = 5.0,
    ) -> None:
        self.store = store
        self.limit = limit
        self._writer = Writer(store, on_folded, on_fatal, now, slice_ms)
        self._turn: list[Submission] = []
        self._depth = 0
        self._closing = False

    def start(self) -> None:
        """Open the store and start the writer. Call it in the loop; raises store.sqlite.Unusable."""
        self._loop = asyncio.get_running_loop()
        self._writer.start()

    @property
    def failed(self) -> str | None:
        """Why nothing is accepted any more; None while all is well."""
        return self._writer.failed

    @property
    def stumble(self) -> tuple[float, str] | None:
        """When the latest batch could not be stored, on the monotonic clock, and why; None when it was."""
        return self._writer.stumble

    @property
    def waits(self) -> Waits:
        """From an event's coming to its commit, s: the oldest of each batch."""
        return self._writer.waits

    def append_nowait(self, events: Sequence[Event], apart: Sequence[Event], done: Done) -> None:
        """Queue events; `done(None)` follows on the loop when they are on disk, else `done(error)`.

        A full or failed journal calls `done(errors.Overloaded)` at once and stores nothing.
        """
        writer = self._writer
        if writer.failed or self._closing or self._depth - writer.taken >= self.limit:
            done(errors.Overloaded())
            return
        self._depth += len(events) + len(apart)
        if not self._turn:
            self._loop.call_soon(self._hand_over)
        self._turn.append(Submission(events, apart, done, time.monotonic()))

    def _hand_over(self) -> None:
        """Give the writer what this turn of the loop has brought.

        Handed over one by one, events would be committed one by one: a fast disk is done with each before the
        next has been read.
        """
        turn, self._turn = self._turn, []
        self._writer.queue.extend(turn)
        self._writer.ring()

    async def append(self, events: Sequence[Event], apart: Sequence[Event] = ()) -> None:
        """Return when the events are on disk. Raises Overloaded, or Poison for a row the store refuses."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(error: BaseException | None) -> None:
            if not waiter.done():
                waiter.set_exception(error) if error else waiter.set_result(None)

        self.append_nowait(events, apart, done)
        await waiter

    async def write(self, job: Callable[[Any], T], durable: bool = True) -> T:
        """Run `job(connection)` on the writer, in one transaction, and return its result.

        It holds the door up while it runs: keep it to a few milliseconds. Without `durable`, power loss may
        take it back (a crash of the process never does): for what can be done again.
        """
        if self.failed or self._closing or len(self._writer.jobs) >= MOST_JOBS:
            raise errors.Overloaded
        waiter: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def done(result: Any, error: BaseException | None) -> None:
            if not waiter.done():
                waiter.set_exception(error) if error else waiter.set_result(result)

        self._writer.jobs.append(Job(job, done, durable))
        self._writer.ring()
        return await waiter

    async def settled(self, seconds: float) -> None:
        """Return when `on_folded` has heard of all that was acknowledged by now, or after `seconds`."""
        asked, folds = time.monotonic(), None
        while time.monotonic() < asked + seconds:
            waiting, since = self.store.waiting()
            if folds is None and (not waiting or since > asked):
                folds = self._writer.folds
            if folds is not None and self._writer.told >= folds:
                return
            await asyncio.sleep(LOOK_S)

    def lag(self) -> tuple[int, int, int]:
        """`(age of the oldest uncommitted event ms, of the oldest unfolded ms, events queued)`."""
        oldest = self._writer.oldest()
        uncommitted = 0 if oldest is None else int((time.monotonic() - oldest) * 1000)
        waiting, since = self.store.waiting()
        unfolded = int((time.monotonic() - since) * 1000) if waiting else 0
        return uncommitted, unfolded, self._depth - self._writer.taken

    async def close(self) -> None:
        """Refuse more, finish what is queued, fold, and close the store."""
        self._hand_over()
        self._closing = True
        await self._writer.close()
