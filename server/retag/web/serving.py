"""The server process: uvicorn with the hardened protocol, an orderly end, and logs without people in them.

SIGTERM and SIGINT: stop accepting, tell long answers to end, wait for the running ones, then the lifespan
drains the journal, and the process exits with 0. uvicorn itself would raise the signal again and die by it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from retag.web.protocol import DoorProtocol, sweep

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


def config(app: Any, host: str, port: int) -> uvicorn.Config:
    """uvicorn as the door needs it: no access log (addresses are personal), no guessing at proxies."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
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
    """Structured logs of this process to `stream`."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
