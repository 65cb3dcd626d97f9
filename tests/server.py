"""A server process of its own, with a fresh database: for clients that are processes too."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import msgspec

START_S = 60


class Server(msgspec.Struct):
    """Where it is, and what `retag init` gave."""

    url: str
    account: int
    tag: int
    key: str
    folder: pathlib.Path
    process: subprocess.Popen[bytes]


def retag(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "retag", *arguments]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def serving(folder: pathlib.Path, **settings: str) -> Iterator[Server]:
    """`retag init` and `retag serve` on a free port; stopped, and its exit looked at, in the end."""
    database, port = f"sqlite:///{folder / 'retag.db'}", str(free_port())
    environ = os.environ | {f"RETAG_{name.upper()}": value for name, value in settings.items()}
    made = json.loads(
        subprocess.run(
            retag("init", "--database", database, "--json"), env=environ, check=True, stdout=subprocess.PIPE
        ).stdout
    )
    command = retag("serve", "--database", database, "--host", "127.0.0.1", "--port", port)
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environ, stdout=log, stderr=log, cwd=folder)
    url = f"http://127.0.0.1:{port}"
    ids = int(made["ad_account_id"]), int(made["tag_id"])
    try:
        await_health(url, process, folder)
        yield Server(url, *ids, made["api_key"], folder, process)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def await_health(url: str, process: subprocess.Popen[bytes], folder: pathlib.Path) -> None:
    """Until /healthz answers; an early exit shows the log."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert process.poll() is None, (folder / "server.log").read_text()
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=1):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise AssertionError(f"no answer within {START_S} s: {(folder / 'server.log').read_text()}")
