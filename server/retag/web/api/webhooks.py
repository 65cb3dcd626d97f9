"""Webhooks: create, list, get, update and delete; send a test; what became of the last deliveries."""

from __future__ import annotations

import secrets
import sqlite3
from typing import Annotated, Any

import msgspec

from retag import errors, webhooks
from retag.store import hooks
from retag.web.api import audiences
from retag.web.api.call import Call, Row, Status, closed, number

ACCOUNT = "/v5/ad_accounts/{ad_account_id}"
MOST = 100
"""Hooks of one ad account."""
Url = Annotated[str, msgspec.Meta(min_length=1, max_length=webhooks.LONGEST_URL)]
Event = Annotated[str, closed(*webhooks.EVENTS)]
Size = Annotated[int, msgspec.Meta(ge=1, le=1 << 52)]


class WebhookCreate(msgspec.Struct):
    """`audience_id` narrows it to one audience; the events of an audience need it, and `size`."""

    url: Url
    events: list[Event]
    audience_id: str | None = None
    size: Size | None = None


class WebhookUpdate(msgspec.Struct):
    """Any of these; what is absent stays, null takes away."""

    url: Url | msgspec.UnsetType = msgspec.UNSET
    events: list[Event] | msgspec.UnsetType = msgspec.UNSET
    audience_id: str | msgspec.UnsetType | None = msgspec.UNSET
    size: Size | msgspec.UnsetType | None = msgspec.UNSET
    status: Status | msgspec.UnsetType = msgspec.UNSET


class WebhookView(msgspec.Struct):
    """Times are Unix seconds. `secret` is shown once, in the answer that makes the hook; `waiting` deliveries
    are yet to be received."""

    ad_account_id: str
    id: str
    url: str
    events: list[str]
    audience_id: str | None
    size: int | None
    status: str
    waiting: int
    created_timestamp: int
    updated_timestamp: int
    secret: str | msgspec.UnsetType = msgspec.UNSET


class WebhookPage(msgspec.Struct):
    """All of them: there are no more than 100."""

    items: list[WebhookView]


class DeliveryView(msgspec.Struct):
    """One delivery, WAITING, DELIVERED or FAILED: `id` is its `webhook-id`, `answer` the last HTTP status.

    Times are Unix seconds; `next_attempt_at` is null when there is none to come.
    """

    id: str
    event: str
    status: str
    attempts: int
    answer: int | None
    error: str | None
    created_at: int
    next_attempt_at: int | None
    ended_at: int | None
    body: Any


class DeliveryPage(msgspec.Struct):
    items: list[DeliveryView]


async def index(call: Call) -> WebhookPage:
    """Every hook of the account, oldest first."""
    rows = await call.state.reader.all(f"{hooks.SELECT} WHERE account = ? ORDER BY id", (call.account,))
    return WebhookPage([view(hooks.decode(row)) for row in rows])


async def get(call: Call) -> WebhookView:
    """One hook."""
    return view(await find(call, call.id("webhook_id")))


async def create(call: Call) -> WebhookView:
    """A new hook, and its secret, this once."""
    wanted = call.json(WebhookCreate)
    values = await _values(call, msgspec.structs.asdict(wanted))
    secret = secrets.token_bytes(webhooks.SECRET_BYTES)

    def write(cn: sqlite3.Connection) -> int:
        held = cn.execute("SELECT count(*) FROM webhook WHERE account = ?", (call.account,)).fetchone()[0]
        if held >= MOST:
            raise errors.Conflict(f"There are {MOST} webhooks: delete one first.")
        return hooks.create(cn, call.account, values, secret, call.now)

    hook_id = await call.state.journal.write(write)
    return msgspec.structs.replace(view(await find(call, hook_id)), secret=webhooks.shown(secret))


async def update(call: Call) -> WebhookView:
    """Change, pause or resume. A paused hook is told nothing; what waits is kept for it."""
    known = await find(call, call.id("webhook_id"))
    changes, status = call.changes(WebhookUpdate, known.status)
    audience = None if known.audience is None else str(known.audience)
    before = {"url": known.url, "events": list(known.events), "audience_id": audience, "size": known.size}
    values = await _values(call, before | changes) if changes else {}
    await call.state.journal.write(
        lambda cn: hooks.update(cn, known.id, values | {"status": status}, call.now)
    )
    call.state.outbox.wake()
    return view(await find(call, known.id))


async def delete(call: Call) -> WebhookView:
    """Away with it, and with what waits."""
    known = await find(call, call.id("webhook_id"))
    await call.state.journal.write(lambda cn: hooks.remove(cn, known.id))
    return msgspec.structs.replace(view(known), status="REMOVED", updated_timestamp=call.now // 1000)


async def test(call: Call) -> DeliveryView:
    """Send a `test` now, once; the answer says how it went."""
    hook = await find(call, call.id("webhook_id"))
    told = {"ad_account_id": str(hook.account), "webhook_id": str(hook.id)}
    delivery = await call.state.journal.write(
        lambda cn: hooks.enqueue(cn, hook.id, webhooks.TEST, told, call.now, None)
    )
    await call.state.outbox.attempt(delivery)
    row = await call.state.reader.one(f"{hooks.LOG} WHERE id = ?", (delivery,))
    if row is None:
        raise errors.NotFound("The webhook was deleted meanwhile.")
    return _delivery(row)


async def deliveries(call: Call) -> DeliveryPage:
    """The latest, newest first."""
    hook = await find(call, call.id("webhook_id"))
    sql = f"{hooks.LOG} WHERE webhook = ? ORDER BY id DESC LIMIT ?"
    rows = await call.state.reader.all(sql, (hook.id, call.size("page_size", 25, 250)))
    return DeliveryPage([_delivery(row) for row in rows])


async def _values(call: Call, wanted: dict[str, Any]) -> dict[str, Any]:
    """The columns of a hook that is sound as a whole; Invalid else."""
    url, events, size = wanted["url"], list(dict.fromkeys(wanted["events"])), wanted["size"]
    webhooks.check_url(url, call.state.settings.webhook_networks)
    if not events or set(events) - set(webhooks.EVENTS):
        raise errors.Invalid("events", f"must be some of {', '.join(webhooks.EVENTS)}")
    audience_id, above = None, None
    if wanted["audience_id"] is not None:
        audience = await audiences.find(call, number("audience_id", wanted["audience_id"]))
        audience_id = audience.id
        above = size and ((await audiences.view(call, audience)).size or 0) >= size
    if (size is not None) != bool({webhooks.ABOVE, webhooks.BELOW} & set(events)):
        raise errors.Invalid(
            "size", "goes with the events audience.above and audience.below, and they with it"
        )
    if size is not None and audience_id is None:
        raise errors.Invalid("audience_id", "must say which audience is to pass the size")
    return {"url": url, "events": " ".join(events), "audience": audience_id, "size": size, "above": above}


async def find(call: Call, hook_id: int) -> hooks.Hook:
    """The account's hook, or NotFound."""
    row = await call.state.reader.one(f"{hooks.SELECT} WHERE account = ? AND id = ?", (call.account, hook_id))
    if row is None:
        raise errors.NotFound("Webhook not found. GET …/webhooks lists the ones there are.")
    return hooks.decode(row)


def view(hook: hooks.Hook) -> WebhookView:
    """A hook as an answer shows it."""
    return WebhookView(
        ad_account_id=str(hook.account),
        id=str(hook.id),
        url=hook.url,
        events=list(hook.events),
        audience_id=None if hook.audience is None else str(hook.audience),
        size=hook.size,
        status=hook.status,
        waiting=hook.waiting,
        created_timestamp=hook.created // 1000,
        updated_timestamp=hook.updated // 1000,
    )


def _delivery(row: tuple[Any, ...]) -> DeliveryView:
    *told, at, due, ended, content = row
    seconds = [at // 1000, *(None if time is None else time // 1000 for time in (due, ended))]
    fields = (*told, *seconds, msgspec.Raw(content))
    return DeliveryView(**dict(zip(DeliveryView.__struct_fields__, fields, strict=True)))


HOOKS = f"{ACCOUNT}/webhooks"
HOOK = f"{HOOKS}/{{webhook_id}}"
READ, WRITE = ("admin", "ads_read"), ("admin", "ads_write")
ROWS = (
    Row("GET", HOOKS, "webhooks/list", "List webhooks", *READ, index, None, WebhookPage),
    Row("POST", HOOKS, "webhooks/create", "Create webhook", *WRITE, create, WebhookCreate, WebhookView),
    Row("GET", HOOK, "webhooks/get", "Get webhook", *READ, get, None, WebhookView),
    Row("PATCH", HOOK, "webhooks/update", "Change or pause webhook", *WRITE,
        update, WebhookUpdate, WebhookView),
    Row("DELETE", HOOK, "webhooks/delete", "Delete webhook", *WRITE, delete, None, WebhookView),
    Row("POST", f"{HOOK}/test", "webhooks/test", "Send a test", *WRITE, test, None, DeliveryView),
    Row("GET", f"{HOOK}/deliveries", "webhooks/deliveries", "What became of deliveries", *READ,
        deliveries, None, DeliveryPage, ("page_size",)),
)  # fmt: skip
