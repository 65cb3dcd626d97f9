"""The press as the server sees it: one process, started at once, and again when it is needed and gone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from retag import errors
from retag.press import printing
from retag.press.flow import AHEAD, EVER, Flow
from retag.press.job import Allow, Ended, Job, Order, Pack, Report, Start
from retag.store import members

log = logging.getLogger("retag")
AT_ONCE = 8
"""Exports under way at a time; those whose reader is slow wait, and cost nothing meanwhile."""
BUSY_S = 10
STEP = AHEAD >> 2
STOPPED = "The export was broken off: take it again."
decode = msgspec.json.Decoder(Report).decode


class Run:
    """One file under way: its flow, and who reads it. `audit` are the log's lines on who asked for it."""

    def __init__(self, press: Press, name: str, path: Path, job: Job | None) -> None:
        self.press, self.name, self.path, self.job = press, name, path, job
        self.flow, self.readers, self._told = Flow(), 0, AHEAD
        self.audit: list[int] = []

    @property
    def part(self) -> Path:
        """The file while it is not whole."""
        return self.path.with_suffix(self.path.suffix + ".part")

    def open(self) -> BinaryIO:
        """The file, wherever it is by now."""
        with contextlib.suppress(FileNotFoundError):
            return self.part.open("rb")
        try:
            return self.path.open("rb")
        except FileNotFoundError:  # deleted meanwhile
            raise errors.Gone(members.GONE) from None

    def reached(self, size: int) -> None:
        """A reader has so many bytes: more may be printed."""
        if size + AHEAD >= self._told + STEP:
            self._told = size + AHEAD
            self.press.send(Allow(self.name, self._told))

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """While somebody reads it, or is about to."""
        self.readers += 1
        try:
            yield
        finally:
            self.leave()

    def leave(self) -> None:
        """A reader has gone. Without any the file is finished all the same, for whoever comes back for it."""
        self.readers -= 1
        if not self.readers:
            self.reached(EVER)

    async def finished(self) -> None:
        """Without reading it: until it is whole. errors.Overloaded when it never will be."""
        with self.reading():
            self.reached(EVER)
            while not self.flow.over:
                await self.flow.beyond(self.flow.size)
        if self.flow.fault:
            raise errors.Overloaded(self.flow.fault)


class Press:
    """`finish(run, ended)` is awaited before a file's readers hear that it is whole."""

    def __init__(self, path: str, folder: Path, finish: Callable[[Run, Ended], Awaitable[str]]) -> None:
        self.path, self.folder, self.finish = path, folder, finish
        self.runs: dict[str, Run] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Have the process there before somebody waits for it."""
        async with self._starting:
            if self._listening is not None and not self._listening.done():
                return
            self.folder.mkdir(mode=0o700, exist_ok=True)
            command = (sys.executable, "-m", "retag.press", self.path, str(self.folder))
            pipe = asyncio.subprocess.PIPE
            self._process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
            self._listening = asyncio.create_task(self._listen(self._process))

    async def close(self) -> None:
        """End the process; what is unfinished is left."""
        if self._process is None or self._process.stdin is None or self._listening is None:
            return
        self._process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._listening
        with contextlib.suppress(ConnectionError):
            await self._process.stdin.wait_closed()

    async def begin(self, job: Job, most: int | None = None) -> Run:
        """The run of an export, which may be under way already; errors.RateLimited when too many are:
        `most`, if that is less than AT_ONCE."""
        if shutil.disk_usage(self.folder.parent).free < job.least_free:
            raise errors.Overloaded(printing.SHORT, 60)
        await self.start()
        name = job.manifest.export_id
        known = self.runs.get(name)
        if known is None and most is not None and self.printing >= most:
            raise errors.RateLimited(BUSY_S)
        return known or self._begin(Start(name, job), self.folder / f"{name}.data", job)

    @property
    def printing(self) -> int:
        """Exports under way, without compressed copies."""
        return sum(one.job is not None for one in self.runs.values())

    async def pack(self, source: str, encoding: str, running: Run | None, least_free: int) -> Run:
        """The run of a compressed copy; it reads the original if that is under way."""
        await self.start()
        name = f"{source}.{encoding}"
        run = self.runs.get(name)
        if run is None:
            run = self._begin(Pack(name, source, encoding, least_free), self.folder / name, None)
            if running is not None:
                running.readers += 1
        return run

    def _begin(self, order: Start | Pack, path: Path, job: Job | None) -> Run:
        if sum(isinstance(order, Start) == (one.job is not None) for one in self.runs.values()) >= AT_ONCE:
            raise errors.RateLimited(BUSY_S)
        run = self.runs[order.name] = Run(self, order.name, path, job)
        self.send(order)
        return run

    def send(self, order: Order) -> None:
        """Nothing happens when the process is gone: its runs hear of that by themselves."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(ConnectionError, RuntimeError):
                self._process.stdin.write(msgspec.json.encode(order) + b"\n")

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # noqa: S101
        while line := await process.stdout.readline():
            report = decode(line)
            run = self.runs.get(report.name)
            if run is None:
                continue
            if isinstance(report, Ended):
                await self._ended(run, report)
            else:
                run.flow.grow(report.size)
        while self.runs:  # whoever asks meanwhile has to hear it too
            run = next(iter(self.runs.values()))
            about = run.job.manifest if run.job else None
            run.part.unlink(missing_ok=True)
            await self._ended(run, Ended(run.name, run.flow.size, about, STOPPED))

    async def _ended(self, run: Run, report: Ended) -> None:
        fault = report.fault
        try:
            fault = await self.finish(run, report)
        except Exception:
            log.exception("a finished export cannot be kept")
            fault = fault or STOPPED
        original = self.runs.get(run.name.partition(".")[0])
        if run.job is None and original is not None:
            original.leave()
        self.runs.pop(run.name, None)
        run.flow.grow(report.size)
        run.flow.end(fault)
