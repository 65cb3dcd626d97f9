"""Export formats: one class each and one table. Pure: rows in, bytes out.

The hash of the trailer and of the manifest covers every byte before it, so a truncated download can be told
from a whole one. Values cannot begin with a character that spreadsheets take for a formula.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from retag.windows import EVER

COLUMNS = ("visitor_id", "since", "until", "last_event")
OP = "op"
"""In a delta: `add` or `remove`."""


class Row(msgspec.Struct, frozen=True, gc=False):
    """One line; UTC ms, `until` EVER when the membership does not lapse. `op` is empty in a full export."""

    visitor: bytes
    since: int
    until: int
    last: int
    op: str = ""


class Format(Protocol):
    """`fields` are the columns wanted, in order."""

    name: str
    media_type: str

    def head(self, fields: Sequence[str]) -> bytes: ...

    def rows(self, rows: Iterable[Row], fields: Sequence[str]) -> bytes: ...

    def trailer(self, as_of: str, rows: int, sha256: str) -> bytes: ...


def name_of(visitor: bytes) -> str:
    """The id as a UUID reads; three times as fast as the uuid module."""
    h = visitor.hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def values(row: Row) -> dict[str, str | int | None]:
    """Every column of a row."""
    return {
        "visitor_id": name_of(row.visitor),
        "since": row.since,
        "until": None if row.until >= EVER else row.until,
        "last_event": row.last,
        OP: row.op,
    }


class Csv:
    """RFC 4180, UTF-8, a heading; no trailer: rows and hash are in the manifest."""

    name = "csv"
    media_type = "text/csv; charset=utf-8"

    def head(self, fields: Sequence[str]) -> bytes:
        return (",".join(fields) + "\r\n").encode()

    def rows(self, rows: Iterable[Row], fields: Sequence[str]) -> bytes:
        if tuple(fields) == COLUMNS:
            return "".join([self._whole(row) for row in rows]).encode()
        lines = []
        for row in rows:
            known = values(row)
            lines.append(",".join("" if known[f] is None else str(known[f]) for f in fields))
        return ("\r\n".join(lines) + "\r\n").encode() if lines else b""

    def _whole(self, row: Row) -> str:
        until = "" if row.until >= EVER else row.until
        return f"{name_of(row.visitor)},{row.since},{until},{row.last}\r\n"

    def trailer(self, as_of: str, rows: int, sha256: str) -> bytes:
        return b""


class Ndjson:
    """One JSON object a line; the last is the trailer, which has no `visitor_id`."""

    name = "ndjson"
    media_type = "application/x-ndjson"

    def head(self, fields: Sequence[str]) -> bytes:
        return b""

    def rows(self, rows: Iterable[Row], fields: Sequence[str]) -> bytes:
        if tuple(fields) == COLUMNS:
            return "".join([self._whole(row) for row in rows]).encode()
        encode = msgspec.json.encode
        lines = []
        for row in rows:
            known = values(row)
            lines.append(encode({f: known[f] for f in fields}))
        return b"\n".join(lines) + b"\n" if lines else b""

    def _whole(self, row: Row) -> str:
        until = "null" if row.until >= EVER else row.until
        about = f'"since":{row.since},"until":{until},"last_event":{row.last}'
        return f'{{"visitor_id":"{name_of(row.visitor)}",{about}}}\n'

    def trailer(self, as_of: str, rows: int, sha256: str) -> bytes:
        return msgspec.json.encode({"as_of": as_of, "rows": rows, "sha256": sha256}) + b"\n"


FORMATS: dict[str, Format] = {one.name: one for one in (Csv(), Ndjson())}
