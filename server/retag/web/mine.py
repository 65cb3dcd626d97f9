"""`GET /v3/audiences?tid=TAG`: which audiences this browser's visitor is in, for the page itself.

Opt-in: a tag answers only when its `personalise` is set (PATCH …/conversion_tags/{id}). The visitor is
whoever the cookie names, or the signed id that the tag keeps for pages on another site, and nobody else.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from retag import errors
from retag.clock import time_ms
from retag.screen import Tag
from retag.web.api.call import refusal, reply
from retag.web.cors import Cors
from retag.web.reading import cookies_of

HELD = (
    "SELECT a.id, a.name FROM audience a JOIN build b ON b.id = a.build AND b.ready IS NOT NULL"
    " JOIN member m ON m.build = a.build AND m.visitor = ?"
    " WHERE a.account = ? AND a.removed IS NULL AND m.opens <= ? AND m.closes > ? ORDER BY a.id"
)


class Mine(msgspec.Struct):
    """An audience that the visitor is in."""

    id: str
    name: str


class Answer(msgspec.Struct):
    audiences: list[Mine]


class Personal:
    """The endpoint; `routes` puts it in its place."""

    def __init__(self) -> None:
        self.cors = Cors()

    def routes(self) -> list[Route]:
        return [Route("/v3/audiences", self.answer)]

    async def answer(self, request: Request) -> Response:
        """The audiences, none for a stranger; NotFound unless the tag opted in."""
        try:
            tag = await opted_in(request)
        except errors.RetagError as error:
            return refusal(error, {})
        origin = request.headers.get("origin", "")
        if origin and not self.cors.trusted(tag, origin):
            return refusal(errors.Forbidden("This page's host is not among the tag's domains."), {})
        visitor = visitor_of(request, tag)
        found = await held(request, tag, visitor) if visitor and not objects(request) else []
        response = reply(Answer(found), {})
        response.raw_headers.extend(self.cors.headers(tag, origin))
        return response


async def opted_in(request: Request) -> Tag:
    """The tag, if it is live and its owner wants its pages told."""
    text = request.query_params.get("tid", "")
    tag: Tag | None = (
        request.app.state.door.tags.get(int(text)) if text.isdecimal() and len(text) < 19 else None
    )
    if tag is not None and tag.status == "ACTIVE":
        row = await request.app.state.reader.one("SELECT config FROM tag WHERE id = ?", (tag.id,))
        if row and json.loads(row[0]).get("personalise") is True:
            return tag
    raise errors.NotFound("No such tag, or it does not personalise: set `personalise` on the tag.")


def visitor_of(request: Request, tag: Tag) -> bytes | None:
    """By the cookie, else by the id handed to this tag's pages."""
    keys: Any = request.app.state.door.keys
    known: bytes | None = keys.visitor(tag.account).only(cookies_of(request))
    if known is None:
        known = keys.tag(tag.account, tag.id).verify(request.query_params.get("pin_unauth", ""))
    return known


def objects(request: Request) -> bool:
    """Global Privacy Control: https://w3c.github.io/gpc/"""
    return request.headers.get("sec-gpc") == "1"


async def held(request: Request, tag: Tag, visitor: bytes) -> list[Mine]:
    now = time_ms()
    rows = await request.app.state.reader.all(HELD, (visitor, tag.account, now, now))
    return [Mine(str(row[0]), row[1]) for row in rows]
