"""What stands in an export: pages of members, of what changed, or of events, each its own short read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from retag.formats import Row, Shown
from retag.press.job import Job
from retag.store import members, raw
from retag.store.members import AsOf

BATCH = 2_000


def pages(reader: Any, job: Job) -> AsyncIterator[list[Row]]:
    """Every row, in constant memory. `reader` can snapshot (store.reader)."""
    about = job.manifest
    if about.span is not None:
        return raw.pages(reader, int(about.ad_account_id), *about.span)
    if job.since is None:
        return members.pages(reader, job.build, job.until, objectors=False)
    return _batches(delta(reader, job, job.since), about.op)


async def shown(reader: Any, job: Job, rows: list[Row]) -> Shown:
    """The identifiers that the format needs."""
    if not job.kinds:
        return {}
    account = int(job.manifest.ad_account_id)
    return await members.shown(reader, account, [row[0] for row in rows], job.kinds)


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


async def delta(reader: Any, job: Any, since: AsOf) -> AsyncIterator[Row]:
    """Only who came or went, by walking both sets in order of id."""
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
