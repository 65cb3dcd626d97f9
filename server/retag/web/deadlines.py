"""Deadlines: how long a connection may take for what it is waited for, and the sweep that ends the late ones.

uvicorn has no deadline for headers, bodies or a first request: 1,000 dribbling sockets live for ever. Here
every connection has one, set by what it waits for, and one sweep of all of them twice a second: a sweep costs
less than a timer for each request, and no trick with bytes can leave a connection without one.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from retag.web.exchange import Exchange

IDLE = 5.0
"""Seconds for the first byte of a first request."""
HEADERS = 5.0
"""Seconds from a request's first byte to its last header."""
BODY = 10.0
"""Seconds from a request's first byte to its last, plus one for each PACE bytes."""
PACE = 64 << 10
ANSWER = 60.0
"""Seconds that the door may take for its answer: far more than it ever should."""
KEEP_ALIVE = 75.0
"""Seconds between requests: longer than a proxy in front keeps its own idle connections (nginx: 60), so that
none sends a beacon into our closing."""
STALLED = 60.0
"""Seconds that a reader of a long answer may take nothing at all."""
LINGER = 2.0
"""Seconds for which a refused client's bytes are still read, and thrown away."""
SWEEP = 0.5


class Timed(HttpToolsProtocol):
    """A connection with deadlines, in the loop's time: `deadline`, and `stalled` for who does not read.

    `whole`: no request is half here; `running` is the one that is being answered.
    """

    deadline = math.inf
    stalled = math.inf
    unsent = 0
    whole = True
    running: Exchange | RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.within(IDLE)

    def within(self, seconds: float) -> None:
        """The connection ends unless what it waits for happens by then."""
        self.deadline = self.loop.time() + seconds

    def owes(self) -> bool:
        """Whether a request that came whole is still to be answered."""
        one = self.running
        return one is not None and not one.response_complete and not one.more_body

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.stalled = math.inf
        if self.whole and not self.owes():
            self.within(KEEP_ALIVE)

    def _await_reader(self) -> None:
        self.unsent = self.transport.get_write_buffer_size()
        self.stalled = self.loop.time() + STALLED

    def sweep(self, now: float) -> None:
        """End this connection when its time is up."""
        if now > self.stalled and self.transport.get_write_buffer_size() < self.unsent:
            self._await_reader()
        if now > min(self.deadline, self.stalled) and self.transport is not None:
            self.transport.abort()


async def sweep(connections: set[Any]) -> None:
    """For ever: end the connections whose time is up."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(SWEEP)
        now = loop.time()
        for connection in list(connections):
            connection.sweep(now)
