"""Act-alikes on the log: who is in the seed, what everybody did, and who acts most like the seed.

`refit` reads what the account's visitors did in 180 days and fits: for a process of its own. It writes
nothing; what it finds is applied by the writer, a few visitors at a time.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import msgspec

from retag import fold, likeness
from retag.rules import parse
from retag.store import graves, seeds, sqlite
from retag.windows import DAY

LEAST_SEED = 30
REFIT = DAY
"""How long a fit is good for."""
SLICE = 150
"""Visitors marked in one transaction: some milliseconds."""


class Task(msgspec.Struct, frozen=True):
    """A build to be fitted: choose `percentage` % of the account's visitors by likeness to the seeds; only of
    those last seen in `country` (ISO 3166, two letters) when it is given. With `include_seed` those of the
    seed who did anything lately are in it too."""

    build: int
    account: int
    seeds: tuple[int, ...]
    percentage: int
    country: str = ""
    include_seed: bool = False


class Report(msgspec.Struct, frozen=True):
    """One fit, in figures and words. `chosen` are the visitors, best first, and behind them the seed if it is
    in it too; None when the seed is too small.

    `seeds` have activity to learn from, `needed` would do; `eligible` are those to choose from. `located` are
    the visitors whose country is known, None when it does not matter.
    """

    fitted: int
    seeds: int
    eligible: int
    needed: int
    chosen: list[bytes] | None = None
    quality: dict[str, Any] | None = None
    features: tuple[str, ...] = ()
    explanation: str = ""
    located: int | None = None

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
        seed = seeds.find(cn, task.account, task.seeds, now)
        gathering = activity.Gathering()
        whereabouts = activity.Whereabouts(task.country)
        seeds.gather(cn, task.account, gathering, whereabouts, seed.clauses, now)
        opted_out = {row[0] for row in cn.execute("SELECT visitor FROM opt_out").fetchall()}
    finally:
        cn.close()
    table, share = gathering.activity(now), task.percentage / 100
    is_seed = model.mask(table.visitors, seed.members)
    reachable = ~model.mask(table.visitors, opted_out) & whereabouts.inside(table.order)
    eligible = ~is_seed & reachable
    kept = (is_seed & reachable).nonzero()[0] if task.include_seed else ()
    own = [table.visitors[row] for row in kept]
    learnt = int((is_seed & model.active(table.counts)).sum())
    report = Report(now, learnt, int(eligible.sum()), LEAST_SEED, located=whereabouts.located)
    if learnt < LEAST_SEED:
        return msgspec.structs.replace(report, explanation=_too_small(learnt, seed.removed))
    if not eligible.any():
        return msgspec.structs.replace(report, chosen=own, explanation=_nobody(task, report))
    try:
        held_out = quality.held_out(table.counts, is_seed, table.profile, share)
        fitted = model.fit(table.counts, is_seed, table.profile)
    except model.Unlearnable as reason:
        return msgspec.structs.replace(report, chosen=own, explanation=f"Nobody was chosen: {reason}.")
    best = quality.choose(fitted.score(table.counts, table.profile), eligible, share)
    weights = quality.telling(fitted, table.counts, is_seed, table.features)
    return msgspec.structs.replace(
        report,
        chosen=[table.visitors[row] for row in best] + own,
        quality={**msgspec.structs.asdict(held_out), "worthless": held_out.worthless},
        features=tuple(one.words() for one in weights),
        explanation=" ".join([held_out.words(), *_located(task, report), *_none(task, len(best))]),
    )


def due(cn: sqlite3.Connection, now: int) -> list[Task]:
    """The act-alike builds that were never fitted, or not for `REFIT`, the longest waiting first; not those
    whose seeds are being filled in."""
    return [one for one in _all_due(cn, now) if seeds.ready(cn, one.seeds)]


def waiting(cn: sqlite3.Connection, now: int) -> bool:
    """Whether any would be due but for its seeds."""
    return any(not seeds.ready(cn, one.seeds) for one in _all_due(cn, now))


def _all_due(cn: sqlite3.Connection, now: int) -> list[Task]:
    sql = (
        "SELECT b.id, a.account, b.rule FROM build b JOIN audience a ON a.id = b.audience"
        " LEFT JOIN likeness l ON l.build = b.id"
        " WHERE a.type = 'ACTALIKE' AND a.removed IS NULL AND b.retired IS NULL"
        " AND (l.fitted IS NULL OR l.fitted <= ? OR l.wanted >= l.fitted)"
        " ORDER BY coalesce(l.fitted, 0), b.id"
    )
    return [_task(*row) for row in cn.execute(sql, (now - REFIT,)).fetchall()]


def _task(build: int, account: int, rule: str) -> Task:
    fields = json.loads(rule)
    named = tuple(int(one) for one in fields["seed_id"])
    own = fields.get("include_seed", False)
    return Task(build, account, named, fields.get("percentage", 1), fields.get("country", ""), own)


def want(cn: sqlite3.Connection, build: int, now: int) -> None:
    """Fit this build as soon as may be; one that never was is due anyway."""
    cn.execute("UPDATE likeness SET wanted = ? WHERE build = ?", (now, build))


def note(cn: sqlite3.Connection, build: int, report: Report) -> None:
    """Keep the report for the API."""
    kept = msgspec.json.encode(msgspec.structs.replace(report, chosen=None)).decode()
    count = None if report.chosen is None else len(report.chosen)
    sql = (
        "INSERT INTO likeness (build, fitted, chosen, report) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
        " SET fitted = excluded.fitted, chosen = excluded.chosen, report = excluded.report"
    )
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
    gone = graves.gone(cn, [*added, *removed])  # since the fit
    joined, left = ([one for one in some if one not in gone] for some in (added, removed))
    fold.mark(cn, build, place, joined, left, now)
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


def _too_small(learnt: int, removed: list[int]) -> str:
    gone = f" Audience {', '.join(map(str, removed))} has been removed." if removed else ""
    return (
        f"The seed has {learnt} visitors with activity to learn from; {LEAST_SEED} are needed.{gone}"
        " Choose a larger seed, or wait until it has grown."
    )


def _nobody(task: Task, report: Report) -> str:
    if task.country and not report.located:
        return (
            f"Nobody was chosen: country is {task.country}, but no visitor's country is known."
            " Leave country out, or give the server a country database."
        )
    if task.country:
        return (
            f"Nobody was chosen: of {report.located} visitors whose country is known, none that may be chosen"
            f" was last seen in {task.country}."
        )
    return (
        "Nobody was chosen: every visitor with a counted event in 180 days is in the seed or has opted out."
    )


def _none(task: Task, chosen: int) -> list[str]:
    return [] if chosen else [f"{task.percentage}% of those who may be chosen is less than one visitor."]


def _located(task: Task, report: Report) -> list[str]:
    if not task.country:
        return []
    return [
        f"Chosen among {report.eligible} visitors last seen in {task.country}; the country of"
        f" {report.located} visitors is known."
    ]
