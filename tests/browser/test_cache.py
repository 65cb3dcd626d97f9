"""Pages that the browser itself puts away and brings out: the back/forward cache and prerendering, real ones.

Prerendering is off wherever a debugger is attached, so that test's browser is driven by its page alone.
"""

import http.server
import shutil
import sqlite3
import subprocess
import threading
import time
from contextlib import closing, contextmanager

import pytest
from conftest import AGENT, ARGS, PERSON, SECONDS, STUB
from playwright.sync_api import sync_playwright

from server import serving


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("cache"), rate_limits="off") as found:
        yield found


def addresses(server, page):
    """The page views of a page that count, by their address."""
    sql = "SELECT url FROM log WHERE standing = 0 AND name = 'init' AND url LIKE ? ORDER BY seq"
    with closing(sqlite3.connect(f"file:{server.folder / 'retag.db'}?mode=ro", uri=True)) as cn:
        return [row[0] for row in cn.execute(sql, (f"%{page}%",))]


def wait(true):
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_return_from_the_back_forward_cache_is_a_view(server):
    """The very page, with its variables, comes back and is counted again, as the same visitor."""
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=[*ARGS, f"--user-agent={AGENT}"],
            ignore_default_args=["--disable-back-forward-cache"],
        )
        context = browser.new_context(user_agent=AGENT)
        context.add_init_script(PERSON)
        context.add_init_script(
            "addEventListener('pageshow', (event) => (window.persisted = event.persisted))"
        )
        page = context.new_page()
        page.goto(f"{server.url}/shop/thanks.html")
        wait(lambda: len(addresses(server, "thanks")) == 1)
        page.evaluate("window.mark = 1")
        page.goto(f"{server.url}/shop/cart.html")
        wait(lambda: len(addresses(server, "cart")) == 1)
        page.go_back(wait_until="commit")
        page.wait_for_function("window.persisted")
        assert page.evaluate("mark") == 1
        wait(lambda: len(addresses(server, "thanks")) == 2)
        with closing(sqlite3.connect(server.folder / "retag.db")) as cn:
            assert cn.execute("SELECT count(DISTINCT visitor) FROM log").fetchone() == (1,)
        browser.close()


class Stand(http.server.BaseHTTPRequestHandler):
    """A shop whose first page lets the browser prerender the next, and goes there when it is told."""

    heard: list[str]
    pages: dict[str, str]
    go: threading.Event

    def do_GET(self):
        self.heard.append(self.path)
        path = self.path.partition("?")[0]
        body = "yes" if path == "/go" and self.go.wait(SECONDS) else self.pages.get(path, "")
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        """The server is not talkative."""


START = """<!doctype html><script type=speculationrules>
{"prerender": [{"urls": ["/next"], "eagerness": "immediate"}]}</script>
<script>fetch('/go').then(() => (location.href = '/next'))</script>"""
NEXT = """<!doctype html><script>fetch('/seen?' + document.prerendering);
STUBpintrk('load', 'TAG'); pintrk('page'); pintrk('track', 'lead');</script>
<script async src="SERVER/tag.js" onload="fetch('/loaded')"></script>"""


@contextmanager
def standing(server):
    """The stand on a port of its own; `(url, handler class)`."""
    page = NEXT.replace("STUB", STUB).replace("TAG", str(server.tag)).replace("SERVER", server.url)
    pages = {"/start": START, "/next": page}
    stand = type("Here", (Stand,), {"heard": [], "pages": pages, "go": threading.Event()})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), stand) as here:
        thread = threading.Thread(target=here.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{here.server_port}", stand
        finally:
            stand.go.set()
            here.shutdown()
            thread.join()


def test_a_prerendered_page_counts_when_it_is_seen(server, tmp_path):
    """Its script has run and its calls were made: nothing is sent before the visitor goes there."""
    with standing(server) as (url, stand):
        command = [shutil.which("chromium"), "--headless", *ARGS, f"--user-agent={AGENT}"]
        process = subprocess.Popen(
            [*command, f"--user-data-dir={tmp_path / 'profile'}", url + "/start"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait(lambda: "/loaded" in stand.heard)
            assert "/seen?true" in stand.heard
            time.sleep(0.5)
            assert addresses(server, "/next") == []
            stand.go.set()
            wait(lambda: len(addresses(server, "/next")) == 1)
            assert stand.heard.count("/next") == 1
        finally:
            process.terminate()
            process.wait(20)
