"""A real server on a loopback port for a test, and raw sockets to talk to it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from retag.web import serving

DEADLINE_S = 20.0


@contextlib.contextmanager
def served(app: Any) -> Iterator[tuple[str, int]]:
    """The app behind the hardened protocol, in a thread of its own: (host, port)."""
    addresses: list[str] = []
    server = serving.Server(serving.config(app), on_start=addresses.append)
    socket = serving.bound("127.0.0.1", 0)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([socket])))
    thread.start()
    try:
        until(lambda: bool(addresses) or not thread.is_alive())
        host, _, port = addresses[0].removeprefix("http://").rpartition(":")
        yield host, int(port)
    finally:
        server.should_exit = True
        thread.join(DEADLINE_S)
        assert not thread.is_alive()


def until(true: Callable[[], bool], seconds: float = DEADLINE_S) -> None:
    """Wait for a condition; fail when it does not come."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


@contextlib.contextmanager
def connected(address: tuple[str, int], seconds: float = DEADLINE_S) -> Iterator[socket.socket]:
    with socket.create_connection(address, timeout=seconds) as connection:
        yield connection


def read_all(connection: socket.socket) -> bytes:
    """Everything until the other end closes or resets."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65536):
            found += part
    return found


def status_of(answer: bytes) -> int:
    """The status of the first answer; 0 when there is none."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def send(connection: socket.socket, data: bytes) -> None:
    """Send, even when the other end has heard enough."""
    with contextlib.suppress(ConnectionError):
        connection.sendall(data)
