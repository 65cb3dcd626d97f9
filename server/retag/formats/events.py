"""Raw events as files: NDJSON and CSV, by the columns of the log that a warehouse wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from retag.events import PLATFORMS, SOURCES, STANDINGS
from retag.formats.rows import Row, Shown, Text, cell, guarded, names_of

NAMES = [{number: name for name, number in table.items()} for table in (SOURCES, PLATFORMS, STANDINGS)]
EVENT_COLUMNS = (
    *("visitor_id", "event", "time", "received", "tag_id", "source", "platform", "country", "standing"),
    *("url", "data"),
)
"""No column of these can begin as a formula does: `url` is an http address, `data` a JSON object, and an
`event` whose name does gets an apostrophe."""
FREE = ("event_id",)
"""Free text: as it came."""


class Context(msgspec.Struct):
    """What an export tells of an event's context."""

    country: str | None = None


CONTEXT = msgspec.json.Decoder(Context)


def values(row: Row, visitor: str) -> dict[str, Any]:
    """Every column of an event; None for nothing."""
    _, received, _, name, time, event_id, source, platform, standing, url, tag, data, context = row[:13]
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
        "country": CONTEXT.decode(context).country if context else None,
        "standing": standings.get(standing),
        "url": url or None,
        "data": msgspec.Raw(data or b"{}"),
    }


class EventsNdjson(Text):
    """One JSON object a line; the last is the trailer, which has no `visitor_id`."""

    name = suffix = "ndjson"
    media_type = "application/x-ndjson"
    columns: tuple[str, ...] = (*EVENT_COLUMNS[:4], *FREE, *EVENT_COLUMNS[4:])

    def head(self, fields: Sequence[str]) -> bytes:
        return b""

    def rows(self, rows: Sequence[Row], fields: Sequence[str], shown: Shown) -> list[str]:
        names, encode = names_of([row[2] for row in rows]), msgspec.json.encode
        found = [values(row, name) for row, name in zip(rows, names, strict=True)]
        return [encode({one: known[one] for one in fields}).decode() + "\n" for known in found]

    def trailer(self, about: Mapping[str, Any]) -> bytes:
        return msgspec.json.encode(about) + b"\n"


class EventsCsv(Text):
    """RFC 4180, UTF-8, a heading; `event_id` is free text, and comes when it is asked for."""

    name = "csv"
    columns: tuple[str, ...] = EVENT_COLUMNS
    more: tuple[str, ...] = FREE

    def __init__(self, spreadsheet: bool = False) -> None:
        self.spreadsheet = spreadsheet

    def fresh(self, spreadsheet: bool = False) -> EventsCsv:
        return EventsCsv(spreadsheet)

    def head(self, fields: Sequence[str]) -> bytes:
        return (",".join(fields) + "\r\n").encode()

    def rows(self, rows: Sequence[Row], fields: Sequence[str], shown: Shown) -> list[str]:
        names = names_of([row[2] for row in rows])
        found = [values(row, name) for row, name in zip(rows, names, strict=True)]
        return [",".join(self._cell(one, known[one]) for one in fields) + "\r\n" for known in found]

    def _cell(self, column: str, value: Any) -> str:
        if value is None or isinstance(value, int):
            return "" if value is None else str(value)
        text = bytes(value).decode() if isinstance(value, msgspec.Raw) else value
        return cell(text if column in FREE and not self.spreadsheet else guarded(text))
