"""uvicorn's httptools protocol with the limits that it lacks: time and size, from the first byte on.

httptools takes headers of any size: 32 MB of them are swallowed without a reply. How long a connection may
take is in retag.web.deadlines, how a request is refused in retag.web.refusing.

An app may have a `door` (Door). Requests to its paths go there straight when their body is whole, without an
ASGI cycle and a task each (retag.web.exchange); whatever is unusual about one sends it the long way.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from retag.web import deadlines
from retag.web.exchange import Exchange
from retag.web.parting import Parting, without_upgrade
from retag.web.reading import by_name
from retag.web.refusing import Refused, Refusing

URL_LIMIT = 16 << 10
HEADER_LIMIT = 32 << 10
HEADER_COUNT = 100
ONE_HOST = "Exactly one Host header is needed."
PIPELINED = 64
"""Requests that may wait behind one that is being answered; behind them the connection ends."""


class DoorProtocol(Refusing):
    """One connection.

    `head` counts the bytes in which the headers came, with whatever came in the same packets; `first` of them
    came in the packet in which the request began, which may have held others before it. Then they count what
    is no body: the frame of chunks, and trailers.
    """

    began = 0.0
    head = first = 0
    arrived = 0
    named: dict[bytes, bytes]
    in_headers = False
    ending = False
    upgrading = False
    _given: list[tuple[bytes, bytes]] | None = None
    _dated = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.door = getattr(self.app, "door", None)

    def connection_lost(self, exc: Exception | None) -> None:
        if isinstance(self.cycle, Exchange):
            self.cycle = None  # it needs no telling: what it has is taken anyway
        if isinstance(self.running, RequestResponseCycle):  # uvicorn tells the newest alone
            self.running.disconnected = True
            self.running.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Who has only stopped sending still gets the answer to what was asked whole; then it is over."""
        if self.owes():
            self.ending = True
            if not self.whole:
                self.wind_up()
        return self.ending

    def unread(self) -> bool:
        """Whether a request was answered whose body is still coming."""
        return not (self.whole or self.in_headers) and bool(self.cycle.response_complete)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.running = cycle
        super()._start_asgi_task(cycle, app)

    def data_received(self, data: bytes) -> None:
        if self.lingering:
            self.throw_away(len(data))
            return
        self.arrived = len(data)
        if not self.whole:
            self.head += self.arrived
        try:
            self._feed(data)
        except httptools.HttpParserError:
            if not self.over():
                self.refuse(*self.fault)
        else:
            if not (self.whole or self.lingering) and self.head - self.first > HEADER_LIMIT:
                self.refuse(431, "The headers are too large.")

    def _feed(self, data: bytes | memoryview) -> None:
        """There is no protocol to upgrade to (RFC 9110 §7.8): who wishes it is read again without that wish.

        httptools would take the body of such a request for the other protocol's, and Java's own client wishes
        it on every plain request (https://openjdk.org/groups/net/httpclient/intro.html).
        """
        while data:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                data = memoryview(data)[upgrade.args[0] :]
            old, self.upgrading = self.parser, False
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            self.parser.feed_data(
                without_upgrade(old.get_method(), self.url, old.get_http_version(), self.headers)
            )

    def on_message_begin(self) -> None:
        if self.over():
            raise Refused
        self.url = b""
        self.headers = []
        self.began = self.loop.time()
        self.deadline = self.began + deadlines.HEADERS
        self.head, self.first, self.taken = self.arrived, self.arrived, 0
        self.in_headers, self.whole = True, False

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > URL_LIMIT:
            self.stop(414, "The address is too long.")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.in_headers:  # and not in the trailers of a body (RFC 9110 §6.5.1)
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.in_headers = False
        if len(self.pipeline) >= PIPELINED:
            self.stop(429, "Too many requests at once.")
        self._weigh()
        self.head = self.first = 0
        self.deadline = self.began + deadlines.BODY
        self.upgrading = b"upgrade" in self.named and self._may_upgrade()
        if self.upgrading:
            return
        if not self._short_way():
            self._long_way()

    def _weigh(self) -> None:
        """Stop on headers that are too many or too large, or name no host or several."""
        headers = self.headers
        if len(headers) > HEADER_COUNT or (self.head > HEADER_LIMIT and self._size() > HEADER_LIMIT):
            self.stop(431, "The headers are too large.")
        self.named = dict(headers)
        if len(self.named) < len(headers):
            self.named = by_name(headers)
            if sum(name == b"host" for name, _ in headers) > 1:
                self.stop(400, ONE_HOST)
        if b"host" not in self.named and self.parser.get_http_version() != "1.0":
            self.stop(400, ONE_HOST)

    def _may_upgrade(self) -> bool:
        return bool(self.parser.should_upgrade()) and self.parser.get_method() != b"CONNECT"

    def _size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _short_way(self) -> bool:
        """Begin an exchange with the door, if this request is one for it and there is nothing unusual."""
        asked, _, query = self.url.partition(b"?")
        path = self.door.paths.get(asked) if self.door is not None else None
        if self.door is None or path is None or self.flow.write_paused:
            return False
        if self.cycle is not None and not self.cycle.response_complete:
            return False
        exchange = Exchange.of(self, self.door, path, query)
        if exchange is not None:
            self.running = self.cycle = exchange  # type: ignore[assignment]
        return exchange is not None

    def _long_way(self) -> None:
        """An ASGI cycle of uvicorn's, which expects to have seen the request from its first byte."""
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        super().on_headers_complete()
        self.cycle.transport = Parting(self)  # type: ignore[assignment]

    def on_body(self, body: bytes) -> None:
        self.head = self.first = 0
        self.taken += len(body)
        self.deadline = self.began + deadlines.BODY + self.taken / deadlines.PACE
        if isinstance(self.cycle, Exchange):
            self.cycle.add(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self.lingering or self.upgrading:
            return
        self.whole = True
        self.deadline = math.inf
        if isinstance(self.cycle, Exchange):
            self.within(deadlines.ANSWER)
            self.cycle.begin()
        else:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.unread():
            self.linger()
            return
        waiting = bool(self.pipeline)
        if waiting:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        if not self.pipeline:
            self.flow.resume_reading()
        if waiting:
            return
        if self.ending:
            self.transport.close()
        elif self.lingering:
            self.linger()
        elif self.whole:
            self.within(math.inf if self.flow.write_paused else deadlines.KEEP_ALIVE)

    def dated(self) -> bytes:
        """The headers that go with every answer, as uvicorn sets them once a second."""
        given = self.server_state.default_headers
        if given is not self._given:
            self._given, self._dated = given, b"".join([b"%b: %b\r\n" % header for header in given])
        return self._dated
