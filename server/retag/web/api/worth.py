"""What an audience is worth and who is in it: lift, insights and overlap.

Lift and insights read much of the log: apart (web.apart), a few at a time, for as long as the caller waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect

from retag import events, stats
from retag.browser_side import LONGEST_NAME, name_of
from retag.errors import Invalid
from retag.store import insights, sqlite
from retag.store.worth import Asked, Question, answer
from retag.web.api.audiences import find
from retag.web.api.call import Call, number
from retag.windows import DAY

T = TypeVar("T")
MOST_DAYS = 90


class GroupView(msgspec.Struct):
    """`size` visitors, of whom `acted`; revenue is the sum of the event's `value`."""

    size: int
    acted: int
    share: float
    revenue: float
    revenue_per_visitor: float


class RatioView(msgspec.Struct):
    """A ratio with its 95 % interval; null where it is not finite."""

    ratio: float | None
    low: float
    high: float | None


class DifferenceView(msgspec.Struct):
    """Revenue per visitor, members minus others, with its 95 % interval; null where too few are compared."""

    value: float | None
    low: float | None
    high: float | None


class LiftView(msgspec.Struct):
    """Members at `frozen_at` (UTC ms) beside other visitors alive then, and who did `event` since.

    `matched` compares with visitors of the same recency and frequency; `reliable` is false when too few
    acted.
    """

    event: str
    days: int
    frozen_at: int
    ratio: float | None
    low: float
    high: float | None
    members: GroupView
    others: GroupView
    matched: RatioView
    matched_members: int
    revenue_difference: DifferenceView
    reliable: bool
    explanation: str
    audience_id: str | None = None
    engagement_type: str | None = None


class LiftsView(msgspec.Struct):
    """One lift for each of the five engagements: those who did it beside those who did not."""

    items: list[LiftView]


class Point(msgspec.Struct):
    at: int
    size: int


class InsightsView(msgspec.Struct):
    """Active members beside active visitors over `days`, and the size at the end of each of the last days."""

    audience_id: str
    days: int
    size: list[Point]
    members: int
    visitors: int
    traits: dict[str, list[insights.Trait]]


class OverlapView(msgspec.Struct):
    """Members of both audiences, as a count and as a share of each."""

    audience_id: str
    with_audience_id: str
    size: int
    with_size: int
    overlap: int
    share: float
    with_share: float


async def lift(call: Call) -> LiftView:
    """Lift of one audience."""
    audience = await find(call, call.id("audience_id"))
    question = _question(call, (Asked(audience.type, audience.rule, audience.build),))
    (found,) = await until_gone(call, call.state.apart.run(answer, call.state.settings.path, question))
    return _view(question, found, audience_id=str(audience.id))


async def engagement_lift(call: Call) -> LiftsView:
    """Lift of each of the five engagements."""
    asked = tuple(Asked("ENGAGEMENT", {"engagement_type": one}) for one in events.ENGAGEMENTS)
    question = _question(call, asked)
    found = await until_gone(call, call.state.apart.run(answer, call.state.settings.path, question))
    pairs = zip(events.ENGAGEMENTS, found, strict=True)
    return LiftsView([_view(question, one, engagement_type=name) for name, one in pairs])


async def show(call: Call) -> InsightsView:
    """Size over time, and what marks the members."""
    audience = await find(call, call.id("audience_id"))
    days, path = call.size("days", 30, MOST_DAYS), call.state.settings.path
    since = call.now - days * DAY
    born = audience.ready if audience.ready is not None else audience.created
    asked = (path, call.account, audience.build, born, since, call.now)
    found, trend = await until_gone(call, call.state.apart.run(insights.about, *asked))
    size = [Point(*one) for one in trend]
    return InsightsView(str(audience.id), days, size, found.members, found.visitors, found.traits)


async def overlap(call: Call) -> OverlapView:
    """How many are in both, exactly."""
    one = await find(call, call.id("audience_id"))
    named = call.request.query_params.get("with", "")
    if not named:
        raise Invalid("with", "is missing; give the id of the other audience")
    other = await find(call, number("with", named))
    found = await asyncio.to_thread(_overlap, call.state.settings.path, one.build, other.build, call.now)
    return OverlapView(
        str(one.id),
        str(other.id),
        found.size,
        found.other,
        found.both,
        round(found.both / found.size, 4) if found.size else 0.0,
        round(found.both / found.other, 4) if found.other else 0.0,
    )


async def until_gone(call: Call, work: Coroutine[Any, Any, T]) -> T:
    """What `work` gives; it is given up when the caller goes away."""
    task, gone = asyncio.create_task(work), asyncio.create_task(_gone(call))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        for one in (task, gone):
            one.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _gone(call: Call) -> None:
    while (await call.request.receive())["type"] != "http.disconnect":
        pass


def _question(call: Call, asked: tuple[Asked, ...]) -> Question:
    given = call.request.query_params.get("event") or "checkout"
    name = name_of(given) if given.strip() and len(given) <= LONGEST_NAME else None
    if name is None:
        raise Invalid("event", "must be a name of 1 to 100 of A-Z a-z 0-9 _ -, such as checkout")
    at = call.now - call.size("days", 30, MOST_DAYS) * DAY
    return Question(call.account, asked, name, at, call.now)


def _view(
    question: Question, found: stats.Lift, audience_id: str | None = None, engagement_type: str | None = None
) -> LiftView:
    return LiftView(
        event=question.event,
        days=(question.until - question.at) // DAY,
        frozen_at=question.at,
        ratio=found.raw.value,
        low=found.raw.low,
        high=found.raw.high,
        members=_group(found.members),
        others=_group(found.others),
        matched=RatioView(found.matched.value, found.matched.low, found.matched.high),
        matched_members=found.matched_members,
        revenue_difference=DifferenceView(*stats.difference(found.members, found.others)),
        reliable=not found.few,
        explanation=found.words(),
        audience_id=audience_id,
        engagement_type=engagement_type,
    )


def _group(found: stats.Group) -> GroupView:
    return GroupView(
        found.size, found.acted, round(found.share, 6), round(found.revenue, 2), round(found.per_visitor, 4)
    )


def _overlap(path: str, one: int, other: int, now: int) -> insights.Overlap:
    cn = sqlite.connect(path, readonly=True)
    try:
        return insights.overlap(cn, one, other, now)
    finally:
        cn.close()
