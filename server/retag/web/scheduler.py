"""The scheduler: prints what is due, has it delivered, and writes down how that went.

Whatever stops a run, kill -9 included, it is taken up again at the next start, once, at the same as_of.
"""

from __future__ import annotations

import asyncio
import logging
import random
from pathlib import Path
from typing import Any

import msgspec

from retag import errors
from retag.clock import time_ms
from retag.courier.places import Undeliverable
from retag.courier.worker import Errand, Parcel
from retag.formats import FORMATS
from retag.press.asking import OPS, Asked, ending, members_job, title
from retag.press.codecs import CODECS
from retag.press.job import Job
from retag.store import schedules
from retag.store.schedules import Run, Schedule
from retag.ticking import Turns
from retag.web import courier
from retag.web.kept import Kept

log = logging.getLogger("retag.exports")
PAUSE_S = 1.0
AT_ONCE = 2
"""Scheduled exports under way at a time; the press has room for those of people besides."""
ROOM_S = 1.0
FINAL = (errors.Invalid, errors.NotFound, errors.NotAcceptable, Undeliverable)
"""What another attempt would not change."""
FILLING = "The audience is still being filled: there is nothing to deliver yet."


class Scheduler(Turns):
    """Uses state's `settings`, `reader`, `journal`, `kept`, `outbox` and `tally`. A turn is a schedule's; to
    drop one breaks its run off."""

    def __init__(self, state: Any) -> None:
        super().__init__("retag-scheduler", self._due, self._take, AT_ONCE, PAUSE_S)
        self.state = state

    async def _due(self) -> list[tuple[int, Schedule]]:
        if self.state.tally.failing is None:
            await self._count()
        found = map(schedules.decode, await self.state.reader.all(schedules.DUE, (time_ms(),)))
        return [(schedule.id, schedule) for schedule in found]

    async def _count(self) -> None:
        self.state.tally.failing = (await self.state.reader.one(schedules.FAILING))[0]

    async def _take(self, schedule: Schedule) -> None:
        """One attempt, whatever becomes of it."""
        await self._attempt(schedule)
        await self._count()

    async def _attempt(self, schedule: Schedule) -> None:
        write, now = self.state.journal.write, time_ms()
        run = await write(lambda cn: schedules.begin(cn, schedule, now))
        try:
            run, files = await self._delivered(schedule, run)
        except Exception as error:
            status = await self._failed(schedule, run, error)
        else:
            await write(lambda cn: schedules.finish(cn, schedule, run, files, time_ms()))
            status = schedules.DELIVERED
        self.state.tally.runs[status] += 1
        self.state.outbox.wake()

    async def _failed(self, schedule: Schedule, run: Run, error: Exception) -> str:
        if not isinstance(error, errors.RetagError):
            log.error("scheduled export %d", schedule.id, exc_info=error)
        known = isinstance(error, errors.RetagError)
        words = str(error) if known else f"{type(error).__name__}; the server's log says where."
        log.warning("scheduled export %d, attempt %d: %s", schedule.id, run.attempts, words)
        now, chance = time_ms(), random.random()  # noqa: S311 (spreads retries, guards nothing)
        status: str = await self.state.journal.write(
            lambda cn: schedules.fail(cn, schedule, run, words, now, chance, isinstance(error, FINAL))
        )
        return status

    async def _delivered(self, schedule: Schedule, run: Run) -> tuple[Run, list[dict[str, Any]]]:
        """The run as it was in the end, and the manifests of its files."""
        sql = "SELECT name FROM audience WHERE id = ? AND account = ? AND removed IS NULL"
        row = await self.state.reader.one(sql, (schedule.audience, schedule.account))
        if row is None:
            raise errors.NotFound("The audience was removed: delete this schedule.")
        run, jobs = await self._jobs(schedule, run)
        parcels = [await self._parcel(schedule, run, job, row[0]) for job in jobs]
        allowed, mark = courier.allowed(self.state.settings), str(schedule.id)
        files = await courier.send(Errand(schedule.destination, allowed, mark, parcels))
        for job in jobs:
            self.state.kept.forget(job.manifest.export_id)
        return run, files

    async def _jobs(self, schedule: Schedule, run: Run) -> tuple[Run, list[Job]]:
        """What to print. When somebody has gone who would be in it: as things stand now; when that cannot be
        told as a change: all of it."""
        for since in (run.since, None):
            try:
                return run, await self._asked(schedule, run)
            except errors.Gone:
                gone, now = run, time_ms()
                run = await self.state.journal.write(
                    lambda cn, gone=gone, since=since, now=now: schedules.renew(cn, gone, since, now)
                )
        return run, await self._asked(schedule, run)

    async def _asked(self, schedule: Schedule, run: Run) -> list[Job]:
        given = {name: value for name, value in schedule.asked.items() if name != "compress"}
        asked = Asked(**given, as_of=run.as_of, since=run.since or "")
        halves = [""]
        if run.since:
            columns = FORMATS[asked.format].columns
            halves = [""] if columns else list(OPS)
        reader, found = self.state.reader, []
        for op in halves:
            wanted = msgspec.structs.replace(asked, op=op)
            found.append(await members_job(reader, schedule.account, schedule.audience, wanted, time_ms()))
        if found[0].build is None:
            raise errors.Overloaded(FILLING)
        return found

    async def _parcel(self, schedule: Schedule, run: Run, job: Job, audience: str) -> Parcel:
        """One file, printed, and how it is to be called."""
        compress = schedule.asked.get("compress") or ""
        codec = CODECS[compress] if compress else None
        if codec:
            codec.open()  # says so when its library is not there
        job.least_free = self.state.kept.least_free
        path = await self._printed(schedule, job, codec.name if codec else "")
        packed = f".{codec.suffix}" if codec else ""
        name = schedule.file or f"{title(job, audience)}-{run.id}.{ending(job)}{packed}"
        entry = self.state.kept.entry(job.manifest.export_id)
        about = msgspec.to_builtins(entry.manifest) | {"schedule_id": str(schedule.id)}
        return Parcel(str(path), name, about)

    async def _printed(self, schedule: Schedule, job: Job, encoding: str) -> Path:
        """The export's file, whole; Gone when somebody in it went meanwhile."""
        kept: Kept = self.state.kept
        name = job.manifest.export_id
        if kept.bytes_of(name) is None:
            run = await self._begun(job)
            with run.reading():
                await kept.admit(run, f"schedule {schedule.id}")
                await run.finished()
        if encoding and kept.bytes_of(name, encoding) is None:
            await (await kept.press.pack(name, encoding, None, job.least_free)).finished()
        path = kept.bytes_of(name, encoding or "data")
        if path is None:
            raise errors.Overloaded("Somebody in the export was erased or opted out meanwhile.")
        return path

    async def _begun(self, job: Job) -> Any:
        """Under way, as soon as the press has room."""
        while True:
            try:
                return await self.state.kept.press.begin(job)
            except errors.RateLimited:
                await asyncio.sleep(ROOM_S)
