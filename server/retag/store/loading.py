"""Loading a customer list from a file: one record a line, or the first column of a CSV; any size.

For a process of its own: it writes in short transactions, so that a running server keeps its pace.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import msgspec

from retag import errors
from retag.store import lists, records

CHUNK = 10_000
COLUMN = re.compile("[,;\t]")
"""Where decimals have a comma, spreadsheets write semicolons."""
HEADERS = frozenset(("email", "e-mail", "emails", "maid", "idfa", "phone", "external_id", "id", "record"))


class Progress(msgspec.Struct, frozen=True):
    """Records read so far, of them valid and invalid; slices that wait to be applied."""

    processed: int
    valid: int
    invalid: int
    waiting: int


def values(lines: Iterable[str]) -> Iterator[str]:
    """The record of each line; a heading and empty lines are none."""
    for number, line in enumerate(lines):
        record = COLUMN.split(line, 1)[0].strip().strip(records.WRAPPING)
        if record and not (number == 0 and record.lower() in HEADERS):
            yield record


def load(
    cn: sqlite3.Connection, list_id: int, operation: str, lines: Iterable[str], now: int
) -> Iterator[Progress]:
    """Add or remove every record, then apply it all; yields as it goes on.

    One upload, so one batch in the list's counts. After an interruption load the file again: adding twice
    changes nothing but the counts.
    """
    row = cn.execute("SELECT list_type FROM customer_list WHERE id = ?", (list_id,)).fetchone()
    if row is None:
        raise errors.NotFound(f"There is no customer list {list_id}: see `retag lists show`.")
    whole, found = records.Batch([], 0, {}), values(lines)
    while chunk := list(islice(found, CHUNK)):
        batch = records.digest(chunk, row[0])
        _write(cn, lists.enqueue, list_id, lists.OPERATIONS[operation], batch.slices)
        whole.valid += batch.valid
        for reason, count in batch.reasons.items():
            whole.reasons[reason] = whole.reasons.get(reason, 0) + count
        yield _progress(cn, whole)
    _write(cn, lists.count, list_id, lists.OPERATIONS[operation], whole, now)
    while _write(cn, lists.apply, now):
        yield _progress(cn, whole)


def _write(cn: sqlite3.Connection, job: Any, *arguments: Any) -> Any:
    """`job(cn, …)` in a transaction of its own."""
    cn.execute("BEGIN IMMEDIATE")
    try:
        result = job(cn, *arguments)
        cn.execute("COMMIT")
    except BaseException:
        cn.execute("ROLLBACK")
        raise
    return result


def _progress(cn: sqlite3.Connection, whole: records.Batch) -> Progress:
    waiting = cn.execute("SELECT count(*) FROM customer_slice").fetchone()[0]
    return Progress(whole.valid + whole.invalid, whole.valid, whole.invalid, waiting)
