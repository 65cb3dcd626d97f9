"""The gate around the door: is the server fit to take anything, and does anybody act at an impossible rate?

The screen looks at one event; what no person reaches only shows in many. An address or a visitor in a rush is
refused, and may come again. A visitor who keeps on for an hour as nobody can is no person: those events are
`quarantined`, kept apart like a bot's.
"""

from __future__ import annotations

import msgspec

from retag.browser_side import kept_apart
from retag.ingest import Intake
from retag.web.peers import Client
from retag.web.rates import BY_ADDRESS, BY_HOUR, BY_VISITOR, BY_WISH, Buckets

TOO_FAST = "more than 60 requests a second from this address"
HURRIED = "more than 10 events a second from this visitor"
RESTLESS = "more than one change of mind a second from this visitor"
TIRELESS = "more than 3,000 events in an hour from this visitor: no person does that"


class Gate:
    """`fault` says why nothing is taken at all (a full disk, a damaged file); None while all is well."""

    def __init__(self, rate_limits: bool) -> None:
        self.fault: str | None = None
        self.rate_limits = rate_limits
        self._by_address = Buckets(BY_ADDRESS)
        self._by_visitor = Buckets(BY_VISITOR)
        self._by_hour = Buckets(BY_HOUR)
        self._by_wish = Buckets(BY_WISH)

    def refusal(self, client: Client, now: int) -> Intake | None:
        """A refusal without reading the events, or None. `now` in UTC milliseconds."""
        if self.fault:
            return refused("overloaded", self.fault)
        if self.crowded(client, now):
            return refused("rate_limited", TOO_FAST)
        return None

    def restless(self, visitor: bytes, now: int) -> bool:
        """Whether the visitor has had a say too often lately."""
        return self.rate_limits and not self._by_wish.take(visitor, 1, now)

    def wavering(self, intake: Intake, now: int) -> Intake | None:
        """The refusal of consent that comes too soon after an objection, or None: an objection never does."""
        if intake.wish is None or not intake.wish.granted or not self.restless(intake.wish.visitor, now):
            return None
        outcomes = {"rate_limited": sum(intake.outcomes.values())}
        return msgspec.structs.replace(intake, outcomes=outcomes, reasons=(RESTLESS,))

    def crowded(self, client: Client, now: int) -> bool:
        """Whether the address asks too much."""
        return self.rate_limits and not client.anyone and not self._by_address.take(client.block, 1, now)

    def paced(self, intake: Intake, now: int) -> Intake:
        """The intake itself, or its events refused or kept apart when the visitor sends too many."""
        if not self.rate_limits or intake.visitor is None or intake.fresh:
            return intake
        many = len(intake.events)
        if not many:
            return intake
        if not self._by_visitor.take(intake.visitor, many, now):
            return withheld(intake, "rate_limited", HURRIED)
        if not self._by_hour.take(intake.visitor, many, now):
            apart = (*intake.apart, *(kept_apart(event, TIRELESS) for event in intake.events))
            return msgspec.structs.replace(withheld(intake, "quarantined", TIRELESS), apart=apart)
        return intake


def withheld(intake: Intake, outcome: str, reason: str) -> Intake:
    """The intake without its events, each of which has this outcome."""
    outcomes = {**intake.outcomes, outcome: len(intake.events)}
    reasons = (*intake.reasons, reason)
    return msgspec.structs.replace(intake, events=(), landings=(), outcomes=outcomes, reasons=reasons)


def refused(outcome: str, reason: str) -> Intake:
    """An intake of nothing: the whole request has one outcome."""
    return Intake(outcomes={outcome: 1}, reasons=(reason,))
