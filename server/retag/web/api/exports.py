"""Exports: members streamed in constant memory, whole or as what changed since an earlier export.

`GET …/audiences/{audience_id}/export?format=csv|ndjson&as_of=&since=&fields=`; the manifest says how many
rows and which hash a finished download must have.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import re
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from starlette.responses import StreamingResponse

from retag import errors
from retag.formats import COLUMNS, FORMATS, OP, Format
from retag.formats import Row as Line
from retag.store import members
from retag.store.members import AsOf, Member
from retag.web.api.audiences import find
from retag.web.api.call import Call, Row

ACCOUNT = "/v5/ad_accounts/{ad_account_id}"
BATCH = 2_000
END = Member(members.LAST, 0, 0, 0)
"""Behind every visitor id."""
EXPORT_ID = re.compile(r"[0-9a-f]{32}")


class Manifest(msgspec.Struct):
    """A finished export; the hash covers every byte before an NDJSON trailer, and all of a CSV."""

    export_id: str
    ad_account_id: str
    audience_id: str
    format: str
    as_of: str
    since: str | None
    fields: list[str]
    rows: int
    sha256: str


class Job(msgspec.Struct):
    """One export under way."""

    manifest: Manifest
    format: Format
    build: int | None
    until: AsOf
    since: AsOf | None
    since_build: int | None


async def export(call: Call) -> StreamingResponse:
    """The members at an as_of, or with `since` those to add and to remove after it."""
    job = await _job(call, call.choice("format", tuple(FORMATS)))
    name = f"audience-{job.manifest.audience_id}.{job.format.name}"
    headers = {
        "retag-as-of": job.manifest.as_of,
        "retag-export-id": job.manifest.export_id,
        "cache-control": "no-store",
        "content-disposition": f'attachment; filename="{name}"',
    }
    return StreamingResponse(_body(call, job), headers=headers, media_type=job.format.media_type)


async def _job(call: Call, name: str) -> Job:
    audience = await find(call, call.id("audience_id"))
    asked = call.request.query_params
    until = members.parse(asked["as_of"], call.now) if asked.get("as_of") else None
    since = members.parse(asked["since"], call.now) if asked.get("since") else None
    async with call.state.reader.snapshot() as snapshot:
        until = until or await members.current(snapshot, call.now)
        if since and (since.instant, since.step) > (until.instant, until.step):
            raise errors.Invalid("since", "must not be later than as_of")
        build = await members.build_at(snapshot, audience.id, until)
        if build is not None:
            await members.check_whole(snapshot, build, until)
        before = await members.build_at(snapshot, audience.id, since) if since else None
    manifest = Manifest(
        export_id=os.urandom(16).hex(),
        ad_account_id=str(call.account),
        audience_id=str(audience.id),
        format=name,
        as_of=str(until),
        since=str(since) if since else None,
        fields=columns(asked.get("fields"), since is not None),
        rows=0,
        sha256="",
    )
    return Job(manifest, FORMATS[name], build, until, since, before)


def columns(asked: str | None, delta: bool) -> list[str]:
    """The columns wanted; a delta has `op` first."""
    known = (OP, *COLUMNS) if delta else COLUMNS
    wanted = [one.strip() for one in asked.split(",")] if asked else list(known)
    for one in wanted:
        if one not in known:
            raise errors.Invalid("fields", f"must be some of {', '.join(known)}, not {one[:40]!r}")
    return wanted


async def _body(call: Call, job: Job) -> AsyncIterator[bytes]:
    found, fields = hashlib.sha256(), job.manifest.fields
    head = job.format.head(fields)
    found.update(head)
    yield head
    reader = call.state.reader
    async for lines in _pages(reader, job) if job.since is None else _batches(_delta(reader, job, job.since)):
        chunk = job.format.rows(lines, fields)
        found.update(chunk)
        job.manifest.rows += len(lines)
        yield chunk
    job.manifest.sha256 = found.hexdigest()
    _keep(call, job.manifest)
    yield job.format.trailer(job.manifest.as_of, job.manifest.rows, job.manifest.sha256)


async def _pages(reader: Any, job: Job) -> AsyncIterator[list[Line]]:
    """A full export, page by page: no member is handled twice."""
    async for page in members.pages(reader, job.build, job.until):
        yield [Line(one.visitor, one.opens, one.closes, one.last) for one in page]


async def _batches(lines: AsyncIterator[Line]) -> AsyncIterator[list[Line]]:
    batch: list[Line] = []
    async for line in lines:
        batch.append(line)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


async def _delta(reader: Any, job: Job, since: AsOf) -> AsyncIterator[Line]:
    """A delta: only who came or went, by walking both sets in order of id."""
    old = members.members(reader, job.since_build, since)
    new = members.members(reader, job.build, job.until)
    before, after = await anext(old, END), await anext(new, END)
    while before is not END or after is not END:
        if after.visitor < before.visitor:
            yield _line(after, "add")
            after = await anext(new, END)
        elif before.visitor < after.visitor:
            yield _line(before, "remove")
            before = await anext(old, END)
        else:
            before, after = await anext(old, END), await anext(new, END)


def _line(one: Member, op: str) -> Line:
    return Line(one.visitor, one.opens, one.closes, one.last, op)


def _folder(call: Call) -> pathlib.Path:
    folder: pathlib.Path = call.state.settings.directory / "exports"
    return folder


def _keep(call: Call, manifest: Manifest) -> None:
    folder = _folder(call)
    folder.mkdir(exist_ok=True)
    (folder / f"{manifest.export_id}.json").write_bytes(msgspec.json.encode(manifest))


async def manifest(call: Call) -> Manifest:
    """What a finished export came to; NotFound while it runs."""
    name = call.request.path_params["export_id"]
    path = _folder(call) / f"{name}.json"
    if EXPORT_ID.fullmatch(name) and path.exists():
        found = msgspec.json.decode(path.read_bytes(), type=Manifest)
        if found.ad_account_id == str(call.account):
            return found
    raise errors.NotFound("No finished export has this id: read the download to its end first.")


SCOPE = ("exports:read", "ads_read")
ROWS = (
    Row("GET", f"{ACCOUNT}/audiences/{{audience_id}}/export", "exports/create", "Download members", *SCOPE,
        export, None, None, ("format", "as_of", "since", "fields")),
    Row("GET", f"{ACCOUNT}/exports/{{export_id}}", "exports/get", "Manifest of an export", *SCOPE,
        manifest, None, Manifest),
)  # fmt: skip
