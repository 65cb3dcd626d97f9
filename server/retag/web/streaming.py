"""Streaming: a file under way, or one that is kept, to a reader who may be slow, stall or go away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from starlette.responses import FileResponse, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from retag import errors
from retag.press.flow import AHEAD
from retag.store import members
from retag.web.press import Run

log = logging.getLogger("retag")
CHUNK = 1 << 18
LOOK_S = 0.5
"""How often a waiting reader looks whether the server stops."""
MOST_READERS = 64
STOPS = "The server stops: take the export again."


async def follow(state: Any, run: Run) -> AsyncGenerator[bytes, None]:
    """Every byte as it comes; without its end when the export fails, the server stops, or somebody in it is
    gone and the reader far from the end. A reader who is near has all but what was on its way already."""
    flow, sent = run.flow, 0
    await more(state, run, sent)
    with await asyncio.to_thread(run.open) as file:
        while not (flow.over and sent >= flow.size):
            await more(state, run, sent)
            if flow.over and flow.size - sent > AHEAD and not run.path.exists():
                raise errors.Gone(members.GONE)
            part = await asyncio.to_thread(file.read, min(CHUNK, flow.size - sent))
            sent += len(part)
            run.reached(sent)
            yield part
    if flow.fault:
        raise errors.Overloaded(flow.fault)


async def more(state: Any, run: Run, sent: int) -> None:
    """Until there is more than was sent, or the end. errors.Overloaded when it is a bad one."""
    while not (run.flow.over or run.flow.size > sent):
        if getattr(state, "stopping", False):
            raise errors.Overloaded(STOPS)
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await run.flow.beyond(sent)
    if run.flow.fault:
        raise errors.Overloaded(run.flow.fault)


@contextmanager
def counted(kept: Any, name: str) -> Iterator[None]:
    """One reader more; what breaks the answer off is in the log."""
    kept.readers += 1
    try:
        yield
    except errors.RetagError as error:
        log.warning("a download of %s was broken off: %s", name, error)
        raise
    finally:
        kept.readers -= 1


class RunResponse(StreamingResponse):
    """A file under way. It has a reader from when this is made until the answer has ended, be it before its
    first byte: without one that leaves, the press would wait for ever."""

    def __init__(self, state: Any, run: Run, headers: dict[str, str]) -> None:
        super().__init__(follow(state, run), headers=headers)
        self.kept, self.run = state.kept, run
        run.readers += 1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with counted(self.kept, self.run.name):
                await super().__call__(scope, receive, send)
        finally:
            self.run.leave()


class KeptResponse(FileResponse):
    """A kept file, or a range of it; it breaks off when the file is deleted, for somebody in it is gone."""

    chunk_size = CHUNK

    def __init__(self, state: Any, path: Path, headers: dict[str, str]) -> None:
        super().__init__(path, headers=headers, media_type=headers["content-type"])
        self.state, self.file = state, path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.body" and message.get("body"):
                self._check()
            await send(message)

        with counted(self.state.kept, self.file.name):
            await super().__call__(scope, receive, guarded)

    def _check(self) -> None:
        if getattr(self.state, "stopping", False):
            raise errors.Overloaded(STOPS)
        if not self.file.exists():
            raise errors.Gone(members.GONE)
