"""Export of a large audience over HTTP, and its size: members a second, and what memory the server takes.

.venv/bin/python benchmarks/export.py [MEMBERS]
"""

from __future__ import annotations

import http.client
import os
import pathlib
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from urllib.parse import urlsplit

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests"))

from server import Server, serving

DAY = 86_400_000


def ask(server: Server, method: str, path: str, body: bytes | None = None) -> bytes:
    at = urlsplit(server.url)
    connection = http.client.HTTPConnection(at.hostname or "", at.port)
    address = f"/v5/ad_accounts/{server.account}{path}"
    connection.request(method, address, body, {"authorization": f"Bearer {server.key}"})
    return connection.getresponse().read()


def fill(server: Server, members: int) -> None:
    """Members straight into the file: the fold has a benchmark of its own."""
    now = int(time.time() * 1000)
    with closing(sqlite3.connect(server.folder / "retag.db", isolation_level=None, timeout=30)) as cn:
        build = cn.execute("SELECT max(id) FROM build").fetchone()[0]
        rows = (
            (
                build,
                n.to_bytes(6, "big") + os.urandom(10),
                now - n % DAY - 1,
                now + 30 * DAY,
                now - n % DAY - 1,
            )
            for n in range(members)
        )
        cn.execute("BEGIN IMMEDIATE")
        cn.executemany("INSERT INTO member VALUES (?, ?, ?, ?, ?)", rows)
        cn.execute("COMMIT")


def memory(server: Server) -> int:
    """Resident MB."""
    pages = pathlib.Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGESIZE") >> 20


def stream(server: Server, name: str, members: int) -> None:
    at = urlsplit(server.url)
    connection = http.client.HTTPConnection(at.hostname or "", at.port)
    path = f"/v5/ad_accounts/{server.account}/audiences/2542000000001/export?format={name}"
    started, before, lines = time.perf_counter(), memory(server), 0
    connection.request("GET", path, headers={"authorization": f"Bearer {server.key}"})
    answer, most = connection.getresponse(), before
    while part := answer.read(1 << 20):
        lines += part.count(b"\n")
        most = max(most, memory(server))
    spent = time.perf_counter() - started
    assert lines == members + 1, lines
    print(f"{name:7} {members / spent:>10,.0f} members/s   memory {before} MB before, {most} MB at most")


def main() -> None:
    members = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder, serving(pathlib.Path(folder)) as server:
        rule = b'{"name": "All", "audience_type": "VISITOR", "rule": {"event": "checkout"}}'
        ask(server, "POST", "/audiences", rule)
        fill(server, members)
        for name in ("csv", "ndjson", "csv"):
            stream(server, name, members)
        started = time.perf_counter()
        found = ask(server, "GET", "/audiences/2542000000001")
        spent = (time.perf_counter() - started) * 1000
        assert f'"size":{members}'.encode() in found, found
        print(f"size    {spent:>10,.0f} ms for {members:,} members, over HTTP")


main()
