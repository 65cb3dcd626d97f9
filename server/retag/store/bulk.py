"""Bulk: many rows in one statement, many rows back in one.

Python's sqlite3 lets go of the interpreter's lock at every step, so a batch of one-row statements would wait
for the door's thread once a row. One statement with many rows steps once; so does a SELECT that comes back as
one JSON text.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import msgspec

MOST_ROWS = 256
"""Rows a statement; the number of variables stays under SQLite's 32,766."""

decode = msgspec.json.decode


def blocks(rows: Sequence[Any], most: int = MOST_ROWS) -> Iterable[Sequence[Any]]:
    """The rows in blocks whose sizes are powers of two, so that few different statements are prepared."""
    start, left = 0, len(rows)
    while left:
        size = min(most, 1 << (left.bit_length() - 1))
        yield rows[start : start + size] if size < len(rows) else rows
        start, left = start + size, left - size


def insert(
    cn: sqlite3.Connection, into: str, rows: Sequence[Sequence[Any]], tail: str = "", at_once: int = 0
) -> None:
    """`INSERT INTO {into} VALUES …, … {tail}` with all rows, which have the same length.

    Up to `at_once` rows go in one statement of just their number: for a table that is written all the time,
    since every number is one more statement to keep prepared.
    """
    for block in [rows] if 0 < len(rows) <= at_once else blocks(rows):
        sql = f"{into} VALUES {_marks(len(block), len(block[0]))} {tail}"
        cn.execute(sql, _flat(block))


def lookup(
    cn: sqlite3.Connection, keys: Sequence[Sequence[Any]], names: str, row: str, source: str
) -> list[list[Any]]:
    """One list `[{row}]` for each row of `FROM {source}`, which sees `keys` as table `k({names})`.

    A blob goes as hex(): JSON knows none.
    """
    found: list[list[Any]] = []
    for block in blocks(keys):
        given = f"WITH k({names}) AS (VALUES {_marks(len(block), len(block[0]))})"
        sql = f"{given} SELECT json_group_array(json_array({row})) FROM {source}"
        found += decode(cn.execute(sql, _flat(block)).fetchone()[0])
    return found


def _flat(rows: Sequence[Sequence[Any]]) -> list[Any]:
    """Every value, to be bound. sqlite3 takes a bytearray as it is, and searches an adapter for each `bytes`.

    That takes it four times as long: https://github.com/python/cpython/blob/3.11/Modules/_sqlite/statement.c
    """
    return [bytearray(one) if type(one) is bytes else one for one in chain.from_iterable(rows)]


@lru_cache(1024)
def _marks(rows: int, columns: int) -> str:
    one = "(" + ",".join("?" * columns) + ")"
    return ",".join([one] * rows)
