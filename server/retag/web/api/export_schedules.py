"""Scheduled exports: create, list, get, update and delete; run one now; what became of the last runs."""

from __future__ import annotations

import json
import sqlite3
from typing import Annotated, Any

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
from retag.web.api.call import Call, Row, closed, number

ACCOUNT = "/v5/ad_accounts/{ad_account_id}"
MOST = 100
"""Schedules of one ad account."""
STATUSES = ("ACTIVE", "PAUSED")
UNSET = msgspec.UNSET
Format = Annotated[str, closed(*FORMATS)]
Compress = Annotated[str, closed(*CODECS)]
Minutes = Annotated[int, msgspec.Meta(ge=5, le=44_640)]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=4_102_444_800)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class ScheduleCreate(msgspec.Struct):
    """`destination` is a folder below RETAG_EXPORT_FOLDER, or `s3://bucket/prefix`. `starts_at` is in UTC
    seconds, at once by default. With `file` each run replaces the file of that name; without, each has a name
    of its own. With `delta` each has what changed since the last one delivered."""

    audience_id: str
    destination: Text
    every_minutes: Minutes
    format: Format = "csv"
    fields: str = ""
    compress: Compress | None = None
    spreadsheet: bool = False
    file: str | None = None
    delta: bool = False
    starts_at: Seconds | None = None


class ScheduleUpdate(msgspec.Struct):
    """Any of these; what is absent stays, null takes away."""

    destination: Text | msgspec.UnsetType = UNSET
    every_minutes: Minutes | msgspec.UnsetType = UNSET
    format: Format | msgspec.UnsetType = UNSET
    fields: str | msgspec.UnsetType = UNSET
    compress: Compress | msgspec.UnsetType | None = UNSET
    spreadsheet: bool | msgspec.UnsetType = UNSET
    file: str | msgspec.UnsetType | None = UNSET
    delta: bool | msgspec.UnsetType = UNSET
    starts_at: Seconds | msgspec.UnsetType = UNSET
    status: Annotated[str, closed(*STATUSES)] | msgspec.UnsetType = UNSET


class RunView(msgspec.Struct):
    """One run: ASKED, RUNNING, WAITING (to be tried again), DELIVERED or FAILED. Times are Unix seconds.
    `files` are the manifests of what was delivered."""

    id: str
    status: str
    attempts: int
    began_at: int
    ended_at: int | None
    as_of: str | None
    since: str | None
    error: str | None
    files: list[dict[str, Any]]


class RunPage(msgspec.Struct):
    items: list[RunView]


class ScheduleView(msgspec.Struct):
    """Times are Unix seconds; `next_run_at` may be another attempt; `as_of` was delivered last."""

    ad_account_id: str
    id: str
    audience_id: str
    destination: str
    every_minutes: int
    starts_at: int
    format: str
    fields: str
    compress: str | None
    spreadsheet: bool
    file: str | None
    delta: bool
    status: str
    next_run_at: int | None
    as_of: str | None
    last_run: RunView | None
    created_timestamp: int
    updated_timestamp: int


class SchedulePage(msgspec.Struct):
    """All of them: there are no more than 100."""

    items: list[ScheduleView]


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
        _check_alone(cn, 0, values)
        return schedules.create(cn, call.account, values, call.now)

    schedule_id = await call.state.journal.write(write)
    call.state.scheduler.wake()
    return await view(call, await find(call, schedule_id))


async def update(call: Call) -> ScheduleView:
    """Change, pause or resume. What was missed during a pause is not made up."""
    known = await find(call, call.id("schedule_id"))
    wanted = msgspec.structs.asdict(call.json(ScheduleUpdate))
    changes = {name: value for name, value in wanted.items() if value is not UNSET}
    status = changes.pop("status", known.status)
    if status not in STATUSES:
        raise errors.Invalid("status", f"must be one of {', '.join(STATUSES)}")
    values = _values(call, _as_asked(known) | changes) | {"status": status}
    if {"every_minutes", "starts_at"} & changes.keys() or status != known.status:
        values["due"] = _next(values, call.now)

    def write(cn: sqlite3.Connection) -> None:
        _check_alone(cn, known.id, values)
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
    return _run(row)


async def runs(call: Call) -> RunPage:
    """The latest, newest first."""
    known = await find(call, call.id("schedule_id"))
    sql = f"{schedules.RUNS} WHERE schedule = ? ORDER BY id DESC LIMIT ?"
    rows = await call.state.reader.all(sql, (known.id, call.size("page_size", 25, 250)))
    return RunPage([_run(row) for row in rows])


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


def _as_asked(known: schedules.Schedule) -> dict[str, Any]:
    return known.asked | {
        "destination": known.destination,
        "file": known.file,
        "delta": known.delta,
        "every_minutes": known.every // MINUTE,
        "starts_at": known.starts // 1000,
    }


def _next(values: dict[str, Any], now: int) -> int:
    return next_slot(values["starts"], values["every"], now)


def _check_alone(cn: sqlite3.Connection, schedule_id: int, values: dict[str, Any]) -> None:
    sql = "SELECT 1 FROM export_schedule WHERE destination = ? AND file = ? AND id <> ?"
    if cn.execute(sql, (values["destination"], values["file"], schedule_id)).fetchone():
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
    last = await call.state.reader.one(sql, (one.id,))
    return ScheduleView(
        ad_account_id=str(one.account),
        id=str(one.id),
        audience_id=str(one.audience),
        **_as_asked(one),
        status=one.status,
        next_run_at=one.due // 1000 if one.status == "ACTIVE" else None,
        as_of=one.as_of,
        last_run=_run(last) if last else None,
        created_timestamp=one.created // 1000,
        updated_timestamp=one.updated // 1000,
    )


def _run(row: tuple[Any, ...]) -> RunView:
    one = schedules.decode_run(row)
    return RunView(
        id=str(one.id),
        status=one.status,
        attempts=one.attempts,
        began_at=one.began // 1000,
        ended_at=None if one.ended is None else one.ended // 1000,
        as_of=one.as_of or None,
        since=one.since,
        error=one.error,
        files=one.files,
    )


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
