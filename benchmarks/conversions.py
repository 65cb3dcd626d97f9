"""Conversions API: 1,000-event batches over HTTP, fully validated, durable before they are answered.

    .venv/bin/python benchmarks/conversions.py [BATCHES]

The server gets one core and the client another (Linux). Prints events a second, and what decoding alone
costs.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import pathlib
import sys
import tempfile
import time
from urllib.parse import urlsplit

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests"))

from retag.server_side import Sending, server_events
from server import Server, serving

EVENTS = 1_000


def batch(number: int, now: int) -> bytes:
    """Checkouts with two identifiers, an order and a line item, as a shop's backend sends them."""
    return json.dumps({"data": [event(number * EVENTS + i, now) for i in range(EVENTS)]}).encode()


def event(number: int, now: int) -> dict[str, object]:
    person = hashlib.sha256(str(number % 50_000).encode()).hexdigest()
    return {
        "event_name": "checkout",
        "action_source": "web",
        "event_time": now - number % 3600,
        "event_id": f"order-{number}",
        "event_source_url": f"https://shop.example/thanks?order={number}",
        "user_data": {"em": [person], "external_id": [person[::-1]], "client_user_agent": "Mozilla/5.0"},
        "custom_data": {
            "value": "72.39", "currency": "EUR", "order_id": f"order-{number}", "num_items": 1,
            "contents": [{"id": str(number % 900), "item_price": "72.39", "quantity": 1}],
        },
    }  # fmt: skip


def send(server: Server, bodies: list[bytes]) -> float:
    """Seconds for all of them, one after the other on one connection."""
    at = urlsplit(server.url)
    connection = http.client.HTTPConnection(at.hostname or "", at.port)
    headers = {"authorization": f"Bearer {server.key}", "content-type": "application/json"}
    started = time.perf_counter()
    for body in bodies:
        connection.request("POST", f"/v5/ad_accounts/{server.account}/events", body, headers)
        answer = connection.getresponse()
        found = json.loads(answer.read())
        assert answer.status == 200, found
        assert found["num_events_processed"] == EVENTS, found
    return time.perf_counter() - started


def main() -> None:
    batches = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    now = int(time.time())
    bodies = [batch(number, now) for number in range(batches)]
    started = time.perf_counter()
    for body in bodies[:20]:
        list(server_events(body, Sending(1, now * 1000), os.urandom(16)))
    alone = 20 * EVENTS / (time.perf_counter() - started)
    with tempfile.TemporaryDirectory() as folder, serving(pathlib.Path(folder)) as server:
        if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
            os.sched_setaffinity(server.process.pid, {0})
            os.sched_setaffinity(0, {1})
        send(server, [batch(batches, now)])
        spent = send(server, bodies)
    print(f"decode and validate alone       {alone:>10,.0f} events/s")
    print(f"over HTTP, durable, and folding {batches * EVENTS / spent:>10,.0f} events/s")


main()
