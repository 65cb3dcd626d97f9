"""Insights: an audience's size over time, its overlap with another, what its members do more than others."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterable, Iterator

import msgspec

from retag.likeness.features import page
from retag.store import sqlite, trails
from retag.windows import DAY

GROUPS = ("device", "product", "category", "page", "entry page", "campaign", "referrer")
TREND_DAYS = 30
MOST = 10
MOST_REPEATED = 256
"""Numbers of one visitor before repetitions are dropped: memory follows what was done, not how often."""
FEWEST = 3
"""Members that something needs to be listed: below, an index is noise, and might point at a person."""


class Trait(msgspec.Struct, frozen=True):
    """`members` of the audience and `visitors` in all did it; `index` 100 is as often as everybody."""

    name: str
    members: int
    visitors: int
    share: float
    share_of_all: float
    index: int


class Portrait(msgspec.Struct, frozen=True):
    """Active members and active visitors, and what marks the members, by group."""

    members: int
    visitors: int
    traits: dict[str, list[Trait]]


class Overlap(msgspec.Struct, frozen=True):
    """Members of one audience, of the other, and of both, at the same instant."""

    size: int
    other: int
    both: int


def about(
    path: str, account: int, build: int, born: int, since: int, now: int
) -> tuple[Portrait, list[tuple[int, int]]]:
    """The portrait, and `(instant, size)` at the end of each of the last days from `born` on, and now."""
    found = portrait(path, account, build, since, now)
    cn = sqlite.connect(path, readonly=True)
    try:
        instants = [now - day * DAY for day in range(TREND_DAYS - 1, -1, -1)]
        return found, [(at, size_at(cn, build, at)) for at in instants if at >= born or at == now]
    finally:
        cn.close()


def portrait(path: str, account: int, build: int, since: int, now: int) -> Portrait:
    """What members did since `since`, beside all visitors. Reads the log since then: for a process of its
    own."""
    cn = sqlite.connect(path, readonly=True)
    try:
        sql = "SELECT visitor FROM member WHERE build = ? AND opens <= ? AND closes > ?"
        inside = {row[0] for row in cn.execute(sql, (build, now, now)).fetchall()}
        said = _read(cn, account, since, now)
    finally:
        cn.close()
    ours, everyones = [0] * len(said.words), [0] * len(said.words)
    members = 0
    for visitor, found in said.visitors():
        for word in found:
            everyones[word] += 1
        if visitor in inside:
            members += 1
            for word in found:
                ours[word] += 1
    counted = zip(said.words, ours, everyones, strict=True)
    return Portrait(members, len(said), _traits(counted, members, len(said)))


class Said:
    """What each visitor did, as numbers of `words`; the page of their first event is where they came in."""

    def __init__(self) -> None:
        self.words: dict[str, int] = {}
        self._of: dict[bytes, array[int]] = {}
        self._first: dict[bytes, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._of)

    def columns(self, words: Iterable[str]) -> array[int]:
        """The numbers of these words, of those that are shown."""
        shown = [word for word in words if word.partition(":")[0] in GROUPS]
        return array("i", [self.words.setdefault(word, len(self.words)) for word in shown])

    def entry(self, url: str) -> int:
        """The number for coming in at this address, -1 for nowhere."""
        return next(iter(self.columns([f"entry {page(url)}"])), -1)

    def add(self, visitor: bytes, time: int, entry: int, *found: array[int]) -> None:
        """One event, which is where they came in if it is the first."""
        if (known := self._of.get(visitor)) is None:
            known = self._of[visitor] = array("i")
        elif len(known) > MOST_REPEATED:
            self._of[visitor] = known = array("i", sorted(set(known)))
        for one in found:
            known.extend(one)
        if visitor not in self._first or time < self._first[visitor][0]:
            self._first[visitor] = time, entry

    def visitors(self) -> Iterator[tuple[bytes, set[int]]]:
        """Each visitor with what they did, once each."""
        for visitor, found in self._of.items():
            yield visitor, set(found) | {self._first[visitor][1]} - {-1}


def _read(cn: sqlite3.Connection, account: int, since: int, now: int) -> Said:
    said = Said()
    entries = trails.Kept[str, int](said.entry)
    words = trails.Words(said.columns, entries.clear)
    where = "account = :account AND time >= :since AND time <= :now"
    params = {"account": account, "since": since, "now": now}
    columns = f"visitor, time, url, {trails.ACT}, context"
    for rows in trails.pages(cn, columns, where, params, trails.place_before(cn, since)):
        visitors, times, urls, *said_ = zip(*rows, strict=True)
        acts, contexts = words.of(*said_)
        came_in = map(entries.__getitem__, urls)
        for visitor, time, entry, act, context in zip(visitors, times, came_in, acts, contexts, strict=True):
            said.add(visitor, time, entry, act, context)
    return said


def overlap(cn: sqlite3.Connection, build: int, other: int, now: int) -> Overlap:
    """Exact, at `now`."""
    count = "SELECT count(*) FROM member WHERE build = ?1 AND opens <= ?2 AND closes > ?2"
    both = (
        "SELECT count(*) FROM member a JOIN member b ON b.build = ?3 AND b.visitor = a.visitor"
        " WHERE a.build = ?1 AND a.opens <= ?2 AND a.closes > ?2 AND b.opens <= ?2 AND b.closes > ?2"
    )
    one, two = (cn.execute(count, (build_, now)).fetchone()[0] for build_ in (build, other))
    return Overlap(one, two, cn.execute(both, (build, now, other)).fetchone()[0])


def size_at(cn: sqlite3.Connection, build: int, at: int) -> int:
    """How many were members at a past instant, with what was known then: later transitions are undone."""
    sql = (
        "WITH later AS (SELECT visitor, min(id) AS id FROM transition WHERE build = ?1 AND at > ?2"
        " GROUP BY visitor)"
        " SELECT (SELECT count(*) FROM member WHERE build = ?1 AND opens <= ?2 AND closes > ?2)"
        " - (SELECT count(*) FROM later l JOIN member m ON m.build = ?1 AND m.visitor = l.visitor"
        "    WHERE m.opens <= ?2 AND m.closes > ?2)"
        " + (SELECT count(*) FROM later l JOIN transition t ON t.id = l.id"
        "    WHERE t.opens <= ?2 AND t.closes > ?2)"
    )
    return int(cn.execute(sql, (build, at)).fetchone()[0])


def _traits(counted: Iterable[tuple[str, int, int]], members: int, visitors: int) -> dict[str, list[Trait]]:
    """The most common of each group, each with how much more members do it than everybody."""
    groups: dict[str, list[Trait]] = {group: [] for group in GROUPS}
    for word, ours, everyones in counted:
        group, _, name = word.partition(":")
        if ours >= FEWEST:
            share, general = ours / members, everyones / visitors
            trait = Trait(
                name, ours, everyones, round(share, 4), round(general, 4), round(100 * share / general)
            )
            groups[group].append(trait)
    return {
        group: sorted(traits, key=lambda one: (-one.members, one.name))[:MOST]
        for group, traits in groups.items()
    }
