"""uvicorn's httptools protocol with the limits that it lacks: time and size, from the first byte on.

uvicorn has no deadline for headers, bodies or a first request, and httptools takes headers of any size: 1,000
dribbling sockets live for ever, and 32 MB of headers are swallowed without a reply. Here every connection has
one deadline, set by what it waits for, and one sweep of all connections twice a second ends the late ones:
a sweep costs less than a timer for each request, and no trick with bytes can leave a connection without one.

A refused request is answered, then drained for a moment: closing on unread bytes would send a reset, and the
client would never see why (RFC 9112 §9.6).
"""

from __future__ import annotations

import asyncio
import math
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

IDLE = 5.0
"""Seconds for the first byte of a first request."""
HEADERS = 5.0
"""Seconds from a request's first byte to its last header."""
BODY = 10.0
"""Seconds from a request's first byte to its last, plus one for each PACE bytes."""
PACE = 64 << 10
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


class Refused(Exception):
    """Raised inside a parser callback, to stop the parser."""


class DoorProtocol(HttpToolsProtocol):
    """One connection. `deadline` is in the loop's time; `head` counts the bytes of unfinished headers."""

    deadline = math.inf
    began = 0.0
    taken = 0
    head = 0
    in_headers = False
    whole = True
    lingering = False
    fault: tuple[int, str] = (400, "This is not HTTP.")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.deadline = self.loop.time() + IDLE

    def data_received(self, data: bytes) -> None:
        if self.lingering:
            self._throw_away(len(data))
            return
        if self.in_headers:
            self.head += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # No protocol to upgrade to: the request is answered as it stands (RFC 9110 §7.8).
        except httptools.HttpParserError:
            self.refuse(*self.fault)
        else:
            if self.in_headers and self.head > HEADER_LIMIT:
                self.refuse(431, "The headers are too large.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.began = self.loop.time()
        self.deadline = self.began + HEADERS
        self.head = self.taken = 0
        self.in_headers, self.whole = True, False

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > URL_LIMIT:
            self._stop(414, "The address is too long.")

    def on_headers_complete(self) -> None:
        self.in_headers = False
        headers = self.headers
        size = len(self.url)
        hosts = 0
        for name, value in headers:
            size += len(name) + len(value)
            hosts += name == b"host"
        if size > HEADER_LIMIT or len(headers) > HEADER_COUNT:
            self._stop(431, "The headers are too large.")
        if hosts > 1 or (not hosts and self.parser.get_http_version() != "1.0"):
            self._stop(400, "Exactly one Host header is needed.")
        self.deadline = self.began + BODY
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self.taken += len(body)
        self.deadline = self.began + BODY + self.taken / PACE
        super().on_body(body)

    def on_message_complete(self) -> None:
        self.whole = True
        self.deadline = math.inf
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if not self.whole:  # answered before its body had come: the rest is not wanted
            self._linger()
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif not self.in_headers:
            self.deadline = self.loop.time() + KEEP_ALIVE

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
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(STATUS_LINE[status] + head % len(text) + text)
        self._linger()

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
