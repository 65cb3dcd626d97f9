"""Kill -9 the real server in the middle of a fit: nothing is left behind, and the next start fits anew."""

import contextlib
import json
import pathlib
import time
import urllib.request

import pytest

from server import serving
from serving import until
from test_apart import alive, children
from test_api_actalike import mail, visit

pytest.importorskip("lightgbm")
COUNT, SEEDS, SECONDS = 900, 60, 60.0


def ask(server, address, body=None):
    """The JSON answer to a GET, or to a POST of `body`."""
    request = urllib.request.Request(
        f"{server.url}/v5/ad_accounts/{server.account}{address}",
        None if body is None else json.dumps(body).encode(),
        {"authorization": f"Bearer {server.key}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def fitting(server):
    """The processes in which it fits."""
    found = set()
    for pid in children(server.process.pid):
        with contextlib.suppress(OSError):
            if b"retag.web.apart" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
                found.add(pid)
    return found


def audience(server, kind, rule):
    return ask(server, "/audiences", {"name": kind, "audience_type": kind, "rule": rule})["id"]


def test_a_fit_that_was_killed_is_done_again(tmp_path):
    """Its process ends with the server; members, model and size are there after the next start."""
    with serving(tmp_path) as server:
        kinds = ["shoes" if number < 2 * SEEDS else f"kind{number % 13}" for number in range(COUNT)]
        ask(server, "/events", {"data": [visit(number, kind) for number, kind in enumerate(kinds)]})
        listed = ask(
            server, "/customer_lists", {"name": "Buyers", "records": ",".join(map(mail, range(SEEDS)))}
        )
        seed = audience(server, "CUSTOMER_LIST", {"customer_list_id": listed["id"]})
        until(lambda: ask(server, f"/audiences/{seed}")["size"] == SEEDS, SECONDS)
        made = audience(server, "ACTALIKE", {"seed_id": [seed], "percentage": 5})
        until(lambda: bool(fitting(server)), SECONDS)
        reading = fitting(server)
        server.process.kill()
        server.process.wait()
        until(lambda: not any(alive(pid) for pid in reading))
    with serving(tmp_path) as server:
        assert ask(server, f"/audiences/{made}")["status"] == "INITIALIZING"
        begun = time.time()
        until(lambda: bool(ask(server, f"/audiences/{made}/likeness")["fitted_timestamp"]), SECONDS)
        found = ask(server, f"/audiences/{made}/likeness")
        assert found["fitted_timestamp"] >= begun - 5
        assert (found["seeds"], found["eligible"], found["members"]) == (60, 840, 42)
        until(lambda: ask(server, f"/audiences/{made}")["size"] == 42)
