"""Raw events out, for the shop's own warehouse: NDJSON by time of arrival, in constant memory.

Without identifiers; without visitors who objected. The last line is a trailer, as an audience's export has.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from starlette.responses import Response, StreamingResponse

from retag import errors
from retag.events import PLATFORMS, SOURCES, STANDINGS
from retag.formats import names_of
from retag.web.api.call import Call, Row
from retag.web.api.exports import ACCOUNT, SCOPE
from retag.windows import DAY

PAGE = 2_000
SLACK = 60_000
"""Places follow arrivals but for the time that a batch takes, in ms."""
NAMES = [{number: name for name, number in table.items()} for table in (SOURCES, PLATFORMS, STANDINGS)]
GONE = f"{STANDINGS['opted_out']}, {STANDINGS['erased']}"
SQL = (
    "SELECT seq, received, visitor, name, time, event_id, source, platform, standing, url, tag, data,"
    f" account = ? AND standing NOT IN ({GONE}) AND visitor NOT IN (SELECT visitor FROM opt_out)"
    " FROM log WHERE seq > ? ORDER BY seq LIMIT ?"
)


async def export(call: Call) -> Response:
    """Events that arrived from `from` until before `to`, UTC ms; the last day without them."""
    first, last = _time(call, "from", call.now - DAY), _time(call, "to", call.now)
    if first > last:
        raise errors.Invalid("from", "must not be later than to")
    name = f'attachment; filename="events-{first}-{last}.ndjson"'
    headers = {"cache-control": "no-store", "content-disposition": name}
    if call.request.method == "HEAD":
        return Response(headers=headers, media_type="application/x-ndjson")
    return StreamingResponse(_body(call, first, last), headers=headers, media_type="application/x-ndjson")


def _time(call: Call, name: str, default: int) -> int:
    text = call.request.query_params.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and len(text) < 15):
        raise errors.Invalid(name, "must be a time in UTC milliseconds")
    return int(text)


async def _body(call: Call, first: int, last: int) -> AsyncIterator[bytes]:
    found, count = hashlib.sha256(), 0
    after = await _before(call.state.reader, first - SLACK)
    while True:
        if getattr(call.state, "stopping", False):
            raise errors.Overloaded("The server stops: take the export again.")
        rows = await call.state.reader.all(SQL, (call.account, after, PAGE))
        lines = [row for row in rows if row[12] and first <= row[1] < last]
        part = _lines(lines)
        found.update(part)
        count += len(lines)
        yield part
        if len(rows) < PAGE or rows[-1][1] > last + SLACK:
            break
        after = rows[-1][0]
    yield msgspec.json.encode({"rows": count, "sha256": found.hexdigest()}) + b"\n"


async def _before(reader: Any, instant: int) -> int:
    """A place such that nothing up to it arrived after `instant`: halving, for no index has the times."""
    low, high = 0, (await reader.one("SELECT coalesce(max(seq), 0) FROM log"))[0]
    while low < high:
        middle = (low + high) // 2
        row = await reader.one("SELECT seq, received FROM log WHERE seq > ? ORDER BY seq LIMIT 1", (middle,))
        if row is None or row[1] >= instant:
            high = middle
        else:
            low = row[0]
    return int(low)


def _lines(rows: list[Any]) -> bytes:
    visitors = names_of([row[2] for row in rows])
    encode = msgspec.json.encode
    return b"".join([encode(_view(row, who)) + b"\n" for row, who in zip(rows, visitors, strict=True)])


def _view(row: Any, visitor: str) -> dict[str, Any]:
    _, received, _, name, time, event_id, source, platform, standing, url, tag, data, _ = row
    sources, platforms, standings = NAMES
    return {
        "visitor_id": visitor,
        "event": name,
        "time": time,
        "received": received,
        "event_id": event_id or None,
        "tag_id": str(tag) if tag else None,
        "source": sources.get(source),
        "platform": platforms.get(platform),
        "standing": standings.get(standing),
        "url": url or None,
        "data": msgspec.Raw(data or b"{}"),
    }


ROWS = (
    Row("GET", f"{ACCOUNT}/events/export", "events/export", "Download raw events", *SCOPE,
        export, None, None, ("from", "to")),
)  # fmt: skip
