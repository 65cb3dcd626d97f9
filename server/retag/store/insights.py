"""Insights: an audience's size over time, its overlap with another, what its members do more than others."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from retag.likeness.features import words
from retag.store import sqlite, trails
from retag.store.trails import Trace

GROUPS = ("device", "product", "category", "page", "entry page", "campaign", "referrer")
MOST = 10
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


def portrait(path: str, account: int, build: int, since: int, now: int) -> Portrait:
    """What members did since `since`, beside all visitors. Reads the whole log: for a process of its own."""
    cn = sqlite.connect(path, readonly=True)
    try:
        sql = "SELECT visitor FROM member WHERE build = ? AND opens <= ? AND closes > ?"
        inside = {row[0] for row in cn.execute(sql, (build, now, now)).fetchall()}
        ours: Counter[str] = Counter()
        everyones: Counter[str] = Counter()
        members = visitors = 0
        for visitor, traces in trails.walk(cn, account, trails.last_place(cn)):
            if not (found := _words(one for one in traces if one.time >= since)):
                continue
            visitors += 1
            everyones.update(found)
            if visitor in inside:
                members += 1
                ours.update(found)
        return Portrait(members, visitors, _traits(ours, everyones, members, visitors))
    finally:
        cn.close()


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


def _words(traces: Iterable[Trace]) -> set[str]:
    """The features of one visitor's events; the page of the first is where they came in."""
    found: set[str] = set()
    first: tuple[int, list[str]] | None = None
    for one in traces:
        context: dict[str, Any] = msgspec.json.decode(one.context) if one.context else {}
        said = words(one.name, one.url, one.fact().data, context)
        found.update(said)
        if first is None or one.time < first[0]:
            first = one.time, said
    if first:
        found.update(f"entry {word}" for word in first[1] if word.startswith("page:"))
    return found


def _traits(
    ours: Counter[str], everyones: Counter[str], members: int, visitors: int
) -> dict[str, list[Trait]]:
    """The most common of each group, each with how much more members do it than everybody."""
    groups: dict[str, list[Trait]] = {group: [] for group in GROUPS}
    for word, count in ours.items():
        group, _, name = word.partition(":")
        if group in groups and count >= FEWEST:
            share, general = count / members, everyones[word] / visitors
            trait = Trait(
                name, count, everyones[word], round(share, 4), round(general, 4), round(100 * share / general)
            )
            groups[group].append(trait)
    return {
        group: sorted(traits, key=lambda one: (-one.members, one.name))[:MOST]
        for group, traits in groups.items()
    }
