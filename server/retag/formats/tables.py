"""Files that choose their columns: CSV and NDJSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from retag.formats.rows import COLUMNS, MORE, OP, Row, Shown, Text, cell, guarded, latest, names_of
from retag.windows import EVER


def columns_of(rows: Sequence[Row], fields: Sequence[str], shown: Shown) -> list[Sequence[Any]]:
    """The values of each column; None for nothing."""
    known: dict[str, Callable[[], Sequence[Any]]] = {
        COLUMNS[0]: lambda: names_of([row[0] for row in rows]),
        COLUMNS[1]: lambda: [row[1] for row in rows],
        COLUMNS[2]: lambda: [row[2] if row[2] < EVER else None for row in rows],
        COLUMNS[3]: lambda: [row[3] for row in rows],
        OP: lambda: [row[4] for row in rows],
    }
    return [
        known[one]() if one in known else [latest(shown.get(row[0], ()), MORE[one]) for row in rows]
        for one in fields
    ]


class Csv(Text):
    """RFC 4180, UTF-8, a heading; no trailer: rows and hash are in the manifest.

    The default columns cannot begin as formulas do; of the others, click ids are as a link had them.
    """

    name = "csv"
    columns: tuple[str, ...] = COLUMNS
    more = tuple(MORE)

    def __init__(self, spreadsheet: bool = False) -> None:
        self.spreadsheet = spreadsheet

    def fresh(self, spreadsheet: bool = False) -> Csv:
        return Csv(spreadsheet)

    def head(self, fields: Sequence[str]) -> bytes:
        return (",".join(fields) + "\r\n").encode()

    def rows(self, rows: Sequence[Row], fields: Sequence[str], shown: Shown) -> list[str]:
        if tuple(fields) == COLUMNS:
            names = names_of([row[0] for row in rows])
            return [
                f"{name},{since},{until if until < EVER else ''},{last}\r\n"
                for name, (_, since, until, last) in zip(names, rows, strict=True)
            ]
        table = zip(*columns_of(rows, fields, shown), strict=True)
        return [",".join(map(self._cell, values)) + "\r\n" for values in table]

    def _cell(self, value: Any) -> str:
        text = "" if value is None else str(value)
        return cell(guarded(text) if self.spreadsheet else text)


class Ndjson(Text):
    """One JSON object a line; the last is the trailer, which has no `visitor_id`."""

    name = suffix = "ndjson"
    media_type = "application/x-ndjson"
    columns: tuple[str, ...] = COLUMNS
    more = tuple(MORE)

    def head(self, fields: Sequence[str]) -> bytes:
        return b""

    def rows(self, rows: Sequence[Row], fields: Sequence[str], shown: Shown) -> list[str]:
        if tuple(fields) == COLUMNS:
            names = names_of([row[0] for row in rows])
            return [
                f'{{"visitor_id":"{name}","since":{since},"until":{until if until < EVER else "null"},'
                f'"last_event":{last}}}\n'
                for name, (_, since, until, last) in zip(names, rows, strict=True)
            ]
        table = zip(*columns_of(rows, fields, shown), strict=True)
        encode = msgspec.json.encode
        return [encode(dict(zip(fields, values, strict=True))).decode() + "\n" for values in table]

    def trailer(self, about: Mapping[str, Any]) -> bytes:
        return msgspec.json.encode(about) + b"\n"
