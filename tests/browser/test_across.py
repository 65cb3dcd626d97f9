"""Pages of another site than the server's, and frames without an address of their own."""

import html
import http.server
import sqlite3
import subprocess
import threading
from contextlib import closing

import pytest
from conftest import AGENT, STUB

from retag.web import cors
from server import retag

VIEW = "pintrk('load', TAG); pintrk('page');"


class Host(http.server.BaseHTTPRequestHandler):
    """A shop's own server: one page, with headers."""

    page = ""
    headers_sent: dict[str, str]

    def do_GET(self):
        self.send_response(200)
        for header in {"content-type": "text/html; charset=utf-8", **self.headers_sent}.items():
            self.send_header(*header)
        self.end_headers()
        self.wfile.write(self.page.encode())

    def log_message(self, *_):
        """The server is not talkative."""


class Shop:
    """Pages on `localhost`, for browsers another site than the server's `127.0.0.1`."""

    def __init__(self, stage, kind, port):
        self.stage, self.kind, self.origin = stage, kind, f"http://localhost:{port}"

    def head(self):
        """The stub, a page view and the tag, as a shop writes them."""
        calls = STUB + VIEW.replace("TAG", repr(self.stage.tag))
        return f'<script>{calls}</script><script async src="{self.stage.server.url}/tag.js"></script>'

    def show(self, head, body="", **headers):
        self.kind.page = f"<!doctype html><link rel=icon href=data:,>{head}<body>{body}"
        self.kind.headers_sent = {name.replace("_", "-"): value for name, value in headers.items()}
        page = self.stage.context.new_page()
        page.goto(f"{self.origin}/stage/{self.stage.name}")
        return page


@pytest.fixture
def shop(stage):
    kind = type("Here", (Host,), {})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind) as here:
        thread = threading.Thread(target=here.serve_forever)
        thread.start()
        try:
            yield Shop(stage, kind, here.server_port)
        finally:
            here.shutdown()
            thread.join()


def addresses(stage, origin):
    """The pages of an origin that have been counted."""
    sql = "SELECT url FROM log WHERE standing = 0 AND url LIKE ? ORDER BY seq"
    with closing(sqlite3.connect(f"file:{stage.server.folder / 'retag.db'}?mode=ro", uri=True)) as cn:
        return [row[0] for row in cn.execute(sql, (f"{origin}%",))]


def printed(stage, *more):
    """What `retag snippet` prints."""
    command = retag("snippet", "--address", stage.server.url, *more)
    database = f"sqlite:///{stage.server.folder / 'retag.db'}"
    return subprocess.run(
        [*command, "--database", database], capture_output=True, text=True, check=True
    ).stdout


def test_the_printed_code_with_integrity_runs_on_another_site(stage, shop):
    """Whole, in a head, as it is pasted: its script is asked for without credentials, and checked."""
    shop.show(printed(stage, "--integrity"))
    stage.until("init")


def test_the_printed_pixel_counts_where_no_script_runs(stage):
    """Unless consent is required: then nobody can have given it."""
    context = stage.context.browser.new_context(java_script_enabled=False, user_agent=AGENT)
    code = printed(stage)
    try:
        for mode in ("opt-out", "required"):
            stage.patch(consent=mode)
            page = context.new_page()
            page.route("**/stage/**", lambda route: route.fulfill(body=code, content_type="text/html"))
            with page.expect_response("**/v3/**") as answer:
                page.goto(f"{stage.server.url}/stage/{stage.name}")
            answer.value.finished()
        assert stage.names() == ["init"]
    finally:
        context.close()


def test_an_isolated_page_hears_that_its_events_arrived(stage, shop):
    """`require-corp` hides answers that do not allow it: each event was then sent again and again."""
    page = shop.show(shop.head(), cross_origin_embedder_policy="require-corp")
    stage.until("init")
    page.wait_for_function("document.cookie.includes('_retag=1')")
    page.evaluate("pintrk('track', 'lead')")
    stage.until("init", "lead")
    stage.settle(2500)
    assert len(stage.sent) == 2


def test_an_overloaded_server_says_when_to_come_again_across_sites(stage, shop):
    """`Retry-After` is for scripts to read only where the answer exposes it."""
    stage.patch(domains=["localhost"])
    headers = {
        "access-control-allow-origin": shop.origin,
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": cors.EXPOSED.decode(),
    }
    asked = stage.overload(lambda _: {"retry-after": "4", **headers})
    shop.show(shop.head())
    stage.until("init")
    assert asked[1] - asked[0] >= 4


def test_a_frame_without_an_address_counts_on_the_page_around_it(stage, shop):
    """`srcdoc`; across sites browsers tell no more than the origin."""
    shop.show("", f'<iframe srcdoc="{html.escape(shop.head())}"></iframe>')
    stage.wait(lambda: addresses(stage, shop.origin) == [shop.origin + "/"])
