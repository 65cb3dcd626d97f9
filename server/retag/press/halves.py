"""The two halves of what changed, of a file that holds identifiers.

Members who stayed may show something new, or share nothing any more: whoever may be such comes again among
those to add, as the whole file has them. What is to be removed is whatever may stand in the earlier file and
does not stand in the later one: not what a member still shows whom the audience keeps. So it is the same in
which order a platform takes the two, and the earlier file with both is the later file: as sets of
identifiers, or where a file goes by visitor, as tables by visitor.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from retag.formats import Row, Shown
from retag.press.delta import delta
from retag.press.job import Job
from retag.store import identified, members, news
from retag.store.identified import Identifier
from retag.store.members import AsOf
from retag.store.news import News

Page = tuple[list[Row], Shown]


async def pages(reader: Any, job: Job, since: AsOf) -> AsyncIterator[Page]:
    """Rows with what they show, of one half or, in a file that chooses its columns, of both."""
    half = Half(reader, job, since)
    with await news.gather(reader, half.account, job.kinds, since) as found:
        async for rows in delta(reader, job, since):
            async for page in half.moved(found, rows):
                yield page
        for visitors in found.pages():
            async for page in half.stayed(found, visitors):
                yield page
        async for page in half.taken(found):
            yield page


class Half:
    """Of one job."""

    def __init__(self, reader: Any, job: Job, since: AsOf) -> None:
        self.reader, self.job, self.since = reader, job, since
        self.account, self.format = int(job.manifest.ad_account_id), job.format()
        self.removes = job.manifest.op == "remove"
        self.uploads = not self.format.columns

    async def moved(self, found: News, rows: list[Row]) -> AsyncIterator[Page]:
        """Members at one as_of and not at the other."""
        if not self.removes:
            yield rows, await self._shown(rows)
            return
        ever = await self._ever(rows)
        if not self.uploads or self.format.by_visitor:
            yield rows, ever
            return
        bare = [row for row in rows if row[0] not in ever]
        if bare:
            yield bare, {}
        async for page in self._removed(found, rows, ever):
            yield page

    async def stayed(self, found: News, visitors: list[bytes]) -> AsyncIterator[Page]:
        """Those of them who were members at both."""
        rows = [(*row, self.job.manifest.op or "add") for row in await self._staying(visitors)]
        if not self.uploads:
            if rows and not self.removes:
                yield rows, await self._shown(rows)
        elif self.removes and self.format.by_visitor:
            ever, still = await self._ever(rows), await self._given_out([row[0] for row in rows])
            yield [row for row in rows if ever.get(row[0]) and not still.get(row[0])], ever
        elif self.removes:
            async for page in self._removed(found, rows, await self._ever(rows)):
                yield page
        else:
            known = await self._shown(rows)
            yield [row for row in rows if self.format.takes(known.get(row[0], ()))], known

    async def taken(self, found: News) -> AsyncIterator[Page]:
        """What stood in the earlier file by an event that has turned out to be another visitor's."""
        if self.removes and not self.format.by_visitor and self.job.since_build is not None:
            for events in found.taken():
                async for page in self._removed(found, [(one, 0, 0, 0, "remove") for one in events], events):
                    yield page

    async def _staying(self, visitors: list[bytes]) -> list[Row]:
        job = self.job
        if job.build is None or job.since_build is None:
            return []
        async with self.reader.snapshot() as snapshot:
            before = await members.among(snapshot, job.since_build, self.since, visitors)
            now = await members.among(snapshot, job.build, job.until, sorted(before), objectors=False)
        return [now[one] for one in sorted(now)]

    async def _shown(self, rows: list[Row]) -> Shown:
        return await identified.shown(self.reader, self.account, [row[0] for row in rows], self.job.kinds)

    async def _ever(self, rows: list[Row]) -> Shown:
        visitors = [row[0] for row in rows]
        return await identified.ever_shown(self.reader, self.account, visitors, self.job.kinds, self.since)

    async def _removed(self, found: News, rows: list[Row], ever: Shown) -> AsyncIterator[Page]:
        """What they may have in the earlier file and nobody has in the later one, in as many lines as it
        takes."""
        old = found.of(list(ever))
        might = {one: mine if old.get(one) else self.format.takes(mine) for one, mine in ever.items()}
        kept = await self._held({(kind, value) for mine in might.values() for kind, value, _ in mine})
        left = {one: [i for i in mine if i[:2] not in kept] for one, mine in might.items()}
        while rows := [row for row in rows if self.format.takes(left.get(row[0], ()))]:
            yield rows, left
            left = {
                one: [i for i in mine if i not in set(self.format.takes(mine))] for one, mine in left.items()
            }

    async def _held(self, wanted: set[Identifier]) -> set[Identifier]:
        """Those of these identifiers that stand in the later file, whoever shows them."""
        holders = await identified.holders(self.reader, self.account, wanted)
        known = await self._given_out(list(holders))
        return {one[:2] for mine in known.values() for one in mine}

    async def _given_out(self, visitors: list[bytes]) -> Shown:
        """What the later file has of these visitors."""
        job = self.job
        if job.build is None:
            return {}
        now = await members.among(self.reader, job.build, job.until, visitors, objectors=False)
        known = await identified.shown(self.reader, self.account, sorted(now), job.kinds)
        return {one: self.format.takes(mine) for one, mine in known.items()}
