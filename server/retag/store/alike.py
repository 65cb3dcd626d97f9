"""Act-alikes on the log: who is in the seed, what everybody did, and who acts most like the seed.

`refit` reads what the account's visitors did in 180 days and fits: for a process of its own. It writes
nothing; what it finds is applied by the writer, a few visitors at a time.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import Any

import msgspec

from retag import fold, likeness
from retag.rules import Clause, Fact, parse
from retag.store import sqlite, trails
from retag.windows import DAY

ALIVE = 180 * DAY
"""Eligible are visitors with a counted event within so long, who have not opted out and are no seed."""
LEAST_SEED = 30
REFIT = DAY
"""How long a fit is good for."""
SLICE = 500
"""Visitors marked in one transaction: some milliseconds."""


class Task(msgspec.Struct, frozen=True):
    """A build to be fitted: choose `percentage` % of the account's visitors by likeness to the seeds."""

    build: int
    account: int
    seeds: tuple[int, ...]
    percentage: int


class Report(msgspec.Struct, frozen=True):
    """One fit, in figures and words. `chosen` are the visitors, best first; None when the seed is too small.

    `seeds` have activity to learn from, `needed` would do; `eligible` are those to choose from.
    """

    fitted: int
    seeds: int
    eligible: int
    needed: int
    chosen: list[bytes] | None = None
    quality: dict[str, Any] | None = None
    features: tuple[str, ...] = ()
    explanation: str = ""

    @property
    def too_small(self) -> bool:
        return self.chosen is None


def refit(path: str, task: Task, now: int) -> Report:
    """Fit on the members that the seed audiences have now, and choose the share of the eligible.

    Raises likeness.ExtraMissing without `retag[actalike]`. The same data give the same answer.
    """
    activity, model, quality = (likeness.load(name) for name in ("activity", "model", "quality"))
    cn = sqlite.connect(path, readonly=True)
    try:
        members, clauses = _seed(cn, task, now)
        gathering = activity.Gathering()
        _gather(cn, task.account, gathering, clauses, now)
        opted_out = {row[0] for row in cn.execute("SELECT visitor FROM opt_out").fetchall()}
    finally:
        cn.close()
    table, share = gathering.activity(now), task.percentage / 100
    is_seed = model.mask(table.visitors, members)
    eligible = ~is_seed & ~model.mask(table.visitors, opted_out)
    learnt = int((is_seed & model.active(table.counts)).sum())
    report = Report(now, learnt, int(eligible.sum()), LEAST_SEED, explanation=_too_small(learnt))
    if learnt < LEAST_SEED or not eligible.any():
        return report
    held_out = quality.held_out(table.counts, is_seed, table.profile, share)
    fitted = model.fit(table.counts, is_seed, table.profile)
    best = quality.choose(fitted.score(table.counts, table.profile), eligible, share)
    weights = quality.telling(fitted, table.counts, is_seed, table.features)
    return msgspec.structs.replace(
        report,
        chosen=[table.visitors[row] for row in best],
        quality={**msgspec.structs.asdict(held_out), "worthless": held_out.worthless},
        features=tuple(one.words() for one in weights),
        explanation=held_out.words(),
    )


def due(cn: sqlite3.Connection, now: int) -> list[Task]:
    """The act-alike builds that were never fitted, or not for `REFIT`, the longest waiting first."""
    sql = (
        "SELECT b.id, a.account, b.rule FROM build b JOIN audience a ON a.id = b.audience"
        " LEFT JOIN likeness l ON l.build = b.id"
        " WHERE a.type = 'ACTALIKE' AND a.removed IS NULL AND b.retired IS NULL"
        " AND coalesce(l.fitted, 0) <= ? ORDER BY coalesce(l.fitted, 0), b.id"
    )
    return [_task(*row) for row in cn.execute(sql, (now - REFIT,)).fetchall()]


def _task(build: int, account: int, rule: str) -> Task:
    fields = json.loads(rule)
    return Task(build, account, tuple(int(one) for one in fields["seed_id"]), fields.get("percentage", 1))


def note(cn: sqlite3.Connection, build: int, report: Report) -> None:
    """Keep the report for the API."""
    kept = msgspec.json.encode(msgspec.structs.replace(report, chosen=None)).decode()
    count = None if report.chosen is None else len(report.chosen)
    sql = "INSERT OR REPLACE INTO likeness VALUES (?, ?, ?, ?)"
    cn.execute(sql, (build, report.fitted, count, kept))


def slices(cn: sqlite3.Connection, build: int, chosen: list[bytes]) -> list[tuple[list[bytes], list[bytes]]]:
    """`(added, removed)` from those who are in to those chosen, a few at a time."""
    sql = "SELECT visitor FROM likeness_member WHERE build = ?"
    before = {row[0] for row in cn.execute(sql, (build,)).fetchall()}
    added, removed = sorted(set(chosen) - before), sorted(before - set(chosen))
    starts = range(0, max(len(added), len(removed)), SLICE)
    return [(added[at : at + SLICE], removed[at : at + SLICE]) for at in starts]


def apply(cn: sqlite3.Connection, build: int, added: list[bytes], removed: list[bytes], now: int) -> None:
    """The seed clause of the build now holds for `added` and not for `removed`, with transitions."""
    row = cn.execute("SELECT rule FROM build WHERE id = ? AND retired IS NULL", (build,)).fetchone()
    if row is None:
        return
    rule = parse("ACTALIKE", json.loads(row[0]))
    place = next(i for i, clause in enumerate(rule.clauses) if clause.seeds)
    joined = [visitor for visitor in added if not _objected(cn, visitor)]
    fold.mark(cn, build, place, joined, removed, now)
    cn.executemany(
        "INSERT OR IGNORE INTO likeness_member (build, visitor) VALUES (?, ?)",
        [(build, one) for one in joined],
    )
    cn.executemany(
        "DELETE FROM likeness_member WHERE build = ? AND visitor = ?", [(build, one) for one in removed]
    )


def tidy(cn: sqlite3.Connection) -> bool:
    """Forget some of what retired builds chose; whether there is more."""
    sql = "SELECT l.build FROM likeness l JOIN build b ON b.id = l.build WHERE b.retired IS NOT NULL LIMIT 1"
    row = cn.execute(sql).fetchone()
    if row is None:
        return False
    some = f"SELECT visitor FROM likeness_member WHERE build = ?1 LIMIT {SLICE}"
    sql = f"DELETE FROM likeness_member WHERE build = ?1 AND visitor IN ({some})"
    if not cn.execute(sql, row).rowcount:
        cn.execute("DELETE FROM likeness WHERE build = ?", row)
    return True


def _objected(cn: sqlite3.Connection, visitor: bytes) -> bool:
    """Whether a visitor opted out since the fit."""
    return cn.execute("SELECT 1 FROM opt_out WHERE visitor = ?", (visitor,)).fetchone() is not None


def _seed(cn: sqlite3.Connection, task: Task, now: int) -> tuple[set[bytes], list[Clause]]:
    """Who is in any of the seeds, and the clauses by which events make them so."""
    members: set[bytes] = set()
    clauses: list[Clause] = []
    for seed in task.seeds:
        sql = "SELECT build, type, rule FROM audience WHERE id = ? AND account = ? AND removed IS NULL"
        row = cn.execute(sql, (seed, task.account)).fetchone()
        if row is None:
            continue
        sql = "SELECT visitor FROM member WHERE build = ? AND opens <= ? AND closes > ?"
        members.update(one[0] for one in cn.execute(sql, (row[0], now, now)).fetchall())
        rule = parse(row[1], json.loads(row[2]))
        clauses += [one for one in rule.clauses if one.group != "none" and (one.names or one.checks)]
    return members, clauses


def _gather(cn: sqlite3.Connection, account: int, gathering: Any, defining: list[Clause], now: int) -> None:
    """What visitors did lately, without the events that define the seed: they would be the answer."""
    any_name = any(clause.names is None for clause in defining)
    names = {name for clause in defining for name in clause.names or ()}
    words = trails.Words(gathering.bundle, gathering.forget)
    columns = "visitor, context, name, time, tag, source, platform, url, data"
    where = "account = :account AND time > :since AND time <= :now"
    params = {"account": account, "since": now - ALIVE, "now": now}
    rows = trails.scan(cn, columns, where, params, trails.place_before(cn, now - ALIVE))
    for visitor, context, name, time, tag, source, platform, url, data in rows:
        if any_name or name in names:
            fact = Fact(name, time, tag, source, platform, url, msgspec.json.decode(data) if data else {})
            if _matched(defining, fact):
                gathering.know(visitor)
                continue
        gathering.add(visitor, time, *words.of(name, url, data, context))


def _matched(clauses: Iterable[Clause], fact: Fact) -> bool:
    return any(clause.matches(fact) for clause in clauses)


def _too_small(learnt: int) -> str:
    return (
        f"The seed has {learnt} visitors with activity to learn from; {LEAST_SEED} are needed."
        " Choose a larger seed, or wait until it has grown."
    )
