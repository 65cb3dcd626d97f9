"""The outbox: sends what waits, again and again until it is received or a day has passed.

At least once: a delivery is settled only after its answer, so kill -9 in between sends it again, with the
same `webhook-id`.
"""

from __future__ import annotations

import logging
import random
from typing import Any

import h11

from retag import errors, webhooks
from retag.clock import time_ms
from retag.store import hooks
from retag.ticking import Turns
from retag.web.posting import WITHIN_S, Post

log = logging.getLogger("retag.webhooks")
PAUSE_S = 1.0
AT_ONCE = 8
"""Deliveries under way at a time, one a hook: so that a slow receiver holds up nobody else."""
LONGEST_ERROR = 200
FAILURES = (errors.RetagError, OSError, h11.RemoteProtocolError)
"""What receivers do; anything else is a fault of ours, and not told once a second for ever either."""


class Outbox(Turns):
    """Uses state's `settings`, `reader`, `journal` and `tally`. A turn is a hook's."""

    def __init__(self, state: Any) -> None:
        super().__init__("retag-outbox", self._due, self.attempt, AT_ONCE, PAUSE_S)
        self.state = state
        self.post = Post(state.settings.webhook_networks)

    async def _due(self) -> list[tuple[int, int]]:
        return [(hook, delivery) for delivery, hook in await self.state.reader.all(hooks.DUE, (time_ms(),))]

    async def attempt(self, delivery: int) -> None:
        """Send one that waits, and write down what came of it."""
        row = await self.state.reader.one(hooks.ONE, (delivery,))
        if row is None:
            return
        one = hooks.Delivery(*row)
        answer, error = await self._send(one)
        now, chance = time_ms(), random.random()  # noqa: S311 (spreads retries, guards nothing)
        status = await self.state.journal.write(
            lambda cn: hooks.settle(cn, one, answer, error, now, chance), durable=False
        )
        self.state.tally.deliveries[status] += 1
        if error is not None:
            log.warning("webhook delivery %s, attempt %d: %s", one.name, one.attempts + 1, error)

    async def _send(self, one: hooks.Delivery) -> tuple[int | None, str | None]:
        """(HTTP status, why it counts as failed)."""
        headers = webhooks.headers(one.secret, one.name, time_ms() // 1000, one.body)
        try:
            status = await self.post(one.url, headers, one.body)
        except TimeoutError:
            return None, f"No answer within {WITHIN_S:.0f} s."
        except Exception as error:
            if not isinstance(error, FAILURES):
                log.exception("webhook delivery %s", one.name)
            return None, f"{type(error).__name__}: {error}"[:LONGEST_ERROR]
        return status, None if 200 <= status < 300 else f"The receiver answered {status}."
