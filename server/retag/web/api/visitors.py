"""Visitors: in which audiences one is now, since when, until when and why; and their erasure.

A visitor is named by id, or by any identifier they showed (raw or hashed), which may be several visitors:
people are never merged. The look-up then shows the one seen last and names the others under `also`.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
import uuid
from typing import Any

import msgspec

from retag import errors, people, rules, upkeep
from retag.store import lists, lookup, sqlite
from retag.web.api.call import Call
from retag.windows import EVER

SETTLE_S, LOOK_S = 10.0, 0.02
FOLDED = "SELECT coalesce(max(value), 0) FROM progress WHERE name = 'folded'"
BEHIND = "Events that were acknowledged before are not folded yet, and may name them: send the request again."


class LastEvent(msgspec.Struct):
    """The latest event that a clause matched; `time` in UTC milliseconds."""

    event: str
    time: int
    url: str
    data: dict[str, Any]


class Reason(msgspec.Struct):
    """A clause that holds: where it stands in the rule, what it says, and what matched it."""

    clause: str
    rule: dict[str, Any]
    matches: int
    last_event: LastEvent | None


class Holding(msgspec.Struct):
    """An audience that holds now; UTC milliseconds, `until` null when it never lapses by itself."""

    id: str
    name: str
    audience_type: str
    since: int
    until: int | None
    why: list[Reason]


class VisitorView(msgspec.Struct):
    """One visitor. `identifiers` counts what was shown, by kind: values are not repeated."""

    visitor_id: str
    also: list[str]
    events: int
    first_event: int | None
    last_event: int | None
    identifiers: dict[str, int]
    audiences: list[Holding]
    type: str = "visitor"


class Erased(msgspec.Struct):
    """Who was erased, everywhere, with a tombstone so that a late event does not bring them back."""

    erased: list[str]


async def get(call: Call) -> VisitorView:
    """The audiences that hold now, since and until when, and why."""
    name = named(call)
    return await asyncio.to_thread(_look, call.state.settings.path, call.account, name, call.now)


def _look(path: str, account: int, name: str, now: int) -> VisitorView:
    cn = sqlite.connect(path, readonly=True)
    try:
        cn.execute("BEGIN")
        found = lookup.visitors_named(cn, account, name)
        if not found:
            raise errors.NotFound("Visitor not found. Give a visitor id, or an identifier that they showed.")
        return view(cn, account, found, now)
    finally:
        cn.close()


def view(cn: sqlite3.Connection, account: int, found: list[bytes], now: int) -> VisitorView:
    """The first of `found` in full, the others by name."""
    visitor, *others = found
    steps = lookup.steps(cn, account, visitor)
    times = [step.fact.time for step in steps]
    kinds = {number: name for name, number in people.KINDS.items()}
    shown = lookup.identifiers(cn, account, visitor).items()
    listed = lists.matching(cn, visitor)
    return VisitorView(
        visitor_id=str(uuid.UUID(bytes=visitor)),
        also=[str(uuid.UUID(bytes=other)) for other in others],
        events=len(steps),
        first_event=min(times, default=None),
        last_event=max(times, default=None),
        identifiers={kinds.get(kind, str(kind)): count for kind, count in shown},
        audiences=[holding(one, steps, listed, now) for one in lookup.held(cn, account, visitor, now)],
    )


def holding(one: lookup.Held, steps: list[lookup.Step], listed: set[int], now: int) -> Holding:
    """Why: every clause that must or may hold and does, with its last matching event if it is still kept."""
    rule = rules.parse(one.kind, one.rule)
    return Holding(
        id=str(one.id),
        name=one.name,
        audience_type=one.kind,
        since=one.opens,
        until=None if one.closes >= EVER else one.closes,
        why=[reason for clause in rule.clauses if (reason := because(clause, steps, listed, now))],
    )


def because(clause: rules.Clause, steps: list[lookup.Step], listed: set[int], now: int) -> Reason | None:
    """One clause's part in a rule that holds; None when the clause excludes, or may hold and does not."""
    if clause.group == "none":
        return None
    if clause.list_id is not None:
        return Reason(clause.group, clause.raw, 1, None) if clause.list_id in listed else None
    if clause.seeds:
        return Reason(clause.group, clause.raw, 1, None)
    facts = [
        step.fact
        for step in steps
        if step.standing == 0 and step.fact.time > now - clause.retention and clause.matches(step.fact)
    ]
    if clause.group == "any" and not _enough(clause, facts, now):
        return None
    if not facts:  # purged since
        return Reason(clause.group, clause.raw, 0, None)
    last = max(facts, key=lambda fact: fact.time)
    event = LastEvent(last.name, last.time, last.url, last.data)
    return Reason(clause.group, clause.raw, len(facts), event)


def _enough(clause: rules.Clause, facts: list[rules.Fact], now: int) -> bool:
    """Whether the clause holds by these, often enough and of enough worth."""
    memory: rules.Memory = []
    for fact in facts:
        memory = clause.remember(memory, fact.time, clause.value(fact))
    return clause.window(memory).holds(now)


async def erase(call: Call) -> Erased:
    """Erase every visitor that the id or identifier names, as of everything acknowledged before."""
    name = named(call)
    await settled(call)
    gone: list[bytes] = await call.state.journal.write(lambda cn: _meant(cn, call.account, name))
    if not gone:
        raise errors.NotFound("Visitor not found. Give a visitor id, or an identifier that they showed.")
    for visitor in gone:
        await call.state.journal.write(lambda cn, v=visitor: upkeep.erase(cn, call.account, v, call.now))
    return Erased([str(uuid.UUID(bytes=visitor)) for visitor in gone])


def _meant(cn: sqlite3.Connection, account: int, name: str) -> list[bytes]:
    """Who is to be erased: an id that nobody has met is too, so that none of its events will count."""
    found, own = lookup.visitors_named(cn, account, name), lookup.visitor_id(name)
    if found or own is None or lookup.elsewhere(cn, account, own):
        return found
    return [own]


async def settled(call: Call) -> None:
    """Wait until what was acknowledged before the call is folded: not before is it known who showed what.

    errors.Overloaded when that takes too long.
    """
    (last,) = await call.state.reader.one("SELECT coalesce(max(seq), 0) FROM log")
    until = time.monotonic() + SETTLE_S
    while (await call.state.reader.one(FOLDED))[0] < last:
        if time.monotonic() > until:
            raise errors.Overloaded(BEHIND, after=5)
        await asyncio.sleep(LOOK_S)


def named(call: Call) -> str:
    name: str = call.request.path_params["visitor"].strip()
    if not name or len(name) > 512:
        raise errors.Invalid("visitor", "must be a visitor id or an identifier of at most 512 characters")
    return name
