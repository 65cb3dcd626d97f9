"""What became of what arrived: a count for each outcome, and the last hundred arrivals for the console.

An event that was acknowledged is counted when the fold has settled it, as accepted, duplicate or quarantined;
any other at once. So every event is counted exactly once. What an event lost on its way is counted too: texts
that were masked, and parts that could not be read.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec

from retag import scrub
from retag.events import OUTCOMES
from retag.ingest import Intake
from retag.store.protocol import Folded

KEPT = 100
masked = scrub.MASK_BEGINS.search
UNREAD = "unread"
"""A part of an event (`ed`, `pd`, `ad`) that could not be read, and so was left out."""
SETTLED = {"counted": "accepted", "repeated_order": "duplicate", "not_purchase": "accepted"}
"""The outcome of a standing, where it is called otherwise."""


class Arrival(msgspec.Struct, frozen=True):
    """One request at the door, without anything about the person. `at` in UTC milliseconds."""

    number: int
    at: int
    account: int
    tag: str
    events: tuple[str, ...]
    url: str
    outcomes: dict[str, int]
    reasons: tuple[str, ...]


class Arrivals:
    """Counts since the start, and a ring of the last KEPT requests; the ring is worded when it is read."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = dict.fromkeys(OUTCOMES, 0)
        self.lost: dict[str, int] = dict.fromkeys((*scrub.MASKS, UNREAD), 0)
        self.seen = 0
        self._ring: deque[tuple[int, int, Intake, dict[str, int]]] = deque(maxlen=KEPT)

    def note(self, now: int, intake: Intake, outcomes: dict[str, int]) -> None:
        """One request and the outcome of each of its events."""
        self.seen += 1
        self._ring.append((self.seen, now, intake, outcomes))
        for name, count in outcomes.items():
            if name != "accepted":
                self.counts[name] += count
        if intake.faults:
            self.lost[UNREAD] += intake.faults
        for event in (*intake.events, *intake.apart) if intake.apart else intake.events:
            if masked(event.data) or b"[" in event.context or "[" in event.url:
                for name in scrub.masks(b"".join((event.data, event.context, event.url.encode()))):
                    self.lost[name] += 1

    def folded(self, folded: Folded) -> None:
        """What the fold settled, by standing."""
        for name, count in folded.counts.items():
            self.counts[SETTLED.get(name, name)] += count

    def since(self, number: int, account: int) -> list[Arrival]:
        """Arrivals of one ad account after `number`, oldest first."""
        found = [entry for entry in self._ring if entry[0] > number]
        return [one for one in (worded(*entry) for entry in found) if one.account in (account, 0)]


def worded(number: int, at: int, intake: Intake, outcomes: dict[str, int]) -> Arrival:
    tag: Any = intake.tag
    events = (*intake.events, *intake.apart)
    return Arrival(
        number=number,
        at=at,
        account=tag.account if tag else 0,
        tag=str(tag.id) if tag and tag.id else "",
        events=tuple(event.name for event in events[:20]),
        url=events[0].url.partition("?")[0][:200] if events else "",
        outcomes=outcomes,
        reasons=tuple(intake.reasons[:5]),
    )
