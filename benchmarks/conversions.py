"""Conversions API: 1,000-event batches over HTTP, fully validated, durable before they are answered.

    .venv/bin/python benchmarks/conversions.py [--batches 200] [--only raw,floor,door,river]

The server has one core and the client another. The same bodies, checkouts of 50,000 people with two
identifiers, an order and a line item (540 bytes), go to:

    raw     uvicorn with an app that reads the body and answers 204: what HTTP costs
    floor   no server: msgspec decodes the body, and SQLite takes the same rows in one commit with
            synchronous=FULL; nothing is validated, cleaned, hashed or masked in between
    door    Retag, as its clients see it; no folding
    river   Retag with 10 audiences, folding on the same core; its time ends when the last event is folded

Each line has events a second by the clock, and the processor that the server spent on one event: what a busy
neighbour disturbs least, and what one core could do.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
from msgspec.structs import astuple

import collect
from retag.server_side import Sending, server_events
from retag.store import bulk, sqlite

EVENTS = 1_000
CONNECTIONS = 2
"""The next batch is on its way while one is answered, as from a sender that is busy."""
MODES = ("raw", "floor", "door", "river")


def batch(number: int, now: int) -> bytes:
    """Checkouts as a shop's backend sends them."""
    return json.dumps({"data": [event(number * EVENTS + i, now) for i in range(EVENTS)]}).encode()


def event(number: int, now: int) -> dict[str, object]:
    person = hashlib.sha256(str(number % 50_000).encode()).hexdigest()
    price = f"{5 + number * 37 % 9_000 / 100:.2f}"
    return {
        "event_name": "checkout",
        "action_source": "web",
        "event_time": now - number % 3600,
        "event_id": f"order-{number}",
        "event_source_url": f"https://shop.example/thanks?order={number}",
        "user_data": {"em": [person], "external_id": [person[::-1]], "client_user_agent": "Mozilla/5.0"},
        "custom_data": {
            "value": price, "currency": "EUR", "order_id": f"order-{number}", "num_items": 1,
            "contents": [{"id": str(number % 900), "item_price": price, "quantity": 1}],
        },
    }  # fmt: skip


def send(port: int, path: str, key: str, bodies: list[bytes]) -> None:
    """All of them on CONNECTIONS connections; every event must be processed."""

    def some(first: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        for body in bodies[first::CONNECTIONS]:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            found = answer.read()
            assert answer.status in (200, 204), found
            assert not found or b'"num_events_processed":1000' in found[:100], found[:300]

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(some, range(CONNECTIONS)))


def until_folded(path: str) -> None:
    """Wait until what is in the log is folded."""
    cn = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
    sql = "SELECT (SELECT max(seq) FROM log) <= (SELECT value FROM progress WHERE name = 'folded')"
    while not cn.execute(sql).fetchone()[0]:
        time.sleep(0.02)
    cn.close()


def floor(path: str, bodies: list[bytes]) -> tuple[float, float]:
    """`(seconds, of them processor)` to decode the bodies and to store their rows, a commit for each."""
    cn = sqlite.connect(path)
    now, seconds, spent = time.time_ns() // 1_000_000, 0.0, 0.0
    for number, body in enumerate(bodies):
        results = [one for some in server_events(body, Sending(1, now), os.urandom(16)) for one in some]
        first = number * EVENTS + 1
        rows = [(first + i, *astuple(one.event), 0) for i, one in enumerate(results) if one.event]
        started = time.perf_counter(), time.process_time()
        msgspec.json.decode(body)
        cn.execute("BEGIN IMMEDIATE")
        bulk.insert(cn, "INSERT INTO log", rows)
        cn.execute("COMMIT")
        seconds, spent = seconds + time.perf_counter() - started[0], spent + time.process_time() - started[1]
    cn.close()
    return seconds, spent


def served(mode: str, folder: Path, bodies: list[bytes]) -> tuple[float, float, str]:
    """`(seconds, of them the server's processor, how far the fold was behind)`."""
    path, _ = collect.prepare(folder, "flood")
    made = json.loads((folder / "made.json").read_text())
    port, address = collect.free_port(), f"/v5/ad_accounts/{made['ad_account_id']}/events"
    command = [sys.executable, collect.__file__, "--serve", mode, "--port", str(port), "--path", path]
    with collect.Running(command, port, "/healthz") as running:
        send(port, address + "?test=true", made["api_key"], bodies[:10])
        behind = collect.Behind(path)
        if mode == "river":
            collect.add_audiences(port, made, collect.FLOOD)
            behind.start()
        started, spent = time.perf_counter(), running.spent()
        send(port, address, made["api_key"], bodies)
        if mode == "river":
            until_folded(path)
        seconds, spent = time.perf_counter() - started, running.spent() - spent
        behind.done = True
    assert mode == "raw" or collect.rows(path) == len(bodies) * EVENTS, "an answered event is missing"
    return seconds, spent, f"fold at most {behind.worst:.1f} s behind" if mode == "river" else ""


def on_core(core: str, work: Callable[[], tuple[float, float]]) -> tuple[float, float]:
    """Do something on one core, and come back."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {int(core)})
    try:
        return work()
    finally:
        os.sched_setaffinity(0, before)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--only", default=",".join(MODES))
    given = parser.parse_args()
    now = int(time.time())
    bodies = [batch(number, now) for number in range(given.batches)]
    os.sched_setaffinity(0, {int(collect.LOAD_CORE)})
    for mode in [one for one in MODES if one in given.only.split(",")]:
        with tempfile.TemporaryDirectory(prefix="retag-bench-") as folder:
            if mode == "floor":
                path, _ = collect.prepare(Path(folder), "flood")
                seconds, spent = on_core(collect.SERVER_CORE, lambda path=path: floor(path, bodies))
                more = ""
            else:
                seconds, spent, more = served(mode, Path(folder), bodies)
        events = len(bodies) * EVENTS
        print(
            f"{mode:6} {events / seconds:>9,.0f} events/s   {spent / events * 1e6:5.1f} us an event:"
            f" {events / spent:>9,.0f} a core   {more}",
            flush=True,
        )


main()
