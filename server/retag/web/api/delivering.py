"""One export as an answer: kept or under way, whole or a range, plain or compressed, or not modified."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from starlette.responses import Response

from retag import errors
from retag.press.asking import ending
from retag.press.codecs import CODECS, Codec, installed
from retag.press.job import Job
from retag.store import members
from retag.web.api.call import Call
from retag.web.kept import Kept
from retag.web.press import AT_ONCE, BUSY_S
from retag.web.streaming import MOST_READERS, KeptResponse, RunResponse, more


async def deliver(call: Call, job: Job, title: str) -> Response:
    """The answer. `title` is the file's name without its ending."""
    kept: Kept = call.state.kept
    job.least_free = call.state.kept.least_free
    codec, within = _codec(call)
    headers = _headers(job, title, codec, within)
    if _known(call, headers["etag"]):
        return Response(status_code=304, headers=headers)
    heads = call.request.method == "HEAD"
    if kept.readers >= (MOST_READERS // 2 if call.caller.guest else MOST_READERS) and not heads:
        raise errors.RateLimited(BUSY_S)
    if kept.bytes_of(job.manifest.export_id, _form(codec)) is not None:
        return await _whole(call, job, codec, headers)
    return _unsized(headers) if heads else await _running(call, job, codec, headers)


async def _whole(call: Call, job: Job, codec: Codec | None, headers: dict[str, str]) -> Response:
    kept, name = call.state.kept, job.manifest.export_id
    entry = kept.entry(name)
    if call.request.method != "HEAD":
        await kept.note(entry.job, call.caller.prefix)
    path = kept.bytes_of(name, _form(codec))
    if path is None:  # deleted meanwhile
        raise errors.Gone(members.GONE)
    return KeptResponse(call.state, path, headers | _figures(entry.manifest))


def _unsized(headers: dict[str, str]) -> Response:
    """To HEAD: how large it would be is not known before it is printed."""
    response = Response(headers=headers)
    del response.headers["content-length"]
    return response


async def _running(call: Call, job: Job, codec: Codec | None, headers: dict[str, str]) -> Response:
    kept: Kept = call.state.kept
    name, who, original = job.manifest.export_id, call.caller.prefix, None
    with ExitStack() as held:
        if kept.bytes_of(name) is None:
            original = await kept.press.begin(job, AT_ONCE // 2 if call.caller.guest else None)
            held.enter_context(original.reading())
            await kept.admit(original, who)
        else:
            await kept.note(kept.entry(name).job, who)  # type: ignore[union-attr]
        run = await kept.press.pack(name, codec.name, original, job.least_free) if codec else original
        assert run is not None  # noqa: S101
        held.enter_context(run.reading())
        await more(call.state, run, 0)  # what fails before the first byte has an answer of its own
        return RunResponse(call.state, run, headers)


def _codec(call: Call) -> tuple[Codec | None, bool]:
    """How to compress, and whether within the transfer: `compress=` gives a compressed file, Accept-Encoding
    a compressed transfer; but ranges are of the plain file then, for clients count the bytes they unpacked.
    """
    asked = call.request.query_params.get("compress")
    if asked:
        codec = CODECS[call.choice("compress", tuple(CODECS))]
        codec.open()
        return codec, False
    accepted = _accepted(call.request.headers.get("accept-encoding", ""))
    found = None
    if "range" not in call.request.headers:
        usable = [one for one in installed() if accepted.get(one, 0) > 0]
        found = max(usable, key=lambda one: (accepted[one], one), default=None)
    if found is None and accepted.get("identity", accepted.get("*", 1)) == 0:
        raise errors.NotAcceptable(f"Take one of identity, {', '.join(installed())}.")
    return (CODECS[found] if found else None), True


def _form(codec: Codec | None) -> str:
    return codec.name if codec else "data"


def _accepted(header: str) -> dict[str, float]:
    """The weights of an Accept-Encoding header."""
    found = {}
    for part in header.split(","):
        name, _, weight = part.partition(";q=")
        try:
            found[name.strip().lower()] = float(weight or 1)
        except ValueError:
            found[name.strip().lower()] = 0.0
    return found


def _known(call: Call, etag: str) -> bool:
    """Whether the client has these bytes (If-None-Match)."""
    given = call.request.headers.get("if-none-match", "")
    return etag in [one.strip().removeprefix("W/") for one in given.split(",")]


def _headers(job: Job, title: str, codec: Codec | None, within: bool) -> dict[str, str]:
    about, form = job.manifest, job.format()
    packed = f".{codec.suffix}" if codec and not within else ""
    return {
        "retag-as-of": about.as_of,
        "retag-export-id": about.export_id,
        "etag": f'"{about.export_id}{"-" + codec.name if codec else ""}"',
        "cache-control": "private, no-cache",
        "content-type": codec.media_type if codec and packed else form.media_type,
        "content-disposition": f'attachment; filename="{title}.{ending(job)}{packed}"',
        "vary": "Accept-Encoding",
    } | ({"content-encoding": codec.name} if codec and within else {})


def _figures(about: Any) -> dict[str, str]:
    """What the manifest says, for whoever looks at headers alone."""
    return {
        "retag-rows": str(about.rows),
        "retag-missing": str(about.missing),
        "retag-sha256": about.sha256,
    }
