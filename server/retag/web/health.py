"""`/healthz`: the process lives. `/readyz`: events that arrive are kept, and soon count.

Ready is about the journal's age, not its answers: a tracker that answers 200 for days while nothing reaches
the disk is the field's classic failure (https://github.com/arp242/goatcounter/issues/526).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import time
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from retag.journal import Journal
from retag.web.gate import Gate

log = logging.getLogger("retag")
LOOK_S = 2.0
STUMBLE_S = 10.0
"""For so long a batch that could not be stored keeps us unready, if no other was: someone must try again."""
FULL = 1 << 20
"""Free bytes below which a disk is full, whatever the setting."""


class Health:
    """What is wrong, if anything. `watch` keeps the gate shut while the disk is short."""

    def __init__(self, journal: Journal, gate: Gate, file: Path, min_free_mb: int, max_lag_ms: int) -> None:
        self.journal = journal
        self.gate = gate
        self.file = file
        self.min_free = max(min_free_mb << 20, FULL)
        self.max_lag_ms = max_lag_ms

    def free(self) -> int:
        """Bytes free on the database's disk."""
        return shutil.disk_usage(self.file.parent).free

    def size(self, end: str = "") -> int:
        """Bytes of the database's file, or of the one beside it with this end to its name; 0 without."""
        with contextlib.suppress(OSError):
            return os.stat(f"{self.file}{end}").st_size
        return 0

    def look(self) -> None:
        """Shut or open the gate by the disk's free space."""
        free, before = self.free(), self.gate.fault
        short = f"the disk is short: {free >> 20} MB free, {self.min_free >> 20} MB needed"
        self.gate.fault = short if free < self.min_free else None
        if self.gate.fault and not before:
            log.error("%s; new events get 503", short)
        elif before and not self.gate.fault:
            log.info("the disk has room again: new events are taken")

    async def watch(self) -> None:
        """For ever: look every LOOK_S seconds."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    def faults(self) -> list[str]:
        """Every reason not to be ready, in words."""
        uncommitted, unfolded, depth = self.journal.lag()
        at, why = self.journal.stumble or (-STUMBLE_S, "")
        checks = [
            (self.journal.failed, f"the journal has failed: {self.journal.failed}"),
            (self.gate.fault, self.gate.fault or ""),
            (time.monotonic() - at < STUMBLE_S, f"the last batch could not be stored: {why}"),
            (
                uncommitted > self.max_lag_ms,
                f"the oldest of {depth} events waits {uncommitted} ms for its commit",
            ),
            (unfolded > self.max_lag_ms, f"the oldest unfolded event is {unfolded} ms old"),
        ]
        return [words for wrong, words in checks if wrong]

    async def alive(self, _: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(self, _: Request) -> Response:
        """200, or 503 with the reasons."""
        self.look()
        faults = self.faults()
        status = "unready" if faults else "ready"
        return JSONResponse({"status": status, "reasons": faults}, status_code=503 if faults else 200)
