"""Kept: finished exports' bytes, served again for the same as_of for 24 h.

They are deleted within a second of an erasure or objection of somebody in them; the manifest stays.
"""

from __future__ import annotations

import asyncio
import pathlib
from typing import Any

from retag import errors
from retag.clock import time_ms
from retag.press.asking import check
from retag.press.job import Ended, Job
from retag.store import downloads, members
from retag.ticking import Ticker
from retag.web.press import Press, Run
from retag.web.shelf import Entry, Shelf

PAUSE_S = 0.5
AGING_MS = 60_000
"""How often the shelf is looked through for what is too old."""


class Kept(Shelf):
    """`press` fills the shelf, `readers` are under way.

    `least_free` bytes stay free on the disk: twice what the door needs, so that it has the rest for itself.
    """

    def __init__(self, folder: pathlib.Path, path: str, reader: Any, journal: Any, min_free_mb: int) -> None:
        super().__init__(folder)
        self.least_free = (2 * min_free_mb) << 20
        self.reader, self.journal, self.readers = reader, journal, 0
        self.press = Press(path, folder, self._finish)
        self._departures, self._aged = -1, 0
        self.ticker = Ticker("retag-kept", self._look, PAUSE_S)

    def start(self) -> None:
        self.tidy()
        self.ticker.start()

    async def close(self) -> None:
        await self.press.close()
        await self.ticker.close()

    async def note(self, job: Job, who: str) -> int:
        """Write down who takes an export, before its first byte goes out; the audit log's line."""
        now = time_ms()
        line: int = await self.journal.write(lambda cn: downloads.note(cn, job.manifest, who, now))
        return line

    async def admit(self, run: Run, who: str) -> None:
        """The same of one under way; what it comes to is filled in at its end."""
        assert run.job is not None  # noqa: S101
        line, job = await self.note(run.job, who), run.job
        run.audit.append(line)
        if job.manifest.sha256:  # it ended in between
            await self.journal.write(lambda cn: downloads.settle(cn, [line], job.manifest))

    async def _finish(self, run: Run, ended: Ended) -> str:
        """A finished export's manifest, and what its downloads came to; the words for what went wrong, if
        anything."""
        if run.job is None or ended.manifest is None:
            if self.bytes_of(run.name.partition(".")[0]) is None:  # forgotten while it was packed
                run.path.unlink(missing_ok=True)
            return ended.fault
        run.job.manifest = ended.manifest
        if not ended.fault:
            self.keep(Entry(run.job, time_ms(), ended.size))
            if not await self.whole(run.name):
                self.forget(run.name)
        await self.journal.write(lambda cn: downloads.settle(cn, run.audit, ended.manifest))
        return ended.fault

    async def _look(self) -> None:
        await self.sweep(time_ms())

    async def sweep(self, now: int) -> None:
        """Delete what held somebody who is gone and, now and then, what is too old; `now` in UTC ms.

        The folder is read in a thread: schedules leave many manifests in it.
        """
        departures = await members.departures(self.reader)
        if departures != self._departures:
            for name in await asyncio.to_thread(self.names) - self.press.runs.keys():
                if not await self.whole(name):
                    self.forget(name)
            self._departures = departures
        if not 0 <= now - self._aged < AGING_MS:
            await asyncio.to_thread(self.age, now)
            self._aged = now

    async def whole(self, name: str) -> bool:
        """Whether the bytes of an export are kept and nobody in them is gone."""
        entry = self.entry(name)
        if entry is None or self.bytes_of(name) is None:
            return False
        try:
            await check(self.reader, entry.job)
        except errors.Gone:
            return False
        return True
