"""Streaming: a file under way, or one that is kept, to a reader who may be slow, stall or go away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path
from typing import Any

from starlette.responses import FileResponse
from starlette.types import Message, Receive, Scope, Send

from retag import errors
from retag.store import members
from retag.web.press import Run

CHUNK = 1 << 18
LOOK_S = 0.5
"""How often a waiting reader looks whether the server stops."""
MOST_READERS = 64
STOPS = "The server stops: take the export again."


async def follow(state: Any, run: Run) -> AsyncGenerator[bytes, None]:
    """Every byte as it comes; without its end when the export fails or the server stops."""
    flow, sent = run.flow, 0
    run.readers += 1
    state.kept.readers += 1
    try:
        await _more(state, run, sent)
        with await asyncio.to_thread(run.open) as file:
            while not (flow.over and sent >= flow.size):
                await _more(state, run, sent)
                part = await asyncio.to_thread(file.read, min(CHUNK, flow.size - sent))
                sent += len(part)
                run.reached(sent)
                yield part
        if flow.fault:
            raise errors.Overloaded(flow.fault)
    finally:
        state.kept.readers -= 1
        run.leave()


async def _more(state: Any, run: Run, sent: int) -> None:
    """Until there is more than was sent, or the end."""
    while not (run.flow.over or run.flow.size > sent):
        if getattr(state, "stopping", False):
            raise errors.Overloaded(STOPS)
        with suppress(TimeoutError):
            await asyncio.wait_for(run.flow.beyond(sent), LOOK_S)
    if run.flow.fault:
        raise errors.Overloaded(run.flow.fault)


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

        self.state.kept.readers += 1
        try:
            await super().__call__(scope, receive, guarded)
        finally:
            self.state.kept.readers -= 1

    def _check(self) -> None:
        if getattr(self.state, "stopping", False):
            raise errors.Overloaded(STOPS)
        if not self.file.exists():
            raise errors.Gone(members.GONE)
