"""Kept: finished exports' bytes, served again for the same as_of for 24 h.

They are deleted within a second of an erasure or objection of somebody in them; the manifest stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pathlib
import re
import time
from typing import Any

import msgspec

from retag import errors
from retag.store import members
from retag.windows import DAY

log = logging.getLogger("retag")

EXPORT_ID = re.compile(r"[0-9a-f]{32}")
AT_ONCE = 4
"""Exports under way at a time."""
PAUSE = 0.5


class Manifest(msgspec.Struct):
    """An export; the hash covers every byte before an NDJSON trailer, and all of another file.

    `rows` are the members in the file, `missing` those who lack the identifier that the format needs.
    """

    export_id: str
    ad_account_id: str
    audience_id: str
    format: str
    as_of: str
    since: str | None
    fields: list[str]
    rows: int
    sha256: str
    missing: int = 0
    op: str | None = None


class Entry(msgspec.Struct):
    """What is on disk beside the bytes."""

    manifest: Manifest
    build: int | None
    made: int


class Kept:
    """The folder `exports` beside the database; `running` counts exports under way."""

    def __init__(self, folder: pathlib.Path, reader: Any) -> None:
        self.folder, self.reader, self.running = folder, reader, 0
        self._graves = -1
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def close(self) -> None:
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def entry(self, name: str) -> Entry | None:
        """What is known of an export, or None."""
        path = self.folder / f"{name}.json"
        if not EXPORT_ID.fullmatch(name) or not path.exists():
            return None
        return msgspec.json.decode(path.read_bytes(), type=Entry)

    def bytes_of(self, name: str) -> pathlib.Path | None:
        """The file, when its bytes are still kept."""
        path = self.folder / f"{name}.data"
        return path if path.exists() else None

    def part(self) -> pathlib.Path:
        """Where an export under way is written."""
        self.folder.mkdir(exist_ok=True)
        return self.folder / f"{os.urandom(16).hex()}.part"

    def keep(self, part: pathlib.Path, entry: Entry) -> None:
        """A finished export; the bytes first, so that a manifest never promises what is not there."""
        name = entry.manifest.export_id
        part.replace(self.folder / f"{name}.data")
        unfinished = part.with_suffix(".manifest")
        unfinished.write_bytes(msgspec.json.encode(entry))
        unfinished.replace(self.folder / f"{name}.json")

    async def _watch(self) -> None:
        while True:
            try:
                await self.sweep(time.time_ns() // 1_000_000)
            except Exception:
                log.exception("cannot look after kept exports")
            await asyncio.sleep(PAUSE)

    async def sweep(self, now: int) -> None:
        """Delete bytes older than a day, manifests older than 30, and what held somebody who is gone."""
        row = await self.reader.one("SELECT value FROM progress WHERE name = 'graves'")
        graves = row[0] if row else 0
        for path in self.folder.glob("*.*"):
            bereft = graves != self._graves and path.suffix == ".data"
            if _old(path, now) or (bereft and not await self.whole(path.stem)):
                path.unlink(missing_ok=True)
        self._graves = graves

    async def whole(self, name: str) -> bool:
        """Whether nobody in a kept export is gone."""
        entry = self.entry(name)
        if entry is None:
            return False
        try:
            if entry.build is not None:
                as_of = entry.manifest.as_of
                await members.check_whole(self.reader, entry.build, members.read(as_of))
        except errors.Gone:
            return False
        return True


def _old(path: pathlib.Path, now: int) -> bool:
    try:
        age = now - path.stat().st_mtime_ns // 1_000_000
    except FileNotFoundError:
        return False
    return age > (members.KEPT_MS if path.suffix == ".json" else DAY)
