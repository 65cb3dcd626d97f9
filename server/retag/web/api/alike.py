"""Act-alikes: fitted daily and on demand, in a process of their own, and applied a few visitors at a time."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import time
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from retag import errors, likeness
from retag.clock import time_ms
from retag.store import alike, sqlite
from retag.web.apart import alone
from retag.web.api.audiences import find
from retag.web.api.call import Call

EVERY_S = 60.0
"""How often to look for what is due."""
SOON_S = 2.0
"""And how often while one waits for its seed to be filled in."""
REST_S = 900.0
"""How long a fit that failed is left alone, unless it is asked for."""
FAILED = "The latest fit failed, which the server's log explains; it is tried again within 15 minutes. "
T = TypeVar("T")
log = logging.getLogger("retag.alike")


class LikenessView(msgspec.Struct):
    """The latest fit. `quality` is from held-out seed members: `auc` with its interval, `lift` in the chosen
    share beside `lift_of_active` (the most active visitors); `worthless` when chance would do as well.
    `located` are the visitors whose country is known, null when the rule names none."""

    audience_id: str
    status: str
    fitted_timestamp: int | None
    seeds: int
    seeds_needed: int
    eligible: int
    located: int | None
    members: int | None
    quality: dict[str, Any] | None
    features: list[str]
    explanation: str


class Refits:
    """The one worker: fits what is due, one after the other."""

    def __init__(self, journal: Any, path: str) -> None:
        self.journal = journal
        self.path = path
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._resting: dict[int, float] = {}

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    def wake(self, build: int | None = None) -> None:
        """There is something to fit: this build, though it failed a while ago."""
        self._resting.pop(build or 0, None)
        self._woken.set()

    def failed(self, build: int) -> bool:
        """Whether its latest fit failed, and was not tried again since."""
        return build in self._resting

    async def _run(self) -> None:
        while True:
            rest = EVERY_S
            try:
                for task in await self._ask(alike.due):
                    await self._try(task)
                if await self._ask(alike.waiting):
                    rest = SOON_S
                while await self.journal.write(alike.tidy):  # noqa: ASYNC110 (a rest between slices)
                    await asyncio.sleep(0.001)
            except Exception:  # the next round tries again; the door must not notice
                log.exception("act-alikes could not be refitted")
            try:
                async with asyncio.timeout(rest):  # wait_for loses a cancellation that comes as it ends
                    await self._woken.wait()
            except TimeoutError:
                continue
            finally:
                self._woken.clear()

    async def _ask(self, question: Callable[[sqlite3.Connection, int], T]) -> T:
        """What is so now, by the database."""
        return await asyncio.to_thread(_answer, self.path, question)

    async def _try(self, task: alike.Task) -> None:
        """One that fails is left alone for a while, and does not keep the others waiting."""
        if self._resting.get(task.build, 0.0) > time.monotonic():
            return
        try:
            await self.refit(task)
            self._resting.pop(task.build, None)
        except Exception:
            log.exception("an act-alike could not be refitted; it is tried again later")
            self._resting[task.build] = time.monotonic() + REST_S

    async def refit(self, task: alike.Task) -> None:
        """Fit, apply and note one build."""
        now = time_ms()
        try:
            report = await alone(alike.refit, self.path, task, now)
        except likeness.ExtraMissing as missing:
            known = alike.Report(0, 0, 0, alike.LEAST_SEED, explanation=str(missing))  # still due
            await self.journal.write(lambda cn: alike.note(cn, task.build, known))
            return
        changes = await asyncio.to_thread(_slices, self.path, task.build, report.chosen or [])
        for added, removed in changes:
            await self.journal.write(
                lambda cn, a=added, r=removed: alike.apply(cn, task.build, a, r, time_ms())
            )
        await self.journal.write(lambda cn: alike.note(cn, task.build, report))

    async def close(self) -> None:
        """Stop; an unfinished fit is done again at the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


async def show(call: Call) -> LikenessView:
    """The model of an act-alike audience, and how good it is."""
    audience = await _find(call)
    view = await _view(call, audience)
    if not call.state.refits.failed(audience.newest or audience.build):
        return view
    return msgspec.structs.replace(view, explanation=FAILED + view.explanation)


async def _view(call: Call, audience: Any) -> LikenessView:
    row = await call.state.reader.one(
        "SELECT fitted, chosen, report FROM likeness WHERE build = ?", (audience.build,)
    )
    if row is None:
        return LikenessView(
            *(str(audience.id), "INITIALIZING", None, 0, alike.LEAST_SEED, 0, None, None, None, []),
            "Not fitted yet: it waits for its turn, or until the history of its seed is read.",
        )
    report = json.loads(row[2])
    return LikenessView(
        audience_id=str(audience.id),
        status="INITIALIZING" if not row[0] else "TOO_SMALL" if row[1] is None else "READY",
        fitted_timestamp=row[0] // 1000 or None,
        seeds=report["seeds"],
        seeds_needed=report["needed"],
        eligible=report["eligible"],
        located=report.get("located"),
        members=row[1],
        quality=report["quality"],
        features=report["features"],
        explanation=report["explanation"],
    )


async def refit(call: Call) -> LikenessView:
    """Fit anew, in the background: the answer is the fit before."""
    audience = await _find(call)
    likeness.require()
    build = audience.newest or audience.build
    await call.state.journal.write(lambda cn: alike.want(cn, build, call.now))
    call.state.refits.wake(build)
    return await show(call)


async def _find(call: Call) -> Any:
    audience = await find(call, call.id("audience_id"))
    if audience.type != "ACTALIKE":
        raise errors.Conflict(f"Audience {audience.id} is {audience.type}; only an ACTALIKE has a model.")
    return audience


def _answer(path: str, question: Callable[[sqlite3.Connection, int], T]) -> T:
    cn = sqlite.connect(path, readonly=True)
    try:
        return question(cn, time_ms())
    finally:
        cn.close()


def _slices(path: str, build: int, chosen: list[bytes]) -> list[tuple[list[bytes], list[bytes]]]:
    cn = sqlite.connect(path, readonly=True)
    try:
        return alike.slices(cn, build, chosen)
    finally:
        cn.close()
