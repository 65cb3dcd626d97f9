"""Scheduled exports: create, list, get, update and delete; run one now; what became of the last runs."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import msgspec

from retag import errors
from retag.courier.places import STEP, place
from retag.courier.worker import MANIFEST
from retag.formats import FORMATS
from retag.press.asking import columns, usable
from retag.press.codecs import CODECS
from retag.slots import MINUTE, next_slot
from retag.store import schedules
from retag.web import courier
from retag.web.api.audiences import find as find_audience
from retag.web.api.call import Call, Row, number
from retag.web.api.schedule_views import (
    RunPage,
    RunView,
    ScheduleCreate,
    SchedulePage,
    ScheduleUpdate,
    ScheduleView,
    as_asked,
    run_shown,
    shown,
)

ACCOUNT = "/v5/ad_accounts/{ad_account_id}"
MOST = 100
"""Schedules of one ad account."""


async def index(call: Call) -> SchedulePage:
    """Every schedule of the account, oldest first."""
    rows = await call.state.reader.all(f"{schedules.SELECT} WHERE account = ? ORDER BY id", (call.account,))
    return SchedulePage([await view(call, schedules.decode(row)) for row in rows])


async def get(call: Call) -> ScheduleView:
    """One schedule."""
    return await view(call, await find(call, call.id("schedule_id")))


async def create(call: Call) -> ScheduleView:
    """A new schedule; its first run is at `starts_at`, or at the first slot after now."""
    wanted = msgspec.structs.asdict(call.json(ScheduleCreate))
    audience = await find_audience(call, number("audience_id", wanted.pop("audience_id")))
    now = call.now // 1000
    wanted["starts_at"] = now if wanted["starts_at"] is None else wanted["starts_at"]
    values = _values(call, wanted) | {"audience": audience.id}
    values["due"] = call.now if wanted["starts_at"] == now else _next(values, call.now)

    def write(cn: sqlite3.Connection) -> int:
        sql = "SELECT count(*) FROM export_schedule WHERE account = ?"
        if cn.execute(sql, (call.account,)).fetchone()[0] >= MOST:
            raise errors.Conflict(f"There are {MOST} schedules: delete one first.")
        _check_alone(cn, call.account, 0, values)
        return schedules.create(cn, call.account, values, call.now)

    schedule_id = await call.state.journal.write(write)
    call.state.scheduler.wake()
    return await view(call, await find(call, schedule_id))


async def update(call: Call) -> ScheduleView:
    """Change, pause or resume. What was missed during a pause is not made up."""
    known = await find(call, call.id("schedule_id"))
    changes, status = call.changes(ScheduleUpdate, known.status)
    values = _values(call, as_asked(known) | changes) | {"status": status}
    if {"every_minutes", "starts_at"} & changes.keys() or status != known.status:
        values["due"] = _next(values, call.now)

    def write(cn: sqlite3.Connection) -> None:
        _check_alone(cn, call.account, known.id, values)
        schedules.update(cn, known.id, values, call.now)

    await call.state.journal.write(write)
    return await view(call, await find(call, known.id))


async def delete(call: Call) -> ScheduleView:
    """No more runs, the one under way included; what was delivered stays."""
    known = await find(call, call.id("schedule_id"))
    last = await view(call, known)
    await call.state.journal.write(lambda cn: schedules.remove(cn, known.id))
    await call.state.scheduler.drop(known.id)
    return msgspec.structs.replace(
        last, status="REMOVED", next_run_at=None, updated_timestamp=call.now // 1000
    )


async def run(call: Call) -> RunView:
    """Run it now, paused or not; the slots stay as they are. The answer is the run as it begins."""
    known = await find(call, call.id("schedule_id"))
    run_id = await call.state.journal.write(lambda cn: schedules.ask(cn, known.id, call.now))
    call.state.scheduler.wake()
    row = await call.state.reader.one(f"{schedules.RUNS} WHERE id = ?", (run_id,))
    if row is None:
        raise errors.NotFound("The schedule was deleted meanwhile.")
    return run_shown(row)


async def runs(call: Call) -> RunPage:
    """The latest, newest first."""
    known = await find(call, call.id("schedule_id"))
    sql = f"{schedules.RUNS} WHERE schedule = ? ORDER BY id DESC LIMIT ?"
    rows = await call.state.reader.all(sql, (known.id, call.size("page_size", 25, 250)))
    return RunPage([run_shown(row) for row in rows])


def _values(call: Call, wanted: dict[str, Any]) -> dict[str, Any]:
    """The columns of a schedule that is sound as a whole; Invalid or NotAcceptable else."""
    form, file = usable(FORMATS, wanted["format"]), wanted["file"]
    columns(form, wanted["fields"], False)
    if wanted["compress"] is not None:
        if wanted["compress"] not in CODECS:
            raise errors.Invalid("compress", f"must be one of {', '.join(CODECS)}")
        CODECS[wanted["compress"]].open()
    place(wanted["destination"], courier.allowed(call.state.settings))
    if file is not None and (not STEP.fullmatch(file) or file.endswith(MANIFEST)):
        raise errors.Invalid(
            "file", f"must be a name of 1 to 100 letters, digits, spaces, - _ . and =, not in {MANIFEST}"
        )
    if file is not None and wanted["delta"]:
        raise errors.Invalid("file", "does not go with delta: changes not yet fetched would be replaced")
    asked = {name: wanted[name] for name in ("format", "fields", "compress", "spreadsheet")}
    return {
        "asked": json.dumps(asked),
        "destination": wanted["destination"].removesuffix("/"),
        "file": file,
        "delta": wanted["delta"],
        "every": wanted["every_minutes"] * MINUTE,
        "starts": wanted["starts_at"] * 1000,
    }


def _next(values: dict[str, Any], now: int) -> int:
    return next_slot(values["starts"], values["every"], now)


def _check_alone(cn: sqlite3.Connection, account: int, schedule_id: int, values: dict[str, Any]) -> None:
    """Conflict when another schedule writes the same file, or another ad account into the same folder."""
    sql = "SELECT account, file FROM export_schedule WHERE destination = ? AND id <> ?"
    for owner, file in cn.execute(sql, (values["destination"], schedule_id)).fetchall():
        if owner != account:
            raise errors.Conflict("Another ad account delivers there: give another `destination`.")
        if file is not None and file == values["file"]:
            raise errors.Conflict("Another schedule already writes this file: give another `file`.")


async def find(call: Call, schedule_id: int) -> schedules.Schedule:
    """The account's schedule, or NotFound."""
    sql = f"{schedules.SELECT} WHERE account = ? AND id = ?"
    row = await call.state.reader.one(sql, (call.account, schedule_id))
    if row is None:
        raise errors.NotFound("Schedule not found. GET …/export_schedules lists the ones there are.")
    return schedules.decode(row)


async def view(call: Call, one: schedules.Schedule) -> ScheduleView:
    """A schedule as an answer shows it."""
    sql = f"{schedules.RUNS} WHERE schedule = ? ORDER BY id DESC LIMIT 1"
    return shown(one, await call.state.reader.one(sql, (one.id,)))


SCHEDULES = f"{ACCOUNT}/export_schedules"
SCHEDULE = f"{SCHEDULES}/{{schedule_id}}"
READ, WRITE = ("exports:read", "ads_read"), ("admin", "ads_write")
ROWS = (
    Row("GET", SCHEDULES, "export_schedules/list", "List schedules", *READ, index, None, SchedulePage),
    Row("POST", SCHEDULES, "export_schedules/create", "Deliver an audience by schedule", *WRITE,
        create, ScheduleCreate, ScheduleView),
    Row("GET", SCHEDULE, "export_schedules/get", "Get schedule", *READ, get, None, ScheduleView),
    Row("PATCH", SCHEDULE, "export_schedules/update", "Change or pause schedule", *WRITE,
        update, ScheduleUpdate, ScheduleView),
    Row("DELETE", SCHEDULE, "export_schedules/delete", "Delete schedule", *WRITE,
        delete, None, ScheduleView),
    Row("POST", f"{SCHEDULE}/run", "export_schedules/run", "Run it now", *WRITE, run, None, RunView),
    Row("GET", f"{SCHEDULE}/runs", "export_schedules/runs", "What became of runs", *READ,
        runs, None, RunPage, ("page_size",)),
)  # fmt: skip
