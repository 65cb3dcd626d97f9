"""What a visitor may ask of the shop: what is known of me, forget me, leave me alone, and my consent.

The visitor is whoever the browser's cookie names, or on another site than the shop's the signed id that the
tag keeps there (`?tid=&pin_unauth=`): nothing else can name one here. An opted-out browser keeps a cookie
without an id, so that it stays opted out and nobody can follow it.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from retag import errors, identity, upkeep
from retag.clock import time_ms
from retag.screen import OPTED_OUT
from retag.web import held, peers, wishes
from retag.web.api.call import decode, read_body, refusal, reply
from retag.web.cors import ANYBODY, Cors
from retag.web.reading import cookies_of
from retag.wish import Wish

log = logging.getLogger("retag.privacy")
LIMIT = 16 << 10
AFTER_S = 10
GPC = {"gpc": True, "lastUpdate": "2026-11-24"}
"""https://w3c.github.io/gpc/#gpc-support-resource"""
Handler = Callable[[Request], Awaitable[Response]]
Text = Annotated[str, msgspec.Meta(max_length=4000)]


class Consent(msgspec.Struct):
    """A change of consent and its proof: how it was asked (`tcf`, `banner`, …) and the string it gave.
    Without `sharing` the visitor is in audiences, and what identifies them elsewhere is given to nobody."""

    granted: bool
    sharing: bool = True
    mechanism: Annotated[str, msgspec.Meta(max_length=100)] = ""
    proof: Text = ""


class Me(msgspec.Struct, frozen=True):
    """The visitor that a cookie names, None without one."""

    account: int
    visitor: bytes


class Privacy:
    """The visitor's routes."""

    def __init__(self) -> None:
        self.cors = Cors()

    def routes(self) -> list[Route]:
        asked = self._asked
        return [
            Route("/.well-known/gpc.json", self.support),
            Route("/privacy/me", asked(self.known), methods=["GET"]),
            Route("/privacy/me", asked(self.erase), methods=["DELETE"]),
            Route("/privacy/opt-out", asked(self.opt_out), methods=["POST"]),
            Route("/privacy/opt-out", asked(self.opt_in), methods=["DELETE"]),
            Route("/privacy/consent", asked(self.consent), methods=["POST"]),
            Route("/privacy/{rest:path}", self.preflight, methods=["OPTIONS"]),
        ]

    def _asked(self, handler: Handler) -> Handler:
        """The handler for who does not ask without end; whatever it refuses is said as the API says it."""

        async def answer(request: Request) -> Response:
            try:
                admit(request)
                return await handler(request)
            except errors.RetagError as error:
                return self._readable(request, refusal(error, {}))
            except sqlite3.Error:
                log.exception("a visitor's wish was not written")
                return self._readable(request, refusal(errors.Overloaded(after=AFTER_S), {}))
            except ClientDisconnect:
                return Response(status_code=400)

        return answer

    async def support(self, _: Request) -> Response:
        """We honour Global Privacy Control."""
        return reply(GPC, {})

    async def known(self, request: Request) -> Response:
        """Everything held of this browser's visitor: events, identifiers by kind, audiences, consent."""
        me = named(request)
        if me is None:
            return self._answer(request, {"visitor_id": None})
        path, now = request.app.state.settings.path, time_ms()
        return self._answer(request, await asyncio.to_thread(held.look, path, me.account, me.visitor, now))

    async def erase(self, request: Request) -> Response:
        """Erase this browser's visitor everywhere, and its cookie."""
        me = named(request)
        if me is not None:
            await write(request, lambda cn, now: upkeep.erase(cn, me.account, me.visitor, now))
        return self._answer(request, {"erased": me is not None}, cookie="")

    async def opt_out(self, request: Request) -> Response:
        """In no audience from now on; the cookie keeps the wish and no id."""
        me = named(request)
        if me is not None:
            await write(request, lambda cn, now: object_to(cn, me, now))
        return self._answer(request, {"opted_out": True}, cookie=OPTED_OUT)

    async def opt_in(self, request: Request) -> Response:
        """Take the wish back; the next visit is a new visitor."""
        return self._answer(request, {"opted_out": False}, cookie="")

    async def consent(self, request: Request) -> Response:
        """Note a change of consent with its proof; a refusal takes the visitor out of every audience."""
        given = decode(await read_body(request, LIMIT), Consent)
        me = named(request)
        if me is not None:
            await write(request, lambda cn, now: note(cn, me, given, now))
        return self._answer(request, {"granted": given.granted, "noted": me is not None})

    async def preflight(self, request: Request) -> Response:
        answer = self._answer(request, {})
        answer.headers["access-control-allow-methods"] = "GET, POST, DELETE, OPTIONS"
        answer.headers["access-control-allow-headers"] = "content-type"
        return answer

    def _answer(self, request: Request, body: Any, cookie: str | None = None) -> Response:
        """JSON for pages on any tag's domain, with credentials; nothing for strangers."""
        answer = self._readable(request, reply(body, {}))
        if cookie is not None:
            for plain in (False, True):
                answer.headers.append("set-cookie", identity.cookie_header(cookie, plain))
        return answer

    def _readable(self, request: Request, answer: Response) -> Response:
        """The answer, for pages on any tag's domain."""
        origin = request.headers.get("origin", "")
        found = self.cors.of_any(request.app.state.door.tags.values(), origin)
        answer.raw_headers.extend([] if found is ANYBODY else found)
        return answer


def admit(request: Request) -> None:
    """errors.RateLimited when the address or the visitor asks too much."""
    state, now = request.app.state, time_ms()
    me = named(request)
    if state.gate.crowded(peers.client_of(request), now) or (
        me is not None and state.gate.restless(me.visitor, now)
    ):
        raise errors.RateLimited(AFTER_S)


def named(request: Request) -> Me | None:
    """Whom the cookie names, else the tag's own id; nobody who was erased, to whom no row may be added."""
    me = _by_cookie(request) or _by_tag(request)
    return None if me is None or request.app.state.door.banned(me.visitor) == "erased" else me


def _by_cookie(request: Request) -> Me | None:
    """By the keys of any of the accounts."""
    state = request.app.state
    cookies = cookies_of(request)
    for account in {tag.account for tag in state.door.tags.values()} if cookies else ():
        visitor = state.door.keys.visitor(account).only(cookies)
        if visitor is not None:
            return Me(account, visitor)
    return None


def _by_tag(request: Request) -> Me | None:
    """By the id handed to a tag's pages on another site, where the browser keeps no cookie of ours."""
    state, asked = request.app.state, request.query_params
    text, signed = asked.get("tid", ""), asked.get("pin_unauth", "")
    tag = state.door.tags.get(int(text)) if signed and text.isdecimal() and len(text) < 19 else None
    if tag is None:
        return None
    visitor = state.door.keys.tag(tag.account, tag.id).verify(signed)
    return Me(tag.account, visitor) if visitor is not None else None


async def write(request: Request, job: Callable[[sqlite3.Connection, int], None]) -> None:
    now = time_ms()
    await request.app.state.journal.write(lambda cn: job(cn, now))


def object_to(cn: sqlite3.Connection, me: Me, now: int) -> None:
    """An objection is a change of consent like any other."""
    wishes.write(cn, [Wish(me.account, me.visitor, False, wishes.BUTTON, now)])


def note(cn: sqlite3.Connection, me: Me, given: Consent, now: int) -> None:
    """A row of the consent log, and what follows from it."""
    cn.execute(
        "INSERT INTO consent_log (account, visitor, at, granted, mechanism, proof, sharing)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (me.account, me.visitor, now, given.granted, given.mechanism, given.proof, given.sharing),
    )
    (upkeep.share if given.sharing else upkeep.withhold)(cn, me.visitor, now)
    (upkeep.opt_in if given.granted else upkeep.opt_out)(cn, me.visitor, now)
