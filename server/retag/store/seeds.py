"""Seeds of act-alikes on the log: who is in, by which events, and what everybody did besides."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from retag.errors import Invalid
from retag.rules import Clause, parse
from retag.store import trails
from retag.store.recognising import Recognised
from retag.windows import DAY

ALIVE = 180 * DAY
"""Eligible are visitors with a counted event within so long, who have not opted out and are no seed."""


class Seed(msgspec.Struct, frozen=True):
    """Who is in any of the seeds, the clauses by which events put them in or out, and the seeds that are
    gone."""

    members: set[bytes]
    clauses: list[Clause]
    removed: list[int]


def check(cn: sqlite3.Connection, seeds: Sequence[int], audience: int | None = None) -> None:
    """Raise Invalid unless the seeds of `audience` (None: not made yet) are in use and none is made from it:
    no fit would ever begin."""
    for seed in seeds:
        if cn.execute("SELECT 1 FROM audience WHERE id = ? AND removed IS NOT NULL", (seed,)).fetchone():
            raise Invalid("rule.seed_id", f"audience {seed} has been removed; name one that is in use")
        if audience in _sources(cn, seed):
            how = "is this audience itself" if seed == audience else "is an act-alike made from this audience"
            raise Invalid("rule.seed_id", f"{seed} {how}; name a seed that does not depend on it")


def _sources(cn: sqlite3.Connection, seed: int) -> set[int]:
    """The seed, its own seeds if it is an act-alike, theirs, and so on."""
    sql = (
        "WITH RECURSIVE source(id) AS (SELECT ?1 UNION SELECT CAST(j.value AS INTEGER) FROM source s"
        " JOIN audience a ON a.id = s.id AND a.type = 'ACTALIKE', json_each(a.rule, '$.seed_id') j)"
        " SELECT id FROM source"
    )
    return {row[0] for row in cn.execute(sql, (seed,)).fetchall()}


def ready(cn: sqlite3.Connection, seeds: Sequence[int]) -> bool:
    """Whether all of them that are in use are whole: with half its history in, a seed is another one."""
    sql = (
        "SELECT count(*) FROM audience a JOIN build b ON b.id = a.build JOIN json_each(?) j ON j.value = a.id"
        " WHERE a.removed IS NULL AND b.ready IS NULL"
    )
    return not cn.execute(sql, (json.dumps(seeds),)).fetchone()[0]


def find(cn: sqlite3.Connection, account: int, seeds: Sequence[int], now: int) -> Seed:
    """The seed that these audiences of the account are together, now."""
    found = Seed(set(), [], [])
    for audience in seeds:
        sql = "SELECT build FROM audience WHERE id = ? AND account = ? AND removed IS NULL"
        row = cn.execute(sql, (audience, account)).fetchone()
        if row is None:
            found.removed.append(audience)
            continue
        sql = "SELECT visitor FROM member WHERE build = ? AND opens <= ? AND closes > ?"
        found.members.update(one[0] for one in cn.execute(sql, (row[0], now, now)).fetchall())
        found.clauses.extend(_defining(cn, audience))
    return found


def _defining(cn: sqlite3.Connection, seed: int) -> list[Clause]:
    """The clauses about events by which one is in the seed or not. An act-alike is made of those who are
    not in its own seeds, so what makes these puts people out of it."""
    sql = "SELECT type, rule FROM audience WHERE id = ?"
    rows = [cn.execute(sql, (source,)).fetchone() for source in sorted(_sources(cn, seed))]
    rules = [parse(kind, json.loads(rule)) for kind, rule in filter(None, rows)]
    return [one for rule in rules for one in rule.clauses if one.names or one.checks]


def gather(
    cn: sqlite3.Connection, account: int, gathering: Any, whereabouts: Any, defining: list[Clause], now: int
) -> None:
    """What visitors did lately, but for the events that define the seed: they would be the answer."""
    words = trails.Words(gathering.bundle, gathering.forget)
    gives_away = Recognised(defining, lambda fact: any(clause.matches(fact) for clause in defining))
    columns = f"{gives_away.told}, visitor, time, {trails.ACT}, context"
    where = "account = :account AND time > :since AND time <= :now"
    params = {"account": account, "since": now - ALIVE, "now": now, **gives_away.names}
    for rows in trails.pages(cn, columns, where, params, trails.place_before(cn, now - ALIVE)):
        gives_away.trim()
        told, visitors, times, *said = zip(*rows, strict=True)
        given_away = [i for i, one in enumerate(told) if one is not None and gives_away[one]]
        numbers = gathering.take(visitors, times, *words.of(*said), given_away)
        if whereabouts.wanted:
            whereabouts.see(numbers, times, said[-1])
