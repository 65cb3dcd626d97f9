"""One API call, checked before its handler runs: who asks, for which account, how much, and the body.

A table of rows becomes Starlette routes; every answer is JSON with the rate-limit headers, every refusal
`{code, message}`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from retag import errors
from retag.clock import time_ms
from retag.web.api import auth
from retag.web.api.limits import Limits, check

MIB = 1 << 20
T = TypeVar("T")
NAME_LIMIT = 256
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_LIMIT)]


def closed(*allowed: str) -> msgspec.Meta:
    """A closed list of texts, for the document; the handler checks it, to say what is allowed."""
    return msgspec.Meta(extra_json_schema={"enum": list(allowed)})


STATUSES = ("ACTIVE", "PAUSED")
Status = Annotated[str, closed(*STATUSES)]


class Call:
    """What a handler gets. `now` is UTC milliseconds at arrival; `body` the whole body, within its limit.

    `headers` are the answer's: a handler may add some.
    """

    def __init__(
        self,
        request: Request,
        account: int,
        caller: auth.Caller,
        body: bytes,
        now: int,
        headers: dict[str, str],
    ) -> None:
        self.request = request
        self.account = account
        self.caller = caller
        self.body = body
        self.now = now
        self.headers = headers
        self.state: Any = request.app.state

    def id(self, name: str) -> int:
        """A numeric id of the path."""
        return number(name, self.request.path_params[name])

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        """A query parameter out of a closed list; the first is the default."""
        value = self.request.query_params.get(name) or allowed[0]
        if value not in allowed:
            raise errors.Invalid(name, f"must be one of {', '.join(allowed)}, not {value[:40]!r}")
        return value

    def flag(self, name: str) -> bool:
        """A boolean query parameter; the official SDK writes `True` and `False`."""
        value = self.request.query_params.get(name, "").lower()
        if value not in ("", "true", "false", "1", "0"):
            raise errors.Invalid(name, f"must be true or false, not {value[:40]!r}")
        return value in ("true", "1")

    def size(self, name: str, default: int, most: int) -> int:
        """A query parameter from 1 to `most`."""
        text = self.request.query_params.get(name) or str(default)
        if not (text.isascii() and text.isdigit() and len(text) < 7 and 1 <= int(text) <= most):
            raise errors.Invalid(name, f"must be a whole number from 1 to {most}")
        return int(text)

    def json(self, kind: type[T]) -> T:
        """The body as `kind`; a refusal names the field."""
        return decode(self.body, kind)

    def changes(self, kind: Any, status: str) -> tuple[dict[str, Any], str]:
        """What the body, a `kind` with a `status`, gives besides that; and the status it is to have."""
        given = msgspec.structs.asdict(self.json(kind))
        found = {name: value for name, value in given.items() if value is not msgspec.UNSET}
        status = found.pop("status", status)
        if status not in STATUSES:
            raise errors.Invalid("status", f"must be one of {', '.join(STATUSES)}")
        return found, status


Handler = Callable[[Call], Awaitable[Any]]


class Row(msgspec.Struct, frozen=True):
    """One operation. `takes` and `gives` are the body types that the OpenAPI document shows."""

    method: str
    path: str
    operation: str
    summary: str
    scope: str
    category: str
    handler: Handler
    takes: Any = None
    gives: Any = None
    query: tuple[str, ...] = ()
    limit: int = MIB


class Endpoint:
    """All the operations of one path, as an ASGI app: so that it, not Starlette, answers other methods."""

    def __init__(self, rows: dict[str, Row], limits: Limits) -> None:
        self.rows = rows
        self.limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = await self.answer(request)
        await response(scope, receive, send)

    async def answer(self, request: Request) -> Response:
        """The answer to one request; a RetagError is one too."""
        headers: dict[str, str] = {}
        try:
            given = await self._run(request, headers)
            return given if isinstance(given, Response) else reply(given, headers)
        except errors.RetagError as error:
            return self._basic(request, refusal(error, headers))
        except ClientDisconnect:
            return Response(status_code=400)

    def _basic(self, request: Request, response: Response) -> Response:
        """Tools that fetch files show their password when they are asked to (RFC 7617)."""
        row = self.rows.get("GET")
        if response.status_code == 401 and row is not None and row.scope == "exports:read":
            response.headers.append("www-authenticate", 'Basic realm="retag", charset="UTF-8"')
        return response

    async def _run(self, request: Request, headers: dict[str, str]) -> Any:
        row = self.rows.get("GET" if request.method == "HEAD" else request.method)
        if row is None:
            raise errors.MethodNotAllowed(tuple(self.rows))
        now = time_ms()
        account = number("ad_account_id", request.path_params["ad_account_id"])
        caller = await self._admit(request, row.scope, account, now)
        if request.app.state.settings.rate_limits:
            allowance = self.limits.spend(row.category, caller.prefix, now)
            headers.update(allowance.headers())
            check(allowance)
        body = await read_body(request, row.limit)
        return await row.handler(Call(request, account, caller, body, now, headers))

    async def _admit(self, request: Request, scope: str, account: int, now: int) -> auth.Caller:
        """A wrong key costs its address an allowance, so that nobody guesses at leisure."""
        try:
            return await auth.require(request, scope, account)
        except errors.Unauthorized:
            if request.app.state.settings.rate_limits and auth.public(request):
                check(self.limits.spend("failures", auth.address(request), now))
            raise


def routes(rows: list[Row], limits: Limits) -> list[Route]:
    """One route a path, in the order in which the paths first appear.

    What names a visitor may hold slashes (`gid://shopify/Customer/7`), which come unescaped here (ASGI).
    """
    paths: dict[str, dict[str, Row]] = {}
    for row in rows:
        paths.setdefault(row.path, {})[row.method] = row
    return [
        Route(path.replace("{visitor}", "{visitor:path}"), Endpoint(found, limits))
        for path, found in paths.items()
    ]


def reply(value: Any, headers: dict[str, str]) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json", headers=NO_STORE | headers)


def refusal(error: errors.RetagError, headers: dict[str, str]) -> Response:
    """An error as the reference has it: `{code, message}`."""
    response = reply({"code": error.code, "message": str(error)}, headers | error.headers())
    response.status_code = error.status
    return response


NO_STORE = {"cache-control": "no-store"}


async def read_body(request: Request, limit: int) -> bytes:
    """The body, or TooLarge before more than `limit` bytes are held."""
    if request.headers.get("content-encoding", "").lower() not in ("", "identity"):
        raise errors.Invalid("Content-Encoding", "is not supported: send the body uncompressed")
    if int(request.headers.get("content-length") or 0) > limit:
        raise errors.TooLarge(limit)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise errors.TooLarge(limit)
    return bytes(body)


def number(name: str, text: str) -> int:
    """An id: 1 to 18 digits."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise errors.Invalid(name, "must be 1 to 18 digits")
    return int(text)


def decode(body: bytes, kind: type[T]) -> T:
    """JSON as `kind`, or Invalid with the field and what is wrong with it."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        raise errors.Invalid(path.strip("`.") or "body", message) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.Invalid("body", f"is not JSON: {error}") from None
