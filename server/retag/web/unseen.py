"""User agents nobody has seen: classified in one worker thread, each once, however many ask at once.

A crafted one costs milliseconds (https://github.com/ua-parser/uap-core/security/advisories), so it must not
run on the loop; and a flood of new ones must not queue up without end.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from retag import devices
from retag.ingest import Door

MOST_WAITING = 500


class Unseen:
    """The classifications under way."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="retag-devices")
        self._under_way: dict[str, asyncio.Future[devices.Device]] = {}

    async def learn(self, agent: str) -> bool:
        """Let the door know this user agent; False when too many wait already."""
        found = self._under_way.get(agent)
        if found is None:
            if len(self._under_way) >= MOST_WAITING:
                return False
            loop = asyncio.get_running_loop()
            found = loop.run_in_executor(self._thread, devices.classify, agent)
            self._under_way[agent] = found
            found.add_done_callback(lambda _: self._under_way.pop(agent, None))
        self.door.learn(agent, await asyncio.shield(found))
        return True

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
