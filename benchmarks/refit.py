"""How long a refit takes, and how much memory: from the log to the chosen visitors, in a process of its own.

    python benchmarks/refit.py                            10 M events of 1 M visitors
    python benchmarks/refit.py --events 300000 --visitors 30000
    python benchmarks/refit.py --keep shop.db             makes shop.db and leaves it, or takes it as it is

Events come in visits of 1 to 9, half of them by somebody new. Visitors have one of fifty tastes: a third of
what they look at are the twenty products of their own, the rest is what everybody looks at. Every value
differs, as in a shop. Buyers are the seed: some of one taste, and a few of everybody. One core.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import resource
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from retag.store import alike, sqlite
from retag.web.apart import alone
from retag.windows import DAY

NOW, SPAN = 1_795_478_400_000, 60 * DAY
ACCOUNT, SEED, TASTES, BLOCK = 1, 1, 50, 250_000
NAMES = np.array(["pagevisit", "init", "addtocart", "search", "save"])
OFTEN = (0.6, 0.2, 0.1, 0.05, 0.05)
CONTEXTS = [
    json.dumps({"device": device, "ref": f"https://www.{site}/", "utm_campaign": campaign}).encode()
    for device in ("mobile", "desktop", "tablet")
    for site in ("google.com", "pinterest.com", "shop.example")
    for campaign in ("spring", "")
]


def visitor(number: int, visitors: int) -> bytes:
    """Ids in order of time, with random bits behind, as they are minted."""
    at = NOW - SPAN + SPAN * number // visitors
    return (at << 80 | 7 << 76 | 2 << 62 | number * 0x9E3779B97F4A7C15 % (1 << 62)).to_bytes(16, "big")


def products(who: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    found = np.minimum(chance.pareto(0.8, len(who)) * 3, 4999).astype(int)
    own = chance.random(len(who)) < 0.3
    found[own] = 5000 + (who[own] % TASTES) * 20 + chance.integers(0, 20, own.sum())
    return found


def visiting(
    first: int, lengths: np.ndarray, visitors: int, count: int, chance: np.random.Generator
) -> np.ndarray:
    """Whose visits these are, from event `first` of `count` on: everybody comes in their turn, and again."""
    starts = first + np.concatenate([[0], np.cumsum(lengths)])
    there = np.minimum(np.ceil(starts * visitors / count), visitors).astype(int)
    again = (chance.random(len(lengths)) * there[:-1]).astype(int)
    return np.where(np.diff(there) > 0, there[:-1], again)


def events(count: int, visitors: list[bytes], chance: np.random.Generator) -> Iterator[list[tuple]]:
    """Rows of the log, in order of time."""
    for first in range(0, count, BLOCK):
        size = min(BLOCK, count - first)
        lengths = chance.integers(1, 10, size)  # a visit is 1 to 9 events from the same place
        visits = np.repeat(np.arange(size), lengths)[:size]
        who = visiting(first, lengths, len(visitors), count, chance)[visits]
        context = chance.integers(0, len(CONTEXTS), size)[visits]
        what, named = products(who, chance), chance.choice(len(NAMES), size, p=OFTEN)
        buys = chance.random(size) < np.where(who % TASTES == 7, 0.05, 0.002)
        value = chance.exponential(60, size) + 1
        columns = (one.tolist() for one in (who, what, named, buys, context, value))
        rows = zip(*columns, strict=True)
        yield [row(first + n + 1, count, visitors[one[0]], *one[1:]) for n, one in enumerate(rows)]


def row(
    seq: int, count: int, who: bytes, what: int, named: int, buys: bool, context: int, value: float
) -> tuple:
    at = NOW - SPAN + SPAN * seq // count
    data = f'{{"value":{value:.2f},"currency":"EUR","product_id":"{what}","product_category":"{what // 20}"}}'
    name, url = "checkout" if buys else str(NAMES[named]), f"https://shop.example/c{what // 20}/p{what}"
    return seq, ACCOUNT, 1, who, name, at, at, "", 1, 1, url, data.encode(), b"", CONTEXTS[context], 0


def make(path: Path, count: int, visitors: int) -> None:
    """A log as if folded, and an audience of buyers as the fold would have found them."""
    chance, everybody = np.random.default_rng(0), [visitor(n, visitors) for n in range(visitors)]
    cn = sqlite.connect(path)
    sqlite.migrate(cn)
    cn.execute("PRAGMA synchronous = OFF")
    cn.execute("INSERT INTO account VALUES (1, 'Shop', 0)")
    for rows in events(count, everybody, chance):
        cn.execute("BEGIN")
        cn.executemany(f"INSERT INTO log VALUES ({', '.join('?' * 15)})", rows)
        cn.execute("COMMIT")
    cn.execute("INSERT INTO progress VALUES ('folded', ?)", (count,))
    rule = json.dumps({"event": "checkout"})
    cn.execute("INSERT INTO audience VALUES (1, 1, 'Buyers', NULL, 'VISITOR', ?, 1, 0, 0, NULL)", (rule,))
    cn.execute("INSERT INTO build (id, audience, rule, live_from, ready) VALUES (1, 1, ?, 0, 0)", (rule,))
    sql = "INSERT INTO member SELECT 1, visitor, min(time), max(time) + ?, max(time) FROM log"
    cn.execute(f"{sql} WHERE name = 'checkout' GROUP BY visitor", (180 * DAY,))
    cn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    cn.close()


def measure(path: Path) -> None:
    task, started = alike.Task(99, ACCOUNT, (SEED,), 1), time.perf_counter()
    report = asyncio.run(alone(alike.refit, str(path), task, NOW))
    wall, used = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor, memory = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    cn = sqlite3.connect(path)
    counted = cn.execute("SELECT count(*) FROM log").fetchone()[0]
    cn.close()
    print(f"{counted:,} events, {report.eligible + report.seeds:,} visitors, {report.seeds:,} in the seed")
    print(f"refit {wall:.1f} s, of a processor {processor:.1f} s; memory at most {memory:,.0f} MB")
    print(f"{len(report.chosen):,} chosen. {report.explanation}")
    print("\n".join(report.features))


@contextlib.contextmanager
def shop(description: str | None) -> Iterator[Path]:
    """The file that the command line asks for: made where there is none, and gone if it is not kept."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--visitors", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, help="the database to make, or to take when it is there")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        path = given.keep or folder / "shop.db"
        if not path.exists():
            make(path, given.events, given.visitors)
        yield path
    finally:
        shutil.rmtree(folder)


def main() -> None:
    with shop(__doc__) as path:
        measure(path)


if __name__ == "__main__":
    main()
