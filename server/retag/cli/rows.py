"""Rows of a file of past events: NDJSON, or CSV by its name. What cannot be read is a row too, `Unread`.

A file that is neither is refused before anything of it goes in, with what to do: a million rejected lines
would say the same at greater length.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from retag import errors, people

LONGEST = 1 << 20
"""Bytes of a line; a whole beacon has 64 KiB."""
MOST_LINES = 100
"""In which a field of CSV may go on."""
SHOWN = 300
UNCLOSED = "unexpected end of data"
BOM = b"\xef\xbb\xbf"
STRANGE = {
    b"\x1f\x8b": "is compressed: import what gunzip makes of it",
    b"\x28\xb5\x2f\xfd": "is compressed: import what unzstd makes of it",
    b"PK\x03\x04": "is a ZIP archive or a workbook: unpack it, or save it as CSV",
    b"\xff\xfe": "is UTF-16: save it as UTF-8",
    b"\xfe\xff": "is UTF-16: save it as UTF-8",
}
"""How files begin that are neither."""


class Unread(dict[str, Any]):
    """A line that is no row: why, and its text."""

    def __init__(self, reason: str, line: bytes) -> None:
        super().__init__()
        self.reason = reason
        self.text = line.decode("utf-8", "backslashreplace").rstrip("\r\n")


def check(file: Path, renamed: Mapping[str, str]) -> None:
    """Raises errors.Invalid for a file that no event can be read from, OSError for one that is not there."""
    with file.open("rb") as lines:
        if not lines.seekable():
            raise errors.Invalid(str(file), "is a pipe, in which an import cannot go on: save it to a file")
        begin = lines.read(4)
        if strange := next((words for mark, words in STRANGE.items() if begin.startswith(mark)), None):
            raise errors.Invalid(str(file), strange)
        lines.seek(0)
        names = _names(lines, file)
    ours = {renamed.get(name, name) for name in names or ()}
    if names and "time" not in ours:
        raise errors.Invalid(str(file), f"has no column time; {_found(names)} --map THEIRS=time renames one")
    if names and ours.isdisjoint({"visitor", *people.SPELLINGS}):
        missing = f"has no column visitor, nor one of an identifier, such as em; {_found(names)}"
        raise errors.Invalid(str(file), f"{missing} --map THEIRS=visitor renames one")


def _found(names: list[str]) -> str:
    return f"its columns, which commas separate, are: {', '.join(map(repr, names))[:SHOWN]}."


def rows(lines: BinaryIO, file: Path, start: int) -> Iterator[tuple[int, Any]]:
    """`(offset behind the line, row)` from `start` on; a row that cannot be read is an `Unread`."""
    names = _names(lines, file)
    at = lines.seek(max(start, lines.tell()))
    for line in _lines(lines):
        record = line
        if len(line) > LONGEST:
            at += len(line) + _skip(lines, line)
            yield at, Unread(f"is longer than {LONGEST >> 20} MiB", line[:SHOWN])
            continue
        if names is not None and line.count(b'"') % 2:
            record = _record(lines, line)
        at += len(record)
        if not record.isspace():
            yield at, _row(record, names)


def _names(lines: BinaryIO, file: Path) -> list[str] | None:
    """The columns of a CSV, None of NDJSON; `lines` is left behind them, and behind a byte order mark."""
    if file.suffix.lower() != ".csv":
        lines.seek(len(BOM) if lines.read(len(BOM)) == BOM else 0)
        return None
    head = lines.readline(LONGEST)
    if b"\r" in head.rstrip(b"\r\n"):
        raise errors.Invalid(str(file), "ends its lines with CR alone: save it with LF, or CR and LF")
    try:
        return next(csv.reader([head.decode("utf-8-sig", "replace")]), [])
    except csv.Error as error:
        raise errors.Invalid(str(file), f"has columns that cannot be read: {error}") from None


def _lines(lines: BinaryIO) -> Iterator[bytes]:
    """Line after line; of a longer one than LONGEST its beginning."""
    return iter(partial(lines.readline, LONGEST + 1), b"")


def _skip(lines: BinaryIO, line: bytes) -> int:
    """To the end of a line that is too long: how many bytes."""
    passed = 0
    while line and not line.endswith(b"\n"):
        line = lines.readline(LONGEST)
        passed += len(line)
    return passed


def _record(lines: BinaryIO, line: bytes) -> bytes:
    """A line of CSV with those in which a quoted field goes on; alone when its quote is not closed well."""
    behind, record = lines.tell(), line
    for more in chain([b""], islice(_lines(lines), MOST_LINES)):
        record += more
        if len(record) > LONGEST:
            break
        if more and b'"' not in more:
            continue
        try:
            next(csv.reader([record.decode("utf-8", "replace")], strict=True))
        except csv.Error as error:
            if UNCLOSED in str(error):
                continue
            break
        return record
    lines.seek(behind)
    return line


def _fields(record: str) -> list[str]:
    """Raises csv.Error when a quote is not closed; any other looseness is taken as it was meant."""
    try:
        return next(csv.reader([record], strict=True))
    except csv.Error as error:
        if UNCLOSED in str(error):
            raise
    return next(csv.reader([record]))


def _row(line: bytes, names: list[str] | None) -> Any:
    try:
        row = msgspec.json.decode(line) if names is None else _named(_fields(line.decode("utf-8")), names)
    except (ValueError, RecursionError, csv.Error) as error:
        return Unread(f"cannot be read: {error}", line)
    return row if isinstance(row, dict) else Unread("is no object", line)


def _named(values: list[str], names: list[str]) -> dict[str, str]:
    """A row; ValueError when it has more than its columns: a comma too many moves what is behind it."""
    if len(values) > len(names) and any(values[len(names) :]):
        raise ValueError(f"it has {len(values)} fields, and the first line {len(names)}")
    return dict(zip(names, values, strict=False))
