"""Census: how many are in each audience, kept as a running count beside the writer, exact at every instant.

A count begins with one pass over the members, page by page between the door's batches, and is then moved by
every window that a commit changes. Who comes or goes by time alone in the hour ahead is known from the pass,
so a count answers for that hour, and is begun anew before it ends. It lives in memory: after kill -9 it is
counted again from the file, and until then the file is asked.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable

from retag.store.desk import live_builds
from retag.store.membership import SOON
from retag.store.sqlite import Shift

BACK = 60_000
"""A count answers from this long before it began, ms: a request may be older than its answer."""
PAGE = 5_000
"""Members a slice."""
TICK = 1_000
END = b"\xff" * 17


class Count:
    """The members of one build at each instant of `since <= t < until`, by the windows told so far.

    `upto`: the pass has seen the visitors up to here; the windows of others are not known yet.
    """

    def __init__(self, since: int) -> None:
        self.since, self.until = since, since + SOON
        self.upto = b""
        self._base = 0
        self._ticks = [0] * (SOON // TICK)
        self._turns: dict[int, dict[int, int]] = {}

    @property
    def whole(self) -> bool:
        return self.upto == END

    def add(self, opens: int, closes: int, members: int = 1) -> None:
        """So many members more with this window."""
        if opens >= closes or closes <= self.since:
            return
        if opens <= self.since:
            self._base += members
        else:
            self._turn(opens, members)
        self._turn(closes, -members)

    def _turn(self, at: int, members: int) -> None:
        if at < self.until:
            tick = (at - self.since) // TICK
            self._ticks[tick] += members
            turns = self._turns.setdefault(tick, {})
            turns[at] = turns.get(at, 0) + members

    def size(self, at: int) -> int | None:
        """None outside its hour, or before the pass is over."""
        if not (self.whole and self.since <= at < self.until):
            return None
        tick = (at - self.since) // TICK
        turns = self._turns.get(tick, {})
        return self._base + sum(self._ticks[:tick]) + sum(n for when, n in turns.items() if when <= at)

    def learn(self, cn: sqlite3.Connection, build: int, most: int) -> None:
        """One page of the pass. Whoever is in for the whole hour is counted without being looked at."""
        members = "SELECT visitor, opens, closes FROM member"
        page = f"{members} WHERE build = ? AND visitor > ? ORDER BY visitor LIMIT ?"
        steady = "opens <= ? AND closes >= ?"
        hour, given = (self.since, self.until), (build, self.upto, most)
        sql = f"SELECT count(*), max(visitor), total({steady}) FROM ({page})"
        seen, last, held = cn.execute(sql, (*hour, *given)).fetchone()
        sql = f"SELECT opens, closes FROM ({page}) WHERE NOT ({steady}) AND closes > ? AND opens < ?"
        for opens, closes in cn.execute(sql, (*given, *hour, *hour)).fetchall():
            self.add(opens, closes)
        self._base += int(held)
        self.upto = last if seen == most else END


class Census:
    """The counts of every build. The writer thread moves them, any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[int, Count] = {}
        self._next: dict[int, Count] = {}

    def size(self, build: int, at: int) -> int | None:
        """How many are in at `at`, UTC ms, by all that is committed; None when it is not known here."""
        with self._lock:
            count = self._counts.get(build)
            return count.size(at) if count else None

    def forget(self) -> None:
        """Others have written: count again."""
        with self._lock:
            self._counts.clear()
            self._next.clear()

    def take(self, shifts: Iterable[Shift]) -> None:
        """Windows that a commit changed."""
        with self._lock:
            for build, visitor, was, now in shifts:
                for count in (self._counts.get(build), self._next.get(build)):
                    if count is not None and visitor <= count.upto:
                        count.add(*was, -1)
                        count.add(*now)

    def begin(self, cn: sqlite3.Connection, now: int) -> list[int]:
        """Builds to be counted: those that answer and have no count, or one that has passed half its time."""
        builds = {build.id for build in live_builds(cn).values() if build.ready}
        with self._lock:
            # A clock put back: what was then too far ahead to be told of would now come within the hour.
            for counts in (self._counts, self._next):
                for build, count in list(counts.items()):
                    if build not in builds or count.since > now or count.until <= now:
                        del counts[build]
            fresh = {b for b, count in self._counts.items() if count.until - now > SOON // 2}
            self._next |= {build: Count(now - BACK) for build in builds - fresh - self._next.keys()}
            return sorted(self._next)

    def learn(self, cn: sqlite3.Connection, build: int, most: int = PAGE) -> bool:
        """One page for a build's coming count; whether there is more."""
        with self._lock:
            count = self._next.get(build)
            if count is None:
                return False
            count.learn(cn, build, most)
            if count.whole:
                self._counts[build] = self._next.pop(build)
            return not count.whole
