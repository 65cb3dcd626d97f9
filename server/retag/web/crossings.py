"""Crossings: tells the hooks that wait for it when an audience passes a size, once each way.

On which side it was is in the file: one that passed while the server was down is told after the start.
"""

from __future__ import annotations

from typing import Any

from retag.clock import time_ms
from retag.store import hooks
from retag.ticking import Ticker

PAUSE_S = 0.5


class Crossings(Ticker):
    """Looks at the running counts (store.census), which cost nothing to ask."""

    def __init__(self, state: Any) -> None:
        super().__init__("retag-crossings", self._look, PAUSE_S)
        self.state = state

    async def _look(self) -> None:
        now, census = time_ms(), self.state.journal.store.census
        for hook, threshold, above, build in await self.state.reader.all(hooks.WATCHED):
            size = census.size(build, now)
            if size is not None and above != (size >= threshold):
                await self._cross(hook, size, now)

    async def _cross(self, hook: int, size: int, now: int) -> None:
        told = await self.state.journal.write(lambda cn: hooks.cross(cn, hook, size, now), durable=False)
        if told:
            self.state.outbox.wake()
