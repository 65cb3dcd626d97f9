"""Wishes: what a browser says about being followed at all, beyond the events that it sends.

An objection (Global Privacy Control, DNT where the shop heeds it, consent withdrawn) takes the visitor out of
every audience, and is on disk when it is answered; consent that is given again takes it back. That consent
was given at first is noted once, soon after. All are rows of the consent log: who, when, by which mechanism.
"""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partial

from retag import errors, upkeep
from retag.journal import Journal
from retag.store import graves
from retag.wish import Wish

MOST = 100
"""Wishes written in one transaction: a millisecond or two of the writer."""
REMEMBERED = 50_000
BUTTON = "opt-out"
"""The mechanism of `POST /privacy/opt-out`: only the visitor's own word there takes it back."""
AGAIN_S = 1.0


class Wishes:
    """Those on their way to the disk; the last visitors who consented are remembered."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._granted: dict[bytes, None] = {}
        self._waiting: list[Wish] = []
        self._task: asyncio.Task[None] | None = None

    async def obey(self, wish: Wish) -> None:
        """What changes a visitor's standing holds from here on; errors.Overloaded when it was not written."""
        self._granted.pop(wish.visitor, None)
        await self.journal.write(partial(write, wishes=[wish]))

    def note(self, wish: Wish) -> None:
        """Consent was given: written behind the answer, many at once; too many, when it is said again."""
        if wish.visitor in self._granted or len(self._waiting) >= REMEMBERED:
            return
        if len(self._granted) >= REMEMBERED:
            self._granted.clear()
        self._granted[wish.visitor] = None
        self._waiting.append(wish)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while some := self._waiting[:MOST]:
            try:
                await self.journal.write(partial(write, wishes=some), durable=False)
            except errors.Overloaded:
                await asyncio.sleep(AGAIN_S)
            else:
                del self._waiting[: len(some)]

    async def close(self) -> None:
        """Write what waits, before the journal closes."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=AGAIN_S)
            self._task.cancel()


def write(cn: sqlite3.Connection, wishes: list[Wish]) -> None:
    """A row of the consent log for each that changes something, and what follows; none for the erased."""
    for one in wishes:
        before, by = last(cn, one)
        known = before is one.granted and (by == BUTTON or one.mechanism != BUTTON)
        if known or graves.buried(cn, one.visitor):
            continue
        if one.granted and by == BUTTON:
            continue  # which the page's banner knows nothing of
        cn.execute(INTO, (one.account, one.visitor, one.at, one.granted, one.mechanism))
        if before is not None or not one.granted:
            (upkeep.opt_in if one.granted else upkeep.opt_out)(cn, one.visitor, one.at)


INTO = "INSERT INTO consent_log (account, visitor, at, granted, mechanism, proof) VALUES (?, ?, ?, ?, ?, '')"


def last(cn: sqlite3.Connection, wish: Wish) -> tuple[bool | None, str]:
    """What the visitor said last and how, `(None, '')` when nothing."""
    own = "FROM consent_log WHERE account = ? AND visitor = ?"
    sql = f"SELECT granted, mechanism {own} ORDER BY id DESC LIMIT 1"
    row = cn.execute(sql, (wish.account, wish.visitor)).fetchone()
    return (bool(row[0]), row[1]) if row else (None, "")
