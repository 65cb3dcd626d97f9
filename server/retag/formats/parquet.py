"""Parquet, with the extra `parquet`: typed columns, zstd within, for warehouses."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from retag.formats.rows import COLUMNS, MORE, OP, Known, Row, Shown
from retag.formats.tables import columns_of

GROUP = 65_536
"""Rows of a row group, about."""


class Sink:
    """A file whose bytes are taken away as they come."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, part: Any) -> int:
        self._parts.append(bytes(part))
        self._size += len(self._parts[-1])
        return len(self._parts[-1])

    def tell(self) -> int:
        return self._size

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        self.closed = True

    def take(self) -> bytes:
        found = b"".join(self._parts)
        self._parts.clear()
        return found


class Parquet:
    """`visitor_id` and identifiers are texts, times are timestamps in UTC ms, `until` null for ever."""

    name = suffix = "parquet"
    media_type = "application/vnd.apache.parquet"
    columns: tuple[str, ...] = COLUMNS
    more = tuple(MORE)
    kinds: tuple[int, ...] = ()
    needs = "pyarrow"
    by_visitor = True

    def __init__(self) -> None:
        self._waiting: list[Any] = []
        self._count = 0
        self._sink = Sink()

    def fresh(self, spreadsheet: bool = False) -> Parquet:
        return Parquet()

    def takes(self, shown: Sequence[Known]) -> list[Known]:
        return list(shown)

    def head(self, fields: Sequence[str]) -> bytes:
        self._arrow: Any = importlib.import_module("pyarrow")
        time, text = self._arrow.timestamp("ms", tz="UTC"), self._arrow.string()
        times = {*COLUMNS[1:]}
        self._schema = self._arrow.schema([(one, time if one in times else text) for one in fields])
        writer = importlib.import_module("pyarrow.parquet").ParquetWriter
        self._writer = writer(self._sink, self._schema, compression="zstd", use_dictionary=[OP])
        return self._sink.take()

    def page(self, rows: Sequence[Row], fields: Sequence[str], shown: Shown) -> tuple[bytes, int]:
        arrays = [
            self._arrow.array(values, type=field.type)
            for values, field in zip(columns_of(rows, fields, shown), self._schema, strict=True)
        ]
        self._waiting.append(self._arrow.record_batch(arrays, schema=self._schema))
        self._count += len(rows)
        if self._count >= GROUP:
            self._write()
        return self._sink.take(), len(rows)

    def _write(self) -> None:
        self._writer.write_table(self._arrow.Table.from_batches(self._waiting, schema=self._schema))
        self._waiting, self._count = [], 0

    def end(self) -> bytes:
        if self._waiting:
            self._write()
        self._writer.close()
        return self._sink.take()

    def trailer(self, about: Mapping[str, Any]) -> bytes:
        return b""
