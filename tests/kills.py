"""Kill -9 at random moments: a journal under load, with folding, backfill and new audiences, over and over.

    python tests/kills.py FILE KILLS

A warm process forks one writer a trial, reads from a pipe what it acknowledged, and kills it. Prints one JSON
object: kills, acked ids, the slowest start in ms of processor time.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import select
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from beds import ACCOUNT, event
from retag import fold
from retag.clock import time_ms
from retag.journal import Journal
from retag.store.engine import SqliteStore
from retag.upkeep import Upkeep

RULES = [
    {"event": "pagevisit"},
    {"event": "checkout", "min_count": 2},
    {"all": [{"event": "addtocart"}], "none": [{"event": "checkout"}]},
]
NAMES = ("pagevisit", "init", "addtocart", "checkout")


def write(cn, sql, *params):
    cn.execute(sql, params)


async def river(path: str, trial: int, acked: int) -> None:
    """Append from 16 clients, each id twice, telling `acked` what was acknowledged; never ends."""
    started = time.process_time()
    journal = Journal(SqliteStore(path))
    journal.start()
    os.write(acked, f"start {(time.process_time() - started) * 1000:.1f}\n".encode())
    upkeep = Upkeep(journal)
    upkeep.start()
    await journal.write(lambda cn: write(cn, "INSERT OR IGNORE INTO account VALUES (?, 'S', 0)", ACCOUNT))
    await journal.write(lambda cn: audience(cn, 2_542_000_000_001 + trial, RULES[trial % len(RULES)]))
    await asyncio.gather(*(client(journal, trial, n, acked) for n in range(16)))


def audience(cn, id_, rule):
    now = time_ms()
    sql = "INSERT OR IGNORE INTO audience VALUES (?, ?, 'A', NULL, 'VISITOR', ?, 0, ?, ?, NULL)"
    if cn.execute(sql, (id_, ACCOUNT, json.dumps(rule), now, now)).rowcount:
        build = fold.start_build(cn, id_, rule, now, True)
        cn.execute("UPDATE audience SET build = ? WHERE id = ? AND build = 0", (build, id_))


async def client(journal: Journal, trial: int, number: int, acked: int) -> None:
    chance = random.Random(trial * 100 + number)
    for n in itertools.count():
        id_ = f"{trial}-{number}-{n}"
        one = event(
            event_id=id_, visitor=chance.randrange(500), name=chance.choice(NAMES), time=time_ms() - n
        )
        await journal.append([one])
        os.write(acked, f"{id_}\n".encode())
        await journal.append([one])


def trial(path: str, number: int, chance: random.Random) -> tuple[list[str], float]:
    """One life: what it acknowledged and how long it took to start, ms of processor time."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            asyncio.run(river(path, number, writing))
        finally:
            os._exit(1)
    os.close(writing)
    text, deadline = b"", None
    while deadline is None or time.monotonic() < deadline:
        if select.select([reading], [], [], 0.002)[0]:
            part = os.read(reading, 65536)
            if not part:
                raise SystemExit(f"the writer of trial {number} died by itself")
            text += part
            deadline = deadline or time.monotonic() + chance.uniform(0.005, 0.2)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while part := os.read(reading, 65536):
        text += part
    os.close(reading)
    first, *ids = text.decode().split("\n")[:-1]
    return ids, float(first.split()[1])


def main() -> None:
    path, kills = sys.argv[1], int(sys.argv[2])
    chance = random.Random(7)
    acked: list[str] = []
    slowest = 0.0
    for number in range(kills):
        ids, start = trial(path, number, chance)
        acked += ids
        slowest = max(slowest, start)
    print(json.dumps({"kills": kills, "acked": acked, "slowest_ms": slowest}))


if __name__ == "__main__":
    main()
