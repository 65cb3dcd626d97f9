"""Export formats: one class each and one table. Pure: rows in, bytes out.

The hash of the trailer and of the manifest covers every byte before it, so a truncated download can be told
from a whole one. Values cannot begin with a character that spreadsheets take for a formula.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from retag.people import CLICKS, KINDS
from retag.windows import EVER

COLUMNS = ("visitor_id", "since", "until", "last_event")
OP = "op"
"""In a delta: `add` or `remove`."""
EMAIL, PHONE, MAID = KINDS["em"], KINDS["ph"], KINDS["hashed_maids"]
SHA256, MD5 = 32, 16
"""Lengths of digests in bytes."""

Row = tuple[Any, ...]
"""`(visitor, since, until, last)`, UTC ms, until EVER when the membership does not lapse; a delta's has `op`
too."""
Shown = Mapping[bytes, Sequence[tuple[int, bytes, int]]]
"""For each visitor the identifiers that they showed: `(kind, value, seen)`, the latest first."""


class Format(Protocol):
    """`fields` are the columns wanted, in order, of `columns`; `kinds` the identifiers needed."""

    name: str
    media_type: str
    suffix: str
    columns: tuple[str, ...]
    kinds: tuple[int, ...]

    def head(self, fields: Sequence[str]) -> bytes: ...

    def rows(self, rows: Sequence[Row], fields: Sequence[str], shown: Shown) -> list[str]:
        """The lines; a member who lacks what the format needs has none."""
        ...

    def trailer(self, about: Mapping[str, Any]) -> bytes: ...


PLACES = tuple(i + (i >= 8) + (i >= 12) + (i >= 16) + (i >= 20) for i in range(32))


def names_of(visitors: Sequence[bytes]) -> list[str]:
    """The ids as UUIDs read: all of them digit by digit, ten times as fast as one by one."""
    digits, n = b"".join(visitors).hex().encode(), len(visitors)
    out = bytearray(b"-" * (36 * n))
    for i, place in enumerate(PLACES):
        out[place::36] = digits[i::32]
    text = out.decode()
    return [text[i : i + 36] for i in range(0, 36 * n, 36)]


def _values(rows: Sequence[Row], nothing: Any) -> list[dict[str, Any]]:
    """Every column of each row."""
    names = names_of([row[0] for row in rows])
    return [
        dict(
            zip((*COLUMNS, OP), (name, row[1], nothing if row[2] >= EVER else row[2], *row[3:]), strict=False)
        )
        for name, row in zip(names, rows, strict=True)
    ]


class Csv:
    """RFC 4180, UTF-8, a heading; no trailer: rows and hash are in the manifest."""

    name = suffix = "csv"
    media_type = "text/csv; charset=utf-8"
    columns: tuple[str, ...] = COLUMNS
    kinds: tuple[int, ...] = ()

    def head(self, fields: Sequence[str]) -> bytes:
        return (",".join(fields) + "\r\n").encode()

    def rows(self, rows: Sequence[Row], fields: Sequence[str], shown: Shown) -> list[str]:
        if tuple(fields) == COLUMNS:
            names = names_of([row[0] for row in rows])
            return [
                f"{name},{since},{until if until < EVER else ''},{last}\r\n"
                for name, (_, since, until, last) in zip(names, rows, strict=True)
            ]
        return [",".join(str(known[f]) for f in fields) + "\r\n" for known in _values(rows, "")]

    def trailer(self, about: Mapping[str, Any]) -> bytes:
        return b""


class Ndjson:
    """One JSON object a line; the last is the trailer, which has no `visitor_id`."""

    name = suffix = "ndjson"
    media_type = "application/x-ndjson"
    columns: tuple[str, ...] = COLUMNS
    kinds: tuple[int, ...] = ()

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
        encode = msgspec.json.encode
        return [encode({f: known[f] for f in fields}).decode() + "\n" for known in _values(rows, None)]

    def trailer(self, about: Mapping[str, Any]) -> bytes:
        return msgspec.json.encode(about) + b"\n"


class Upload:
    """A file that an ad platform takes: one line a member, the digests they showed in columns.

    `takes` has, for each column in order, the kind of identifier; a column stands as often as there may be
    values. Only SHA-256: it alone is known to be of the normal form that all of these platforms share.
    """

    suffix = "csv"
    media_type = "text/csv; charset=utf-8"
    columns: tuple[str, ...] = ()

    def __init__(self, name: str, takes: Sequence[tuple[str, int]], most: int = 3) -> None:
        self.name, self.most = name, most
        self.heading = [column for column, _ in takes for _ in range(most)]
        self.kinds = tuple(kind for _, kind in takes)

    def head(self, fields: Sequence[str]) -> bytes:
        return (",".join(self.heading) + "\r\n").encode()

    def rows(self, rows: Sequence[Row], fields: Sequence[str], shown: Shown) -> list[str]:
        found = [self._cells(shown.get(row[0], ())) for row in rows]
        return [",".join(cells) + "\r\n" for cells in found if any(cells)]

    def _cells(self, shown: Sequence[tuple[int, bytes, int]]) -> list[str]:
        cells: list[str] = []
        for kind in self.kinds:
            values = [value.hex() for k, value, _ in shown if k == kind and len(value) == SHA256][: self.most]
            cells += values + [""] * (self.most - len(values))
        return cells

    def trailer(self, about: Mapping[str, Any]) -> bytes:
        return b""


class Pinterest(Upload):
    """A single column without a heading, one digest a line: e-mails' (SHA-256, MD5) and mobile ad ids'."""

    def __init__(self) -> None:
        super().__init__("pinterest", [("", EMAIL), ("", MAID)])

    def head(self, fields: Sequence[str]) -> bytes:
        return b""

    def rows(self, rows: Sequence[Row], fields: Sequence[str], shown: Shown) -> list[str]:
        found = [self._lines(shown.get(row[0], ())) for row in rows]
        return [lines for lines in found if lines]

    def _lines(self, shown: Sequence[tuple[int, bytes, int]]) -> str:
        return "".join(
            f"{value.hex()}\r\n"
            for kind, value, _ in shown
            if (kind == MAID and len(value) in (16, 20, 32))
            or (kind == EMAIL and len(value) in (MD5, SHA256))
        )


class ClickIds(Upload):
    """The latest click id of each platform that a member came with, and when it was last seen, UTC ms.

    An id that a spreadsheet would run as a formula is not one that a platform gives: it is left out.
    """

    def __init__(self) -> None:
        super().__init__("click_ids", list(CLICKS.items()))
        self.heading = ["visitor_id", *(cell for name in CLICKS for cell in (name, f"{name}_seen"))]

    def rows(self, rows: Sequence[Row], fields: Sequence[str], shown: Shown) -> list[str]:
        found = [self._cells(shown.get(row[0], ())) for row in rows]
        names = names_of([row[0] for row in rows])
        return [
            f"{name},{','.join(cells)}\r\n" for name, cells in zip(names, found, strict=True) if any(cells)
        ]

    def _cells(self, shown: Sequence[tuple[int, bytes, int]]) -> list[str]:
        latest: dict[int, tuple[int, bytes]] = {}
        for kind, value, seen in shown:
            if value[:1] not in b"=+-@" and value.isascii():
                latest[kind] = max(latest.get(kind, (0, b"")), (seen, value))
        pairs = [latest.get(kind, (0, b"")) for kind in self.kinds]
        return [cell for seen, value in pairs for cell in (value.decode(), str(seen) if value else "")]


_ALL: tuple[Format, ...] = (
    Csv(),
    Ndjson(),
    Pinterest(),
    # A phone's digest is of bare digits (Pinterest's and Meta's form); Google and TikTok want a plus.
    Upload("google", [("Email", EMAIL)]),
    Upload("meta", [("email", EMAIL), ("phone", PHONE)]),
    Upload("tiktok", [("Email_SHA256", EMAIL), ("MAID_SHA256", MAID)]),
    ClickIds(),
)
FORMATS: dict[str, Format] = {one.name: one for one in _ALL}
