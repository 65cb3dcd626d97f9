"""Refusing: a request that breaks a limit is answered, then drained for a moment, and the connection ends.

Closing on unread bytes would send a reset, and the client would never see why (RFC 9112 §9.6).
"""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from retag.web import deadlines
from retag.web.exchange import Door, Exchange

LINGER_BYTES = 8 << 20
"""Bytes of a refused client that are read at most, and thrown away."""


class Refused(Exception):
    """Raised inside a parser callback, to stop the parser."""


class Refusing(deadlines.Timed):
    """A connection that can refuse. `fault` is why it does, `lingering` while what still comes is drained.

    `taken` counts the bytes of a body, or of what is thrown away.
    """

    taken = 0
    lingering = False
    fault: tuple[int, str] = (400, "This is not HTTP.")
    door: Door | None = None

    def refuse(self, status: int, reason: str) -> None:
        """Answer in plain text, once, and hang up politely. Nothing of the request is repeated."""
        text, outcome = reason.encode("ascii"), self._outcome(status, reason)
        head = b"content-type: text/plain; charset=utf-8\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
        if self.owes():
            self.wind_up()
            return
        if self._unanswered():
            self.transport.write(STATUS_LINE[status] + outcome + head % len(text) + text)
        self.linger()

    def stop(self, status: int, reason: str) -> None:
        """Refuse from inside the parser."""
        self.fault = (status, reason)
        raise Refused

    def over(self) -> bool:
        """Whether nothing more is heard on this connection."""
        return self.lingering or self.transport.is_closing()

    def wind_up(self) -> None:
        """Those before the one that is refused still get their answers; then it is over."""
        if self.pipeline and self.pipeline[0][0].more_body:
            self.pipeline.popleft()
        self.lingering = True
        self.taken = 0
        self.within(deadlines.ANSWER)

    def linger(self) -> None:
        """Say no more, and hear for a moment what still comes."""
        self.lingering, self.taken = True, 0
        self.within(deadlines.LINGER)
        self.flow.resume_reading()
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()
        else:
            self.transport.close()

    def throw_away(self, size: int) -> None:
        """Bytes that came while lingering."""
        self.taken += size
        if self.taken > LINGER_BYTES:
            self.transport.abort()

    def _outcome(self, status: int, reason: str) -> bytes:
        """The header that says what became of the event, when it was one for the door."""
        if self.whole or self.door is None or self.url.partition(b"?")[0] not in self.door.paths:
            return b""
        return b"retag-outcome: %b\r\n" % self.door.turn_away(status, reason)

    def _unanswered(self) -> bool:
        """Whether it is this request's turn and nothing of its answer is out; nothing else will be then."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return True
        if isinstance(cycle, Exchange):
            cycle.response_complete = True
            return True
        if not cycle.response_started:
            cycle.disconnected = True
            cycle.message_event.set()
        return bool(cycle.disconnected)
