"""Exchange: one request to the door and its short answer, without an ASGI cycle.

An ASGI app costs a scope, a task, a future and two messages for each request. A beacon needs none of them:
its body is a few hundred bytes, and its answer is known at once or with the next commit. So the protocol
hands it to the door as it is. `benchmarks/collect.py` says what that is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from retag.web.answers import Answer
from retag.web.reading import Asked

if TYPE_CHECKING:
    from retag.web.protocol import DoorProtocol

METHODS = {b"GET": "GET", b"POST": "POST"}


class Door(Protocol):
    """What answers the short way: `paths` as they are asked for and as it knows them; `limit` in bytes."""

    paths: Mapping[bytes, str]
    limit: int

    def hear(self, asked: Asked, body: bytes | None, tell: Callable[[Answer], None]) -> None:
        """One request, its body whole (None: beyond the limit); `tell` is called once, now or later."""

    def turn_away(self, status: int, reason: str) -> bytes:
        """A request that cannot be read: count it; what its answer's Retag-Outcome says."""


class Exchange:
    """In a connection's `cycle`, with what uvicorn asks of one: `keep_alive` and `response_complete`.

    `more_body` is uvicorn's word too: whether the body is still to come.
    """

    __slots__ = (
        "asked",
        "body",
        "connection",
        "door",
        "heard",
        "keep_alive",
        "more_body",
        "response_complete",
    )

    def __init__(self, connection: DoorProtocol, door: Door, asked: Asked) -> None:
        self.connection = connection
        self.door = door
        self.asked = asked
        self.body: bytes | bytearray = b""
        self.heard = False
        self.keep_alive = lasting(connection)
        self.more_body = True
        self.response_complete = False

    @classmethod
    def of(cls, connection: DoorProtocol, door: Door, path: str, query: bytes) -> Exchange | None:
        """The exchange that these headers begin; None when they ask for more than a short answer."""
        method = METHODS.get(connection.parser.get_method())
        if method is None or b"expect" in connection.named or b"#" in query:
            return None
        peer = connection.client
        asked = Asked(
            method,
            path,
            query,
            connection.named,
            peer[0] if peer else "",
            connection.scheme or "http",
        )
        return cls(connection, door, asked)

    def add(self, body: bytes) -> None:
        """More of the body; beyond the limit the door hears at once that there is too much."""
        if self.heard:
            return
        if not self.body:
            self.body = body
        else:
            self.body = self.body if isinstance(self.body, bytearray) else bytearray(self.body)
            self.body += body
        if len(self.body) > self.door.limit:
            self._hear(None)

    def begin(self) -> None:
        """The body is whole."""
        self.more_body = False
        if not self.heard:
            self._hear(bytes(self.body))

    def _hear(self, body: bytes | None) -> None:
        self.heard = True
        self.door.hear(self.asked, body, self.answer)

    def answer(self, answer: Answer) -> None:
        """Write the answer, and be ready for the next request."""
        connection = self.connection
        if self.response_complete or connection.transport.is_closing():
            return
        self.response_complete = True
        self.keep_alive = self.keep_alive and not self.more_body
        ending = b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n"
        connection.transport.write(
            b"".join((STATUS_LINE[answer.status], connection.dated(), answer.lines, ending, answer.body))
        )
        if not (self.keep_alive or self.more_body):
            connection.transport.close()
        connection.on_response_complete()


def lasting(connection: DoorProtocol) -> bool:
    """Whether more requests may follow. HTTP/1.0 would have to be told so, and is not."""
    parser = connection.parser
    one = b"connection" in connection.named and parser.get_http_version() == "1.0"
    return not one and bool(parser.should_keep_alive())
