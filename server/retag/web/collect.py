"""The public door: `/v3/` and `/user/`. Take the hit in, commit it, answer: nothing awaits in between.

uvicorn throws a fully received body away when the client has gone before the first `receive()`, and a page
that unloads is gone at once: behind one earlier await all of 1,600 unload beacons were lost, with the body
first none of 4,000. So the protocol hands a request over when its body is whole (`retag.web.protocol`), and
the same door as an ASGI app, for any other server, awaits the body before anything else.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Coroutine
from typing import Any

from starlette.types import Receive, Scope, Send

from retag import errors
from retag.clock import time_ms
from retag.hits import Hit
from retag.ingest import Door, Intake
from retag.journal import Journal
from retag.web.answers import Answer, Answers
from retag.web.arrivals import Arrivals
from retag.web.entropy import Entropy
from retag.web.gate import Gate, refused
from retag.web.outcomes import outcome_line
from retag.web.peers import Peers
from retag.web.reading import Asked, Gone, hit_of, read_body
from retag.web.unseen import Unseen
from retag.web.wishes import Wishes
from retag.wish import Wish

LIMIT = 64 << 10
"""Bytes in a body: what a browser lets a page send while it unloads."""
PATHS = frozenset(("/v3/", "/user/", "/v3", "/user"))
METHODS = frozenset(("GET", "POST"))
UNCOMPRESSED = frozenset((b"", b"identity"))
UNREAD = {400: "malformed", 414: "too_large", 429: "rate_limited", 431: "too_large", 500: "overloaded"}
"""Outcomes of what was never read as events."""
FAULT = "the server failed over it: its log says where"
CLOSE_S = 1.0

log = logging.getLogger("retag.door")
Tell = Callable[[Answer], None]


def paths(word: str = "") -> dict[str, str]:
    """Where beacons arrive: the original paths, and the owner's own word for `/v3/`."""
    own = {f"/{word}/": "/v3/", f"/{word}": "/v3"} if word else {}
    return {path: path for path in PATHS} | own


class Collect:
    """The door over HTTP. `hear` is the whole of it; calling it is the same as an ASGI app.

    `word` is RETAG_PATH_NAME.
    """

    limit = LIMIT

    def __init__(
        self,
        door: Door,
        journal: Journal,
        gate: Gate,
        peers: Peers,
        answers: Answers,
        arrivals: Arrivals,
        word: str = "",
    ) -> None:
        self.paths = {path.encode(): meant for path, meant in paths(word).items()}
        self.door = door
        self.journal = journal
        self.gate = gate
        self.peers = peers
        self.answers = answers
        self.arrivals = arrivals
        self.unseen = Unseen(door)
        self.entropy = Entropy()
        self.wishes = Wishes(journal)
        self._meetings: set[asyncio.Task[None]] = set()

    def hear(self, asked: Asked, body: bytes | None, tell: Tell) -> None:
        """One request, its body whole (None: beyond LIMIT). `tell` is called once its fate is on disk."""
        try:
            now = time_ms()
            client = self.peers.client(
                asked.peer, asked.headers.get(b"x-forwarded-for", b"").decode("latin-1")
            )
            hit = hit_of(asked, body or b"", client, now)
            if hit.method == "OPTIONS":
                tell(self.answers.preflight(hit))
            elif (refusal := self.gate.refusal(client, now) or unreadable(asked, body)) is not None:
                self.settle(hit, refusal, tell)
            elif (agent := self.door.unclassified(hit)) is not None:
                self._spawn(self.meet(agent, hit, tell), tell)
            else:
                self.take(hit, tell)
        except Exception:
            self.fail(tell)

    def take(self, hit: Hit, tell: Tell, obeyed: bool = False) -> None:
        """Commit what the hit holds, then answer; what changes the visitor's standing is obeyed first."""
        intake = self.gate.paced(self.door.take(hit, self.entropy.take()), hit.received)
        if intake.wish is not None and not obeyed:
            if not intake.wish.granted or not intake.events:
                self.heed(intake.wish, hit, intake, tell)
                return
            self.wishes.note(intake.wish)
        self.store(hit, intake, tell)

    def heed(self, wish: Wish, hit: Hit, intake: Intake, tell: Tell) -> None:
        """Obey what changes the visitor's standing, unless it changes without end."""
        refusal = self.gate.wavering(intake, hit.received)
        if refusal is not None:
            self.settle(hit, refusal, tell)
        else:
            self._spawn(self.obey(wish, hit, intake, tell), tell)

    def store(self, hit: Hit, intake: Intake, tell: Tell) -> None:
        """Answer once everything is on disk."""
        if intake.events or intake.apart:
            self.journal.append_nowait(
                (*intake.events, *intake.landings) if intake.landings else intake.events,
                intake.apart,
                lambda error: self.settle(hit, intake, tell, error),
            )
        else:
            self.settle(hit, intake, tell)

    def settle(self, hit: Hit, intake: Intake, tell: Tell, error: BaseException | None = None) -> None:
        """Every event's fate is known: count it, and say it."""
        outcomes = outcomes_of(intake, error)
        answer = self.answers.give(hit, intake, outcomes)
        self.arrivals.note(hit.received, intake, outcomes)
        tell(answer)

    def turn_away(self, status: int, reason: str) -> bytes:
        """A request that was never read as events: it counts as one."""
        intake = refused(UNREAD[status], reason)
        self.arrivals.note(time_ms(), intake, intake.outcomes)
        return outcome_line(intake.outcomes)

    def fail(self, tell: Tell) -> None:
        """An error that nobody foresaw: it is counted and answered too."""
        log.exception("the door failed")
        tell(Answer(500, [(b"content-length", b"0"), (b"retag-outcome", self.turn_away(500, FAULT))]))

    async def meet(self, agent: str, hit: Hit, tell: Tell) -> None:
        """Look an unseen user agent up, off the loop, before its hit is taken; others do not wait."""
        if await self.unseen.learn(agent):
            self.take(hit, tell)
        else:
            self.settle(hit, refused("overloaded", "too many new user agents at once"), tell)

    async def obey(self, wish: Wish, hit: Hit, intake: Intake, tell: Tell) -> None:
        """Heed it before it is answered; what cannot be written is to be sent again."""
        try:
            await self.wishes.obey(wish)
        except (errors.RetagError, sqlite3.Error) as error:
            self.settle(hit, intake, tell, error)
        else:
            self.take(hit, tell, obeyed=True)

    def _spawn(self, work: Coroutine[Any, Any, None], tell: Tell) -> None:
        meeting = asyncio.create_task(self._guarded(work, tell))
        self._meetings.add(meeting)
        meeting.add_done_callback(self._meetings.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None], tell: Tell) -> None:
        try:
            await work
        except Exception:
            self.fail(tell)

    async def close(self) -> None:
        """Take in who is still being looked up, before the journal closes."""
        if self._meetings:
            await asyncio.wait(self._meetings, timeout=CLOSE_S)
        await self.wishes.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await read_body(receive, LIMIT)
        except Gone:
            return
        told: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.hear(Asked.of(scope), body, lambda answer: None if told.done() else told.set_result(answer))
        answer = await told
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})


def outcomes_of(intake: Intake, error: BaseException | None) -> dict[str, int]:
    """How many events ended how; all of a request that was not stored share the error's outcome."""
    count = len(intake.events)
    if error is not None:
        outcome = error.outcome if isinstance(error, errors.RetagError) else errors.Overloaded.outcome
        return {str(outcome): count + sum(intake.outcomes.values())}
    if not count:
        return intake.outcomes
    return {"accepted": count, **intake.outcomes} if intake.outcomes else {"accepted": count}


def unreadable(asked: Asked, body: bytes | None) -> Intake | None:
    """The refusal of a request that is not worth reading, or None."""
    if body is None:
        return refused("too_large", f"the body is larger than {LIMIT} bytes")
    if asked.method not in METHODS:
        return refused("malformed", "use GET or POST")
    if asked.headers.get(b"content-encoding", b"").lower() not in UNCOMPRESSED:
        return refused("malformed", "send the body uncompressed")
    return None
