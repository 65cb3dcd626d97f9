"""Debian's Firefox, driven by WebDriver BiDi over one socket: as little of it as the tests need.

Playwright's own Firefox is a patched one that Debian does not have, and Debian's has no other driver.
https://w3c.github.io/webdriver-bidi/
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

SECONDS = 60
PREFERENCES: dict[str, Any] = {
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "remote.active-protocols": 1,
    "toolkit.telemetry.enabled": False,
    "network.proxy.type": 0,
}
PERSON = (
    "() => Object.defineProperty(Navigator.prototype, 'webdriver', {get: () => false, configurable: true})"
)
"""A driven browser says so, and would be counted as the bot it is."""


def path() -> str | None:
    """Where Firefox is, None where there is none."""
    return shutil.which("firefox-esr") or shutil.which("firefox")


class Firefox:
    """A session. `call` sends one command and waits for its result."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.numbers = itertools.count(1)
        self.call("session.new", capabilities={})
        self.call("script.addPreloadScript", functionDeclaration=PERSON)

    def call(self, method: str, **params: Any) -> Any:
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while (message := json.loads(self.socket.recv(SECONDS))).get("id") != number:
            pass
        assert message["type"] == "success", message
        return message["result"]

    def tab(self) -> Tab:
        return Tab(self, self.call("browsingContext.create", type="tab")["context"])


class Tab:
    """A tab of the browser."""

    def __init__(self, firefox: Firefox, context: str) -> None:
        self.firefox, self.context = firefox, context

    def goto(self, url: str, wait: str = "complete") -> None:
        self.firefox.call("browsingContext.navigate", context=self.context, url=url, wait=wait)

    def back(self) -> None:
        self.firefox.call("browsingContext.traverseHistory", context=self.context, delta=-1)

    def show(self) -> None:
        self.firefox.call("browsingContext.activate", context=self.context)

    def close(self) -> None:
        self.firefox.call("browsingContext.close", context=self.context)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression, awaited, by way of JSON."""
        found = self.firefox.call(
            "script.evaluate",
            expression=f"Promise.resolve({expression}).then((value) => JSON.stringify(value ?? null))",
            target={"context": self.context},
            awaitPromise=True,
        )
        assert found["type"] == "success", found
        return json.loads(found["result"]["value"])

    def until(self, expression: str) -> None:
        """Until an expression holds."""
        deadline = time.monotonic() + SECONDS
        while not self.evaluate(expression):
            assert time.monotonic() < deadline, expression
            time.sleep(0.05)


@contextlib.contextmanager
def running(folder: Path, **preferences: Any) -> Iterator[Firefox]:
    """A Firefox of its own, with a new profile in `folder`; dots in preferences are written `__`."""
    wanted = PREFERENCES | {name.replace("__", "."): value for name, value in preferences.items()}
    profile = folder / "profile"
    profile.mkdir()
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in wanted.items()]
    (profile / "user.js").write_text("\n".join(lines))
    command = [
        str(path()),
        "--headless",
        "--no-remote",
        "--profile",
        str(profile),
        "--remote-debugging-port=0",
    ]
    log = folder / "firefox.log"
    environ = os.environ | {"HOME": str(folder), "MOZ_CRASHREPORTER_DISABLE": "1"}
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=environ, stdout=out, stderr=out)
    try:
        with connect(address(log, process) + "/session", max_size=None) as socket:
            yield Firefox(socket)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def address(log: Path, process: subprocess.Popen[bytes]) -> str:
    """Where it listens, once it says so."""
    deadline = time.monotonic() + SECONDS
    while (
        found := re.search(r"WebDriver BiDi listening on (ws://\S+)", log.read_text("utf-8", "replace"))
    ) is None:
        assert process.poll() is None, log.read_text("utf-8", "replace")
        assert time.monotonic() < deadline, log.read_text("utf-8", "replace")
        time.sleep(0.05)
    return found[1]
