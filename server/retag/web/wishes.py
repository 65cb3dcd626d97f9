"""Wishes: what a browser says about being followed at all, beyond the events that it sends.

An objection (Global Privacy Control, DNT where the shop heeds it, consent withdrawn) takes the visitor out of
every audience, and is on disk when it is answered; consent that is given again takes it back. That consent
was given at first is noted once, soon after, and again when a framework's string is another, once a day at
most. All are rows of the consent log: who, when, by which mechanism, and its string.
"""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partial

import msgspec

from retag import errors, upkeep
from retag.journal import Journal
from retag.store import graves
from retag.windows import DAY
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
        self._granted: dict[bytes, int] = {}
        self._waiting: list[Wish] = []
        self._task: asyncio.Task[None] | None = None

    async def obey(self, wish: Wish) -> None:
        """What changes a visitor's standing holds from here on; errors.Overloaded when it was not written."""
        self._granted.pop(wish.visitor, None)
        await self.journal.write(partial(write, wishes=[wish]))

    def note(self, wish: Wish) -> None:
        """Consent was given: written behind the answer, many at once; too many, when it is said again."""
        proof = hash(wish.proof)
        known = self._granted.get(wish.visitor)
        if known == proof or (known is not None and not wish.proof) or len(self._waiting) >= REMEMBERED:
            return
        if len(self._granted) >= REMEMBERED:
            self._granted.clear()
        self._granted[wish.visitor] = proof
        self._waiting.append(wish)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while some := self._waiting[:MOST]:
            try:
                await self.journal.write(partial(write, wishes=some), durable=False)
            except (errors.Overloaded, sqlite3.OperationalError):
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
        before = last(cn, one)
        if before is not None and not before.followed_by(one):
            continue
        if graves.buried(cn, one.visitor):
            continue
        cn.execute(INTO, (one.account, one.visitor, one.at, one.granted, one.mechanism, one.proof))
        if not one.granted or (before is not None and not before.granted):
            (upkeep.opt_in if one.granted else upkeep.opt_out)(cn, one.visitor, one.at)


INTO = "INSERT INTO consent_log (account, visitor, at, granted, mechanism, proof) VALUES (?, ?, ?, ?, ?, ?)"


class Said(msgspec.Struct, frozen=True):
    """A row of the consent log."""

    granted: bool
    mechanism: str
    at: int
    proof: str

    def followed_by(self, wish: Wish) -> bool:
        """Whether what is said now belongs into the log behind what was said last."""
        if self.mechanism == BUTTON and not self.granted:
            return False  # which the page's banner knows nothing of
        if self.granted is not wish.granted or wish.mechanism == BUTTON:
            return True
        return wish.proof not in ("", self.proof) and (not self.proof or wish.at - self.at >= DAY)


def last(cn: sqlite3.Connection, wish: Wish) -> Said | None:
    """What the visitor said last, None when nothing."""
    own = "FROM consent_log WHERE account = ? AND visitor = ?"
    sql = f"SELECT granted, mechanism, at, proof {own} ORDER BY id DESC LIMIT 1"
    row = cn.execute(sql, (wish.account, wish.visitor)).fetchone()
    return Said(bool(row[0]), *row[1:]) if row else None
