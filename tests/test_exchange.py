"""The short way from the protocol to the door: it tells nobody anything that the long way would not."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from door import CHROME, prepared
from retag import app as retag_app
from retag.settings import Settings
from serving import connected, read_all, send, served, status_of

SHORT, LONG = b"/v3/", b"/v%33/"
"""One path in two spellings: the protocol hands the first to the door itself."""
COUNTED = re.compile(r'^retag_events_total\{outcome="(\w+)"\} (\S+)$', re.MULTILINE)
UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"


class Shop:
    """A running server, and requests to its door."""

    def __init__(self, app: Any, address: tuple[str, int], tag: str) -> None:
        self.state, self.address, self.tag = app.state, address, tag

    def post(self, more: bytes = b"", path: bytes = SHORT, version: bytes = b"1.1", **event: Any) -> bytes:
        body = json.dumps({"tid": self.tag, "event": "pagevisit", **event}).encode()
        return self.raw(body, more, path, version)

    def raw(self, body: bytes, more: bytes = b"", path: bytes = SHORT, version: bytes = b"1.1") -> bytes:
        head = b"POST %b HTTP/%b\r\nHost: 127.0.0.1\r\nUser-Agent: %b\r\n%bContent-Length: %d\r\n\r\n"
        return head % (path, version, CHROME.encode(), more, len(body)) + body

    def chunked(self, end: bytes) -> bytes:
        """A beacon in chunks, up to the last one's `0`."""
        body = json.dumps({"tid": self.tag, "event": "pagevisit"}).encode()
        head = b"POST /v3/ HTTP/1.1\r\nHost: a\r\nUser-Agent: %b\r\nTransfer-Encoding: chunked\r\n\r\n"
        return head % CHROME.encode() + b"%x\r\n%b\r\n0\r\n%b" % (len(body), body, end)

    def ask(self, data: bytes, finish: bool = True) -> bytes:
        """Everything that is answered; `finish` stops sending."""
        with connected(self.address) as connection:
            send(connection, data)
            if finish:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_WR)
            return read_all(connection)

    def counts(self) -> Counter[str]:
        """Events by outcome as `/metrics` has them, which waits for what was acknowledged to be settled."""
        text = self.ask(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").decode()
        return Counter({name: int(float(n)) for name, n in COUNTED.findall(text)})


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    path, made = prepared(tmp_path_factory.mktemp("exchange"))
    app = retag_app.create(Settings.load({}, database=f"sqlite:///{path}"))
    with served(app) as address:
        found = Shop(app, address, made.tag_id)
        found.ask(found.post())  # the user agent is known from here on
        yield found


def without_date(answer: bytes) -> set[bytes]:
    """Status, headers and body, without what differs from one second or visitor to the next."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    return {
        line.partition(b"=")[0] if line[:3] == b"set" else line for line in lines if line[:5] != b"date:"
    } | {body}


CASES = {
    "event": b'{"tid":"TAG","event":"pagevisit"}',
    "two": b'[{"tid":"TAG","event":"checkout"},{"tid":"TAG","event":"/"}]',
    "unknown": b'{"tid":"1","event":"checkout"}',
    "broken": b'{"tid":',
    "empty": b"",
    "large": b"x" * 65_537,
    "largest": b'{"tid":"TAG","ed":{"a":"' + b"x" * 65_000 + b'"}}',
}


@pytest.mark.parametrize(
    "more", [b"", b"Origin: https://a.example\r\n", b"Sec-GPC: 1\r\n", b"Content-Encoding: gzip\r\n"]
)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_both_ways_answer_alike(shop: Shop, case: str, more: bytes, version: bytes) -> None:
    """Status, headers, body and what is counted do not depend on the way."""
    body = CASES[case].replace(b"TAG", shop.tag.encode())
    found = []
    for path in (SHORT, LONG):
        before = shop.counts()
        answer = shop.ask(shop.raw(body, b"Connection: close\r\n" + more, path, version))
        found.append((without_date(answer), shop.counts() - before))
    assert found[0] == found[1]
    assert found[0][1].total() == (2 if case == "two" and b"gzip" not in more else 1)


@pytest.mark.parametrize(
    "broken", [b"NOT HTTP\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", b"POST /v3/ HT"]
)
@pytest.mark.parametrize("finish", [True, False])
@pytest.mark.parametrize("path", [SHORT, LONG])
def test_a_stored_event_is_acknowledged_whatever_follows(
    shop: Shop, broken: bytes, finish: bool, path: bytes
) -> None:
    """The answer to a broken request is not taken for the answer to the good one before it."""
    if not finish and broken.endswith(b"HT"):
        pytest.skip("it may still become whole")
    answer = shop.ask(shop.post(path=path) + broken, finish)
    assert status_of(answer) == 204
    assert b"retag-outcome: accepted=1" in answer


def test_http_1_0_is_told_the_end_by_the_end(shop: Shop) -> None:
    """It asks to keep the connection, and would have to be told that it may."""
    answer = shop.ask(shop.post(b"Connection: keep-alive\r\n", version=b"1.0"), finish=False)
    assert (status_of(answer), b"connection: close" in answer) == (204, True)


@pytest.mark.parametrize("path", [SHORT, LONG, b"/v3/?cb=1"])
def test_who_asks_for_another_protocol_is_heard_in_this_one(shop: Shop, path: bytes) -> None:
    """Java's own client asks for HTTP/2 on every plain request: body, and what follows it, are not lost."""
    first = shop.post(UPGRADE, path)
    answer = shop.ask(first + first + shop.post(b"Connection: close\r\n"))
    assert answer.count(b"retag-outcome: accepted=1") == 3
    with connected(shop.address) as connection:
        head, _, body = first.partition(b"\r\n\r\n")
        for part in (head[:40], head[40:] + b"\r\n\r\n", body[:9], body[9:]):
            connection.sendall(part)
            time.sleep(0.02)
        assert b"retag-outcome: accepted=1" in connection.recv(65536)


def test_nothing_is_heard_behind_a_refused_body(shop: Shop) -> None:
    """The connection ends there, as its answer says: what nobody would be told is not stored."""
    before = shop.counts()
    answer = shop.ask(shop.raw(b"x" * 70_000) + shop.post())
    assert (status_of(answer), b"connection: close" in answer, answer.count(b"HTTP/1.1")) == (413, True, 1)
    assert shop.counts() - before == {"too_large": 1}


def test_trailers_are_no_headers(shop: Shop) -> None:
    """Behind a body nothing is said of the visitor any more, nor swallowed without end."""
    answer = shop.ask(shop.chunked(b"Sec-GPC: 1\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n"))
    assert b"retag-outcome: accepted=1" in answer
    answer = shop.ask(shop.chunked(b"X: " + b"a" * (1 << 20)), finish=False)
    assert status_of(answer) == 431


@pytest.mark.parametrize(
    ("request_bytes", "status", "outcome"),
    [
        (b"GET /v3/?tid=1&ed=" + b"a" * (20 << 10) + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "too_large"),
        (b"GET /v3/ HTTP/1.1\r\nHost: a\r\nX: " + b"a" * (64 << 10) + b"\r\n\r\n", 431, "too_large"),
        (b"GET /v3/ HTTP/1.1\r\n\r\n", 400, "malformed"),
        (b"POST /v3/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n", 400, "malformed"),
        (b"POST /v%33/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n", 400, None),
    ],
    ids=["url", "headers", "no host", "chunk", "elsewhere"],
)
def test_what_cannot_be_read_counts_too(
    shop: Shop, request_bytes: bytes, status: int, outcome: str | None
) -> None:
    """An event that the protocol refuses has its outcome, like any other."""
    before = shop.counts()
    answer = shop.ask(request_bytes)
    assert status_of(answer) == status
    assert (f"retag-outcome: {outcome}=1".encode() in answer) == (outcome is not None)
    assert shop.counts() - before == ({outcome: 1} if outcome else {})


@pytest.mark.parametrize("path", [SHORT, LONG])
@pytest.mark.parametrize("unseen", [False, True])
def test_a_fault_of_the_door_is_answered_and_counted(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, path: bytes, unseen: bool
) -> None:
    """Whichever way an event came, and wherever it was on its way."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    before = shop.counts()
    monkeypatch.setattr(shop.state.door, "take", fail)
    request = shop.post(b"Connection: close\r\n", path)
    if unseen:
        request = request.replace(CHROME.encode(), b"never seen %d" % len(path))
    answer = shop.ask(request)
    assert (status_of(answer), b"retag-outcome: overloaded=1" in answer) == (500, True)
    assert shop.counts() - before == {"overloaded": 1}
