"""The server process: uvicorn with the hardened protocol, an orderly end, and logs without people in them.

SIGTERM and SIGINT: stop accepting, tell long answers to end, wait for the running ones, then the lifespan
drains the journal, and the process exits with 0. uvicorn itself would raise the signal again and die by it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import resource
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from retag import errors
from retag.web.deadlines import sweep
from retag.web.protocol import DoorProtocol

GRACE_S = 8
"""Seconds for running answers; the journal's drain and the rest fit in the 15 s that a supervisor gives."""
BACKLOG = 2048
LONGEST_MESSAGE = 500


class Server(uvicorn.Server):
    """`on_stop` is called once, when stopping begins; `on_start` with the address, when it listens."""

    def __init__(
        self,
        config: uvicorn.Config,
        on_start: Callable[[str], None] = lambda _: None,
        on_stop: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(config)
        self.on_start = on_start
        self.on_stop = on_stop

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {sig: signal.signal(sig, self.handle_exit) for sig in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets=sockets)
        self._sweeper = asyncio.create_task(sweep(self.server_state.connections))
        self.on_start(self.address())

    async def shutdown(self, sockets: Any = None) -> None:
        self.on_stop()
        await super().shutdown(sockets=sockets)
        self._sweeper.cancel()

    def address(self) -> str:
        """Where it listens, as a browser on this machine would write it."""
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def bound(host: str, port: int) -> socket.socket:
    """A socket on an address, not yet listening. Raises OSError; `remedy` words what to do."""
    family, kind, *_, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    found = socket.socket(family, kind)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
    except OSError:
        found.close()
        raise
    return found


def remedy(error: OSError) -> str:
    """What to do when an address cannot be had."""
    return REMEDIES.get(error.errno or 0, "Give an address of this machine as --host.")


REMEDIES = {
    errno.EADDRINUSE: "Stop the other program, or give another --port.",
    errno.EACCES: "Ports below 1024 need a right that this user has not: give another --port.",
}


def allow_open_files(most: int = 65_536) -> None:
    """As many as the system lets us: each connection is one, and slow clients come in thousands."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most if hard == resource.RLIM_INFINITY else min(hard, most)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def config(app: Any) -> uvicorn.Config:
    """uvicorn as the door needs it: no access log (addresses are personal), no guessing at proxies."""
    return uvicorn.Config(
        app,
        http=DoorProtocol,
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        ws="none",
        lifespan="on",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=True,
        log_config=None,
        backlog=BACKLOG,
        timeout_graceful_shutdown=GRACE_S,
    )


class JsonLines(logging.Formatter):
    """One JSON object a line. Of an error its kind and place, for its text may repeat what a visitor sent."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage()[:LONGEST_MESSAGE],
        }
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
            frames = traceback.extract_tb(record.exc_info[2])[-6:]
            line["at"] = [
                f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames
            ]
        return json.dumps(line)


def log_to(stream: Any, level: str) -> None:
    """Structured logs of this process to `stream`; of uvicorn's what went wrong."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    if level != "debug":
        logging.getLogger("uvicorn.error").addFilter(ours)
        logging.getLogger("uvicorn.error").setLevel(max(logging.WARNING, logging.getLogger().level))


CUT = (asyncio.CancelledError, errors.Overloaded, errors.Gone)


def ours(record: logging.LogRecord) -> bool:
    """Not uvicorn's words on a start that failed, which the command's last line says better, nor on answers
    that were cut because the server stops or somebody in them is gone, which are told by whoever cut them."""
    if record.exc_info and isinstance(record.exc_info[1], CUT):
        return False
    return not record.getMessage().startswith(("Traceback", "Application startup failed"))
