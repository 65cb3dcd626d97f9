"""Membership: counted events become windows. Pure: rules, marks as loaded, events in order of the log.

A mark is what one build knows of one visitor. The same function is the live fold, the backfill and the
refold, so a mark depends on the visitor's events in their order alone, not on batches.
"""

from __future__ import annotations

import msgspec

from retag.rules import Fact, Memory, Rule
from retag.windows import EVER, NOTHING, after

MARGIN = 5000
"""ms by which readers' clocks may differ from the writer's: who lapses this soon counts as lapsed."""

SOON = 3_600_000
"""ms ahead of the fold for which a running count (store.census) must hear of every change."""

Pair = tuple[int, bytes]
"""`(build, visitor)`."""


class Mark(msgspec.Struct, gc=False):
    """`opens`, `closes`, `last` (the last match) and the memories, None for a rule with one plain clause.

    The window before, for the transition, is in `was`. `late`: since when the visitor is a member is not
    known for certain, because a match came out of order (store.replay).
    """

    opens: int = EVER
    closes: int = EVER
    last: int = 0
    memories: list[Memory] | None = None
    was: tuple[int, int, int] = (EVER, EVER, 0)
    dirty: bool = False
    late: bool = False


def match_plain(mark: Mark, time: int, retention: int) -> None:
    """One more match of the single plain clause of a rule."""
    if time > mark.last or mark.opens >= mark.closes:
        # An unbroken membership keeps its opening.
        if not (mark.opens < time <= mark.closes):
            mark.opens = time
        mark.last, mark.closes = time, after(time, retention)
    elif time < mark.opens <= after(time, retention):
        mark.opens, mark.late = time, True
    else:
        return
    mark.dirty = True


def match(rule: Rule, mark: Mark, place: int, time: int, value: float) -> None:
    """One more match of clause `place`."""
    recall = rule.clauses[place].recall
    memories = mark.memories
    if memories is None:
        match_plain(mark, time, recall.retention)
        return
    known = memories[place]
    for memory in memories:
        if memory and time < memory[0][0]:
            mark.late = True
            break
    found = memories[place] = recall.add(known, time, value)
    if found is known:
        mark.dirty = mark.dirty or mark.late
        return
    mark.dirty = True
    held = mark.opens < mark.closes
    if place in rule.none:
        if not held:
            # One more reason to be out lets nobody in.
            return
    elif time > mark.last:
        mark.last = time
    opens, closes = rule.span(memories, (mark.opens, mark.closes) if held else NOTHING)
    if opens >= closes and held and mark.closes <= time:
        # It had lapsed by then, and stays as it was: another match of this very instant may carry it on.
        return
    mark.opens, mark.closes = opens, closes


def settle(rule: Rule, mark: Mark) -> None:
    """The window that the memories give now."""
    memories = mark.memories or rule.nothing()
    mark.opens, mark.closes = rule.span(memories, (mark.opens, mark.closes))
    mark.last, mark.dirty = rule.last(memories), True


def clip(opens: int, closes: int, now: int) -> tuple[int, int] | None:
    """The part of a window that any reader so far may have seen."""
    closes = min(closes, now + MARGIN)
    return (opens, closes) if opens < closes else None


def changed(mark: Mark, now: int) -> bool:
    """Whether some instant up to now has a different answer than before: a transition is due."""
    opens, closes, _ = mark.was
    return clip(mark.opens, mark.closes, now) != clip(opens, closes, now)


Touch = tuple[bytes, int, int, int, float]
"""One event matched one clause: `(visitor, build, place of the clause, time, value)`, or `(visitor, trace, 0,
time, 0)` where rules share what they remember of it (store.remembered)."""


def fact_of(event: object, data: dict[str, object]) -> Fact:
    """The event as rules see it."""
    e = event
    return Fact(e.name, e.time, e.tag, e.source, e.platform, e.url, data)  # type: ignore[attr-defined]
