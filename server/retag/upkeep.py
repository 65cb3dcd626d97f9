"""Upkeep: what the river needs besides flowing: backfill, retention, erasure, a file that does not grow.

Everything runs on the journal's writer, in slices of a few milliseconds between the door's batches.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from retag.clock import time_ms
from retag.journal import Journal
from retag.store import builds, hooks, purging, schedules
from retag.store.erasing import erase, opt_in, opt_out, share, withhold
from retag.ticking import Ticker
from retag.windows import DAY

__all__ = ["Upkeep", "erase", "opt_in", "opt_out", "share", "withhold"]

T = TypeVar("T")
log = logging.getLogger("retag.upkeep")
SLICE_S = 0.004
REST_S = 0.001
"""Between slices the door has the writer, and the loop."""
LOOK_S = 0.2
"""How often to look for new builds."""
SWEEP_S = 1.0
JUMP = 7 * DAY
"""A clock that leaps further than this between two sweeps purges nothing until it has held for an hour."""


class Upkeep(Ticker):
    """From after the journal's start until before its end. `days` keeps raw events so long, `bot_days` those
    of bots."""

    def __init__(
        self,
        journal: Journal,
        *,
        days: int = 540,
        bot_days: int = 30,
        now: Callable[[], int] = time_ms,
    ) -> None:
        super().__init__("retag-upkeep", self._turn, LOOK_S)
        self.journal = journal
        self._days = days
        self._bot_days = bot_days
        self._now = now
        self._swept = 0.0
        self._trusted = time.monotonic()
        self._last = 0
        self._ids = 0
        self._lapsed: tuple[int, bytes] | None = (0, b"")
        self._forgotten: purging.Filed | None = None

    async def _turn(self) -> None:
        await self.fill()
        if time.monotonic() - self._swept >= SWEEP_S:
            self._swept = time.monotonic()
            await self.count()
            await self.sweep()

    async def fill(self) -> None:
        """Backfill every unfinished build, then let it answer."""
        for build in await self._write(builds.unfinished):
            await self._while_more(partial(self._fill, build))
            for place in await self._write(partial(builds.list_places, build_id=build)):
                page = builds.Page(build, place)
                await self._while_more(partial(self._fill_list, page))
            await self._write(partial(self._finish, build))

    def _fill(self, build: int, cn: sqlite3.Connection) -> bool:
        return not builds.backfill(cn, build, SLICE_S, self._now())

    def _fill_list(self, page: builds.Page, cn: sqlite3.Connection) -> bool:
        return builds.fill_list(cn, page, self._now())

    def _finish(self, build: int, cn: sqlite3.Connection) -> None:
        builds.finish(cn, build, self._now())

    async def count(self) -> None:
        """See to it that every audience's size is known."""
        census = self.journal.store.census
        for build in await self._write(lambda cn: census.begin(cn, self._now())):
            await self._while_more(partial(census.learn, build=build))

    async def sweep(self) -> None:
        """Purge what is due, slice by slice."""
        now = self._now()
        if not self._steady(now):
            return
        await self._while_more(lambda cn: purging.events(cn, now - self._days * DAY))
        await self._while_more(lambda cn: purging.events(cn, now - self._bot_days * DAY, "bot_log"))
        await self._while_more(lambda cn: purging.transitions(cn, now))
        await self._while_more(lambda cn: purging.retired(cn, now))
        await self._while_more(lambda cn: hooks.purge(cn, now))
        await self._while_more(lambda cn: schedules.purge(cn, now))
        self._ids = await self._write(lambda cn: purging.ids(cn, self._ids, now))
        after, behind = self._lapsed or (0, b""), self._forgotten or (b"", 0)
        self._lapsed = await self._write(lambda cn: purging.lapsed(cn, after, now))
        self._forgotten = await self._write(lambda cn: purging.forgotten(cn, behind, now))
        await self._while_more(purging.shrink)

    def _steady(self, now: int) -> bool:
        """Whether the clock can be trusted to delete by."""
        if self._last and not self._last - DAY <= now <= self._last + JUMP:
            log.warning("the clock leapt by %d ms; nothing is purged for an hour", now - self._last)
            self._trusted = time.monotonic() + 3600
        self._last = now
        return time.monotonic() >= self._trusted

    async def _while_more(self, job: Callable[[sqlite3.Connection], bool]) -> None:
        while await self._write(job):  # noqa: ASYNC110 (a rest between slices, not a poll)
            await asyncio.sleep(REST_S)

    async def _write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        return await self.journal.write(job, durable=False)
