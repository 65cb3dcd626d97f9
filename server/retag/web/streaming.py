"""Streaming: one export's bytes, page by page, to the reader and to the file that is kept."""

from __future__ import annotations

import asyncio
import hashlib
import pathlib
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from typing import Any, BinaryIO

import msgspec

from retag import errors
from retag.formats import Format, Row
from retag.store import members
from retag.store.members import AsOf
from retag.web.kept import Entry, Kept, Manifest

BATCH = 2_000


class Job(msgspec.Struct):
    """One export under way."""

    manifest: Manifest
    format: Format
    build: int | None
    until: AsOf
    since: AsOf | None
    since_build: int | None
    who: str = ""


class Output:
    """What has been made of an export: its hash, its count, its file."""

    def __init__(self, job: Job, file: BinaryIO) -> None:
        self.job, self.file, self.hash = job, file, hashlib.sha256()

    def put(self, part: bytes) -> bytes:
        self.hash.update(part)
        self.file.write(part)
        return part

    def page(self, rows: list[Row], shown: Any) -> bytes:
        """One page's bytes; in a thread, for it takes milliseconds."""
        about = self.job.manifest
        lines = self.job.format.rows(rows, about.fields, shown)
        about.rows += len(lines)
        about.missing += len(rows) - len(lines)
        return self.put("".join(lines).encode())

    def trailer(self) -> bytes:
        about = self.job.manifest
        about.sha256 = self.hash.hexdigest()
        known = {"as_of": about.as_of, "rows": about.rows, "sha256": about.sha256}
        last = self.job.format.trailer(known)
        self.file.write(last)
        return last


async def body(state: Any, job: Job) -> AsyncGenerator[bytes, None]:
    """Every byte; without its end when the server stops, or the file cannot be written."""
    kept: Kept = state.kept
    kept.running += 1
    part = kept.part()
    try:
        with part.open("wb") as file:
            output = Output(job, file)
            yield output.put(job.format.head(job.manifest.fields))
            async for rows in _pages(state.reader, job):
                if getattr(state, "stopping", False):
                    raise errors.Overloaded("The server stops: take the export again.")
                shown = await _shown(state.reader, job, rows)
                yield await asyncio.to_thread(output.page, rows, shown)
            last = output.trailer()
        await _finish(kept, job, part)
        await note(state, job.manifest, job.who)
        yield last
    finally:
        kept.running -= 1
        part.unlink(missing_ok=True)


async def note(state: Any, about: Manifest, who: str) -> None:
    """The audit log's line, on disk before the last byte goes out."""
    sql = (
        "INSERT INTO download (account, at, who, export, audience, format, as_of, rows, sha256)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
    )
    export = (about.export_id, int(about.audience_id), about.format, about.as_of, about.rows, about.sha256)
    row = (int(about.ad_account_id), time.time_ns() // 1_000_000, who, *export)
    await state.journal.write(lambda cn: cn.execute(sql, row).rowcount)


async def _finish(kept: Kept, job: Job, part: pathlib.Path) -> None:
    entry = Entry(job.manifest, job.build, time.time_ns() // 1_000_000)
    kept.keep(part, entry)
    if not await kept.whole(job.manifest.export_id):
        with suppress(FileNotFoundError):
            (kept.folder / f"{job.manifest.export_id}.data").unlink()


async def _shown(reader: Any, job: Job, rows: list[Row]) -> Any:
    """The identifiers that the format needs."""
    if not job.format.kinds:
        return {}
    account = int(job.manifest.ad_account_id)
    return await members.shown(reader, account, [row[0] for row in rows], job.format.kinds)


def _pages(reader: Any, job: Job) -> AsyncIterator[list[Row]]:
    if job.since is None:
        return members.pages(reader, job.build, job.until, objectors=False)
    return _batches(_delta(reader, job, job.since), job.manifest.op)


async def _batches(rows: AsyncIterator[Row], op: str | None) -> AsyncIterator[list[Row]]:
    batch: list[Row] = []
    async for row in rows:
        if op is None or row[4] == op:
            batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


async def _delta(reader: Any, job: Job, since: AsOf) -> AsyncIterator[Row]:
    """A delta: only who came or went, by walking both sets in order of id."""
    old = members.members(reader, job.since_build, since)
    new = members.members(reader, job.build, job.until, objectors=False)
    # No tuple as anext's default: CPython 3.11 takes it apart (python/cpython#128078).
    before, after = await anext(old, None), await anext(new, None)
    while before or after:
        if after and (before is None or after[0] < before[0]):
            yield (*after, "add")
            after = await anext(new, None)
        elif before and (after is None or before[0] < after[0]):
            yield (*before, "remove")
            before = await anext(old, None)
        else:
            before, after = await anext(old, None), await anext(new, None)
