"""The same tag in Debian's Firefox: rows of the demo shop's pages, and no rows."""

import json
import os
import sqlite3
import time
from contextlib import closing

import firefox
import pytest

from server import serving

SECONDS = 30
# A missing browser fails where all must pass, and is said where somebody develops without one.
pytestmark = pytest.mark.skipif(
    firefox.path() is None and not os.environ.get("CI"),
    reason="there is no Firefox: apt-get install firefox-esr",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("firefox"), rate_limits="off") as found:
        yield found


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with firefox.running(tmp_path_factory.mktemp("fox")) as found:
        yield found


@pytest.fixture
def tab(browser):
    found = browser.tab()
    yield found
    found.close()


def rows(server, mark):
    """What counts of the pages whose address holds this mark, oldest first."""
    sql = "SELECT name, hex(visitor), data, people FROM log WHERE standing = 0 AND url LIKE ? ORDER BY seq"
    with closing(sqlite3.connect(f"file:{server.folder / 'retag.db'}?mode=ro", uri=True)) as cn:
        return cn.execute(sql, (f"%q={mark}%",)).fetchall()


def until(server, mark, *names):
    """The rows, once exactly these events have been committed."""
    deadline = time.monotonic() + SECONDS
    while sorted(row[0] for row in rows(server, mark)) != sorted(names):
        assert time.monotonic() < deadline, rows(server, mark)
        time.sleep(0.05)
    return rows(server, mark)


def shop(server, mark, page="thanks.html"):
    return f"{server.url}/shop/{page}?q={mark}"


def test_calls_become_rows_of_one_visitor(server, tab):
    """A page view, events, a hashed address; the raw one is nowhere."""
    tab.goto(shop(server, "calls"))
    until(server, "calls", "init")
    tab.evaluate("(pintrk('set', {em: ' Ann@Mail.example '}), pintrk('track', 'Add To Cart', {value: 5}), 1)")
    found = until(server, "calls", "init", "addtocart")
    assert len({row[1] for row in found}) == 1
    assert json.loads(found[1][2])["value"] == 5
    assert json.loads(found[1][3])[0][0] == 1
    assert b"ann@mail" not in (server.folder / "retag.db").read_bytes().lower()


def test_navigation_inside_the_page_counts_each_address_once(server, tab):
    """By whichever interface this Firefox has."""
    tab.goto(shop(server, "inside"))
    until(server, "inside", "init")
    tab.evaluate(
        "(history.replaceState({}, '', '?q=inside&p=1'), history.pushState({}, '', '?q=inside&p=2'), 1)"
    )
    tab.evaluate("(history.pushState({}, '', '?q=inside&p=2'), pintrk('page'), 1)")
    until(server, "inside", "init", "init")
    time.sleep(0.3)
    assert len(rows(server, "inside")) == 2


def test_the_last_click_before_leaving_is_not_lost(server, tab):
    """An event in the same task as a navigation."""
    tab.goto(shop(server, "leaving"))
    until(server, "leaving", "init")
    tab.evaluate("(pintrk('track', 'lead'), location.href = 'about:blank', 1)")
    until(server, "leaving", "init", "lead")


def test_a_return_from_the_back_forward_cache_is_a_view(server, tab):
    """A real one: the page itself says that it persisted."""
    tab.goto(shop(server, "cache"))
    until(server, "cache", "init")
    tab.evaluate("(addEventListener('pageshow', (event) => (window.persisted = event.persisted)), 1)")
    tab.goto(server.url + "/shop/cart.html?q=between")
    until(server, "between", "init")
    tab.back()
    tab.until("window.persisted")
    until(server, "cache", "init", "init")


def test_a_declared_click_deep_inside_an_svg(server, tab):
    """Attributes around it, and a form whose fields hide its own methods."""
    tab.goto(shop(server, "declared"))
    until(server, "declared", "init")
    markup = (
        "<div data-retag-product-id=7><button data-retag=save data-retag-pin=p1><svg><path id=deep></svg>"
        "</button></div><form id=odd data-retag=comment onsubmit='return false'><input name=getAttribute>"
        "<input name=action><input name=attributes><button id=go>Go</button></form>"
    )
    tab.evaluate(f"(document.body.insertAdjacentHTML('beforeend', {json.dumps(markup)}), 1)")
    tab.evaluate(
        "(deep.dispatchEvent(new MouseEvent('click', {bubbles: true, composed: true})), go.click(), 1)"
    )
    saved = until(server, "declared", "init", "save", "comment")[1]
    assert json.loads(saved[2]) == {"pin_id": "p1", "product_id": "7"}


def test_denied_consent_sends_nothing_and_keeps_nothing(server, tab):
    """No row, no cookie of ours, no storage."""
    tab.goto(shop(server, "denied") + "&epik=dj0yJnU9abcdef")
    until(server, "denied", "init", "click")
    tab.until("document.cookie.includes('_epik')")
    tab.evaluate("(pintrk('setconsent', false), pintrk('track', 'lead'), 1)")
    time.sleep(0.5)
    assert [row[0] for row in rows(server, "denied")] == ["init", "click"]
    assert tab.evaluate("[document.cookie, Object.keys(localStorage).join()]") == ["", ""]


def test_global_privacy_control_is_a_no(server, tmp_path):
    """The browser's own switch, which sets the header too: no row, no request, no cookie."""
    with firefox.running(
        tmp_path,
        privacy__globalprivacycontrol__enabled=True,
        privacy__globalprivacycontrol__functionality__enabled=True,
    ) as private:
        tab = private.tab()
        tab.goto(shop(server, "gpc"))
        tab.until("window.pintrk.retag")
        assert tab.evaluate("navigator.globalPrivacyControl") is True
        tab.evaluate("(pintrk('setconsent', true), pintrk('track', 'lead'), 1)")
        time.sleep(0.5)
        assert (
            tab.evaluate(
                "performance.getEntriesByType('resource').filter((one) => one.name.includes('/v3/'))"
            )
            == []
        )
        assert rows(server, "gpc") == []


def test_without_any_storage_events_are_sent(server, tmp_path):
    """All cookies and storage blocked by the browser's own setting: access throws."""
    with firefox.running(tmp_path, network__cookie__cookieBehavior=2) as closed:
        tab = closed.tab()
        tab.goto(shop(server, "closed"))
        until(server, "closed", "init")
        tab.evaluate("(pintrk('track', 'lead'), 1)")
        until(server, "closed", "init", "lead")
