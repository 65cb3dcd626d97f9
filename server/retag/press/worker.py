"""The worker: a process that prints. Orders come in as JSON lines, reports go out as JSON lines.

It ends when its orders end, which they also do when the server dies; signals to the whole group of processes
(Ctrl-C) are the server's to heed.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO

import msgspec

from retag import errors
from retag.press import packing, printing
from retag.press.flow import EVER, Flow
from retag.press.job import Allow, Ended, Grown, Order, Pack, Report, Start
from retag.store.direct import Direct

log = logging.getLogger("retag.press")
LINE = 1 << 20
UNTRACKED = 100_000
"""Rows make no cycles: look for some now and then."""
NICENESS = 19
"""The door goes first: on a machine whose processors are busy the press gets what is left."""


class Worker:
    """`flows` are the files under way, by name."""

    def __init__(self, reader: Direct, folder: Path, report: Callable[[Report], None]) -> None:
        self.reader, self.folder, self.report = reader, folder, report
        self.flows: dict[str, Flow] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    def take(self, order: Order) -> None:
        """One order; the work goes on by itself."""
        if isinstance(order, Allow):
            if order.name in self.flows:
                self.flows[order.name].allow(order.size)
            return
        flow = self.flows[order.name] = Flow()
        work = self._start(order, flow) if isinstance(order, Start) else self._pack(order, flow)
        task = asyncio.create_task(self._watched(order, flow, work))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _watched(self, order: Start | Pack, flow: Flow, work: Awaitable[int]) -> None:
        fault = ""
        try:
            flow.grow(await work)
        except errors.RetagError as error:
            fault = str(error)
        except Exception as error:
            log.exception("an export failed")
            fault = f"The export failed ({type(error).__name__}); the server's log says where."
        flow.end(fault)
        self.flows.pop(order.name, None)
        manifest = order.job.manifest if isinstance(order, Start) else None
        self.report(Ended(order.name, flow.size, manifest, fault))

    async def _start(self, order: Start, flow: Flow) -> int:
        told = partial(self._told, order.name, flow)
        return await printing.into(self.reader, order.job, self.folder / f"{order.name}.data", flow, told)

    async def _pack(self, order: Pack, flow: Flow) -> int:
        source, growing = self._source(order.source)
        with source:
            told = partial(self._told, order.name, flow)
            return await packing.into(order, self.folder / order.name, source, growing, flow, told)

    def _source(self, name: str) -> tuple[BinaryIO, Flow]:
        """The original, and how far it is; nothing may come between the two, for it is renamed in the end."""
        growing = self.flows.get(name)
        source = (self.folder / f"{name}.data{'.part' if growing else ''}").open("rb")
        if growing is None:
            growing = Flow(EVER)
            growing.size = os.fstat(source.fileno()).st_size
            growing.end()
        return source, growing

    def _told(self, name: str, flow: Flow, size: int) -> None:
        flow.grow(size)
        self.report(Grown(name, size))


async def run(path: str, folder: str, orders: BinaryIO, reports: BinaryIO) -> None:
    """Until the orders end; what is unfinished then is left."""

    def report(one: Report) -> None:
        with contextlib.suppress(BrokenPipeError):
            reports.write(msgspec.json.encode(one) + b"\n")

    lines = asyncio.StreamReader(limit=LINE)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), orders)
    worker = Worker(Direct(path), Path(folder), report)
    decode = msgspec.json.Decoder(Order).decode
    while line := await lines.readline():
        worker.take(decode(line))
    os._exit(0)


def main(path: str, folder: str) -> None:
    """The process."""
    for sig in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sig, signal.SIG_IGN)
    os.nice(NICENESS)
    gc.freeze()
    gc.set_threshold(UNTRACKED)
    logging.basicConfig(level="WARNING", stream=sys.stderr)
    reports = os.fdopen(sys.stdout.fileno(), "wb", buffering=0)
    asyncio.run(run(path, folder, sys.stdin.buffer, reports))
