"""How fast is the door? One core for the server, one for wrk, everything in one run.

    python benchmarks/collect.py [--seconds 8] [--connections 64] [--only raw,nginx,door,river,flood]

Beacons of 350 bytes from 10,000 visitors with a signed cookie, one event each, every event new, go to:

    raw     uvicorn with an app that reads the body and answers 204: the ceiling of the stack
    nginx   `empty_gif` with a buffered log: nothing is durable, nothing verified (a GET, when nginx is there)
    door    Retag: decoded, verified, screened, committed with synchronous=FULL, then answered; no folding
    river   Retag with the shop's 50 audiences (benchmarks/shop.py, two of them of everybody), folding on the
            same core; how far the fold was behind is sampled
    flood   the same with 10 audiences and one page: seven of the ten take in every event

The visitors are in the middle of visits of 1 to 9 events to the shop, all of them at once, so that whoever
comes is somebody else than those who came just before.

Each server is measured after it has run for a while: its caches have met the visitors, and its write-ahead
log is long. Every answer must be 2xx, and afterwards the log must hold a row for each.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import shop

HERE = Path(__file__).resolve().parent
SERVER_CORE, LOAD_CORE = "0", "1"
VISITORS = 10_000
MODES = ("raw", "nginx", "door", "river", "flood")
LUA = """
local heads, tails, at, sent = {}, {}, 0, os.time() %% 100000 * 10000000
function init(args)
  for line in io.lines("%(beacons)s") do
    local cookie, body = line:match("([^\t]*)\t(.*)")
    local headers = {}
    headers["Content-Type"] = "text/plain;charset=UTF-8"
    headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)" ..
      " Chrome/143.0.0.0 Safari/537.36"
    headers["Referer"] = "https://shop.example/"
    headers["Accept"] = "*/*"
    headers["Accept-Encoding"] = "gzip, deflate, br"
    headers["Accept-Language"] = "en-GB,en;q=0.9"
    headers["Cookie"] = cookie
    local whole = wrk.format("POST", "/v3/", headers, body)
    local from, to = whole:find("%(id)s", 1, true)
    heads[#heads + 1], tails[#tails + 1] = whole:sub(1, from - 1), whole:sub(to + 1)
  end
end
function request()
  at, sent = at %% #heads + 1, sent + 1
  return heads[at] .. os.time() .. string.format("%%03d%%038d", sent %% 1000, sent) .. tails[at]
end
"""
ID = "#" * 51
"""In its place comes what no other request has, in the form of the tag's own ids: the time, and 38 digits."""
EVERYBODY: list[dict[str, Any]] = [{"retention_days": 30}, {"event": "pagevisit", "retention_days": 180}]
FLOOD: list[dict[str, Any]] = [
    {"event": "pagevisit", "retention_days": 30},
    {"event": "addtocart", "retention_days": 30},
    {"event": "checkout", "retention_days": 180},
    {"url": "https://shop.example/category-7/sku-7", "retention_days": 7},
    {"event": "pagevisit", "event_data": {"currency": "EUR"}, "retention_days": 14},
    {"event": "pagevisit", "min_count": 3, "retention_days": 30},
    {"all": [{"event": "pagevisit", "retention_days": 30}], "none": [{"event": "checkout"}]},
    {"any": [{"event": "search"}, {"event": "signup"}], "retention_days": 60},
    {"event": "pagevisit", "min_value": 100, "retention_days": 30},
    {"all": [{"url": {"contains": "/category-7/"}, "retention_days": 90}]},
]

PRICES = {sku: f"{random.Random(sku).expovariate(1 / 60) + 1:.2f}" for sku in shop.PRODUCTS}


def audiences(mode: str) -> list[dict[str, Any]]:
    """The rules that a mode's server folds into."""
    return {"river": [*shop.rules(48), *EVERYBODY], "flood": FLOOD}.get(mode, [])


def visit(tag: str, chance: random.Random) -> Iterator[str]:
    """The beacons of one visit."""
    shelf = chance.randrange(len(shop.CATEGORIES))
    for _ in range(chance.randrange(1, 10)):
        sku = chance.choice(shop.PRODUCTS[shelf :: len(shop.CATEGORIES)])
        yield beacon(tag, chance.choice(shop.NAMES), shop.CATEGORIES[shelf], sku)


def beacon(tag: str, name: str, category: str, sku: str) -> str:
    data: dict[str, Any] = {"event_id": ID}
    if name != "init":
        data |= {"product_id": sku, "value": PRICES[sku], "currency": "EUR", "order_quantity": 1}
    page = {
        "loc": f"https://shop.example/{category}/{sku}?utm_source=mail",
        "ref": "https://shop.example/",
        "sw": 1920,
        "sh": 1080,
        "if": False,
    }
    told = {"tid": tag, "event": name, "ed": data, "ad": page, "cb": time.time_ns() // 1_000_000}
    return json.dumps(told, separators=(",", ":"))


def beacons(mode: str, tag: str, ids: list[str]) -> list[str]:
    """One line `cookie<tab>body` for each."""
    chance = random.Random(1)
    if mode == "flood":
        made = [(one, beacon(tag, "pagevisit", "category-7", "sku-7")) for one in ids]
    else:
        made = [(one, body) for one in ids for body in visit(tag, chance)]
        chance.shuffle(made)
    return [f"retag={one}\t{body}\n" for one, body in made]


async def raw(scope: Any, receive: Any, send: Any) -> None:
    """The ceiling: read the body, answer 204."""
    if scope["type"] == "lifespan":
        for _ in range(2):
            await send({"type": (await receive())["type"] + ".complete"})
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def serve(mode: str, port: int, path: str) -> None:
    """The server process of one mode."""
    if mode == "raw":
        import uvicorn

        uvicorn.run(raw, port=port, http="httptools", loop="uvloop", log_level="warning", access_log=False)
        return
    from retag import app
    from retag.pace import Pace
    from retag.settings import Settings

    if mode == "door":
        Pace.due = lambda *_: False  # type: ignore[method-assign]
    app.serve(Settings.load({}, database=f"sqlite:///{path}", port=str(port), rate_limits="off"))


class Running:
    """A server on its core; `with` ends it."""

    def __init__(self, command: list[str], port: int, healthy: str) -> None:
        self.port = port
        self.process = subprocess.Popen(["taskset", "-c", SERVER_CORE, *command], cwd=HERE.parent)
        end = time.monotonic() + 20
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}{healthy}", timeout=1).close()
                return
            except OSError as error:
                if getattr(error, "code", None) or time.monotonic() > end:
                    return
                time.sleep(0.05)

    def __enter__(self) -> Running:
        return self

    def spent(self) -> float:
        """Seconds of processor that the server has used: what a busy neighbour disturbs least."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def load(port: int, script: Path | None, seconds: int, connections: int, path: str = "/") -> dict[str, float]:
    """wrk's word: requests a second, p50 and p99 in ms, requests, answers that were not 2xx."""
    command = ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    command += ["-s", str(script)] if script else []
    address = f"http://127.0.0.1:{port}{path}"
    text = subprocess.run([*command, address], check=True, capture_output=True, text=True).stdout
    unit = {"us": 0.001, "ms": 1.0, "s": 1000.0}

    def latency(name: str) -> float:
        value, given = re.search(rf"{name}%\s+([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
        return float(value) * unit[given]

    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    sockets = re.search(r"Socket errors: .*", text)
    if sockets:
        print("   ", sockets.group())
    return {
        "rate": float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)),  # type: ignore[union-attr]
        "p50": latency("50"),
        "p99": latency("99"),
        "requests": float(re.search(r"(\d+) requests in", text).group(1)),  # type: ignore[union-attr]
        "bad": float(bad.group(1)) if bad else 0.0,
    }


class Behind(threading.Thread):
    """Samples how old the oldest unfolded event is, by reading the file from the load's core."""

    def __init__(self, path: str) -> None:
        super().__init__(daemon=True)
        self.path = path
        self.worst = 0.0
        self.done = False

    def run(self) -> None:
        os.sched_setaffinity(threading.get_native_id(), {int(LOAD_CORE)})
        cn = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, isolation_level=None)
        folded_to = "coalesce((SELECT value FROM progress WHERE name = 'folded'), 0)"
        sql = f"SELECT (SELECT coalesce(max(seq), 0) FROM log), {folded_to}"
        heads: list[tuple[float, int]] = []
        while not self.done:
            head, folded = cn.execute(sql).fetchone()
            now = time.monotonic()
            heads.append((now, head))
            heads = [one for one in heads if one[1] > folded]
            if heads:
                self.worst = max(self.worst, now - heads[0][0])
            time.sleep(0.1)
        cn.close()


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def prepare(folder: Path, mode: str) -> tuple[str, Path | None]:
    """A fresh database with a tag and 10,000 signed visitors: (path, wrk script)."""
    import msgspec

    from retag import identity
    from retag.store import registry, sqlite

    path = str(folder / "retag.db")
    cn = sqlite.connect(path)
    sqlite.migrate(cn)
    made = msgspec.to_builtins(registry.init(cn, time.time_ns() // 1_000_000, os.urandom(96)))
    keys = registry.signing_keys(cn)
    cn.close()
    (folder / "made.json").write_text(json.dumps(made))
    signer = identity.Signer(keys, int(made["ad_account_id"]), "visitor")
    now = time.time_ns() // 1_000_000 - 86_400_000
    ids = [signer.sign(identity.mint(now + i, os.urandom(16))) for i in range(VISITORS)]
    lines = folder / "beacons"
    lines.write_text("".join(beacons(mode, made["tag_id"], ids)))
    script = folder / "beacon.lua"
    script.write_text(LUA % {"beacons": lines, "id": ID})
    return path, script


NGINX = """
daemon off; master_process off; pid %(folder)s/nginx.pid; error_log /dev/null;
events { worker_connections 1024; }
http { access_log %(folder)s/access.log combined buffer=64k flush=1s; keepalive_requests 1000000000;
client_body_temp_path %(folder)s; proxy_temp_path %(folder)s; fastcgi_temp_path %(folder)s;
uwsgi_temp_path %(folder)s; scgi_temp_path %(folder)s;
server { listen 127.0.0.1:%(port)d; location / { empty_gif; } } }
"""


def add_audiences(port: int, made: dict[str, Any], rules: list[dict[str, Any]]) -> None:
    for number, rule in enumerate(rules):
        body = {"name": f"Audience {number}", "audience_type": "VISITOR", "rule": rule}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v5/ad_accounts/{made['ad_account_id']}/audiences",
            json.dumps(body).encode(),
            {"authorization": f"Bearer {made['api_key']}", "content-type": "application/json"},
        )  # fmt: skip
        try:
            urllib.request.urlopen(request).close()
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{rule}: {error.read().decode()}") from None


def rows(path: str) -> int:
    cn = sqlite3.connect(path)
    count = cn.execute("SELECT (SELECT count(*) FROM log) + (SELECT count(*) FROM bot_log)").fetchone()[0]
    cn.close()
    return int(count)


def show(name: str, found: dict[str, float], ceiling: float, more: str = "") -> None:
    rate, latency = found["rate"], f"p50 {found['p50']:.2f} ms  p99 {found['p99']:.2f} ms"
    cost = f"{found['cost']:.1f} µs of processor each"
    bad = f"  {found['bad']:.0f} not 2xx" if found["bad"] else ""
    print(
        f"{name:6} {rate:>9,.0f} requests/s  {rate / ceiling:5.2f} of raw  {cost}  {latency}{bad}  {more}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--warm-up", type=int, default=6, help="seconds of load before those that count")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--only", default=",".join(MODES))
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--path", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve, given.port, given.path)
        return
    with tempfile.TemporaryDirectory(prefix="retag-bench-") as folder:
        measure(Path(folder), given)


def measure(folder: Path, given: argparse.Namespace) -> None:
    wanted = given.only.split(",")
    ceiling = 1.0
    for name in [one for one in MODES if one in wanted]:
        port = free_port()
        own = folder / name
        own.mkdir()
        path, script = prepare(own, name)
        command = [sys.executable, __file__, "--serve", name, "--port", str(port), "--path", path]
        more = ""
        if name == "nginx":
            if not shutil.which("nginx"):
                print("nginx  is not installed")
                continue
            (own / "nginx.conf").write_text(NGINX % {"folder": own, "port": port})
            command, script = [str(shutil.which("nginx")), "-c", str(own / "nginx.conf")], None
        before = rows(path)
        with Running(command, port, "/healthz") as running:
            behind = Behind(path)
            rules = audiences(name)
            if rules:
                add_audiences(port, json.loads((own / "made.json").read_text()), rules)
                behind.start()
            where = "/" if name == "nginx" else "/v3/"
            warm = load(port, script, given.warm_up, given.connections, where) if given.warm_up else {}
            spent = running.spent()
            found = load(port, script, given.seconds, given.connections, where)
            found["cost"] = (running.spent() - spent) / found["requests"] * 1e6
            behind.done = True
            if rules:
                behind.join()
                more = f"fold at most {behind.worst:.2f} s behind"
        if name == "raw":
            ceiling = found["rate"]
        if name not in ("raw", "nginx"):
            kept, answers = rows(path) - before, found["requests"] + warm.get("requests", 0)
            bad = found["bad"] + warm.get("bad", 0)
            more += f"  rows {kept:,} for {answers:,.0f} answers"
            assert kept >= answers - bad, "an answered event is missing"
        show(name, found, ceiling, more)


if __name__ == "__main__":
    main()
