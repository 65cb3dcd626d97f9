"""Exports: members streamed in constant memory, whole or as what changed since an earlier export.

`GET …/audiences/{audience_id}/export?format=&as_of=&since=&fields=&op=`; the manifest says how many rows
and which hash a finished download must have. A finished export's bytes are kept for 24 h: the same as_of
gives the same bytes, with `Range` and `If-None-Match`.
"""

from __future__ import annotations

import hashlib
from typing import Any

from starlette.responses import FileResponse, Response, StreamingResponse

from retag import errors
from retag.formats import COLUMNS, FORMATS, OP, Format
from retag.store import members
from retag.web.api.audiences import find
from retag.web.api.call import Call, Row
from retag.web.kept import AT_ONCE, Kept, Manifest
from retag.web.streaming import Job, body, note

ACCOUNT = "/v5/ad_accounts/{ad_account_id}"


async def export(call: Call) -> Response:
    """The members at an as_of, or with `since` those to add and to remove after it."""
    job = await _job(call, FORMATS[call.choice("format", tuple(FORMATS))])
    kept: Kept = call.state.kept
    headers = _headers(job)
    if call.request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    path, entry = kept.bytes_of(job.manifest.export_id), kept.entry(job.manifest.export_id)
    if path is not None and entry is not None:
        if call.request.method == "GET":
            await note(call.state, entry.manifest, call.caller.prefix)
        return FileResponse(path, headers=headers, media_type=job.format.media_type)
    if call.request.method == "HEAD":
        return Response(headers=headers, media_type=job.format.media_type)
    if kept.running >= AT_ONCE:
        raise errors.RateLimited(10)
    return StreamingResponse(body(call.state, job), headers=headers, media_type=job.format.media_type)


def _headers(job: Job) -> dict[str, str]:
    about = job.manifest
    kind = "-".join(["changes", *([about.op] if about.op else [])]) if about.since else "members"
    name = f"audience-{about.audience_id}-{kind}-{about.as_of}.{about.format}"
    name = name if about.format == job.format.suffix else f"{name}.{job.format.suffix}"
    return {
        "retag-as-of": about.as_of,
        "retag-export-id": about.export_id,
        "etag": f'"{about.export_id}"',
        "cache-control": "private, no-cache",
        "content-disposition": f'attachment; filename="{name}"',
    }


async def _job(call: Call, form: Format) -> Job:
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
    fields, op = columns(form, asked.get("fields"), since is not None), _op(call, form, since)
    told = (call.account, audience.id, form.name, until, since, fields, op)
    manifest = Manifest(
        export_id=hashlib.sha256(repr(told).encode()).hexdigest()[:32],
        ad_account_id=str(call.account),
        audience_id=str(audience.id),
        format=form.name,
        as_of=str(until),
        since=str(since) if since else None,
        fields=fields,
        rows=0,
        sha256="",
        op=op,
    )
    return Job(manifest, form, build, until, since, before, call.caller.prefix)


def _op(call: Call, form: Format, since: Any) -> str | None:
    """Which half of a delta: a platform takes two files."""
    asked = call.request.query_params.get(OP)
    if asked and since is None:
        raise errors.Invalid(OP, "needs `since`")
    if asked or (since is not None and not form.columns):
        return call.choice(OP, ("add", "remove"))
    return None


def columns(form: Format, asked: str | None, delta: bool) -> list[str]:
    """The columns wanted; a delta has `op` first. An upload file has its platform's own."""
    if not form.columns:
        if asked:
            raise errors.Invalid("fields", f"are not for {form.name}: its columns are the platform's")
        return []
    known = (OP, *COLUMNS) if delta else COLUMNS
    wanted = [one.strip() for one in asked.split(",")] if asked else list(known)
    for one in wanted:
        if one not in known:
            raise errors.Invalid("fields", f"must be some of {', '.join(known)}, not {one[:40]!r}")
    return wanted


async def manifest(call: Call) -> Manifest:
    """What a finished export came to; NotFound while it runs."""
    found = call.state.kept.entry(call.request.path_params["export_id"])
    if found is not None and found.manifest.ad_account_id == str(call.account):
        about: Manifest = found.manifest
        return about
    raise errors.NotFound("No finished export has this id: read the download to its end first.")


SCOPE = ("exports:read", "ads_read")
ROWS = (
    Row("GET", f"{ACCOUNT}/audiences/{{audience_id}}/export", "exports/create", "Download members", *SCOPE,
        export, None, None, ("format", "as_of", "since", "fields", "op")),
    Row("GET", f"{ACCOUNT}/exports/{{export_id}}", "exports/get", "Manifest of an export", *SCOPE,
        manifest, None, Manifest),
)  # fmt: skip
