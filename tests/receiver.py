"""A webhook's receiver on a loopback address: a real server in a thread, which keeps what it was sent."""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec


class Taken(msgspec.Struct):
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """`answers` are the statuses to give, the last for ever; `location` is where a 3xx points."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.taken: list[Taken] = []
        self.answers: list[int] = [204]
        self.location = ""

    def take(self, request: Any) -> int:
        body = request.rfile.read(int(request.headers["content-length"]))
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.taken.append(Taken(request.path, headers, body))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        receiver: Receiver = self.server.receiver  # type: ignore[attr-defined]
        self.send_response(receiver.take(self))
        if receiver.location:
            self.send_header("Location", receiver.location)
        self.end_headers()

    do_GET = do_POST

    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def receiving(
    host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[Receiver]:
    """A receiver, until the end of the block; with `tls` over https."""
    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "https" if tls else "http"
    receiver = Receiver(f"{scheme}://{host}:{server.server_address[1]}/hook?a=1")
    server.receiver = receiver  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
