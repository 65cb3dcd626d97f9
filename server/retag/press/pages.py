"""What stands in an export: pages of members, of what changed, or of events, each its own short read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from retag.formats import Row, Shown
from retag.press import halves
from retag.press.delta import delta
from retag.press.job import Job
from retag.store import identified, members, raw

Page = tuple[list[Row], Shown]
"""Rows, and of each visitor in them the identifiers that the format needs."""


async def pages(reader: Any, job: Job) -> AsyncIterator[Page]:
    """Every row, in constant memory. `reader` can snapshot (store.reader)."""
    about = job.manifest
    if job.since is not None and job.kinds:
        async for page in halves.pages(reader, job, job.since):
            yield page
        return
    async for rows in _rows(reader, job):
        known: Shown = {}
        if job.kinds:
            visitors = [row[0] for row in rows]
            known = await identified.shown(reader, int(about.ad_account_id), visitors, job.kinds)
        yield rows, known


def _rows(reader: Any, job: Job) -> AsyncIterator[list[Row]]:
    about = job.manifest
    if about.span is not None:
        return raw.pages(reader, int(about.ad_account_id), *about.span)
    if job.since is None:
        return members.pages(reader, job.build, job.until, objectors=False)
    return delta(reader, job, job.since)
