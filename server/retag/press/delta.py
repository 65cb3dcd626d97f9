"""Delta: who came to an audience and who left it between two as_ofs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from retag.formats import Row
from retag.press.job import Job
from retag.store import changes, members
from retag.store.members import AsOf

BATCH = 2_000


async def delta(reader: Any, job: Job, since: AsOf) -> AsyncIterator[list[Row]]:
    """In order of id, `(visitor, since, until, last, op)`; one `op` alone where the job has one."""
    wanted = job.manifest.op
    async for rows in both(reader, job, since):
        yield [row for row in rows if wanted is None or row[4] == wanted]


async def both(reader: Any, job: Job, since: AsOf) -> AsyncIterator[list[Row]]:
    """Of either `op`."""
    same = job.build is not None and job.build == job.since_build
    if not same:
        async for rows in walked(reader, job, since):
            yield rows
        return
    async for found in changes.pages(reader, job.build or 0, since, job.until):
        yield [(*after, "add") if after else (*(before or ()), "remove") for before, after in found]


async def walked(reader: Any, job: Job, since: AsOf) -> AsyncIterator[list[Row]]:
    """The same of two builds, for the rule was edited: by walking both sets."""
    batch: list[Row] = []
    old = members.members(reader, job.since_build, since)
    new = members.members(reader, job.build, job.until, objectors=False)
    # No tuple as anext's default: CPython 3.11 takes it apart (python/cpython#128078).
    before, after = await anext(old, None), await anext(new, None)
    while before or after:
        if after and (before is None or after[0] < before[0]):
            batch.append((*after, "add"))
            after = await anext(new, None)
        elif before and (after is None or before[0] < after[0]):
            batch.append((*before, "remove"))
            before = await anext(old, None)
        else:
            before, after = await anext(old, None), await anext(new, None)
        if len(batch) == BATCH:
            yield batch
            batch = []
    yield batch
