"""Raw events out, for the shop's own warehouse: NDJSON or CSV by time of arrival, in constant memory.

Without identifiers; without visitors who objected. They are printed, kept, resumed and told whole as an
audience's exports are.
"""

from __future__ import annotations

from starlette.responses import Response

from retag import errors
from retag.press.asking import events_job, title
from retag.web.api.call import Call, Row
from retag.web.api.delivering import deliver
from retag.web.api.exports import ACCOUNT, SCOPE, asked
from retag.windows import DAY


async def export(call: Call) -> Response:
    """Events that arrived from `from` until before `to`, UTC ms; the last day without them."""
    span = _time(call, "from", call.now - DAY), _time(call, "to", call.now)
    wanted, kept = asked(call, "ndjson"), call.state.kept
    job = await events_job(call.state.reader, call.account, span, wanted, call.now)
    name = job.manifest.export_id
    if wanted.as_of and name not in kept.press.runs and kept.bytes_of(name) is None:
        raise errors.Gone("This export is no longer kept: take it again without as_of.")
    return await deliver(call, job, title(job))


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
