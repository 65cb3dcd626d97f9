"""Printing: one export's bytes into a file, page by page, no further ahead of its readers than it may."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from retag import errors
from retag.clock import time_ms
from retag.formats import Row, Shown
from retag.press.flow import Flow
from retag.press.job import Job
from retag.press.pages import pages
from retag.store import members

SHORT = "The disk is short: free some space, then take the export again."
Told = Callable[[int], None]
"""Called with the size of the file after each page."""


class Output:
    """What has been made of an export: its hash, its count, its bytes."""

    def __init__(self, job: Job, file: Any) -> None:
        self.about, self.format, self.file = job.manifest, job.format(), file
        self.hash, self.size = hashlib.sha256(), 0

    def begin(self) -> None:
        self._put(self.format.head(self.about.fields))

    def page(self, rows: list[Row], known: Shown) -> None:
        part, count = self.format.page(rows, self.about.fields, known)
        self.about.rows += count
        self.about.missing += len(rows) - count
        self._put(part)

    def end(self) -> None:
        """The end, and what the manifest says of it."""
        self._put(self.format.end())
        self.about.sha256 = self.hash.hexdigest()
        known = {"as_of": self.about.as_of, "rows": self.about.rows, "sha256": self.about.sha256}
        last = self.format.trailer(known)
        self.file.write(last)
        self.size += len(last)

    def _put(self, part: bytes) -> None:
        self.hash.update(part)
        self.file.write(part)
        self.size += len(part)


async def write(reader: Any, job: Job, file: Any, flow: Flow, told: Told) -> int:
    """Everything, into `file`, and how many bytes that is; the last of them are not told, so that nobody has
    them before the manifest is kept. errors.Overloaded when the disk is short of `job.least_free`."""
    output = Output(job, file)
    output.begin()
    told(output.size)
    async for rows, known in pages(reader, job):
        await flow.room(output.size)
        output.page(rows, known)
        told(output.size)
    output.end()
    return output.size


async def into(reader: Any, job: Job, path: Path, flow: Flow, told: Told) -> int:
    """The same into the file at `path`, which appears when it is whole; until then it is `path`.part."""
    part = path.with_suffix(path.suffix + ".part")
    try:
        with part.open("wb", buffering=0) as file:
            size = await write(reader, job, Guarded(file, path.parent, job.least_free), flow, told)
        _check_age(job, time_ms())
        part.replace(path)
        return size
    finally:
        part.unlink(missing_ok=True)


def _check_age(job: Job, now: int) -> None:
    """Gone when what was printed may have become too old meanwhile, so that somebody is not in it."""
    if job.manifest.span is None:
        members.check_age(job.until, now)
    if job.since is not None:
        members.check_age(job.since, now, "since")


class Guarded:
    """A file that is written no further when its disk is short: the door's events come first."""

    def __init__(self, file: BinaryIO, folder: Path, least_free: int) -> None:
        self.file, self.folder, self.least_free = file, folder, least_free

    def write(self, part: bytes) -> int:
        if self.least_free and shutil.disk_usage(self.folder).free - len(part) < self.least_free:
            raise errors.Overloaded(SHORT, 60)
        view = memoryview(part)
        while view:
            view = view[self.file.write(view) :]
        return len(part)
