"""The hardened protocol: every attack on time or size ends, with an answer where there is one to give."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from retag.web import deadlines, protocol
from serving import DEADLINE_S, connected, read_all, send, served, status_of, until

GET = b"GET /ok HTTP/1.1\r\nHost: shop.example\r\n\r\n"
CLOSE = b"GET /ok HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n"
SOON = 0.5


class Echo:
    """Answers 200 with the body's size, or 413 at once when it is longer than LIMIT."""

    LIMIT = 100_000

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for _ in range(2):
                await send({"type": (await receive())["type"] + ".complete"})
            return
        body, more = b"", True
        while more and len(body) <= self.LIMIT:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            more = message["more_body"]
        self.bodies.append(body)
        status, text = (413, b"long") if more else (200, str(len(body)).encode())
        headers = [(b"content-length", str(len(text)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": text})


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def address(echo: Echo) -> Iterator[tuple[str, int]]:
    with served(echo) as found:
        yield found


@pytest.fixture
def hasty(echo: Echo, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """A server whose deadlines are short, so that tests need not wait for the real ones."""
    for name in ("IDLE", "HEADERS", "BODY", "KEEP_ALIVE", "LINGER"):
        monkeypatch.setattr(deadlines, name, SOON)
    monkeypatch.setattr(deadlines, "SWEEP", 0.05)
    with served(echo) as found:
        yield found


def dribble(connection: socket.socket, drop: bytes, pause: float = 0.05) -> bool:
    """Go on sending; whether the other end ends it."""
    end = time.monotonic() + DEADLINE_S
    with contextlib.suppress(ConnectionError):
        while time.monotonic() < end:
            connection.sendall(drop)
            time.sleep(pause)
        return False
    return True


def test_an_ordinary_request_is_answered(address: tuple[str, int]) -> None:
    """The hardening does not show to those who behave."""
    with connected(address) as connection:
        connection.sendall(CLOSE)
        assert status_of(read_all(connection)) == 200


def test_pipelined_requests_are_answered_in_order(address: tuple[str, int]) -> None:
    """Three requests in one packet get three answers."""
    with connected(address) as connection:
        connection.sendall(GET + GET + CLOSE)
        assert read_all(connection).count(b"HTTP/1.1 200") == 3


def test_more_requests_at_once_than_anybody_sends_end_the_connection(address: tuple[str, int]) -> None:
    """Those that may wait are answered; an endless line of them does not fill the memory."""
    with connected(address) as connection:
        send(connection, GET * 10_000)
        assert 0 < read_all(connection).count(b"HTTP/1.1 200") <= protocol.PIPELINED + 1
    with connected(address) as connection:
        assert dribble(connection, GET * 1000, pause=0)


def test_those_before_a_broken_request_are_answered(address: tuple[str, int]) -> None:
    """Then the connection ends: nobody can tell where the next request would begin."""
    broken = b"POST /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n"
    with connected(address) as connection:
        connection.sendall(GET + GET + broken + GET)
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection).count(b"HTTP/1.1 200") == 2


def test_requests_in_large_packets_are_not_taken_for_headers(address: tuple[str, int]) -> None:
    """What came before a request in its packet does not count as its headers."""
    body = b"b" * 60_000
    one = b"POST /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n" + body
    with connected(address) as connection:
        connection.sendall(one + one + CLOSE[:30])
        time.sleep(0.1)
        connection.sendall(CLOSE[30:])
        assert read_all(connection).count(b"HTTP/1.1 200") == 3


def test_a_client_that_only_stops_sending_is_answered(address: tuple[str, int]) -> None:
    """Half a close is not a leaving."""
    with connected(address) as connection:
        connection.sendall(GET + GET)
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection).count(b"HTTP/1.1 200") == 2


@pytest.mark.parametrize("opening", [b"", b"GET", b"GET / HTTP/1.1\r\nHost: a", b"\r\n"])
def test_a_silent_client_is_cut(hasty: tuple[str, int], opening: bytes) -> None:
    """Whatever was sent so far, even nothing: the deadline ends it."""
    with connected(hasty) as connection:
        connection.sendall(opening)
        read_all(connection)


@pytest.mark.parametrize("drop", [b"\r\n", b"X-A: b\r\n", b"G"])
def test_dribbling_does_not_extend_the_deadline(hasty: tuple[str, int], drop: bytes) -> None:
    """Slowloris: a byte now and then, a header now and then, or empty lines between requests."""
    with connected(hasty) as connection:
        connection.sendall(
            GET if drop == b"\r\n" else b"GET / HTTP/1.1\r\n" if drop.startswith(b"X") else b""
        )
        assert dribble(connection, drop)


def test_a_dribbled_body_is_cut(hasty: tuple[str, int], echo: Echo) -> None:
    """A body has its own deadline, and what never became whole is not handed on."""
    with connected(hasty) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
        assert dribble(connection, b"x")
    assert not echo.bodies


def test_a_thousand_half_open_connections_do_not_hurt_the_good(address: tuple[str, int]) -> None:
    """All are cut at the deadline; meanwhile a good request is answered."""
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connected(address)) for _ in range(1000)]
        for connection in slow:
            send(connection, b"GET / HTTP/1.1\r\nHost:")
        with connected(address) as good:
            good.sendall(CLOSE)
            assert status_of(read_all(good)) == 200
        until(lambda: all(is_closed(connection) for connection in slow))


def is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_headers_without_end_are_refused(address: tuple[str, int]) -> None:
    """httptools would swallow 32 MB of headers without a word."""
    with connected(address) as connection:
        send(connection, b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * (32 << 20))
        assert status_of(read_all(connection)) in (431, 0)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * (100 << 10) + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 200 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nxx\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 17 + b"\r\n", 400),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ],
    ids=[
        "url",
        "header",
        "headers",
        "no host",
        "two hosts",
        "not ascii",
        "tls",
        "lengths",
        "smuggled",
        "negative",
        "list of lengths",
        "unknown coding",
        "space before colon",
        "negative chunk",
        "long chunk",
        "endless chunk",
        "bare line feed",
        "folded header",
        "bare return",
        "nul",
        "http 2",
    ],
)
def test_a_bad_request_gets_a_clear_answer(
    address: tuple[str, int], request_bytes: bytes, status: int
) -> None:
    """The client can read why, although it may still have been sending."""
    with connected(address) as connection:
        send(connection, request_bytes)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        answer = read_all(connection)
    assert status_of(answer) == status
    assert b"connection: close" in answer


def test_cookies_of_a_whole_shop_fit(address: tuple[str, int]) -> None:
    """On a path of the shop's own host every cookie of the shop comes along: 12 KB are no attack."""
    with connected(address) as connection:
        connection.sendall(CLOSE[:-2] + b"Cookie: a=" + b"b" * (12 << 10) + b"\r\n\r\n")
        assert status_of(read_all(connection)) == 200


def test_a_chunked_flood_is_answered_and_ends(address: tuple[str, int]) -> None:
    """A body beyond the limit gets 413 while it still comes, and then the connection ends."""
    chunk = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
    with connected(address) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert dribble(connection, chunk, pause=0)


@pytest.mark.parametrize("wish", [b"", b"Connection: close\r\n"])
def test_an_early_refusal_can_be_read(address: tuple[str, int], wish: bytes) -> None:
    """One that sends a bounded body too much reads the 413, not a reset."""
    with connected(address) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n" + wish + b"\r\n")
        for _ in range(40):
            send(connection, b"a" * 100_000)
        assert status_of(read_all(connection)) == 413


class Flood:
    """Answers every request with more than any buffer between us takes."""

    SIZE = 24 << 20

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await Echo()(scope, receive, send)
            return
        headers = [(b"content-length", str(self.SIZE).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"a" * self.SIZE})


@pytest.fixture
def flood(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """A server of long answers, whose connections do not rest for long."""
    monkeypatch.setattr(deadlines, "KEEP_ALIVE", 2.0)
    monkeypatch.setattr(deadlines, "SWEEP", 0.05)
    with served(Flood()) as found:
        yield found


def test_who_has_read_a_long_answer_has_no_more_time_than_others(flood: tuple[str, int]) -> None:
    """An answer that waited for its reader leaves a connection that ends like any other."""
    with connected(flood) as connection:
        connection.sendall(GET)
        assert read_all(connection).count(b"a") >= Flood.SIZE


def test_a_slow_reader_of_one_long_answer_is_not_cut(
    flood: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as it takes something: the deadline is for who takes nothing."""
    monkeypatch.setattr(deadlines, "STALLED", 1.0)
    with connected(flood) as connection:
        connection.sendall(CLOSE)
        found = 0
        for _ in range(12):
            found += len(connection.recv(1 << 20))
            time.sleep(0.2)
        while part := connection.recv(1 << 20):
            found += len(part)
    assert found > Flood.SIZE


def test_asking_more_does_not_excuse_from_reading(
    flood: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who takes nothing is cut, whatever else it asks meanwhile."""
    monkeypatch.setattr(deadlines, "STALLED", SOON)
    with connected(flood) as connection:
        connection.sendall(GET)
        assert dribble(connection, GET, pause=0.2)


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("packets", [1, 2])
def test_a_client_that_leaves_at_once_has_been_heard(
    address: tuple[str, int], echo: Echo, reset: bool, packets: int
) -> None:
    """A page that unloads sends its beacon and is gone: not one of them is lost."""
    head, body = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n", b"b" * 500
    for _ in range(300):
        connection = socket.create_connection(address)
        for packet in [head + body] if packets == 1 else [head, body]:
            connection.sendall(packet)
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
    until(lambda: len(echo.bodies) == 300)


def test_a_slow_but_honest_upload_is_not_cut(hasty: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """A body's deadline moves with what has come, at PACE bytes a second."""
    monkeypatch.setattr(deadlines, "PACE", 20)
    with connected(hasty) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1200\r\n\r\n")
        for _ in range(6):
            connection.sendall(b"a" * 200)
            time.sleep(0.1)
        assert status_of(read_all(connection)) == 200
