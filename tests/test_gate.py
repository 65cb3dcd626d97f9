"""The gate: what nobody does once is refused, what nobody does for an hour is set apart."""

from __future__ import annotations

import json

from hits import ENTROPY, KEYS, NOW, TAG, door, hit
from retag.ingest import Intake
from retag.keyring import Keyring
from retag.web import gate
from retag.web.gate import Gate

COOKIE = f"__Host-retag={Keyring(KEYS).visitor(549_755_885_175).sign(bytes(16))}"


def sent(many: int) -> Intake:
    """Events of one visitor who came back."""
    body = json.dumps([{"tid": str(TAG), "event": "pagevisit"}] * many).encode()
    return door().take(hit(None, body=body, cookie=COOKIE), ENTROPY)


def test_a_visitor_in_a_rush_is_refused_and_may_come_again() -> None:
    """429: nothing of it is kept, and a minute later it is welcome."""
    one = Gate(rate_limits=True)
    assert [one.paced(sent(100), NOW).outcomes for _ in range(4)] == [{}, {}, {}, {"rate_limited": 100}]
    refused = one.paced(sent(1), NOW)
    assert (refused.events, refused.apart, refused.reasons) == ((), (), (gate.HURRIED,))
    assert len(one.paced(sent(100), NOW + 60_000).events) == 100


def test_a_visitor_who_never_rests_is_no_person() -> None:
    """Within the pace of a minute, for an hour: the events are kept apart, with the reason."""
    one = Gate(rate_limits=True)
    found = [one.paced(sent(100), NOW + minute * 15_000) for minute in range(60)]
    assert [len(intake.events) for intake in found[:30]] == [100] * 30
    tireless = found[-1]
    assert (tireless.outcomes, tireless.events, len(tireless.apart)) == ({"quarantined": 100}, (), 100)
    assert json.loads(tireless.apart[0].context)["apart"] == gate.TIRELESS
    assert one.paced(sent(100), NOW + 6 * 3_600_000).events


def test_nobody_is_limited_when_the_limits_are_off() -> None:
    """For load tests."""
    one = Gate(rate_limits=False)
    assert all(one.paced(sent(100), NOW).events for _ in range(50))
