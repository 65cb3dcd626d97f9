"""The gate before the door: is the server fit to take anything, and is this client within its rate?"""

from __future__ import annotations

import msgspec

from retag.ingest import Intake
from retag.web.peers import Client
from retag.web.rates import BY_ADDRESS, BY_VISITOR, Buckets


class Gate:
    """`fault` says why nothing is taken at all (a full disk, a damaged file); None while all is well."""

    def __init__(self, rate_limits: bool) -> None:
        self.fault: str | None = None
        self.rate_limits = rate_limits
        self._by_address = Buckets(BY_ADDRESS)
        self._by_visitor = Buckets(BY_VISITOR)

    def refusal(self, client: Client, now: int) -> Intake | None:
        """A refusal without reading the events, or None. `now` in UTC milliseconds."""
        if self.fault:
            return refused("overloaded", self.fault)
        if self.rate_limits and not client.anyone and not self._by_address.take(client.block, 1, now):
            return refused("rate_limited", "more than 60 requests a second from this address")
        return None

    def paced(self, intake: Intake, now: int) -> Intake:
        """The intake itself, or the refusal of its events when the visitor sends too many."""
        if not self.rate_limits or intake.visitor is None or intake.fresh:
            return intake
        many = len(intake.events)
        if not many or self._by_visitor.take(intake.visitor, many, now):
            return intake
        outcomes = {**intake.outcomes, "rate_limited": many}
        reasons = (*intake.reasons, "more than 10 events a second from this visitor")
        return msgspec.structs.replace(intake, events=(), landings=(), outcomes=outcomes, reasons=reasons)


def refused(outcome: str, reason: str) -> Intake:
    """An intake of nothing: the whole request has one outcome."""
    return Intake(outcomes={outcome: 1}, reasons=(reason,))
