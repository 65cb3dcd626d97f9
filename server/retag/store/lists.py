"""Customer lists: records in slices, and the visitors they match.

An upload is durable at once, as slices of digests; slices are applied one a transaction between the door's
batches, each moving its records, its matches and the audiences that name the list together. So a crash in
the middle of a million records goes on where it was.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import msgspec

from retag import fold
from retag.store import bulk, numbered, records

TABLE, FIRST_ID = "customer_list", 4_000_001
PART = 20
"""Slices stored in one transaction: some hundred kilobytes."""
ADD, REMOVE = 1, 0
KINDS = "1, 2, 3, 4, 10"
"""The kinds of identifiers that lists match (people.KINDS), as SQL."""
OPERATIONS = {"ADD": ADD, "REMOVE": REMOVE}

COLUMNS = (
    "id, account, name, list_type, batches, uploaded, removed, invalid, exceptions, created, updated,"
    " (SELECT count(*) FROM customer_match m WHERE m.list = customer_list.id),"
    " (SELECT count(*) FROM customer_slice s WHERE s.list = customer_list.id)"
)


class CustomerList(msgspec.Struct, frozen=True):
    """One list; `matched` is in visitors, `waiting` in slices not yet applied."""

    id: int
    account: int
    name: str
    list_type: str
    batches: int
    uploaded: int
    removed: int
    invalid: int
    exceptions: dict[str, int]
    created: int
    updated: int
    matched: int
    waiting: int


def decode(row: tuple[Any, ...]) -> CustomerList:
    """A row of COLUMNS as a CustomerList."""
    fields = dict(zip(CustomerList.__struct_fields__, row, strict=True))
    return CustomerList(**fields | {"exceptions": json.loads(fields["exceptions"])})


def create(cn: sqlite3.Connection, account: int, name: str, list_type: str, now: int) -> int:
    """An empty list; its id. Ids grow, so their order is the order of creation."""
    values = {"account": account, "name": name, "list_type": list_type}
    return numbered.create(cn, TABLE, FIRST_ID, values, now)


def enqueue(cn: sqlite3.Connection, list_id: int, operation: int, slices: list[bytes]) -> None:
    """Make slices durable; each takes effect by `apply`."""
    rows = [(list_id, operation, packed) for packed in slices]
    cn.executemany("INSERT INTO customer_slice (list, operation, records) VALUES (?, ?, ?)", rows)


def count(cn: sqlite3.Connection, list_id: int, operation: int, batch: records.Batch, now: int) -> None:
    """Add an upload to the list's counts, as one batch."""
    column = "uploaded" if operation == ADD else "removed"
    known = cn.execute("SELECT exceptions FROM customer_list WHERE id = ?", (list_id,)).fetchone()[0]
    reasons = json.loads(known)
    for reason, times in batch.reasons.items():
        reasons[reason] = reasons.get(reason, 0) + times
    cn.execute(
        f"UPDATE customer_list SET {column} = {column} + ?, invalid = invalid + ?, batches = batches + 1,"
        " exceptions = ?, updated = ? WHERE id = ?",
        (batch.valid, batch.invalid, json.dumps(reasons), now, list_id),
    )


def apply(cn: sqlite3.Connection, now: int) -> bool:
    """Apply the oldest waiting slice; False when none waits."""
    row = cn.execute(
        "SELECT s.id, s.list, s.operation, s.records, l.account FROM customer_slice s"
        " JOIN customer_list l ON l.id = s.list ORDER BY s.id LIMIT 1"
    ).fetchone()
    if row is None:
        return False
    slice_id, list_id, operation, packed, account = row
    (_add if operation == ADD else _remove)(cn, account, list_id, records.unpack(packed), now)
    cn.execute("DELETE FROM customer_slice WHERE id = ?", (slice_id,))
    return True


def _add(
    cn: sqlite3.Connection, account: int, list_id: int, digests: list[records.Digests], now: int
) -> None:
    rows = [(list_id, one, _others(record, one)) for record in digests for one in record]
    tail = "ON CONFLICT DO UPDATE SET also = coalesce(excluded.also, also)"
    bulk.insert(cn, "INSERT INTO customer_record", rows, tail)
    shown = visitors_showing(cn, account, {value for _, value, _ in rows})
    fresh = [visitor for visitor in shown if not matched(cn, list_id, visitor)]
    bulk.insert(cn, "INSERT INTO customer_match", [(list_id, visitor, now) for visitor in fresh])
    objectors = {row[0] for row in cn.execute("SELECT visitor FROM opt_out")} if fresh else set()
    if joining := [visitor for visitor in fresh if visitor not in objectors]:
        fold.mark_list(cn, account, list_id, joining, [], now)


def _remove(
    cn: sqlite3.Connection, account: int, list_id: int, digests: list[records.Digests], now: int
) -> None:
    values = {one for record in digests for one in record}
    values |= {other for value in tuple(values) for other in _siblings(cn, list_id, value)}
    cn.executemany("DELETE FROM customer_record WHERE list = ? AND value = ?", [(list_id, v) for v in values])
    shown = visitors_showing(cn, account, values)
    gone = [v for v in shown if matched(cn, list_id, v) and not still_on(cn, account, list_id, v)]
    cn.executemany("DELETE FROM customer_match WHERE list = ? AND visitor = ?", [(list_id, v) for v in gone])
    if gone:
        fold.mark_list(cn, account, list_id, [], gone, now)


def _others(record: records.Digests, one: bytes) -> bytes | None:
    return msgspec.msgpack.encode([other for other in record if other != one]) if len(record) > 1 else None


def _siblings(cn: sqlite3.Connection, list_id: int, value: bytes) -> list[bytes]:
    sql = "SELECT also FROM customer_record WHERE list = ? AND value = ?"
    row = cn.execute(sql, (list_id, value)).fetchone()
    return msgspec.msgpack.decode(row[0], type=list[bytes]) if row and row[0] else []


def matched(cn: sqlite3.Connection, list_id: int, visitor: bytes) -> bool:
    """Whether the list matches the visitor now."""
    sql = "SELECT 1 FROM customer_match WHERE list = ? AND visitor = ?"
    return cn.execute(sql, (list_id, visitor)).fetchone() is not None


def matching(cn: sqlite3.Connection, visitor: bytes) -> set[int]:
    """The lists that match the visitor now."""
    sql = "SELECT id FROM customer_list l JOIN customer_match m ON m.list = l.id AND m.visitor = ?"
    return {row[0] for row in cn.execute(sql, (visitor,))}


def still_on(cn: sqlite3.Connection, account: int, list_id: int, visitor: bytes) -> bool:
    """Whether any identifier the visitor ever showed is on the list."""
    sql = (
        "SELECT 1 FROM identifier i JOIN customer_record r ON r.list = ? AND r.value = i.value"
        " WHERE i.visitor = ? AND i.account = ? LIMIT 1"
    )
    return cn.execute(sql, (list_id, visitor, account)).fetchone() is not None


def visitors_showing(cn: sqlite3.Connection, account: int, values: set[bytes]) -> list[bytes]:
    """Every visitor of the account who ever showed one of these digests, each once."""
    keys = [(account, value) for value in sorted(values)]
    source = f"k CROSS JOIN identifier i USING (account, value) WHERE i.kind IN ({KINDS})"
    found = bulk.lookup(cn, keys, "account, value", "hex(visitor)", source)
    return [bytes.fromhex(visitor) for visitor in dict.fromkeys(one[0] for one in found)]
