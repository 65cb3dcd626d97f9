"""How long a lift takes on a long log, how much memory, and what the door notices of it.

    python benchmarks/lift.py                             10 M events of 1 M visitors, as refit.py makes them
    python benchmarks/lift.py --events 300000 --visitors 30000
    python benchmarks/lift.py --keep shop.db             makes shop.db and leaves it, or takes it as it is

Each question is asked as the API asks it, in a process of its own at low priority. Meanwhile, and before,
events are appended to the same file one after the other, each when the one before is acknowledged: the times
are from asking to the answer after the commit. One core reads and one is the door's.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import time
from pathlib import Path

import refit
from retag.events import ENGAGEMENTS, Event
from retag.journal import Journal
from retag.store import alike, insights
from retag.store.engine import SqliteStore
from retag.store.worth import Asked, Question, answer
from retag.web.apart import alone
from retag.windows import DAY

CARTS = {
    "event": "addtocart",
    "retention_days": 30,
    "none": [{"event": "checkout", "retention_days": 30}],
}
QUESTIONS = {
    "carts without an order": (Asked("VISITOR", CARTS),),
    "pages of one category": (Asked("VISITOR", {"url": {"contains": "/c3/"}}),),
    "five events or more": (Asked("VISITOR", {"min_count": 5, "retention_days": 30}),),
    "each of five engagements": tuple(Asked("ENGAGEMENT", {"engagement_type": one}) for one in ENGAGEMENTS),
}
ALONE_S = 10.0


def event(number: int) -> Event:
    now = time.time_ns() // 1_000_000
    return Event(
        account=refit.ACCOUNT, tag=1, visitor=number.to_bytes(16, "big"), name="pagevisit", time=now,
        received=now, event_id="", source=1, platform=1, url="https://shop.example/c1/p7",
        data=b'{"product_id":"7"}', people=b"", context=b"",
    )  # fmt: skip


async def knock(journal: Journal, waited: list[float]) -> None:
    """Append until cancelled."""
    while True:
        started = time.perf_counter()
        await journal.append([event(len(waited))])
        waited.append(time.perf_counter() - started)


def said(waited: list[float]) -> str:
    if not waited:
        return "nothing acknowledged"
    ms = [1000 * one for one in sorted(waited)]
    p50, p99 = (ms[int(len(ms) * share)] for share in (0.5, 0.99))
    return f"door p50 {p50:.1f} ms, p99 {p99:.1f} ms, most {ms[-1]:.0f} ms"


async def beside(journal: Journal, work) -> list[float]:
    """How long the door took while `work` was done."""
    waited: list[float] = []
    door = asyncio.create_task(knock(journal, waited))
    try:
        await work
    finally:
        door.cancel()
        await asyncio.gather(door, return_exceptions=True)
    return waited


async def ask(path: Path, journal: Journal, label: str, work, *args) -> None:
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    waited = await beside(journal, alone(work, str(path), *args))
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    memory = after.ru_maxrss / 1024  # the most of all so far
    print(f"{label:26}{wall:7.1f} s{processor:8.1f} s{memory:7,.0f} MB  {said(waited)}", flush=True)


async def measure(path: Path) -> None:
    journal = Journal(SqliteStore(path))
    journal.start()
    try:
        await journal.append([event(0)])
        print(f"{'':26}{'by clock':>9}{'of a core':>10}{'most':>9}")
        print(f"{'nothing asked':53} {said(await beside(journal, asyncio.sleep(ALONE_S)))}", flush=True)
        for label, asked in QUESTIONS.items():
            question = Question(refit.ACCOUNT, asked, "checkout", refit.NOW - 20 * DAY, refit.NOW)
            await ask(path, journal, label, answer, question)
        since = refit.NOW - 30 * DAY
        await ask(path, journal, "insights of 30 days", insights.portrait, refit.ACCOUNT, 1, since, refit.NOW)
        task = alike.Task(99, refit.ACCOUNT, (refit.SEED,), 1)
        await ask(path, journal, "an act-alike", alike.refit, task, refit.NOW)
    finally:
        await journal.close()


def main() -> None:
    with refit.shop(__doc__) as path, contextlib.suppress(KeyboardInterrupt):
        asyncio.run(measure(path))


if __name__ == "__main__":
    main()
