"""What stands in an export: pages of members, of what changed, or of events, each its own short read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from retag.formats import Row, Shown
from retag.press.job import Job
from retag.store import changes, members, raw
from retag.store.members import AsOf

BATCH = 2_000


def pages(reader: Any, job: Job) -> AsyncIterator[list[Row]]:
    """Every row, in constant memory. `reader` can snapshot (store.reader)."""
    about = job.manifest
    if about.span is not None:
        return raw.pages(reader, int(about.ad_account_id), *about.span)
    if job.since is None:
        return members.pages(reader, job.build, job.until, objectors=False)
    return _halved(reader, job, job.since)


async def shown(reader: Any, job: Job, rows: list[Row]) -> Shown:
    """The identifiers that the format needs. Whoever withholds theirs is only in removals: a platform that
    has them must learn that they are gone."""
    if not job.kinds:
        return {}
    account, removal = int(job.manifest.ad_account_id), job.manifest.op == "remove"
    return await members.shown(reader, account, [row[0] for row in rows], job.kinds, removal)


async def _halved(reader: Any, job: Job, since: AsOf) -> AsyncIterator[list[Row]]:
    op = job.manifest.op
    async for rows in delta(reader, job, since):
        yield [row for row in rows if op is None or row[4] == op]
    if op == "remove" and job.kinds and job.build is not None:
        withdrawn = await members.withdrawn(reader, job.build, since, job.until)
        yield [(*row, "remove") for row in withdrawn]


async def delta(reader: Any, job: Job, since: AsOf) -> AsyncIterator[list[Row]]:
    """Only who came or went, in order of id: `(visitor, since, until, last, op)`."""
    same = job.build is not None and job.build == job.since_build
    if not same:
        async for rows in _walked(reader, job, since):
            yield rows
        return
    async for found in changes.pages(reader, job.build or 0, since, job.until):
        yield [(*after, "add") if after else (*(before or ()), "remove") for before, after in found]


async def _walked(reader: Any, job: Job, since: AsOf) -> AsyncIterator[list[Row]]:
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
