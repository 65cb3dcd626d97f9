"""Conversions API: up to 1,000 server events in one call, one durable commit.

https://developers.pinterest.com/docs/api/v5/events-create
"""

from __future__ import annotations

import asyncio
import os
from typing import Annotated, Any

import msgspec

from retag import ingest
from retag.web.api.call import Call

LIMIT = 8 << 20
SMALL = 16 << 10
"""Bodies up to this size are decoded on the loop: about 10 events, under a millisecond."""


class EventsRequest(msgspec.Struct):
    """The body: 1 to 1,000 events. What an event may hold is `ingest.server_events`' to say."""

    data: Annotated[list[dict[str, Any]], msgspec.Meta(min_length=1, max_length=1000)]


class EventAnswer(msgspec.Struct):
    """One event's fate, in the order of the request."""

    status: str
    error_message: str = ""
    warning_message: str = ""


class EventsAnswer(msgspec.Struct):
    num_events_received: int
    num_events_processed: int
    events: list[EventAnswer]


async def send(call: Call) -> EventsAnswer:
    """Store the good events and answer each one; `test=true` answers alike and stores nothing."""
    test = call.flag("test")
    entropy = os.urandom(16)
    if len(call.body) <= SMALL:
        results = ingest.server_events(call.account, call.body, call.now, entropy)
    else:
        results = await asyncio.to_thread(ingest.server_events, call.account, call.body, call.now, entropy)
    accepted = tuple(result.event for result in results if result.event is not None)
    if not test and accepted:
        await call.state.journal.append(accepted, ())
    answers = [EventAnswer(*answer(result)) for result in results]
    return EventsAnswer(len(answers), len(accepted), answers)


def answer(result: ingest.Result) -> tuple[str, str, str]:
    """status, error message, warning message."""
    return ("processed" if result.event is not None else "failed", result.error, result.warning)
