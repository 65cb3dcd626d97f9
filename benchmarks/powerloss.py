"""Is a 2xx on disk? A server under load is traced, and the power is cut thousands of times on paper.

    python benchmarks/powerloss.py [--states 5000] [--levels FULL,NORMAL,OFF] [--seconds 6]

strace records every write, sync, truncation and unlinking of the database's files, and every answer on a
socket, in their order. A crash state is a moment of that record: what a file's last finished sync covered is
on disk; of each later write all, nothing, or some 512-byte sectors. Each state is written to fresh files,
opened as a server opens them, checked by `PRAGMA integrity_check`, folded to the end, and compared with the
answers that had left by then: each acknowledged event must be there and count once.

The load folds, fills audiences, erases visitors and checkpoints all the while. The server's own level is
FULL; NORMAL must lose events and OFF must corrupt files, or the harness is blind. Not modelled: a disk that
lies about syncs, and the loss of directory entries. Prints one JSON object a level; exit code 1 when FULL is
not enough or a control shows nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
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
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from retag.app import serve
from retag.settings import Settings
from retag.store import engine, sqlite
from server import await_health, free_port, retag

CLIENTS = 8
SECTOR = 512
SMALL_WAL = 256 << 10
"""Checkpoints come a hundred times as often as in life, so that many states are in the middle of one."""
FILES = ("retag.db", "retag.db-wal")
CALLS = "pwrite64,write,writev,sendto,sendmsg,fdatasync,fsync,ftruncate,unlink"
CONTROLS = 50
"""The least states of a control."""
CHROME = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
)


class Step(NamedTuple):
    """`what`: write, sync, cut (a truncation), unlink, or answer (then `file` is the client's port)."""

    what: str
    file: str
    at: int = 0
    data: bytes = b""


# The server's side: a process of its own, under strace.


def serve_at(level: str, database: str, port: str) -> None:
    """The server as it is, but for how durable its commits are, and how often it checkpoints."""
    execute = sqlite3.Connection.execute

    def weaker(cn: sqlite3.Connection, sql: str, *given: Any) -> sqlite3.Cursor:
        if sql.startswith("PRAGMA synchronous"):
            sql = f"PRAGMA synchronous = {level}"
        return execute(cn, sql, *given)

    if level != "FULL":
        sqlite.Connection.execute = weaker  # type: ignore[method-assign]
    engine.WAL_DUE = SMALL_WAL
    serve(Settings.load({}, database=database, port=port, rate_limits="off"))


# The load.


class Load:
    """Browsers that post until the time is up; `sent[port]` is the ids in the order of one connection."""

    def __init__(self, port: int, tag: str, account: str, key: str) -> None:
        self.port, self.tag, self.account, self.key = port, tag, account, key
        self.sent: dict[str, list[str]] = {}

    async def run(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        await asyncio.gather(*(self.browse(n, until) for n in range(CLIENTS)), self.manage(until))

    async def browse(self, number: int, until: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        ids = self.sent.setdefault(str(writer.get_extra_info("sockname")[1]), [])
        cookie = ""
        while time.monotonic() < until:
            ids.append(f"{number}-{len(ids)}")
            cookie = await self.post(reader, writer, ids[-1], cookie if len(ids) % 7 else "")
        writer.close()

    async def post(self, reader: Any, writer: Any, id_: str, cookie: str) -> str:
        name = "pagevisit" if id_[-1] in "02468" else "addtocart"
        body = json.dumps({"tid": self.tag, "event": name, "ed": {"event_id": id_}})
        head = (
            f"POST /v3/ HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: {CHROME}\r\nContent-Type: text/plain\r\n"
        )
        head += f"Cookie: {cookie}\r\n" if cookie else ""
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        answer = (await reader.readuntil(b"\r\n\r\n")).decode()
        assert answer.startswith("HTTP/1.1 204"), answer
        given = re.search(r"(?i)set-cookie: (retag=[^;]+)", answer)
        return given[1] if given else cookie

    async def manage(self, until: float) -> None:
        """Somebody makes audiences, and people come, are known by their e-mail address, and are erased."""
        number = 0
        while time.monotonic() < until:
            number += 1
            rule = {"event": "addtocart", "none": [{"event": "checkout"}], "retention_days": number}
            await self.api("POST", "/audiences", {"name": "A", "audience_type": "VISITOR", "rule": rule})
            who = hashlib.sha256(str(number).encode()).hexdigest()
            event = {"event_name": "search", "action_source": "web", "event_time": int(time.time())}
            await self.api("POST", "/events", {"data": [event | {"user_data": {"em": [who]}}]})
            await asyncio.sleep(0.3)
            await self.api("DELETE", f"/visitors/{who}")

    async def api(self, method: str, path: str, body: Any = None) -> None:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/v5/ad_accounts/{self.account}{path}",
            json.dumps(body).encode() if body else None,
            {"authorization": f"Bearer {self.key}"},
            method=method,
        )
        (await asyncio.to_thread(urllib.request.urlopen, request, timeout=20)).close()


def record(
    folder: Path, level: str, seconds: float
) -> tuple[dict[str, bytes], list[Step], dict[str, list[str]]]:
    """The files before, what happened, and the ids that each connection sent."""
    database, port = f"sqlite:///{folder}/retag.db", free_port()
    init = retag("init", "--database", database, "--json")
    made = json.loads(subprocess.run(init, check=True, capture_output=True).stdout)
    before = {name: (folder / name).read_bytes() for name in FILES if (folder / name).exists()}
    trace = ["strace", "-f", "-yy", "-xx", "-s", "1000000", "--seccomp-bpf", "-e", f"trace={CALLS}"]
    child = [sys.executable, str(Path(__file__).resolve()), "--serve", level, database, str(port)]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen([*trace, "-o", str(folder / "trace"), *child], stdout=log, stderr=log)
    try:
        await_health(f"http://127.0.0.1:{port}", process, folder)
        load = Load(port, made["tag_id"], made["ad_account_id"], made["api_key"])
        asyncio.run(load.run(seconds))
    finally:
        traced = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for pid in traced:  # strace itself would hold a signal back
            os.kill(int(pid), signal.SIGTERM)
        process.wait(60)
    return before, list(steps(folder / "trace", port)), load.sent


# From the trace to steps.

LINE = re.compile(r"(\d+) +(.*)\n")
CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+)")
TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
FILE = re.compile(r"\d+<((?:\\x[0-9a-f]{2})*)>")
PEER = re.compile(r"\d+<TCP:\[127\.0\.0\.1:(\d+)->127\.0\.0\.1:(\d+)\]>")
KINDS = {"fdatasync": "sync", "fsync": "sync", "ftruncate": "cut", "unlink": "unlink"}


def steps(trace: Path, port: int) -> Iterator[Step]:
    """The steps in order: an answer when it begins to leave, all else when it is done."""
    begun: dict[str, str] = {}
    with trace.open() as lines:
        for line in lines:
            found = LINE.fullmatch(line)
            if not found:
                continue
            thread, text = found.groups()
            if text.endswith("<unfinished ...>"):
                begun[thread] = text.removesuffix("<unfinished ...>").rstrip()
                yield from answers(begun[thread], port)
                continue
            resumed = text.startswith("<... ")
            if resumed:
                text = begun.pop(thread, "") + text.partition("resumed>")[2]
            elif PEER.search(text[:200]):
                yield from answers(text, port)
                continue
            if found := CALL.fullmatch(text):
                yield from done(*found.groups())


def answers(text: str, port: int) -> Iterator[Step]:
    """One step for each 2xx in what goes to a client."""
    peer = PEER.search(text[:200])
    if peer and int(peer[1]) == port:
        data = b"".join(decoded(part) for part in TEXT.findall(text))
        for _ in range(data.count(b"HTTP/1.1 204")):
            yield Step("answer", peer[2])


def done(call: str, given: str, result: str) -> Iterator[Step]:
    """A finished call on one of the database's files."""
    named = (TEXT if call == "unlink" else FILE).match(given)
    name = decoded(named[1]).decode().rpartition("/")[2] if named else ""
    if name not in FILES or int(result) < 0:
        return
    if call == "pwrite64":
        text = TEXT.search(given)
        yield Step(
            "write", name, int(given.rpartition(", ")[2]), decoded(text[1] if text else "")[: int(result)]
        )
    elif call in KINDS:
        yield Step(KINDS[call], name, int(given.rpartition(", ")[2]) if call == "ftruncate" else 0)
    else:
        raise SystemExit(f"{call} on {name}: this harness does not know what it does")


def decoded(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


# Crash states.


class Disk:
    """What is surely on disk, and what may be, by file."""

    def __init__(self, before: dict[str, bytes]) -> None:
        self.sure = {name: bytearray(before.get(name, b"")) for name in FILES}
        self.maybe: dict[str, list[Step]] = {name: [] for name in FILES}

    def take(self, step: Step) -> None:
        """The next step of the record."""
        if step.what == "sync":
            for each in self.maybe[step.file]:
                apply(self.sure[step.file], each)
            self.maybe[step.file].clear()
        elif step.what != "answer":
            self.maybe[step.file].append(step)

    def crash(self, chance: random.Random) -> dict[str, bytearray]:
        """Contents that may be left: in some states nearly all is there, in some nearly nothing."""
        found = {}
        for name in FILES:
            keep = chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))
            content = bytearray(self.sure[name])
            for step in self.maybe[name]:
                if step.what == "write" and chance.random() < 0.1:
                    for each in sectors(step):
                        if chance.random() < 0.5:
                            apply(content, each)
                elif chance.random() < keep:
                    apply(content, step)
            found[name] = content
        return found


def sectors(step: Step) -> Iterator[Step]:
    for start in range(0, len(step.data), SECTOR):
        yield Step("write", step.file, step.at + start, step.data[start : start + SECTOR])


def apply(content: bytearray, step: Step) -> None:
    if step.what == "write":
        if len(content) < step.at:
            content.extend(bytes(step.at - len(content)))
        content[step.at : step.at + len(step.data)] = step.data
    elif step.what == "cut" and step.at > len(content):
        content.extend(bytes(step.at - len(content)))
    else:
        del content[step.at :]


class Verdict(msgspec.Struct):
    """What the states of one level came to."""

    level: str
    states: int = 0
    lost: int = 0
    corrupt: int = 0
    miscounted: int = 0
    acknowledged: int = 0
    steps: int = 0
    seconds: float = 0


def judge(
    level: str,
    before: dict[str, bytes],
    record: list[Step],
    sent: dict[str, list[str]],
    states: int,
    seed: int,
) -> Verdict:
    """Cut the power `states` times."""
    chance, disk, verdict = random.Random(seed), Disk(before), Verdict(level, steps=len(record))
    cuts = sorted(chance.choices(range(1, len(record) + 1), k=states))
    acked: set[str] = set()
    turn = dict.fromkeys(sent, 0)
    place = 0
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        for number, cut in enumerate(cuts):
            for step in record[place:cut]:
                disk.take(step)
                if step.what == "answer" and step.file in sent:
                    acked.add(sent[step.file][turn[step.file]])
                    turn[step.file] += 1
            place = cut
            look(Path(folder) / str(number), disk.crash(chance), acked, verdict)
    verdict.acknowledged = len(acked)
    verdict.seconds = round(time.monotonic() - started, 1)
    return verdict


def look(folder: Path, content: dict[str, bytearray], acked: set[str], verdict: Verdict) -> None:
    """Start on one state, in a folder where nothing was before."""
    verdict.states += 1
    folder.mkdir()
    try:
        for name, data in content.items():
            if data or name == "retag.db":
                (folder / name).write_bytes(data)
        counted = recovered(folder / "retag.db")
        verdict.lost += not acked <= counted.keys()
        verdict.miscounted += any(counted[id_] != 1 for id_ in acked & counted.keys())
    except (sqlite3.Error, sqlite.Unusable, Corrupt):
        verdict.corrupt += 1
    finally:
        shutil.rmtree(folder)


class Corrupt(Exception):
    """SQLite's full check found something."""


def recovered(path: Path) -> dict[str, int]:
    """Event ids with how often they count, after a start and a fold to the end."""
    store = engine.SqliteStore(path)
    store.open()
    with contextlib.closing(store):
        while store.waiting()[0]:
            store.fold(int(time.time() * 1000), 10_000)
        return store.write(counts)


def counts(cn: sqlite3.Connection) -> dict[str, int]:
    if cn.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",):
        raise Corrupt
    ids = cn.execute("SELECT event_id, sum(standing = 0) FROM log WHERE event_id <> '' GROUP BY event_id")
    return dict(ids.fetchall())


EXPECTED = {
    "FULL": lambda found: not (found.lost or found.corrupt or found.miscounted) and found.acknowledged > 0,
    "NORMAL": lambda found: not found.corrupt and found.lost > found.states / 5,
    "OFF": lambda found: found.corrupt > found.states / 3,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--states", type=int, default=5000)
    parser.add_argument("--levels", default="FULL,NORMAL,OFF")
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve_at(*args.serve)
        return
    good = True
    for level in args.levels.split(","):
        states = args.states if level == "FULL" else max(CONTROLS, args.states // 10)
        with tempfile.TemporaryDirectory() as folder:
            recorded = record(Path(folder), level, args.seconds)
        verdict = judge(level, *recorded, states, args.seed)
        print(msgspec.json.encode(verdict).decode(), flush=True)
        good &= EXPECTED[level](verdict)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
