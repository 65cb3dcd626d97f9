"""Export links: an address that needs no key, for tools that can only fetch one. And who downloaded what.

A link names an audience, a format and when it ends; it is signed as a whole, and ends sooner when the key
that made it is revoked. One that is fetched all the time is refused, and so is an address that tries others;
links leave half of the press's room to those with a key.
"""

from __future__ import annotations

import hashlib
from typing import Annotated
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from retag import errors
from retag.clock import time_ms
from retag.formats import FORMATS
from retag.press.asking import Asked, members_job
from retag.press.codecs import CODECS
from retag.web import peers
from retag.web.api import exports
from retag.web.api.audiences import find
from retag.web.api.auth import Caller
from retag.web.api.call import Call, Row, number, refusal
from retag.web.api.limits import Limits, check

PATH = "/exports/{ad_account_id}/{audience_id}"
PURPOSE = "export_link"
DAY_S = 86_400
Formats = Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(FORMATS)})]
ASKED = ("fields", "as_of", "since", "op")
ENDED = "This link is not valid, or it has ended: ask for a new one."


class LinkCreate(msgspec.Struct):
    """`expires_in` is in seconds: a minute to 30 days, a day by default. With an `as_of` the link gives the
    same bytes each time, and can be resumed; without, the audience as it is when fetched. The others are as
    in an export's own address."""

    audience_id: str
    format: Formats = "csv"
    fields: str | None = None
    as_of: str | None = None
    since: str | None = None
    op: str | None = None
    compress: str | None = None
    spreadsheet: bool = False
    expires_in: Annotated[int, msgspec.Meta(ge=60, le=30 * DAY_S)] = DAY_S


class LinkView(msgspec.Struct):
    """`expires_at` is in UTC seconds."""

    url: str
    expires_at: int


class DownloadView(msgspec.Struct):
    """One download: `at` in UTC ms; `who` a key's prefix, `link of` it, or `command line`. Raw events have no
    `audience_id`; without a `sha256` it is under way, or was broken off."""

    at: int
    who: str
    export_id: str
    audience_id: str | None
    format: str
    as_of: str
    rows: int
    sha256: str


class DownloadPage(msgspec.Struct):
    items: list[DownloadView]


def _digest(path: str, query: str) -> bytes:
    return hashlib.blake2b(f"{path}?{query}".encode(), digest_size=16).digest()


async def create(call: Call) -> LinkView:
    """A signed address of one audience's export as it will be when fetched."""
    wanted = call.json(LinkCreate)
    audience = await find(call, number("audience_id", wanted.audience_id))
    if wanted.compress and wanted.compress not in CODECS:
        raise errors.Invalid("compress", f"must be one of {', '.join(CODECS)}")
    given = {name: getattr(wanted, name) or "" for name in ASKED}
    asked = Asked(wanted.format, **given, spreadsheet=wanted.spreadsheet)
    await members_job(call.state.reader, call.account, audience.id, asked, call.now)
    ends = call.now // 1000 + wanted.expires_in
    about = {"format": wanted.format, "expires": ends, "key": call.caller.prefix} | given
    about |= {"compress": wanted.compress, "spreadsheet": wanted.spreadsheet or None}
    query = urlencode({name: value for name, value in about.items() if value})
    path = f"/exports/{call.account}/{audience.id}"
    signature = call.state.door.keys.signer(call.account, PURPOSE).sign(_digest(path, query))
    base = str(call.request.base_url).rstrip("/")
    return LinkView(f"{base}{path}?{query}&signature={signature}", ends)


class Links:
    """The address of every link; `limits` count those of a minute."""

    def __init__(self) -> None:
        self.limits = Limits()

    def routes(self) -> list[Route]:
        return [Route(PATH, self.follow, methods=["GET"])]

    async def follow(self, request: Request) -> Response:
        """The export that a link names."""
        try:
            return await exports.export(await self._admitted(request, time_ms()))
        except errors.RetagError as error:
            return refusal(error, {})

    async def _admitted(self, request: Request, now: int) -> Call:
        limited = request.app.state.settings.rate_limits
        try:
            call = await _named(request, now)
        except errors.Forbidden:
            client = peers.client_of(request)
            if limited and not client.anyone:
                check(self.limits.spend("failures", client.block, now))
            raise
        if limited:
            check(self.limits.spend("link", request.query_params["signature"], now))
        return call


async def _named(request: Request, now: int) -> Call:
    """The export that a valid link names; Forbidden else."""
    account = number("ad_account_id", request.path_params["ad_account_id"])
    query, _, signature = request.url.query.rpartition("&signature=")
    signed = request.app.state.door.keys.signer(account, PURPOSE).verify(signature)
    if signed != _digest(request.url.path, query) or int(request.query_params["expires"]) * 1000 <= now:
        raise errors.Forbidden(ENDED)
    key = request.query_params["key"]
    known = "SELECT 1 FROM api_key WHERE prefix = ? AND account = ? AND revoked IS NULL"
    if await request.app.state.reader.one(known, (key, account)) is None:
        raise errors.Forbidden(ENDED)
    return Call(request, account, Caller(f"link of {key}", account, frozenset(), guest=True), b"", now, {})


async def downloads(call: Call) -> DownloadPage:
    """The latest downloads, newest first."""
    sql = (
        "SELECT at, who, export, CAST(nullif(audience, 0) AS TEXT), format, as_of, rows, sha256 FROM download"
        " WHERE account = ? ORDER BY id DESC LIMIT ?"
    )
    rows = await call.state.reader.all(sql, (call.account, call.size("page_size", 25, 250)))
    return DownloadPage([DownloadView(*row) for row in rows])


ACCOUNT = exports.ACCOUNT
ROWS = (
    Row("POST", f"{ACCOUNT}/export_links", "export_links/create", "Make a link to an export", *exports.SCOPE,
        create, LinkCreate, LinkView),
    Row("GET", f"{ACCOUNT}/downloads", "downloads/list", "Who downloaded what", "admin", "ads_read",
        downloads, None, DownloadPage, ("page_size",)),
)  # fmt: skip
