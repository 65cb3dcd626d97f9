"""Conversions API: up to 1,000 server events in one call, one durable commit.

https://developers.pinterest.com/docs/api/v5/events-create
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from itertools import chain

import msgspec

from retag import errors
from retag.ingest import Intake, Tag
from retag.server_side import Result, Sending, VisitorOf, server_events
from retag.web.api.call import Call
from retag.web.api.event_schema import Events
from retag.web.outcomes import outcome_line

LIMIT = 8 << 20
LARGE = 1 << 20
"""A larger body is read in a thread: one of its events alone may take a third of a second."""


class EventsRequest(msgspec.Struct):
    """The body: 1 to 1,000 events. What an event may hold is `server_side.server_events`' to say."""

    data: Events


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
    results = await read(call)
    intake = intake_of(call.account, results)
    if not test:
        await store(call, intake)
    answers = [EventAnswer("failed" if one.error else "processed", one.error, one.warning) for one in results]
    return EventsAnswer(len(answers), len(answers) - intake.outcomes.get("malformed", 0), answers)


async def read(call: Call) -> list[Result]:
    """Each event's fate; errors.Invalid when the body is no batch.

    A handful takes a millisecond or two; for a thread the door would wait longer, by the interpreter's lock.
    """
    door = call.state.door
    sending = Sending(call.account, call.now, call.state.country_of, visitor_of(call), door.banned)
    handfuls = server_events(call.body, sending, os.urandom(16))
    if len(call.body) > LARGE:
        return await asyncio.to_thread(lambda: list(chain.from_iterable(handfuls)))
    results: list[Result] = []
    for handful in handfuls:
        results += handful
        await asyncio.sleep(0)
    return results


def visitor_of(call: Call) -> VisitorOf:
    """Whom a signed id names: the cookie's value, or what a tag's pages on another site keep."""
    keys, account = call.state.door.keys, call.account
    own = [tag for tag in call.state.door.tags.values() if tag.account == account]

    def named(signed: str) -> bytes | None:
        signers = (keys.visitor(account), *(keys.tag(account, tag.id) for tag in own))
        return next((known for one in signers if (known := one.verify(signed)) is not None), None)

    return named


def intake_of(account: int, results: list[Result]) -> Intake:
    """The batch as the door would have it: what is to be stored, and what became of the rest."""
    events = tuple([one.event for one in results if one.event is not None])
    refused = [one for one in results if one.event is None]
    return Intake(
        events=events,
        outcomes=dict(Counter(one.outcome or "malformed" for one in refused)),
        reasons=tuple(dict.fromkeys(one.error or one.warning for one in refused)),
        tag=Tag(0, account),
    )


async def store(call: Call, intake: Intake) -> None:
    """Commit, and count each event once, as the door does; errors.Overloaded when nothing was stored."""
    many = len(intake.events)
    try:
        if call.state.gate.fault:
            raise errors.Overloaded(call.state.gate.fault)
        if many:
            await call.state.journal.append(intake.events, ())
    except (errors.Overloaded, errors.Poison) as error:
        outcomes = {str(error.outcome): many + sum(intake.outcomes.values())}
        call.state.arrivals.note(call.now, intake, outcomes)
        raise
    outcomes = {"accepted": many, **intake.outcomes} if many else intake.outcomes
    call.state.arrivals.note(call.now, intake, outcomes)
    call.headers["retag-outcome"] = outcome_line(outcomes).decode()
