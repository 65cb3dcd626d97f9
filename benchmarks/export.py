"""Exports of a large audience over HTTP: how fast, how soon, in how much memory, and what the door notices.

    python benchmarks/export.py [--members 1000000] [--formats csv,ndjson,…] [--seconds 4] [--folder FOLDER]

For each format: members a second by the clock and by the processor that server and press took, the time to
the first byte of the body, and how much both processes grew over what they held when idle. One member in ten,
100,000 at most, has e-mail, phone, device and click id. Then wrk fills the door, without an export and during
one export after another (`--seconds 0` leaves that out; it needs wrk). Members go straight into the file: the
fold has a benchmark of its own. In `--folder` they stay for the next run; `--only-fill` makes no other.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import socket
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

sys.path.append(str(Path(__file__).parents[1] / "tests"))  # behind ours: both have a shop

import collect
from retag.formats import FORMATS
from retag.people import KINDS
from server import Server, serving

DAY = 86_400_000
TICK = os.sysconf("SC_CLK_TCK")
EVERY, MOST_SHOWN = 10, 100_000
TURNS = 10
DIGESTS = ("em", "ph", "ph_e164", "hashed_maids")


def ask(server: Server, method: str, path: str, body: bytes | None = None) -> http.client.HTTPResponse:
    at = urlsplit(server.url)
    connection = http.client.HTTPConnection(at.hostname or "", at.port)
    address = f"/v5/ad_accounts/{server.account}{path}"
    connection.request(method, address, body, {"authorization": f"Bearer {server.key}"})
    return connection.getresponse()


def fill(server: Server, members: int) -> None:
    """Members in order of id, and identifiers for some; nothing if there are so many."""
    every = max(EVERY, members // MOST_SHOWN)
    now = int(time.time() * 1000)
    with contextlib.closing(sqlite3.connect(server.folder / "retag.db", isolation_level=None)) as cn:
        cn.execute("PRAGMA busy_timeout = 60000")
        build = cn.execute("SELECT max(id) FROM build").fetchone()[0]
        if build is None:
            rule = b'{"name": "All", "audience_type": "VISITOR", "rule": {"event": "checkout"}}'
            ask(server, "POST", "/audiences", rule).read()
            build = cn.execute("SELECT max(id) FROM build").fetchone()[0]
        if cn.execute("SELECT count(*) FROM member").fetchone()[0] >= members:
            return
        for start in range(0, members, 100_000):
            ids = [n.to_bytes(6, "big") + os.urandom(10) for n in range(start, min(start + 100_000, members))]
            cn.execute("BEGIN IMMEDIATE")
            cn.executemany(
                "INSERT INTO member VALUES (?, ?, ?, ?, ?)",
                (
                    (build, one, now - n % DAY - 1, now + 30 * DAY, now - n % DAY - 1)
                    for n, one in enumerate(ids)
                ),
            )
            cn.executemany(
                "INSERT INTO identifier VALUES (?, ?, ?, ?, ?)",
                (
                    (server.account, kind, value, one, now)
                    for one in ids[::every]
                    for kind, value in [
                        *((KINDS[name], os.urandom(32)) for name in DIGESTS),
                        (KINDS["gclid"], b"EAIaIQob" + one.hex().encode()),
                    ]
                ),
            )
            cn.execute("COMMIT")


def processes(server: Server) -> list[int]:
    """The server and its press."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    named = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children}
    return [server.process.pid, *(pid for pid, name in named.items() if b"retag.press" in name)]


def memory(server: Server) -> float:
    """Resident MB of both."""
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in processes(server)]
    return sum(pages) * os.sysconf("SC_PAGESIZE") / 1e6


def spent(server: Server) -> float:
    """Seconds of processor of both."""
    stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in processes(server)]
    return sum(int(one[11]) + int(one[12]) for one in stats) / TICK


def settle(server: Server) -> None:
    """Until the server has nothing to do: it checks a large file, and counts its members."""
    before = -1.0
    while spent(server) - before > 0.05:
        before = spent(server)
        time.sleep(2)


def stream(server: Server, name: str, members: int) -> None:
    idle, used, started = memory(server), spent(server), time.perf_counter()
    answer = ask(server, "GET", f"/audiences/2542000000001/export?format={name}")
    size, first, most = len(answer.read(1)), 0.0, idle
    first = time.perf_counter() - started
    while part := answer.read(1 << 20):
        size += len(part)
        most = max(most, memory(server))
    clock, cost = time.perf_counter() - started, spent(server) - used
    about = ask(server, "GET", f"/exports/{answer.headers['retag-export-id']}").read()
    assert b'"sha256":"' in about, about
    print(
        f"{name:9} {members / clock:>9,.0f} members/s  {members / cost:>9,.0f} a second of processor"
        f"  first byte {first * 1000:4.0f} ms  {size / 1e6:5.0f} MB"
        f"  memory {idle:.0f} {most - idle:+.0f} MB",
        flush=True,
    )


@contextlib.contextmanager
def exporting(server: Server) -> Iterator[list[int]]:
    """One export after another; how many bytes came. The reader does no more than it must: it shares the
    cores, where in life it has its own."""
    done, sizes = threading.Event(), [0]
    address = f"/v5/ad_accounts/{server.account}/audiences/2542000000001/export?format=csv"
    headers = f"host: x\r\nauthorization: Bearer {server.key}\r\nconnection: close\r\n"
    at, room = urlsplit(server.url), bytearray(1 << 20)

    def work() -> None:
        while not done.is_set():
            with socket.create_connection((at.hostname, at.port)) as reader:
                reader.sendall(f"GET {address} HTTP/1.1\r\n{headers}\r\n".encode())
                while not done.is_set() and (size := reader.recv_into(room)):
                    sizes[0] += size

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield sizes
    finally:
        done.set()
        thread.join()


def beside(server: Server, script: Path, seconds: int) -> None:
    """The door without and with exports, in turns, so that a neighbour disturbs both alike."""
    port, found = urlsplit(server.url).port or 0, {False: [], True: []}  # type: ignore[var-annotated]
    for turn in range(TURNS):
        with exporting(server) if turn % 2 else contextlib.nullcontext([0]) as sizes:
            found[bool(turn % 2)].append(collect.load(port, script, seconds, 64))
        if turn % 2:
            print(f"          meanwhile {sizes[0] / 80 / seconds:,.0f} members/s exported", flush=True)
    alone, both = (statistics.median(one["rate"] for one in found[beside]) for beside in (False, True))
    late, ratio = max(one["p99"] for one in found[True]), both / alone
    print(
        f"door      {alone:,.0f} requests/s alone, {both:,.0f} with exports: {ratio:.2f}, p99 {late:.0f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--members", type=int, default=1_000_000)
    parser.add_argument("--formats", default=",".join(FORMATS))
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only-fill", action="store_true")
    given = parser.parse_args()
    with contextlib.ExitStack() as held:
        folder = given.folder or Path(held.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        _, script = collect.prepare(folder, "flood")
        server = held.enter_context(serving(folder, rate_limits="off"))
        fill(server, given.members)
        if given.only_fill:
            return
        settle(server)
        for one in given.formats.split(","):
            stream(server, one, given.members)
        if given.seconds and script:
            beside(server, script, given.seconds)


main()
