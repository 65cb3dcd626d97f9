"""Webhooks as rows, and the outbox: what is to be told is written in the transaction that makes it true."""

from __future__ import annotations

import secrets
import sqlite3
from typing import Any

import msgspec

from retag import webhooks
from retag.slots import DAY, backoff
from retag.store import numbered

TABLE, FIRST_ID = "webhook", 6_000_001
MOST_WAITING = 1_000
"""Deliveries of one hook that may wait; a crossing beyond is told when there is room, if it still holds."""
FIRST_MS, MOST_MS = 5_000, 3_600_000
"""The waits between attempts."""
TRIED_MS = DAY
"""How long a delivery is tried; at least once."""
KEPT_MS = 30 * DAY
SLICE = 500
WAITING, DELIVERED, GIVEN_UP = "WAITING", "DELIVERED", "FAILED"

SELECT = (
    "SELECT id, account, url, events, audience, size, above, status, created, updated,"
    " (SELECT count(*) FROM webhook_delivery d WHERE d.webhook = webhook.id AND d.due IS NOT NULL)"
    " FROM webhook"
)
LOG = "SELECT name, event, status, attempts, answer, error, at, due, ended, body FROM webhook_delivery"
DUE = (
    "SELECT min(d.id), d.webhook FROM webhook h JOIN webhook_delivery d ON d.webhook = h.id"
    f" WHERE h.status = 'ACTIVE' AND (d.due <= ?1 OR d.due > ?1 + {MOST_MS}) GROUP BY d.webhook"
)
"""The oldest that is due of each hook; one further off than any wait is by a clock that was wrong."""
ONE = (
    "SELECT d.id, h.url, h.secret, d.name, d.body, d.at, d.attempts, d.event FROM webhook_delivery d"
    " JOIN webhook h ON h.id = d.webhook WHERE d.id = ? AND d.status = 'WAITING'"
)
WATCHED = (
    "SELECT h.id, h.size, h.above, a.build FROM webhook h JOIN audience a ON a.id = h.audience"
    " JOIN build b ON b.id = a.build WHERE h.status = 'ACTIVE' AND h.size IS NOT NULL"
    " AND a.removed IS NULL AND b.ready IS NOT NULL"
)
"""Hooks that wait for a size, and what answers for their audience."""


class Hook(msgspec.Struct, frozen=True):
    """One webhook, without its secret; times in UTC ms."""

    id: int
    account: int
    url: str
    events: tuple[str, ...]
    audience: int | None
    size: int | None
    above: bool | None
    status: str
    created: int
    updated: int
    waiting: int


class Delivery(msgspec.Struct, frozen=True):
    """One that waits, as it is sent."""

    id: int
    url: str
    secret: bytes
    name: str
    body: bytes
    at: int
    attempts: int
    event: str


def decode(row: tuple[Any, ...]) -> Hook:
    """A row of SELECT as a Hook."""
    fields = dict(zip(Hook.__struct_fields__, row, strict=True))
    above = None if fields["above"] is None else bool(fields["above"])
    return Hook(**fields | {"events": tuple(fields["events"].split()), "above": above})


def create(cn: sqlite3.Connection, account: int, values: dict[str, Any], secret: bytes, now: int) -> int:
    """A new hook; its id."""
    return numbered.create(cn, TABLE, FIRST_ID, values | {"account": account, "secret": secret}, now)


def update(cn: sqlite3.Connection, hook_id: int, values: dict[str, Any], now: int) -> None:
    numbered.update(cn, TABLE, hook_id, values, now)


def remove(cn: sqlite3.Connection, hook_id: int) -> None:
    """With everything that waits, and its log."""
    cn.execute("DELETE FROM webhook_delivery WHERE webhook = ?", (hook_id,))
    cn.execute("DELETE FROM webhook WHERE id = ?", (hook_id,))


def enqueue(
    cn: sqlite3.Connection, hook_id: int, event: str, data: dict[str, Any], now: int, due: int | None
) -> int:
    """One delivery, due then, or when it is None sent by whoever asked; its row."""
    sql = "INSERT INTO webhook_delivery (webhook, name, event, body, at, due) VALUES (?, ?, ?, ?, ?, ?)"
    name, content = f"msg_{secrets.token_hex(16)}", webhooks.body(event, now, data)
    return int(cn.execute(sql, (hook_id, name, event, content, now, due)).lastrowid or 0)


def tell(cn: sqlite3.Connection, account: int, event: str, data: dict[str, Any], now: int) -> None:
    """Everybody in the account who asked for this of this audience."""
    rows = cn.execute(f"{SELECT} WHERE account = ? AND status = 'ACTIVE'", (account,)).fetchall()
    for hook in map(decode, rows):
        if event in hook.events and str(hook.audience or data["audience_id"]) == data["audience_id"]:
            enqueue(cn, hook.id, event, data, now, now)


def cross(cn: sqlite3.Connection, hook_id: int, size: int, now: int) -> bool:
    """Note on which side of its size an audience is; tell it if that is news. Whether anything was told."""
    row = cn.execute(f"{SELECT} WHERE id = ?", (hook_id,)).fetchone()
    hook = decode(row) if row else None
    if hook is None or hook.size is None or hook.above is (size >= hook.size):
        return False
    above, event = size >= hook.size, webhooks.ABOVE if size >= hook.size else webhooks.BELOW
    told = hook.above is not None and event in hook.events
    if told and hook.waiting >= MOST_WAITING:
        return False
    cn.execute("UPDATE webhook SET above = ? WHERE id = ?", (above, hook_id))
    if told:
        known = {"ad_account_id": str(hook.account), "audience_id": str(hook.audience)}
        enqueue(cn, hook_id, event, known | {"size": size, "threshold": hook.size}, now, now)
    return told


def settle(
    cn: sqlite3.Connection, one: Delivery, answer: int | None, error: str | None, now: int, chance: float
) -> str:
    """What an attempt came to: its status, and when to try again."""
    attempts, due = one.attempts + 1, None
    if error is None:
        status = DELIVERED
    else:
        due = now + backoff(attempts, FIRST_MS, MOST_MS, chance)
        lasting = one.event != webhooks.TEST and due <= one.at + TRIED_MS
        status, due = (WAITING, due) if lasting else (GIVEN_UP, None)
    sql = (
        "UPDATE webhook_delivery SET attempts = ?, status = ?, due = ?, answer = ?, error = ?, ended = ?"
        " WHERE id = ?"
    )
    cn.execute(sql, (attempts, status, due, answer, error, None if due else now, one.id))
    return status


def purge(cn: sqlite3.Connection, now: int) -> bool:
    """Forget deliveries after 30 days; whether there is more."""
    sql = f"SELECT id, at FROM webhook_delivery ORDER BY id LIMIT {SLICE}"
    rows = [(id_,) for id_, at in cn.execute(sql).fetchall() if at < now - KEPT_MS]
    cn.executemany("DELETE FROM webhook_delivery WHERE id = ?", rows)
    return len(rows) == SLICE
