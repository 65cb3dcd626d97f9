"""/v5: Pinterest's Audiences, Customer Lists, Conversion Tags and Conversions APIs, and Retag's additions.

`TABLE` is the whole interface; routes and the OpenAPI document are made from it.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from retag import errors
from retag.web.apart import Apart
from retag.web.api import (
    alike,
    audiences,
    conversions,
    customer_lists,
    estimates,
    export_schedules,
    tags,
    visitors,
    webhooks,
    worth,
)
from retag.web.api.call import Row, refusal
from retag.web.api.call import routes as routes_of
from retag.web.api.limits import Limits
from retag.web.api.openapi import Document
from retag.web.crossings import Crossings
from retag.web.kept import Kept
from retag.web.outbox import Outbox
from retag.web.scheduler import Scheduler

ACCOUNT = "/v5/ad_accounts/{ad_account_id}"
READ, WRITE = ("audiences:read", "ads_read"), ("audiences:write", "ads_write")
SEND = ("events:write", "ads_conversions")
PAGED = ("bookmark", "order", "page_size")
AUDIENCES, LISTS = f"{ACCOUNT}/audiences", f"{ACCOUNT}/customer_lists"
TAGS, VISITOR = f"{ACCOUNT}/conversion_tags", f"{ACCOUNT}/visitors/{{visitor}}"
AUDIENCE, LIST = f"{AUDIENCES}/{{audience_id}}", f"{LISTS}/{{customer_list_id}}"
TAG = f"{TAGS}/{{conversion_tag_id}}"
LIST_LIMIT = 80 << 20
"""Bytes: a million records as SHA-256 in hexadecimal, and their commas."""

TABLE = [
    Row("GET", AUDIENCES, "audiences/list", "List audiences", *READ,
        audiences.index, None, audiences.AudiencePage, (*PAGED, "ownership_type")),
    Row("POST", AUDIENCES, "audiences/create", "Create audience", *WRITE,
        audiences.create, audiences.AudienceCreate, audiences.AudienceView),
    Row("POST", f"{AUDIENCES}/estimate", "audiences/estimate", "Estimate a rule's size", *READ,
        estimates.create, estimates.EstimateRequest, estimates.EstimateView),
    Row("GET", AUDIENCE, "audiences/get", "Get audience", *READ,
        audiences.get, None, audiences.AudienceView),
    Row("GET", f"{AUDIENCE}/lift", "audiences/lift", "How much likelier members are to act", *READ,
        worth.lift, None, worth.LiftView, ("event", "days")),
    Row("GET", f"{ACCOUNT}/engagement_lift", "engagement_lift/get", "Lift of each engagement", *READ,
        worth.engagement_lift, None, worth.LiftsView, ("event", "days")),
    Row("GET", f"{AUDIENCE}/insights", "audiences/insights", "Size over time and what marks members", *READ,
        worth.show, None, worth.InsightsView, ("days",)),
    Row("GET", f"{AUDIENCE}/overlap", "audiences/overlap", "Members shared with another audience", *READ,
        worth.overlap, None, worth.OverlapView, ("with",)),
    Row("GET", f"{AUDIENCE}/likeness", "audiences/likeness", "An act-alike's model and its quality", *READ,
        alike.show, None, alike.LikenessView),
    Row("POST", f"{AUDIENCE}/refit", "audiences/refit", "Fit an act-alike anew", *WRITE,
        alike.refit, None, alike.LikenessView),
    Row("PATCH", AUDIENCE, "audiences/update", "Update or remove audience", *WRITE,
        audiences.update, audiences.AudienceUpdate, audiences.AudienceView),
    Row("GET", LISTS, "customer_lists/list", "Get customer lists", *READ,
        customer_lists.index, None, customer_lists.ListPage, PAGED),
    Row("POST", LISTS, "customer_lists/create", "Create customer list", *WRITE,
        customer_lists.create, customer_lists.ListCreate, customer_lists.ListView, (), LIST_LIMIT),
    Row("GET", LIST, "customer_lists/get", "Get customer list", *READ,
        customer_lists.get, None, customer_lists.ListView),
    Row("PATCH", LIST, "customer_lists/update",
        "Add or remove records", *WRITE,
        customer_lists.update, customer_lists.ListUpdate, customer_lists.ListView, (), LIST_LIMIT),
    Row("GET", TAGS, "conversion_tags/list", "List conversion tags", *READ,
        tags.index, None, tags.TagPage, ("filter_deleted",)),
    Row("POST", TAGS, "conversion_tags/create", "Create conversion tag", *WRITE,
        tags.create, tags.TagCreate, tags.TagView),
    Row("GET", TAG, "conversion_tags/get", "Get conversion tag", *READ,
        tags.get, None, tags.TagView),
    Row("PATCH", TAG, "conversion_tags/update",
        "Set a tag's status, domains and consent", "admin", "ads_write",
        tags.update, tags.TagUpdate, tags.TagView),
    Row("POST", f"{ACCOUNT}/events", "events/create", "Send conversions", *SEND,
        conversions.send, conversions.EventsRequest, conversions.EventsAnswer, ("test",), conversions.LIMIT),
    Row("GET", VISITOR, "visitors/get", "Look a visitor up", *READ,
        visitors.get, None, visitors.VisitorView),
    Row("DELETE", VISITOR, "visitors/erase", "Erase a visitor", "admin", "ads_write",
        visitors.erase, None, visitors.Erased),
    *export_schedules.ROWS,
    *webhooks.ROWS,
]  # fmt: skip


async def nowhere(_: Request) -> Response:
    """Any other address under /v5."""
    return refusal(errors.NotFound("No such address. GET /openapi.json lists the ones there are."), {})


def routes(*more: Row) -> list[Route]:
    """Every API route: the table, `more` rows (exports), /openapi.json, and a 404 in JSON for the rest.

    They use app.state: `reader`, `journal`, `settings`, `tally`, `list_work` (customer_lists.Work) and
    `retag_tags`.
    """
    rows = [*TABLE, *more]
    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
    return [
        *routes_of(rows, Limits()),
        Route("/openapi.json", Document(rows).answer),
        Route("/v5/{rest:path}", nowhere, methods=methods),
    ]


def start(state: Any) -> None:
    """At start-up, in the loop: take up what earlier uploads left waiting."""
    state.list_work = customer_lists.Work(state.journal)
    state.list_work.wake()
    state.apart = Apart()
    state.refits = alike.Refits(state.journal, state.settings.path)
    state.refits.start()
    folder = state.settings.directory / "exports"
    state.kept = Kept(folder, state.settings.path, state.reader, state.journal, state.settings.min_free_mb)
    state.kept.start()
    state.outbox = Outbox(state)
    state.outbox.start()
    state.scheduler = Scheduler(state)
    state.scheduler.start()
    state.crossings = Crossings(state)
    state.crossings.start()


async def stop(state: Any) -> None:
    """At shut-down, before the journal closes."""
    await state.crossings.close()
    await state.scheduler.close()
    await state.outbox.close()
    await state.kept.close()
    await state.refits.close()
    await state.list_work.close()
