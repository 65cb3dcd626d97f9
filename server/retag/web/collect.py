"""The public door: `/v3/` and `/user/`, as a raw ASGI app.

Its first await reads the body. uvicorn throws a fully received body away when the client has gone before the
first `receive()`, and a page that unloads is gone at once: behind one earlier await all of 1,600 unload
beacons were lost, with the body first none of 4,000. Its last act is the answer, after the commit.
"""

from __future__ import annotations

import time

from starlette.types import Receive, Scope, Send

from retag import errors
from retag.hits import Hit
from retag.ingest import Door, Intake
from retag.journal import Journal
from retag.web.answers import Answers
from retag.web.arrivals import Arrivals
from retag.web.entropy import Entropy
from retag.web.gate import Gate, refused
from retag.web.peers import Peers
from retag.web.reading import Gone, client_of, gather, hit_of, read_body
from retag.web.unseen import Unseen

LIMIT = 64 << 10
"""Bytes in a body: what a browser lets a page send while it unloads."""
PATHS = frozenset(("/v3/", "/user/", "/v3", "/user"))
METHODS = frozenset(("GET", "POST"))


class Collect:
    """The door over HTTP: read the body, take the hit in, commit it, answer."""

    def __init__(
        self, door: Door, journal: Journal, gate: Gate, peers: Peers, answers: Answers, arrivals: Arrivals
    ) -> None:
        self.door = door
        self.journal = journal
        self.gate = gate
        self.peers = peers
        self.answers = answers
        self.arrivals = arrivals
        self.unseen = Unseen(door)
        self.entropy = Entropy()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await read_body(receive, LIMIT)
        except Gone:
            return
        now = time.time_ns() // 1_000_000
        headers = gather(scope)
        client = client_of(scope, headers, self.peers)
        hit = hit_of(scope, headers, body or b"", client, now)
        if hit.method == "OPTIONS":
            await self.answers.preflight(send, hit)
            return
        intake = self.gate.refusal(client, now) or unreadable(hit, headers, body) or await self.take(hit)
        outcomes = await self.commit(intake)
        self.arrivals.note(now, intake, outcomes)
        await self.answers.give(send, hit, intake, outcomes)

    async def take(self, hit: Hit) -> Intake:
        """What the hit holds; an unseen user agent is looked up off the loop first, others do not wait."""
        agent = self.door.unclassified(hit)
        if agent is not None and not await self.unseen.learn(agent):
            return refused("overloaded", "too many new user agents at once")
        return self.gate.paced(self.door.take(hit, self.entropy.take()), hit.received)

    async def commit(self, intake: Intake) -> dict[str, int]:
        """Every event's outcome, once its fate is on disk."""
        count = len(intake.events)
        if count or intake.apart:
            try:
                await self.journal.append((*intake.events, *intake.landings), intake.apart)
            except (errors.Overloaded, errors.Poison) as error:
                return {str(error.outcome): count + sum(intake.outcomes.values())}
        return {"accepted": count, **intake.outcomes} if count else intake.outcomes


def unreadable(hit: Hit, headers: dict[bytes, bytes], body: bytes | None) -> Intake | None:
    """The refusal of a request that is not worth reading, or None."""
    if body is None:
        return refused("too_large", f"the body is larger than {LIMIT} bytes")
    if hit.method not in METHODS:
        return refused("malformed", "use GET or POST")
    if headers.get(b"content-encoding", b"identity") != b"identity":
        return refused("malformed", "send the body uncompressed")
    return None
