"""Schedules as the API takes and shows them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from retag.formats import FORMATS
from retag.press.codecs import CODECS
from retag.slots import MINUTE
from retag.store import schedules
from retag.web.api.call import Status, closed

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
    status: Status | msgspec.UnsetType = UNSET


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


def as_asked(known: schedules.Schedule) -> dict[str, Any]:
    return known.asked | {
        "destination": known.destination,
        "file": known.file,
        "delta": known.delta,
        "every_minutes": known.every // MINUTE,
        "starts_at": known.starts // 1000,
    }


def shown(one: schedules.Schedule, last: tuple[Any, ...] | None) -> ScheduleView:
    """A schedule, and the row of its last run."""
    return ScheduleView(
        ad_account_id=str(one.account),
        id=str(one.id),
        audience_id=str(one.audience),
        **as_asked(one),
        status=one.status,
        next_run_at=one.due // 1000 if one.status == "ACTIVE" else None,
        as_of=one.as_of,
        last_run=run_shown(last) if last else None,
        created_timestamp=one.created // 1000,
        updated_timestamp=one.updated // 1000,
    )


def run_shown(row: tuple[Any, ...]) -> RunView:
    """A run, of its row."""
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
