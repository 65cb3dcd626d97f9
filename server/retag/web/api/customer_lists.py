"""Customer lists: create, list, get, add and remove records.

https://developers.pinterest.com/docs/api/v5/customer_lists-create
"""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Annotated, Any

import msgspec

from retag import errors
from retag.clock import time_ms
from retag.store import lists, records
from retag.web.api.audiences import bookmark, read_bookmark, text
from retag.web.api.call import NAME_LIMIT, Call, Name, closed

REST_S = 0.001
"""Between slices the door has the writer."""


class ListCreate(msgspec.Struct):
    """The body of a creation: `records` is one comma-separated string."""

    name: Name
    records: Annotated[str, msgspec.Meta(min_length=1)]
    list_type: Annotated[str, closed(*records.TYPES)] | None = None
    ad_account_id: str | int | None = None


class ListUpdate(msgspec.Struct):
    operation_type: Annotated[str, closed("ADD", "REMOVE")]
    records: Annotated[str, msgspec.Meta(min_length=1)]
    ad_account_id: str | int | None = None


class Counts(msgspec.Struct):
    processed: int
    valid: int
    invalid: int


class ListView(msgspec.Struct):
    """What an answer shows. Times are Unix seconds; the matches and `record_counts` are Retag's."""

    ad_account_id: str
    id: str
    name: str
    list_type: str
    status: str
    num_batches: int
    num_uploaded_user_records: int
    num_removed_user_records: int
    num_matched_visitors: int
    record_counts: Counts
    created_time: int
    updated_time: int
    exceptions: dict[str, Any]
    type: str = "customerlist"


class ListPage(msgspec.Struct):
    items: list[ListView]
    bookmark: str | None


async def index(call: Call) -> ListPage:
    """One page, by id."""
    order = call.choice("order", ("ASCENDING", "DESCENDING"))
    size = call.size("page_size", 25, 250)
    after = read_bookmark(call.request.query_params.get("bookmark"), order)
    sign, way = (">", "ASC") if order == "ASCENDING" else ("<", "DESC")
    sql = (
        f"SELECT {lists.COLUMNS} FROM customer_list WHERE account = ? AND id {sign} ?"
        f" ORDER BY id {way} LIMIT ?"
    )
    rows = await call.state.reader.all(sql, (call.account, after, size + 1))
    found = [lists.decode(row) for row in rows]
    views = [view(one, call.state.settings.too_small) for one in found[:size]]
    return ListPage(views, bookmark(found[size - 1].id) if len(found) > size else None)


async def get(call: Call) -> ListView:
    """One list."""
    return view(await find(call, call.id("customer_list_id")), call.state.settings.too_small)


async def create(call: Call) -> ListView:
    """A new list; its records take effect within seconds, PROCESSING until they have."""
    wanted = call.json(ListCreate)
    kind = wanted.list_type or "EMAIL"
    if kind not in records.TYPES:
        raise errors.Invalid("list_type", f"must be one of {', '.join(records.TYPES)}")
    title = text("name", wanted.name, NAME_LIMIT)
    batch = await digest(wanted.records, kind)

    list_id = await call.state.journal.write(lambda cn: lists.create(cn, call.account, title, kind, call.now))
    await _store(call, list_id, lists.ADD, batch)
    return await _answer(call, list_id)


async def update(call: Call) -> ListView:
    """ADD or REMOVE records."""
    known = await find(call, call.id("customer_list_id"))
    wanted = call.json(ListUpdate)
    if wanted.operation_type not in lists.OPERATIONS:
        raise errors.Invalid("operation_type", f"must be ADD or REMOVE, not {wanted.operation_type[:40]!r}")
    batch = await digest(wanted.records, known.list_type)
    await _store(call, known.id, lists.OPERATIONS[wanted.operation_type], batch)
    return await _answer(call, known.id)


async def _store(call: Call, list_id: int, operation: int, batch: records.Batch) -> None:
    """Durable in parts, so that a large upload does not hold the writer; counted when it is whole."""
    for start in range(0, len(batch.slices), lists.PART):
        part = batch.slices[start : start + lists.PART]
        await call.state.journal.write(lambda cn, part=part: lists.enqueue(cn, list_id, operation, part))
    await call.state.journal.write(lambda cn: lists.count(cn, list_id, operation, batch, call.now))


async def _answer(call: Call, list_id: int) -> ListView:
    """The list as it stands; what waits is applied behind the answer."""
    shown = view(await find(call, list_id), call.state.settings.too_small)
    call.state.list_work.wake()
    return shown


async def digest(text_: str, kind: str) -> records.Batch:
    """The records as digests, made off the loop; Invalid when not one is usable."""
    batch = await asyncio.to_thread(lambda: records.digest(records.split(text_), kind))
    if not batch.valid:
        why = "; ".join(batch.reasons) or "it is empty"
        raise errors.Invalid("records", f"must hold at least one usable record, separated by commas: {why}")
    return batch


async def find(call: Call, list_id: int) -> lists.CustomerList:
    """The account's list, or NotFound."""
    sql = f"SELECT {lists.COLUMNS} FROM customer_list WHERE account = ? AND id = ?"
    row = await call.state.reader.one(sql, (call.account, list_id))
    if row is None:
        raise errors.NotFound("Customer list not found. GET …/customer_lists lists the ones there are.")
    return lists.decode(row)


def view(one: lists.CustomerList, too_small: int) -> ListView:
    """A list as an answer shows it."""
    valid = one.uploaded + one.removed
    return ListView(
        ad_account_id=str(one.account),
        id=str(one.id),
        name=one.name,
        list_type=one.list_type,
        status=status(one, too_small),
        num_batches=one.batches,
        num_uploaded_user_records=one.uploaded,
        num_removed_user_records=one.removed,
        num_matched_visitors=one.matched,
        record_counts=Counts(valid + one.invalid, valid, one.invalid),
        created_time=one.created // 1000,
        updated_time=one.updated // 1000,
        exceptions=one.exceptions,
    )


def status(one: lists.CustomerList, too_small: int) -> str:
    """PROCESSING while slices wait; then TOO_SMALL or READY, by the visitors it matches."""
    if one.waiting:
        return "PROCESSING"
    return "TOO_SMALL" if one.matched < too_small else "READY"


def _apply(cn: sqlite3.Connection) -> bool:
    return lists.apply(cn, time_ms())


class Work:
    """Applies waiting slices, one a transaction, while there are any; wakes on an upload and at start."""

    def __init__(self, journal: Any) -> None:
        self.journal = journal
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Start working, or see to it that the work goes on."""
        self._woken.set()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while self._woken.is_set():
            self._woken.clear()
            while await self.journal.write(_apply, durable=False):  # noqa: ASYNC110 (it is no polling)
                await asyncio.sleep(REST_S)

    async def close(self) -> None:
        """Stop between two slices; what waits goes on at the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
