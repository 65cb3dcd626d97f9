"""`retag import`: events a second, fully validated, durable and folded, in a process of its own.

    .venv/bin/python benchmarks/import.py [EVENTS]

By the clock from start to exit, and the processor spent on one event: what a busy neighbour disturbs least.
"""

from __future__ import annotations

import json
import pathlib
import random
import resource
import subprocess
import sys
import tempfile
import time

NAMES = ["pagevisit"] * 90 + ["addtocart"] * 8 + ["checkout"] * 2


def lines(events: int) -> str:
    """A month of a shop: ten events a visitor."""
    chance = random.Random(1)
    start, step = time.time() - 30 * 86_400, 30 * 86_400 / events
    return "\n".join(
        json.dumps(
            {
                "event": chance.choice(NAMES),
                "event_id": f"e{number}",
                "time": int(start + number * step),
                "visitor": f"v{chance.randrange(events // 10)}",
                "product_id": str(chance.randrange(900)),
                "value": round(chance.uniform(1, 200), 2),
                "url": f"https://shop.example/product/{chance.randrange(900)}",
            }
        )
        for number in range(events)
    )


def main() -> None:
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 300_000
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "events.ndjson"
        file.write_text(lines(events))
        database = f"--database=sqlite:///{folder}/retag.db"
        retag = [sys.executable, "-m", "retag"]
        subprocess.run([*retag, "init", database], check=True, stdout=subprocess.DEVNULL)
        started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*retag, "import", str(file), database], check=True, stderr=subprocess.DEVNULL)
        seconds = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{events / seconds:,.0f} events/s   {spent / events * 1e6:.1f} us an event")
    print(f"{events / spent:,.0f} events a second of one processor")


main()
