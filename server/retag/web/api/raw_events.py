"""Raw events out, for the shop's own warehouse: NDJSON or CSV by time of arrival, in constant memory.

Without identifiers; without visitors who objected. They are printed, kept, resumed and told whole as an
audience's exports are.
"""

from __future__ import annotations

from starlette.responses import Response

from retag import errors
from retag.press.asking import check, events_job, title
from retag.store import members
from retag.web.api.call import Call, Row
from retag.web.api.delivering import deliver
from retag.web.api.exports import ACCOUNT, SCOPE, asked
from retag.windows import DAY


async def export(call: Call) -> Response:
    """Events that arrived from `from` until before `to`, UTC ms, and the as_of; the last day without."""
    wanted = asked(call, "ndjson")
    at = members.parse(wanted.as_of, call.now).instant if wanted.as_of else call.now
    span = _time(call, "from", at - DAY), min(_time(call, "to", at), at)
    job = await events_job(call.state.reader, call.account, span, wanted, call.now)
    if wanted.as_of:
        await _check(call, job.manifest.export_id)
    return await deliver(call, job, title(job))


async def _check(call: Call, name: str) -> None:
    """Gone unless the same bytes can be given again."""
    kept = call.state.kept
    run = kept.press.runs.get(name)
    if run is not None:
        await check(call.state.reader, run.job)
    elif not await kept.whole(name):
        raise errors.Gone("This export is no longer kept: take it again without as_of.")


def _time(call: Call, name: str, default: int) -> int:
    text = call.request.query_params.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and len(text) < 15):
        raise errors.Invalid(name, "must be a time in UTC milliseconds")
    return int(text)


QUERY = ("format", "from", "to", "fields", "as_of", "compress", "spreadsheet")
ROWS = (
    Row("GET", f"{ACCOUNT}/events/export", "events/export", "Download raw events", *SCOPE,
        export, None, None, QUERY),
)  # fmt: skip
