"""How fast the bed is: append, fold, backfill, size, freshness, bytes.

    python benchmarks/audiences.py                        10 M events, 1 M visitors, 50 audiences of 2 clauses
    python benchmarks/audiences.py --events 300000 --visitors 30000
    python benchmarks/audiences.py --keep                 leaves the database, for benchmarks/compare.py

The events and the rules are the shop's (benchmarks/shop.py).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path

from retag import fold
from retag.clock import time_ms
from retag.journal import Journal
from retag.store import builds, log, sqlite
from retag.store.engine import SqliteStore
from retag.upkeep import Upkeep
from shop import ACCOUNT, events, rules

FIRST = 2_542_000_000_001
TWO: dict[str, object] = {
    "all": [{"event": "pagevisit", "url": {"contains": "/category-7/"}}],
    "none": [{"event": "checkout"}],
}
BUYERS: dict[str, object] = {"event": "checkout"}


def audience(cn: sqlite3.Connection, number: int, rule: dict[str, object]) -> int:
    now, id_ = time_ms(), FIRST + number
    sql = "INSERT INTO audience VALUES (?, ?, 'A', NULL, 'VISITOR', ?, 0, ?, ?, NULL)"
    cn.execute(sql, (id_, ACCOUNT, json.dumps(rule), now, now))
    build = fold.start_build(cn, id_, rule, now, True)
    cn.execute("UPDATE audience SET build = ? WHERE id = ? AND build = 0", (build, id_))
    return build


def prepare(cn: sqlite3.Connection, audiences: int) -> None:
    cn.execute("INSERT INTO account VALUES (?, 'Shop', 0)", (ACCOUNT,))
    for number, rule in enumerate(rules(audiences)):
        audience(cn, number, rule)


def say(what: str, value: str) -> None:
    print(f"{what:<52}{value:>24}", flush=True)


def rate(count: int, seconds: float) -> str:
    return f"{count / seconds:,.0f} /s"


def fill(store: SqliteStore, given: argparse.Namespace) -> None:
    """Append and fold in turns, each timed alone, checkpoints with the fold."""
    appended = folded = spent = 0.0
    total = 0
    for block in events(given.events, given.visitors, time_ms()):
        started = time.perf_counter()
        store.append(block, ())
        middle, before = time.perf_counter(), time.process_time()
        while store.waiting()[0]:
            store.fold(time_ms(), given.slice)
        store.checkpoint(idle=False)
        appended += middle - started
        folded += time.perf_counter() - middle
        spent += time.process_time() - before
        total += len(block)
    say("append, 5,000 a commit, synchronous=FULL", rate(total, appended))
    say(f"fold, {given.audiences} audiences, {given.slice} events a slice", rate(total, folded))
    say("fold, an event", f"{folded / total * 1e6:.1f} us")
    say("  of a processor", f"{spent / total * 1e6:.1f} us")


def backfill(store: SqliteStore, number: int, what: str, rule: dict[str, object]) -> int:
    """A new rule over the whole log, in slices as upkeep does it."""
    build = store.write(lambda cn: audience(cn, number, rule))
    started, slowest, slices = time.perf_counter(), 0.0, 0
    done = False
    while not done:
        begun = time.perf_counter()
        done = store.write(lambda cn: builds.backfill(cn, build, 0.004, time_ms()), durable=False)
        slowest, slices = max(slowest, time.perf_counter() - begun), slices + 1
        store.checkpoint(idle=False)
    seconds = time.perf_counter() - started
    store.write(lambda cn: builds.finish(cn, build, time_ms()))
    places = store.write(lambda cn: log.progress(cn, "folded"))
    say(f"backfill, {what}", rate(places, seconds))
    say("  slices, slowest", f"{slices}, {slowest * 1000:.0f} ms")
    return build


def sizes(store: SqliteStore, build: int) -> None:
    """The size as a request reads it, and what the pass that begins the running count takes."""
    started = time.perf_counter()
    slices, slowest = 0, 0.0
    for one in store.write(lambda cn: store.census.begin(cn, time_ms())):
        more = True
        while more:
            begun = time.perf_counter()
            more = store.write(lambda cn, b=one: store.census.learn(cn, b), durable=False)
            slowest, slices = max(slowest, time.perf_counter() - begun), slices + 1
    say("running counts begun", f"{(time.perf_counter() - started) * 1000:.0f} ms")
    say("  slices, slowest", f"{slices}, {slowest * 1000:.0f} ms")
    counts, asks = "SELECT count(*) FROM member WHERE build = ? AND opens <= ? AND closes > ?", []
    for _ in range(100):
        begun, now = time.perf_counter(), time_ms()
        size = store.census.size(build, now)
        asks.append(time.perf_counter() - begun)
    begun = time.perf_counter()
    found = store.write(lambda cn: cn.execute(counts, (build, now, now)).fetchone()[0])
    assert size == found, (size, found)
    say(f"size of an audience of {size:,}", f"{statistics.median(asks) * 1000:.3f} ms")
    say("  by counting the rows", f"{(time.perf_counter() - begun) * 1000:.0f} ms")


async def freshness(path: Path, given: argparse.Namespace) -> None:
    """From acknowledgement until another connection sees the fold's effect."""
    journal = Journal(SqliteStore(path))
    journal.start()
    upkeep = Upkeep(journal)
    upkeep.start()
    cn = sqlite.connect(path, readonly=True)
    acked: list[tuple[int, float]] = []
    waits: list[float] = []
    acks: list[float] = []
    place = log.next_place(cn)
    made = [e for block in events(given.rate * given.seconds, given.visitors, time_ms(), 2) for e in block]
    started, sent = time.perf_counter(), 0
    while sent < len(made) or acked:
        due = min(len(made), int((time.perf_counter() - started) * given.rate))
        if batch := made[sent : min(due, sent + 200)]:
            sent += len(batch)
            begun = time.perf_counter()
            await journal.append(batch)
            acks.append(time.perf_counter() - begun)
            place += len(batch)
            acked.append((place - 1, time.perf_counter()))
        else:
            await asyncio.sleep(0.001)
        folded, now = log.progress(cn, "folded"), time.perf_counter()
        waits += [now - at for last, at in acked if last <= folded]
        acked = [one for one in acked if one[0] > folded]
    say(f"freshness at {given.rate:,} events/s, p50", f"{statistics.median(waits) * 1000:.0f} ms")
    say("  p99", f"{sorted(waits)[int(len(waits) * 0.99)] * 1000:.0f} ms")
    say("  acknowledgement, p99", f"{sorted(acks)[int(len(acks) * 0.99)] * 1000:.1f} ms")
    cn.close()
    await upkeep.close()
    await journal.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--visitors", type=int, default=1_000_000)
    parser.add_argument("--audiences", type=int, default=50)
    parser.add_argument("--slice", type=int, default=5000, help="events a fold slice")
    parser.add_argument("--rate", type=int, default=5000, help="events a second for the freshness")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--folder", default=None, help="where the database is made")
    parser.add_argument("--keep", action="store_true", help="leave the database and say where it is")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=given.folder))
    path = folder / "bench.db"
    try:
        store = SqliteStore(path)
        store.open()
        store.write(lambda cn: prepare(cn, given.audiences))
        fill(store, given)
        size = path.stat().st_size
        say("bytes an event, with everything derived", f"{size / given.events:.0f}")
        backfill(store, 1000, "pages of a category without checkout", TWO)
        backfill(store, 1001, "buyers", BUYERS)
        everybody = backfill(store, 1002, "everybody", {})
        sizes(store, everybody)
        store.close()
        asyncio.run(freshness(path, given))
    finally:
        if given.keep:
            print(path)
        else:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
