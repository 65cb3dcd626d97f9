"""uvicorn's httptools protocol with the limits that it lacks: time and size, from the first byte on.

uvicorn has no deadline for headers, bodies or a first request, and httptools takes headers of any size: 1,000
dribbling sockets live for ever, and 32 MB of headers are swallowed without a reply. Here every connection has
one deadline, set by what it waits for, and one sweep of all connections twice a second ends the late ones:
a sweep costs less than a timer for each request, and no trick with bytes can leave a connection without one.

A refused request is answered, then drained for a moment: closing on unread bytes would send a reset, and the
client would never see why (RFC 9112 §9.6).

An app may have a `door` (Door). Requests to its paths go there straight when their body is whole, without an
ASGI cycle and a task each (retag.web.exchange); whatever is unusual about one sends it the long way.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from retag.web.exchange import Door, Exchange

IDLE = 5.0
"""Seconds for the first byte of a first request."""
HEADERS = 5.0
"""Seconds from a request's first byte to its last header."""
BODY = 10.0
"""Seconds from a request's first byte to its last, plus one for each PACE bytes."""
PACE = 64 << 10
ANSWER = 60.0
"""Seconds that the door may take for its answer: far more than it ever should."""
KEEP_ALIVE = 15.0
"""Seconds between requests."""
STALLED = 60.0
"""Seconds that a reader of a long answer may take nothing at all."""
LINGER = 2.0
"""Seconds for which a refused client's bytes are still read, and thrown away, up to LINGER_BYTES."""
LINGER_BYTES = 8 << 20
SWEEP = 0.5

URL_LIMIT = 16 << 10
HEADER_LIMIT = 32 << 10
HEADER_COUNT = 100
PIPELINED = 64
"""Requests that may wait behind one that is being answered; behind them the connection ends."""


class Refused(Exception):
    """Raised inside a parser callback, to stop the parser."""


class DoorProtocol(HttpToolsProtocol):
    """One connection. `deadline` is in the loop's time.

    `head` counts the bytes in which the headers came, with whatever came in the same packets; `first` of them
    came in the packet in which the request began, which may have held others before it.
    """

    deadline = math.inf
    began = 0.0
    taken = 0
    head = first = 0
    arrived = 0
    named: dict[bytes, bytes]
    in_headers = False
    whole = True
    lingering = False
    ending = False
    running: Exchange | RequestResponseCycle | None = None
    fault: tuple[int, str] = (400, "This is not HTTP.")
    door: Door | None = None
    _given: list[tuple[bytes, bytes]] | None = None
    _dated = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.door = getattr(self.app, "door", None)
        self.deadline = self.loop.time() + IDLE

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
        if not self.ending:
            self.ending = self.whole and self.cycle is not None and not self.cycle.response_complete
        return self.ending

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.running = cycle
        super()._start_asgi_task(cycle, app)

    def data_received(self, data: bytes) -> None:
        if self.lingering:
            self._throw_away(len(data))
            return
        self.arrived = len(data)
        if self.in_headers:
            self.head += self.arrived
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # No protocol to upgrade to: the request is answered as it stands (RFC 9110 §7.8).
        except httptools.HttpParserError:
            self.refuse(*self.fault)
        else:
            if self.in_headers and self.head - self.first > HEADER_LIMIT:
                self.refuse(431, "The headers are too large.")

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self.began = self.loop.time()
        self.deadline = self.began + HEADERS
        self.head, self.first, self.taken = self.arrived, self.arrived, 0
        self.in_headers, self.whole = True, False

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > URL_LIMIT:
            self._stop(414, "The address is too long.")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.in_headers = False
        if len(self.pipeline) >= PIPELINED:
            self._stop(429, "Too many requests at once.")
        self._weigh()
        self.deadline = self.began + BODY
        if not self._short_way():
            self._long_way()

    def _weigh(self) -> None:
        """Stop on headers that are too many or too large, or name no host or several."""
        headers = self.headers
        if len(headers) > HEADER_COUNT or (self.head > HEADER_LIMIT and self._size() > HEADER_LIMIT):
            self._stop(431, "The headers are too large.")
        self.named = dict(headers)
        hosts = int(b"host" in self.named)
        if len(self.named) < len(headers):
            hosts = sum(name == b"host" for name, _ in headers)
        if hosts != 1 and (hosts or self.parser.get_http_version() != "1.0"):
            self._stop(400, "Exactly one Host header is needed.")

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

    def on_body(self, body: bytes) -> None:
        self.taken += len(body)
        self.deadline = self.began + BODY + self.taken / PACE
        if isinstance(self.cycle, Exchange):
            self.cycle.add(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self.whole = True
        self.deadline = math.inf
        if isinstance(self.cycle, Exchange):
            self.deadline = self.loop.time() + ANSWER
            self.cycle.begin()
        else:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if not (self.whole or self.in_headers) and self.cycle.response_complete:  # before its body had come
            self._linger()
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
        elif not self.in_headers and self.whole:
            self.deadline = self.loop.time() + KEEP_ALIVE

    def dated(self) -> bytes:
        """The headers that go with every answer, as uvicorn sets them once a second."""
        given = self.server_state.default_headers
        if given is not self._given:
            self._given, self._dated = given, b"".join([b"%b: %b\r\n" % header for header in given])
        return self._dated

    def pause_writing(self) -> None:
        super().pause_writing()
        self.deadline = self.loop.time() + STALLED

    def resume_writing(self) -> None:
        super().resume_writing()
        self.deadline = math.inf if self.whole else self.began + BODY

    def refuse(self, status: int, reason: str) -> None:
        """Answer in plain text, once, and hang up politely. Nothing of the request is repeated."""
        text = reason.encode("ascii")
        head = b"content-type: text/plain; charset=utf-8\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
        if self.pipeline:
            self._wind_up()
            return
        if self._unanswered():
            self.transport.write(STATUS_LINE[status] + head % len(text) + text)
        self._linger()

    def _wind_up(self) -> None:
        """Those before the one that is refused still get their answers; then it is over."""
        if self.pipeline[0][0].more_body:
            self.pipeline.popleft()
        self.lingering = self.ending = True
        self.taken = 0
        self.deadline = self.loop.time() + ANSWER

    def _unanswered(self) -> bool:
        """Whether it is this request's turn and nothing of its answer is out; nothing else will be then."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return True
        if self.whole:
            return False
        if isinstance(cycle, Exchange):
            cycle.response_complete = True
            return True
        if not cycle.response_started:
            cycle.disconnected = True
            cycle.message_event.set()
        return bool(cycle.disconnected)

    def sweep(self, now: float) -> None:
        """End this connection when its time is up."""
        if now > self.deadline and self.transport is not None:
            self.transport.abort()

    def _stop(self, status: int, reason: str) -> None:
        self.fault = (status, reason)
        raise Refused

    def _linger(self) -> None:
        self.lingering, self.taken = True, 0
        self.deadline = self.loop.time() + LINGER
        self.flow.resume_reading()
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()
        else:
            self.transport.close()

    def _throw_away(self, size: int) -> None:
        self.taken += size
        if self.taken > LINGER_BYTES:
            self.transport.abort()


async def sweep(connections: set[Any]) -> None:
    """For ever: end the connections whose time is up."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(SWEEP)
        now = loop.time()
        for connection in list(connections):
            connection.sweep(now)
