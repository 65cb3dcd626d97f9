"""Scheduled exports as rows, and their runs.

A run's as_of is on disk before anything is printed, and the schedule moves on in the transaction that says
how the run ended. So after kill -9 the same run is taken up again, once, and makes the same file.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import msgspec

from retag import webhooks
from retag.slots import DAY, HOUR, MINUTE, backoff, next_slot
from retag.store import hooks, members, numbered

TABLE, FIRST_ID = "export_schedule", 5_000_001
MOST_ATTEMPTS = 8
"""Then the run has failed, after some two hours; or when the next is due."""
KEPT_MS = 30 * DAY
SLICE = 500
ASKED, RUNNING, WAITING, DELIVERED, FAILED = "ASKED", "RUNNING", "WAITING", "DELIVERED", "FAILED"

COLUMNS = (
    "id, account, audience, asked, destination, file, delta, every, starts, due, as_of, status, created,"
    " updated"
)
SELECT = f"SELECT {COLUMNS} FROM export_schedule"
RUNS = "SELECT id, schedule, began, ended, status, attempts, as_of, since, error, files FROM export_run"
CLOCK = "due <= ?1 OR (due > ?1 + every AND starts < ?1)"
DUE = (
    f"{SELECT} s WHERE (status = 'ACTIVE' AND ({CLOCK})) OR EXISTS"
    " (SELECT 1 FROM export_run r WHERE r.schedule = s.id AND r.ended IS NULL AND r.status <> 'WAITING')"
    " ORDER BY due"
)
"""Due by the clock, even by one that was ahead; asked for now; or broken off with the server."""
LAST = "(SELECT status FROM export_run r WHERE r.schedule = s.id AND r.attempts > 0 ORDER BY id DESC LIMIT 1)"
FAILING = f"SELECT count(*) FROM export_schedule s WHERE {LAST} IN ('WAITING', 'FAILED')"
"""How many schedules' latest run has not gone well."""


class Schedule(msgspec.Struct, frozen=True):
    """One scheduled export; times in UTC ms. `asked` are its parameters, `as_of` was delivered last."""

    id: int
    account: int
    audience: int
    asked: dict[str, Any]
    destination: str
    file: str | None
    delta: bool
    every: int
    starts: int
    due: int
    as_of: str | None
    status: str
    created: int
    updated: int


class Run(msgspec.Struct, frozen=True):
    """One run; `ended` is None while it may be tried again."""

    id: int
    schedule: int
    began: int
    ended: int | None
    status: str
    attempts: int
    as_of: str
    since: str | None
    error: str | None
    files: list[dict[str, Any]]


def decode(row: tuple[Any, ...]) -> Schedule:
    """A row of SELECT as a Schedule."""
    fields = dict(zip(Schedule.__struct_fields__, row, strict=True))
    return Schedule(**fields | {"asked": json.loads(fields["asked"]), "delta": bool(fields["delta"])})


def decode_run(row: tuple[Any, ...]) -> Run:
    """A row of RUNS as a Run."""
    fields = dict(zip(Run.__struct_fields__, row, strict=True))
    return Run(**fields | {"files": json.loads(fields["files"])})


def create(cn: sqlite3.Connection, account: int, values: dict[str, Any], now: int) -> int:
    """A new schedule; its id."""
    return numbered.create(cn, TABLE, FIRST_ID, values | {"account": account}, now)


def update(cn: sqlite3.Connection, schedule_id: int, values: dict[str, Any], now: int) -> None:
    numbered.update(cn, TABLE, schedule_id, values, now)


def remove(cn: sqlite3.Connection, schedule_id: int) -> None:
    """With its runs; what was delivered stays where it is."""
    cn.execute("DELETE FROM export_run WHERE schedule = ?", (schedule_id,))
    cn.execute("DELETE FROM export_schedule WHERE id = ?", (schedule_id,))


def ask(cn: sqlite3.Connection, schedule_id: int, now: int) -> int:
    """A run now, whatever the schedule says; one that has not ended is it. Its id."""
    known = cn.execute(f"{RUNS} WHERE schedule = ? AND ended IS NULL", (schedule_id,)).fetchone()
    if known is None:
        sql = "INSERT INTO export_run (schedule, began, status) VALUES (?, ?, ?)"
        return int(cn.execute(sql, (schedule_id, now, ASKED)).lastrowid or 0)
    sql = "UPDATE export_run SET status = ? WHERE id = ? AND status = ?"
    cn.execute(sql, (ASKED, known[0], WAITING))
    return int(known[0])


def begin(cn: sqlite3.Connection, schedule: Schedule, now: int) -> Run:
    """One more attempt at the run that has not ended, else at a new one."""
    run_id = ask(cn, schedule.id, now)
    since = schedule.as_of if schedule.delta else None
    sql = "UPDATE export_run SET as_of = ?, since = ? WHERE id = ? AND as_of = ''"
    cn.execute(sql, (str(members.at(cn, now)), since, run_id))
    cn.execute("UPDATE export_run SET status = ?, attempts = attempts + 1 WHERE id = ?", (RUNNING, run_id))
    return decode_run(cn.execute(f"{RUNS} WHERE id = ?", (run_id,)).fetchone())


def renew(cn: sqlite3.Connection, run: Run, since: str | None, now: int) -> Run:
    """The run at another instant: somebody who would have been in it at the old one has gone."""
    as_of = str(members.at(cn, now))
    cn.execute("UPDATE export_run SET as_of = ?, since = ? WHERE id = ?", (as_of, since, run.id))
    return msgspec.structs.replace(run, as_of=as_of, since=since)


def finish(
    cn: sqlite3.Connection, schedule: Schedule, run: Run, files: list[dict[str, Any]], now: int
) -> None:
    """Delivered: the schedule moves on, and the hooks are told."""
    sql = "UPDATE export_run SET status = ?, ended = ?, error = NULL, files = ? WHERE id = ?"
    if cn.execute(sql, (DELIVERED, now, json.dumps(files), run.id)).rowcount:
        _move_on(cn, schedule.id, now, as_of=run.as_of)
        told = {"as_of": run.as_of, "since": run.since, "files": files}
        hooks.tell(cn, schedule.account, webhooks.READY, _about(schedule, run) | told, now)


def fail(
    cn: sqlite3.Connection, schedule: Schedule, run: Run, error: str, now: int, chance: float, final: bool
) -> str:
    """An attempt failed: the run's status now. It waits for another, unless that is `final`, or one too many,
    or the next run comes first; then the hooks are told."""
    row = cn.execute(f"{SELECT} WHERE id = ?", (schedule.id,)).fetchone()
    if row is None:
        return FAILED
    known = decode(row)
    again = now + backoff(run.attempts, MINUTE, HOUR, chance)
    over = run.attempts >= MOST_ATTEMPTS or again >= next_slot(known.starts, known.every, now)
    if over or final or known.status != "ACTIVE":
        sql = "UPDATE export_run SET status = ?, ended = ?, error = ? WHERE id = ?"
        cn.execute(sql, (FAILED, now, error, run.id))
        _move_on(cn, schedule.id, now)
        hooks.tell(cn, schedule.account, webhooks.FAILED, _about(schedule, run) | {"error": error}, now)
        return FAILED
    cn.execute("UPDATE export_run SET status = ?, error = ? WHERE id = ?", (WAITING, error, run.id))
    cn.execute("UPDATE export_schedule SET due = ? WHERE id = ?", (again, schedule.id))
    return WAITING


def _move_on(cn: sqlite3.Connection, schedule_id: int, now: int, **columns: Any) -> None:
    starts, every = cn.execute(
        "SELECT starts, every FROM export_schedule WHERE id = ?", (schedule_id,)
    ).fetchone()
    row = columns | {"due": next_slot(starts, every, now)}
    names = ", ".join(f"{name} = ?" for name in row)
    cn.execute(f"UPDATE export_schedule SET {names} WHERE id = ?", (*row.values(), schedule_id))


def _about(schedule: Schedule, run: Run) -> dict[str, Any]:
    return {
        "ad_account_id": str(schedule.account),
        "audience_id": str(schedule.audience),
        "schedule_id": str(schedule.id),
        "run_id": str(run.id),
        "destination": schedule.destination,
    }


def purge(cn: sqlite3.Connection, now: int) -> bool:
    """Forget runs after 30 days; whether there is more."""
    sql = f"SELECT id, began, ended FROM export_run ORDER BY id LIMIT {SLICE}"
    rows = [(id_,) for id_, began, ended in cn.execute(sql).fetchall() if ended and began < now - KEPT_MS]
    cn.executemany("DELETE FROM export_run WHERE id = ?", rows)
    return len(rows) == SLICE
