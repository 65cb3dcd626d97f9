"""A reader who stalls or goes away holds no lock, pins no WAL and leaves nothing unfinished behind."""

import json
import socket
import sqlite3
import struct
import time
import urllib.request
from contextlib import closing
from urllib.parse import urlsplit

from retag.web.press import AT_ONCE
from server import serving
from serving import until

# At 60 bytes and more each, far beyond what the buffers of a kernel hold of one connection.
MEMBERS = 400_000


def filled(server):
    """An audience of many members, straight into the file."""
    url, headers = f"{server.url}/v5/ad_accounts/{server.account}/audiences", {}
    headers["authorization"] = f"Bearer {server.key}"
    body = json.dumps({"name": "All", "audience_type": "VISITOR", "rule": {"event": "checkout"}}).encode()
    with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as answer:
        audience = json.load(answer)["id"]
    now = int(time.time() * 1000)
    with closing(sqlite3.connect(server.folder / "retag.db", timeout=30)) as cn, cn:
        build = cn.execute("SELECT max(id) FROM build").fetchone()[0]
        rows = ((build, n.to_bytes(16, "big"), now - 9, now + 10**9, now - 9) for n in range(MEMBERS))
        cn.executemany("INSERT INTO member VALUES (?, ?, ?, ?, ?)", rows)
    return f"/v5/ad_accounts/{server.account}/audiences/{audience}/export"


def begun(server, path):
    """A reader with a small window who has read the beginning."""
    at, reader = urlsplit(server.url), socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.connect((at.hostname, at.port))
    reader.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {server.key}\r\n\r\n".encode())
    assert reader.recv(4096).startswith(b"HTTP/1.1 200")
    return reader


def parts(server):
    return list((server.folder / "exports").glob("*.part"))


def downloads(server):
    """The audit log: rows, and whether with a hash."""
    with closing(sqlite3.connect(server.folder / "retag.db", timeout=5)) as cn:
        return cn.execute("SELECT rows, sha256 <> '' FROM download").fetchall()


def emptied(server):
    """Whether the WAL could be written back and cut: no reader pins it."""
    with closing(sqlite3.connect(server.folder / "retag.db", timeout=5)) as cn:
        return cn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0


def test_reader_who_stalls_and_goes_away(tmp_path):
    """While it stalls the WAL can be emptied; when it has gone the file is finished all the same."""
    with serving(tmp_path) as server:
        path = filled(server)
        with begun(server, path):
            until(lambda: parts(server))
            until(lambda: emptied(server))
            assert parts(server)
            assert downloads(server) == [(0, False)]
        until(lambda: not parts(server))
        until(lambda: downloads(server) == [(MEMBERS, True)])


def test_reader_who_goes_away_at_once(tmp_path):
    """Before the first byte, at whatever moment: the file is finished, and the press has room again."""
    with serving(tmp_path) as server:
        path = filled(server)
        at = urlsplit(server.url)
        for wait in range(AT_ONCE):
            with socket.create_connection((at.hostname, at.port)) as reader:
                reader.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                key = f"authorization: Bearer {server.key}"
                reader.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\n{key}\r\n\r\n".encode())
                time.sleep(wait / 1000)
        until(lambda: len(downloads(server)) == AT_ONCE or parts(server))
        until(lambda: not parts(server), 60)
