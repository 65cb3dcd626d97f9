"""Exports: members streamed in constant memory, whole or as what changed since an earlier export.

`GET …/audiences/{audience_id}/export?format=&as_of=&since=&fields=&op=&compress=&spreadsheet=`; the manifest
says how many rows and which hash a finished download must have. A finished export's bytes are kept for 24 h:
the same as_of gives the same bytes, with `Range` and `If-None-Match`.
"""

from __future__ import annotations

import asyncio
import time

from starlette.responses import Response

from retag import errors
from retag.press.asking import Asked, members_job, title
from retag.press.job import Manifest
from retag.store.audiences import Audience
from retag.web.api.audiences import find
from retag.web.api.call import Call, Row
from retag.web.api.delivering import deliver

PATIENCE_S, POLL_S = 5.0, 0.05
ACCOUNT = "/v5/ad_accounts/{ad_account_id}"


async def export(call: Call) -> Response:
    """The members at an as_of, or with `since` those to add and to remove after it."""
    audience = await filled(call, call.id("audience_id"))
    job = await members_job(call.state.reader, call.account, audience.id, asked(call), call.now)
    return await deliver(call, job, title(job, audience.name))


async def filled(call: Call, audience_id: int) -> Audience:
    """The audience, its history filled in; Conflict when that takes longer than PATIENCE_S.

    A tool that took the first half for the whole would remove everybody else where it uploads.
    """
    end = time.monotonic() + PATIENCE_S
    while (found := await find(call, audience_id)).ready is None:
        if time.monotonic() > end:
            done = f"{found.progress:.0%}"
            raise errors.Conflict(f"The audience is INITIALIZING, {done} done: export it when it is READY.")
        await asyncio.sleep(POLL_S)
    return found


def asked(call: Call, usual: str = "csv") -> Asked:
    """The query's parameters; `usual` is the format without one."""
    given = call.request.query_params
    texts = {name: given.get(name, "") for name in ("as_of", "since", "fields", "op")}
    return Asked(given.get("format") or usual, **texts, spreadsheet=call.flag("spreadsheet"))


async def manifest(call: Call) -> Manifest:
    """What a finished export came to; NotFound while it runs."""
    found = call.state.kept.entry(call.request.path_params["export_id"])
    if found is not None and found.manifest.ad_account_id == str(call.account):
        about: Manifest = found.manifest
        return about
    raise errors.NotFound("No finished export has this id: read the download to its end first.")


SCOPE = ("exports:read", "ads_read")
QUERY = ("format", "as_of", "since", "fields", "op", "compress", "spreadsheet")
ROWS = (
    Row("GET", f"{ACCOUNT}/audiences/{{audience_id}}/export", "exports/create", "Download members", *SCOPE,
        export, None, None, QUERY),
    Row("GET", f"{ACCOUNT}/exports/{{export_id}}", "exports/get", "Manifest of an export", *SCOPE,
        manifest, None, Manifest),
)  # fmt: skip
