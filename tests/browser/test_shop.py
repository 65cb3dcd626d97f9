"""A person clicks through the demo shop in a real browser; it is in the log, and in an audience."""

import json
import sqlite3
import time
import urllib.request
from contextlib import closing

import pytest
from conftest import AGENT, PERSON, SECONDS

from server import serving


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("shop")) as found:
        yield found


@pytest.fixture
def page(chromium):
    context = chromium.new_context(user_agent=AGENT)
    context.add_init_script(PERSON)
    errors = []
    one = context.new_page()
    one.on("pageerror", lambda error: errors.append(error))  # noqa: PLW0108 (Playwright cannot wrap a builtin)
    yield one
    context.close()
    assert not errors


SETTLED = "standing = 0 AND seq <= (SELECT value FROM progress WHERE name = 'folded')"
"""A page that is left sends what has no answer, and so does the next one: the fold counts it once."""


def rows(server, sql):
    with closing(sqlite3.connect(f"file:{server.folder / 'retag.db'}?mode=ro", uri=True)) as cn:
        return cn.execute(sql).fetchall()


def until(server, sql, wanted):
    """The rows, once `wanted(rows)`."""
    deadline = time.monotonic() + SECONDS
    while not wanted(found := rows(server, sql)):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def until_known(page):
    """Until the first answer has brought the cookie."""
    deadline = time.monotonic() + SECONDS
    while "retag" not in {one["name"] for one in page.context.cookies()}:
        assert time.monotonic() < deadline
        page.wait_for_timeout(20)


def api(server, path, body=None):
    url = f"{server.url}/v5/ad_accounts/{server.account}{path}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"authorization": f"Bearer {server.key}"})
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        return answer.read()


def test_from_a_click_to_an_export(server, page):
    """The whole river: view, zoom, save, cart, order; one visitor, one cookie, one member."""
    made = json.loads(
        api(
            server,
            "/audiences",
            {"name": "Buyers", "audience_type": "VISITOR", "rule": {"event": "checkout"}},
        )
    )
    page.goto(f"{server.url}/shop/product.html?id=7")
    until_known(page)
    for name in ("photo", "save", "like", "add"):
        page.click(f"#{name}")
    page.click("text=cart")
    page.fill("#email", "Ann@mail.example")
    page.click("#buy")
    page.wait_for_url("**/thanks.html")
    wanted = {"init", "pagevisit", "closeup", "save", "like", "addtocart", "checkout"}
    sql = f"SELECT name, hex(visitor), data, url, people FROM log WHERE {SETTLED}"
    found = until(server, sql, lambda all_: {row[0] for row in all_} >= wanted and len(all_) == 9)
    assert len({row[1] for row in found}) == 1
    assert [row[0] for row in found].count("checkout") == 1
    order = next(row for row in found if row[0] == "checkout")
    assert json.loads(order[2])["value"] == 199.98
    assert json.loads(order[2])["line_items"][0]["product_id"] == "7"
    assert json.loads(order[4])[0][0] == 1
    assert b"ann@mail" not in (server.folder / "retag.db").read_bytes().lower()
    assert [one["name"] for one in page.context.cookies()].count("retag") == 1
    until(server, f"SELECT 1 FROM member WHERE build = {made_build(server, made)}", bool)
    *lines, trailer = api(server, f"/audiences/{made['id']}/export?format=ndjson").splitlines()
    assert json.loads(trailer)["rows"] == len(lines) == 1
    assert json.loads(lines[0])["visitor_id"].replace("-", "").upper() == order[1]


def made_build(server, made):
    return rows(server, f"SELECT build FROM audience WHERE id = {made['id']}")[0][0]


def test_reload_is_the_same_visitor_and_navigation_without_loading_is_a_page_view(server, page):
    """A cookie lasts; history.pushState to a new address sends one init, to the same address none."""
    inits = f"SELECT count(*) FROM log WHERE name = 'init' AND {SETTLED}"
    count = rows(server, inits)[0][0]
    page.goto(f"{server.url}/shop/")
    until_known(page)
    page.reload()
    until(server, inits, lambda all_: all_[0][0] == count + 2)
    newest = (
        "SELECT DISTINCT visitor FROM (SELECT visitor FROM log WHERE name = 'init' ORDER BY seq DESC LIMIT 2)"
    )
    assert len(rows(server, newest)) == 1
    page.evaluate("history.pushState({}, '', '?view=2'); history.replaceState({}, '', '?view=2')")
    page.evaluate("history.pushState({}, '', '?view=2')")
    until(server, inits, lambda all_: all_[0][0] == count + 3)
    page.wait_for_timeout(300)
    assert rows(server, inits)[0][0] == count + 3


def test_denied_consent_sends_nothing_more(server, page):
    """And the tag's own storage is emptied."""
    page.goto(f"{server.url}/shop/?epik=dj0yJnU9abcdef")
    assert "_epik" in {one["name"] for one in page.context.cookies()}
    before = until(server, "SELECT count(*) FROM log", lambda all_: all_[0][0] > 0)
    page.evaluate("pintrk('setconsent', false); pintrk('track', 'lead')")
    page.wait_for_timeout(300)
    assert rows(server, "SELECT count(*) FROM log WHERE name = 'lead'") == [(0,)]
    assert "_epik" not in {one["name"] for one in page.context.cookies()}
    assert before


def test_below_a_path_of_the_shops_own_host(server, page):
    """As deployed behind a proxy that cuts the path off: the tag is found, and the click arrives."""
    host = "http://localhost:8999/retag"

    def forward(route):
        route.fulfill(response=route.fetch(url=route.request.url.replace(host, server.url)))

    page.route("http://localhost:8999/**", forward)
    page.goto(f"{host}/shop/")
    page.click("text=Straw hat")
    page.click("text=Add to cart")
    found = f"name = 'addtocart' AND url LIKE '{host}/shop/product.html%'"
    deadline = time.monotonic() + SECONDS
    while not rows(server, f"SELECT 1 FROM log WHERE {found}"):
        assert time.monotonic() < deadline
        page.wait_for_timeout(50)
    page.click("header >> text=Console")
    assert page.url == f"{host}/console"
    page.wait_for_selector("#key")
