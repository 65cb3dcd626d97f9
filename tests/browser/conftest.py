"""Debian's Chromium, a real server, and a stage: pages on the server's host that a test writes."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
import urllib.request
import zlib
from contextlib import closing

import pytest
from playwright.sync_api import sync_playwright

from server import serving

ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SECONDS = 30  # A loaded machine is slow; what never comes has not come by then.
# HeadlessChrome in the user agent would be counted as the bot it is. The browser itself is told, not only the
# context: a beacon that outlives its page takes the browser's own user agent.
AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/145.0.0.0 Safari/537.36"
)
PERSON = "Object.defineProperty(Navigator.prototype, 'webdriver', {get: () => false, configurable: true})"
STUB = (
    "window.pintrk=function(){window.pintrk.queue.push(Array.prototype.slice.call(arguments))};"
    "pintrk.queue=[];pintrk.version='3.0';"
)
SCRIPT = '<script async src="/tag.js"></script>'


class Stage:
    """One test's pages and what the server has committed of them."""

    def __init__(self, server, context, name):
        self.server, self.context, self.name = server, context, name
        self.sent = []
        self.errors = []
        self.waiting = set()
        context.on("request", self.hear)
        for end in ("requestfinished", "requestfailed"):
            context.on(end, lambda one: self.waiting.discard(one))  # noqa: PLW0108 (no builtins there)

    def hear(self, request):
        if "/v3/" in request.url:
            self.sent.append(request.url)
            self.waiting.add(request)

    @property
    def tag(self):
        return str(self.server.tag)

    def show(
        self, body="", *, calls="pintrk('load', TAG);", script=SCRIPT, headers=None, query="", page=None
    ):
        """Open a page: a stub with `calls` (TAG is the tag's id), our script, then `body`."""
        inline = f"<script>{STUB}{calls.replace('TAG', repr(self.tag))}</script>" if calls is not None else ""
        html = f"<!doctype html><title>Stage</title><link rel=icon href=data:,>{inline}{script}<body>{body}"
        url = f"{self.server.url}/stage/{self.name}"
        one = page or self.context.new_page()
        one.on("pageerror", lambda error: self.errors.append(str(error)))
        one.route(
            "**/stage/**", lambda route: route.fulfill(body=html, content_type="text/html", headers=headers)
        )
        one.goto(url + query)
        return one

    def rows(self, columns="name, hex(visitor), data, url, people, context"):
        """What counts: a page that leaves may send again what it has not heard of."""
        path = self.server.folder / "retag.db"
        sql = f"SELECT {columns} FROM log WHERE standing = 0 AND url LIKE ? ORDER BY seq"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as cn:
            return cn.execute(sql, (f"%/stage/{self.name}%",)).fetchall()

    def names(self):
        return [row[0] for row in self.rows("name")]

    def until(self, *names):
        """The rows, once exactly these events have been committed and the pages have been answered."""
        self.wait(lambda: sorted(self.names()) == sorted(names) and not self.waiting)
        return self.rows()

    def wait(self, true):
        """Until the condition holds."""
        deadline = time.monotonic() + SECONDS
        while not true():
            assert time.monotonic() < deadline, (self.names(), self.waiting, self.errors)
            self.settle(50)

    def cookies(self):
        return {one["name"] for one in self.context.cookies()}

    def settle(self, milliseconds=300):
        """Let the browser's own messages through."""
        if self.context.pages:
            self.context.pages[-1].wait_for_timeout(milliseconds)
        else:
            time.sleep(milliseconds / 1000)

    def overload(self, headers):
        """Answer the first beacon with 503 and what `headers(now)` says; returns when each one came."""
        asked = []

        def busy(route):
            asked.append(time.time())
            if len(asked) > 1:
                route.continue_()
            else:
                route.fulfill(status=503, headers=headers(asked[0]))

        self.context.route("**/v3/", busy)
        return asked

    def patch(self, **config):
        """Change the tag, as its owner would."""
        path = f"/v5/ad_accounts/{self.server.account}/conversion_tags/{self.tag}"
        call(self.server, "PATCH", path, config)


def call(server, method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {server.key}", "content-type": "application/json"}
    request = urllib.request.Request(server.url + path, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        return json.loads(answer.read())


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("stage"), rate_limits="off") as found:
        yield found


@pytest.fixture(scope="module")
def chromium():
    """One browser for a module: Playwright's event loop must not run on into asynchronous tests."""
    with sync_playwright() as play:
        # Debian's, else Playwright's own; without either this fails.
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=[*ARGS, f"--user-agent={AGENT}"]
        )
        yield browser
        browser.close()


@pytest.fixture
def stage(shared_server, chromium, request):
    context = chromium.new_context(user_agent=AGENT)
    context.add_init_script(PERSON)
    name = f"{request.function.__name__}-{zlib.crc32(request.node.name.encode()):08x}"
    found = Stage(shared_server, context, name)
    yield found
    context.close()
    found.patch(consent="opt-out", domains=[], script={})
    assert not found.errors
