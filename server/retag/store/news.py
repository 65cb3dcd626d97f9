"""News: visitors of whom a file with identifiers may say something else than at an earlier as_of.

Identifiers carry no history. So whoever may have changed is looked at anew, whether anything did or not: who
did something with an identifier since; who gave an event to another visitor, or was given one, with what it
showed; whose consent to sharing changed; and who showed what is in quarantine, if any of them did something.
Kept in a file of its own until it was read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any

from retag import errors
from retag.events import SOURCES, STANDINGS
from retag.store import identified, showing
from retag.store.identified import Shown
from retag.store.members import AsOf, Queries, current, marks, some_of
from retag.store.raw import before
from retag.store.settle import digest, tag_bytes
from retag.windows import DAY

STRIDE = 20_000
"""Events of one read: some ten milliseconds."""
PAGE = 1_000
TOO_OLD = "What happened since then is no longer known: take a full export."
EVENTS = (
    "SELECT DISTINCT visitor FROM log WHERE seq > ? AND seq <= ? AND account = ?"
    f" AND (length(people) > 0 OR standing = {STANDINGS['duplicate']})"
)
"""The second half of an event may give its visitor what the first half showed."""
SECOND = (
    "SELECT name, event_id, visitor, tag FROM log WHERE seq > ? AND seq <= ? AND account = ?"
    f" AND event_id <> '' AND standing = {STANDINGS['duplicate']} AND source = {SOURCES['tag']}"
)
"""Of events that a server told first; their halves know each other for 9 days."""
AGREED = (
    "SELECT DISTINCT visitor FROM consent_log c WHERE id > ? AND account = ? AND sharing = 1 AND EXISTS"
    " (SELECT 1 FROM consent_log o WHERE o.visitor = c.visitor AND o.sharing = 0)"
)


class News:
    """Visitors, each once, in bounded memory; `shown`: what identifies them may have changed as well.

    Events that may have been taken from somebody are known by their place, with what they showed.
    """

    def __init__(self) -> None:
        self._cn = sqlite3.connect("", isolation_level=None)  # a file that is gone when it is closed
        self._cn.execute("CREATE TABLE news (visitor BLOB PRIMARY KEY, shown INTEGER) WITHOUT ROWID")
        self._cn.execute("CREATE TABLE taken (place INTEGER, kind INTEGER, value BLOB)")

    def __enter__(self) -> News:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._cn.close()

    def add(self, visitors: Iterable[bytes], shown: bool) -> None:
        sql = "INSERT INTO news VALUES (?, ?) ON CONFLICT DO UPDATE SET shown = max(shown, excluded.shown)"
        self._cn.execute("BEGIN")
        self._cn.executemany(sql, [(one, shown) for one in visitors])
        self._cn.execute("COMMIT")

    def of(self, visitors: Sequence[bytes]) -> dict[bytes, bool]:
        """Those of some of whom there may be any, and `shown` of each."""
        found: dict[bytes, bool] = {}
        for some in some_of(visitors):
            found.update(self._cn.execute(f"SELECT * FROM news WHERE visitor IN ({marks(some)})", some))
        return found

    def pages(self) -> Iterator[list[bytes]]:
        """Everybody, in order of id."""
        after = b""
        while rows := self._page(after):
            yield rows
            after = rows[-1]

    def take(self, place: int, shown: Iterable[identified.Identifier]) -> None:
        self._cn.executemany("INSERT INTO taken VALUES (?, ?, ?)", [(place, *one) for one in shown])

    def taken(self) -> Iterator[Shown]:
        """What each such event showed, by its place, some events at a time."""
        places = self._cn.execute("SELECT DISTINCT place FROM taken").fetchall()
        for some in some_of([place for (place,) in places]):
            found: Shown = {}
            sql = f"SELECT place, kind, value FROM taken WHERE place IN ({marks(some)})"
            for place, kind, value in self._cn.execute(sql, some):
                found.setdefault(b"%d" % place, []).append((kind, value, 0))
            yield found

    def _page(self, after: bytes) -> list[bytes]:
        sql = "SELECT visitor FROM news WHERE visitor > ? ORDER BY visitor LIMIT ?"
        return [row[0] for row in self._cn.execute(sql, (after, PAGE))]


async def check(reader: Queries, since: AsOf) -> None:
    """Gone when the events since then are not all there."""
    known, first = await current(reader, 0), await reader.one("SELECT seq FROM log ORDER BY seq LIMIT 1")
    if since.folded is None:
        raise errors.Gone(TOO_OLD)
    if since.folded < (known.folded or 0) and (first is None or first[0] > since.folded + 1):
        raise errors.Gone(TOO_OLD)


async def gather(reader: Any, account: int, kinds: Sequence[int], since: AsOf) -> News:
    """All there may be; an instant more rather than less."""
    news = News()
    await _events(reader, news, account, since)
    withheld = await reader.all("SELECT visitor FROM withheld WHERE step > ?", (since.step,))
    behind = await before(reader, "consent_log", "id", "at", since.instant - DAY)
    agreed = await reader.all(AGREED, (behind, account))
    news.add([row[0] for row in withheld + agreed], False)
    await _quarantined(reader, news, account, kinds)
    return news


async def _events(reader: Any, news: News, account: int, since: AsOf) -> None:
    after, last = since.folded or 0, (await reader.one("SELECT coalesce(max(seq), 0) FROM log"))[0]
    while after < last:
        span = (after, min(after + STRIDE, last), account)
        news.add([row[0] for row in await reader.all(EVENTS, span)], True)
        await _halves(reader, news, span, since)
        after = span[1]


async def _halves(reader: Any, news: News, span: tuple[int, int, int], since: AsOf) -> None:
    """Events whose second half, in this span, named their visitor: whoever else showed the same may have had
    them before."""
    account = span[2]
    keys = [
        (digest(account, name, event_id), visitor + tag_bytes(tag))
        for name, event_id, visitor, tag in await reader.all(SECOND, span)
    ]
    for some in some_of(keys):
        given = ",".join(["(?, ?)"] * len(some))
        sql = (
            f"WITH k(key, who) AS (VALUES {given}) SELECT s.pair, l.people FROM k CROSS JOIN seen s"
            " USING (key, who) CROSS JOIN log l ON l.seq = s.pair"
        )
        for place, people in await reader.all(sql, [value for key in some for value in key]):
            shown = {(kind, showing.value_of(kind, text)) for kind, text in showing.decode(people or b"[]")}
            news.add(await identified.holders(reader, account, shown), True)
            if place <= (since.folded or 0):  # it stood there as somebody else's, whoever withholds it now
                news.take(place, shown)


async def _quarantined(reader: Any, news: News, account: int, kinds: Sequence[int]) -> None:
    """What nobody may show was perhaps given out before: whoever showed it last is among those already."""
    sql = f"SELECT kind, value FROM quarantine WHERE account = ? AND kind IN ({marks(kinds)})"
    for one in await reader.all(sql, (account, *kinds)):
        found = list(await identified.holders(reader, account, [one]))
        if news.of(found):
            news.add(found, False)
