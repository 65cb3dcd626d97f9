"""Asking: what somebody wants becomes a job, or is refused with what to do about it."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import time
from typing import Any

import msgspec

from retag import errors
from retag.formats import EVENT_FORMATS, FORMATS, OP, Format
from retag.press.job import Job, Manifest
from retag.store import identified, members, news
from retag.store.erasing import ERASED
from retag.store.members import AsOf

OPS = ("add", "remove")
SLUG = 40


class Asked(msgspec.Struct):
    """Parameters as they are spelt over HTTP and on the command line; '' for none."""

    format: str = "csv"
    as_of: str = ""
    since: str = ""
    fields: str = ""
    op: str = ""
    spreadsheet: bool = False


async def members_job(reader: Any, account: int, audience: int, asked: Asked, now: int) -> Job:
    """An audience's export. errors.Invalid names the parameter; errors.Gone when somebody who would be in it
    has gone since, or an as_of is too old. `reader` can snapshot."""
    form = usable(FORMATS, asked.format)
    until = members.parse(asked.as_of, now) if asked.as_of else None
    since = members.parse(asked.since, now, "since") if asked.since else None
    op = _op(form, asked)
    fields = columns(form, asked.fields, since is not None, op)
    async with reader.snapshot() as snapshot:
        known = await members.current(snapshot, now)
        until = until or known
        for name, one in (("as_of", until), ("since", since)):
            if one and one.later(known):
                raise errors.Invalid(name, "must be a token that an earlier export gave")
        if since and (since.instant, since.step) > (until.instant, until.step):
            raise errors.Invalid("since", "must not be later than as_of")
        job = Job(
            Manifest(str(account), str(audience), form.name, str(until), asked.since or None, fields, op=op),
            until,
            await members.build_at(snapshot, audience, until),
            since,
            await members.build_at(snapshot, audience, since) if since else None,
            asked.spreadsheet,
            await members.departures(snapshot),
        )
        await check(snapshot, job)
    return named(job)


async def events_job(reader: Any, account: int, span: tuple[int, int], asked: Asked, now: int) -> Job:
    """Raw events that arrived in a span of UTC ms; errors.Invalid names the parameter."""
    if span[0] > span[1]:
        raise errors.Invalid("from", "must not be later than to")
    form = usable(EVENT_FORMATS, asked.format)
    fields = columns(form, asked.fields, False)
    until = members.parse(asked.as_of, now) if asked.as_of else await members.current(reader, now)
    about = Manifest(str(account), None, form.name, str(until), None, fields, span=span)
    gone = await members.departures(reader)
    return named(Job(about, until, spreadsheet=asked.spreadsheet, departures=gone))


def named(job: Job) -> Job:
    """The job with its id, which follows from what was asked."""
    about = job.manifest
    who = (about.ad_account_id, about.audience_id, about.format, about.as_of, about.since)
    asked = repr((*who, about.fields, about.op, about.span, job.spreadsheet)).encode()
    about.export_id = hashlib.sha256(asked).hexdigest()[:32]
    return job


def usable(table: dict[str, Format], name: str) -> Format:
    """The format; Invalid when there is none, or the library that it needs is not installed."""
    form = table.get(name)
    if form is None:
        raise errors.Invalid("format", f"must be one of {', '.join(table)}, not {name[:40]!r}")
    if form.needs and importlib.util.find_spec(form.needs) is None:
        raise errors.Invalid("format", f"{name} needs an extra: pip install 'retag[{name}]'")
    return form


def columns(form: Format, asked: str, delta: bool, op: str | None = None) -> list[str]:
    """The columns wanted; a delta has `op` first unless they say where, or it is of one `op` alone. An upload
    file has its platform's own."""
    if not form.columns:
        if asked:
            raise errors.Invalid("fields", f"are not for {form.name}: its columns are the platform's")
        return []
    usual = (OP, *form.columns) if delta else form.columns
    wanted = [one.strip() for one in asked.split(",")] if asked else list(usual)
    for one in wanted:
        if one not in usual and one not in form.more:
            known = ", ".join((*usual, *form.more))
            raise errors.Invalid("fields", f"must be some of {known}, not {one[:40]!r}")
    if len(set(wanted)) < len(wanted):
        raise errors.Invalid("fields", "must name each column once")
    return [OP, *wanted] if delta and op is None and OP not in wanted else wanted


def _op(form: Format, asked: Asked) -> str | None:
    """Which half of a delta: a platform takes two files."""
    if asked.op and not asked.since:
        raise errors.Invalid(OP, "needs `since`")
    if asked.op and asked.op not in OPS:
        raise errors.Invalid(OP, f"must be one of {', '.join(OPS)}, not {asked.op[:40]!r}")
    if asked.since and not form.columns and not asked.op:
        raise errors.Invalid(OP, f"must be add or remove: what changed is two files in {form.name}")
    return asked.op or None


async def check(reader: Any, job: Job) -> None:
    """errors.Gone when somebody in the export has gone since; a file with identifiers also loses those who
    withhold theirs, and those who had left already. Of raw events, and of what a platform is to remove,
    nobody may have gone at all: who they are is not known."""
    about = job.manifest
    nobody = about.span is not None or (about.op == "remove" and not job.format().by_visitor)
    if nobody and job.departures != await members.departures(reader):
        raise errors.Gone(members.GONE)
    if job.build is not None and about.op != "remove":
        await members.check_whole(reader, job.build, job.until)
        if job.kinds:
            await identified.check_shared(reader, job.build, job.until)
    if job.kinds and job.since is not None:
        await news.check(reader, job.since)
        if job.since_build is not None and about.op != "add":
            await _check_left(reader, job, job.since, job.since_build)


async def _check_left(reader: Any, job: Job, since: AsOf, build: int) -> None:
    """Gone when somebody in the earlier file has gone behind the later one; when somebody was erased, it is
    no longer known what a platform should remove."""
    await members.check_whole(reader, build, since, job.until.step)
    if not job.format().by_visitor:
        await members.check_whole(reader, build, since, cause=ERASED)


def title(job: Job, audience: str = "") -> str:
    """A telling name for the file, without its ending: what, of which audience, from when."""
    about = job.manifest
    at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(job.until.instant / 1000))
    if about.span is not None:
        return f"events-{about.span[0]}-{about.span[1]}-{at}"
    kind = "-".join(["changes", *([about.op] if about.op else [])]) if about.since else "members"
    words = "-".join(re.findall(r"[a-z0-9]+", audience.lower()))[:SLUG].strip("-")
    return "-".join(part for part in ("audience", about.audience_id, words, kind, at) if part)


def ending(job: Job) -> str:
    """The ending of the file's name."""
    name, suffix = job.manifest.format, job.format().suffix
    return suffix if name == suffix else f"{name}.{suffix}"
