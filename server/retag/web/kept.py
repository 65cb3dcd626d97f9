"""Kept: finished exports' bytes, served again for the same as_of for 24 h.

They are deleted within a second of an erasure or objection of somebody in them; the manifest stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import pathlib
import re
import time
from typing import Any

import msgspec

from retag import errors
from retag.press.asking import check
from retag.press.codecs import CODECS
from retag.press.job import Ended, Job, Manifest
from retag.store import downloads, members
from retag.web.press import Press, Run
from retag.windows import DAY

__all__ = ["Entry", "Kept", "Manifest"]

log = logging.getLogger("retag")

EXPORT_ID = re.compile(r"[0-9a-f]{32}")
BYTES = (".data", *(f".{name}" for name in CODECS))
PAUSE = 0.5


class Entry(msgspec.Struct):
    """What is on disk beside the bytes: what was asked for, when it was done (UTC ms), how large it is."""

    job: Job
    made: int
    size: int

    @property
    def manifest(self) -> Manifest:
        return self.job.manifest


class Kept:
    """The folder `exports` beside the database; `press` fills it, `readers` are under way."""

    def __init__(self, folder: pathlib.Path, path: str, reader: Any, journal: Any) -> None:
        self.folder, self.reader, self.journal, self.readers = folder, reader, journal, 0
        self.press = Press(path, folder, self._finish)
        self._departures = -1
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        for path in self.folder.glob("*.part"):
            path.unlink(missing_ok=True)
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def close(self) -> None:
        await self.press.close()
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def entry(self, name: str) -> Entry | None:
        """What is known of an export, or None."""
        path = self.folder / f"{name}.json"
        if not EXPORT_ID.fullmatch(name) or not path.exists():
            return None
        try:
            return msgspec.json.decode(path.read_bytes(), type=Entry)
        except msgspec.DecodeError:  # an earlier version's
            return None

    def bytes_of(self, name: str, encoding: str = "data") -> pathlib.Path | None:
        """The file, or its compressed copy, when its bytes are still kept whole."""
        entry, path = self.entry(name), self.folder / f"{name}.{encoding}"
        if entry is None or not path.exists():
            return None
        return path if encoding != "data" or path.stat().st_size == entry.size else None

    async def _finish(self, run: Run, ended: Ended) -> str:
        """A finished export's manifest, and who downloaded it; the words for what went wrong, if anything."""
        now = time.time_ns() // 1_000_000
        if run.job is None or ended.manifest is None:
            return ended.fault
        run.job.manifest = ended.manifest
        if not ended.fault:
            self._keep(Entry(run.job, now, ended.size))
            if not await self.whole(run.name):
                self.forget(run.name)
        rows = [downloads.row(ended.manifest, who, now) for who in run.audit]
        await self.journal.write(lambda cn: downloads.note(cn, rows))
        return ended.fault

    def _keep(self, entry: Entry) -> None:
        unfinished = self.folder / f"{entry.manifest.export_id}.json.part"
        unfinished.write_bytes(msgspec.json.encode(entry))
        unfinished.replace(unfinished.with_suffix(""))

    def forget(self, name: str) -> None:
        """Its bytes; the manifest stays."""
        for suffix in BYTES:
            (self.folder / f"{name}{suffix}").unlink(missing_ok=True)

    async def _watch(self) -> None:
        while True:
            try:
                await self.sweep(time.time_ns() // 1_000_000)
            except Exception:
                log.exception("cannot look after kept exports")
            await asyncio.sleep(PAUSE)

    async def sweep(self, now: int) -> None:
        """Delete bytes older than a day, manifests older than 30, and what held somebody who is gone."""
        departures = await members.departures(self.reader)
        for path in self.folder.glob("*.*"):
            name, _, _ = path.name.partition(".")
            bereft = departures != self._departures and path.suffix == ".data" and name not in self.press.runs
            if _old(path, now):
                path.unlink(missing_ok=True)
            elif bereft and not await self.whole(name):
                self.forget(name)
        self._departures = departures

    async def whole(self, name: str) -> bool:
        """Whether nobody in a kept export is gone."""
        entry = self.entry(name)
        if entry is None:
            return False
        try:
            await check(self.reader, entry.job)
        except errors.Gone:
            return False
        return True


def _old(path: pathlib.Path, now: int) -> bool:
    try:
        age = now - path.stat().st_mtime_ns // 1_000_000
    except FileNotFoundError:
        return False
    return age > (members.KEPT_MS if path.suffix == ".json" else DAY)
