"""The writer: one thread with the only read-write connection. It commits, folds, and runs write jobs.

A batch is whatever has arrived since the last commit. Nobody is told "stored" before the transaction that
holds their events is on disk. Between batches the same thread folds, and runs one job (an API write, a slice
of upkeep): appends first, then what is due, a few milliseconds at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from retag import errors
from retag.events import Event
from retag.pace import QUIET_S, Waits
from retag.slices import Slices
from retag.store.protocol import Folded, Store

Done = Callable[[BaseException | None], None]
log = logging.getLogger("retag.journal")

MOST_IN_BATCH = 4096
BACK_OFF_S = 0.25
CLOSE_S = 5.0
"""Folding goes on for so long at the end; what is left is folded at the next start."""
EXIT_CODE = 74
"""EX_IOERR: the supervisor starts the process again, and SQLite recovers from what is on disk."""


def exit_now(error: BaseException) -> None:
    """After a failed write or fsync the kernel's cache can no longer be trusted, so no clean-up either."""
    log.critical("the disk failed (%s): exiting, to recover from what is on it", error)
    os._exit(EXIT_CODE)


class Submission(msgspec.Struct, gc=False):
    """Events of one request, that stand or fall together; `done(error)` is called once on the loop."""

    events: Sequence[Event]
    apart: Sequence[Event]
    done: Done
    at: float
    error: BaseException | None = None


class Job(msgspec.Struct):
    """A write job; `done(result, error)` is called once on the loop."""

    run: Callable[[Any], Any]
    done: Callable[[Any, BaseException | None], None]
    durable: bool


class Writer:
    """The loop adds to `queue` and `jobs` and rings; all else is the thread's.

    `taken` counts the events of batches that are over, `folds` the slices folded, `told` those of them of
    which `on_folded` has heard on the loop.
    """

    def __init__(
        self,
        store: Store,
        on_folded: Callable[[Folded], None] | None,
        on_fatal: Callable[[BaseException], None],
        now: Callable[[], int],
        slice_ms: float,
    ) -> None:
        self.store = store
        self.queue: deque[Submission] = deque()
        self.jobs: deque[Job] = deque()
        self.waits = Waits()
        self.stumble: tuple[float, str] | None = None
        self.taken = self.folds = self.told = 0
        self._in_hand: float | None = None
        self._failed: str | None = None
        self._on_folded = on_folded
        self._on_fatal = on_fatal
        self._slices = Slices(store, now, slice_ms, self._commit_between)
        self._bell = threading.Event()
        self._asleep = False
        self._closing = False
        self._heard = self._fair = 0.0
        self._last_fold = float("inf")
        self._thread = threading.Thread(target=self._run, name="retag-writer", daemon=True)

    # From the loop.

    def start(self) -> None:
        """Open the store and begin. Call it in the loop; raises store.sqlite.Unusable."""
        self._loop = asyncio.get_running_loop()
        self.store.open()
        self._thread.start()

    def ring(self) -> None:
        """There is something to do."""
        if self._asleep:
            self._bell.set()

    @property
    def failed(self) -> str | None:
        """Why nothing is accepted any more; None while all is well."""
        return self._failed or (f"the file is damaged: {self.store.unsound}" if self.store.unsound else None)

    def oldest(self) -> float | None:
        """When the oldest event came that is not committed, on the monotonic clock."""
        found = self._in_hand
        if found is None:
            with contextlib.suppress(IndexError):
                found = self.queue[0].at
        return found

    async def close(self) -> None:
        """Finish what is queued, fold, and close the store."""
        self._closing = True
        self._last_fold = time.monotonic() + CLOSE_S
        self._bell.set()
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join)

    # On its thread.

    def _run(self) -> None:
        while True:
            busy = self._commit_waiting()
            busy |= self._fold_due()
            busy |= self._run_job()
            if not busy and self._closing and not self.queue and not self.jobs:  # nothing comes any more
                break
            # Who has waited for a slice to be written does not wait for a checkpoint as well.
            self._guard(self.store.checkpoint, not busy, self._commit_waiting)
            if not busy:
                self._sleep()
        self._guard(self.store.close)

    def _sleep(self) -> None:
        self._asleep = True
        if not self.queue and not self.jobs and not self._closing:
            self._bell.wait(self._slices.nap())
        self._asleep = False
        self._bell.clear()

    def _commit_waiting(self) -> bool:
        batch, size = [], 0
        while self.queue and size < MOST_IN_BATCH:
            one = self.queue.popleft()
            batch.append(one)
            size += len(one.events) + len(one.apart)
        if not batch:
            return False
        self._heard = time.monotonic()
        self._in_hand = batch[0].at
        if self.failed:
            for one in batch:
                one.error = errors.Overloaded()
        else:
            self._commit(batch)
        self._in_hand = None
        self._fair = 2 * time.monotonic() - self._heard
        self.taken += size
        self._tell(self._settle, batch)
        return True

    def _commit_between(self) -> None:
        """Between the steps of a draft, which goes on for at least as long as the last commit took: with one
        at each step on a disk that takes its time, the fold would fall ever further behind."""
        if time.monotonic() >= self._fair:
            self._commit_waiting()

    def _commit(self, batch: list[Submission]) -> None:
        events = [event for one in batch for event in one.events]
        apart = [event for one in batch for event in one.apart]
        try:
            self.store.append(events, apart)
            self.stumble = None
            self.waits.note(time.monotonic() - batch[0].at)
        except Exception as error:
            if not self.store.is_poison(error):
                self._refuse(batch, error)
            elif len(batch) == 1:
                log.error("a row was refused: %s", type(error).__name__)
                batch[0].error = errors.Poison("The event holds a value that cannot be stored.")
            else:
                half = len(batch) // 2
                self._commit(batch[:half])
                self._commit(batch[half:])

    def _refuse(self, batch: list[Submission], error: BaseException) -> None:
        log.error("a batch of %d was not stored: %s", len(batch), error)
        self.stumble = time.monotonic(), str(error)
        for one in batch:
            one.error = errors.Overloaded()
        self._check_fatal(error)

    def _check_fatal(self, error: BaseException) -> None:
        if self.store.is_fatal(error):
            self._failed = f"the disk failed: {error}"
            self._on_fatal(error)

    @staticmethod
    def _settle(batch: list[Submission]) -> None:
        for one in batch:
            try:
                one.done(one.error)
            except Exception:
                log.exception("an answer was not given")

    def _fold_due(self) -> bool:
        if self.failed or not self._slices.due(self._closing) or time.monotonic() > self._last_fold:
            return False
        self.folds += 1
        try:
            folded = self._slices.fold(quiet=time.monotonic() - self._heard > QUIET_S)
        except Exception as error:
            self.folds -= 1
            return self._fold_failed(error)
        self._tell(self._tell_folded, folded)
        return True

    def _tell_folded(self, folded: Folded) -> None:
        self.told += 1
        if self._on_folded is not None:
            self._on_folded(folded)

    def _fold_failed(self, error: BaseException) -> bool:
        """Go on event by event, unless the disk failed; a full disk is tried again after a while."""
        self._check_fatal(error)
        if self.failed or self._closing:
            return False
        log.error("a slice was not folded: %r", error)
        if not self.queue and not self.store.is_poison(error):
            self._bell.wait(BACK_OFF_S)
        return True

    def _run_job(self) -> bool:
        if not self.jobs:
            return False
        job = self.jobs.popleft()
        result: Any = None
        error: BaseException | None = None
        try:
            if self.failed:
                raise errors.Overloaded
            result = self.store.write(job.run, job.durable)
        except Exception as caught:
            error = caught
            self._check_fatal(caught)
        self._tell(job.done, result, error)
        return True

    def _guard(self, step: Callable[..., None], *given: object) -> None:
        try:
            step(*given)
        except Exception as error:
            log.exception("upkeep of the file failed")
            self._check_fatal(error)

    def _tell(self, callback: Callable[..., object], *args: object) -> None:
        # The loop is closed only when the process gives up on a clean end.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *args)
