"""The console in a real browser: a newcomer sees what to do, and every event with what became of it."""

import json
import urllib.request

import pytest
from conftest import AGENT, PERSON, SECONDS

from server import serving


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("console")) as found:
        yield found


@pytest.fixture
def page(chromium, server):
    context = chromium.new_context(user_agent=AGENT)
    context.add_init_script(PERSON)
    errors = []
    one = context.new_page()
    one.on("pageerror", lambda error: errors.append(error))  # noqa: PLW0108 (Playwright cannot wrap a builtin)
    one.set_default_timeout(SECONDS * 1000)
    one.goto(f"{server.url}/console")
    yield one
    context.close()
    assert not errors


def opened(page, key):
    page.fill("#key", key)
    page.click("text=Open")


def test_a_wrong_key_is_told_with_its_remedy(server, page):
    """And it can be corrected without a reload; it never stood in an address."""
    opened(page, "nonsense")
    page.wait_for_selector("text=retag keys list")
    assert page.is_hidden("#main")
    opened(page, server.key)
    page.wait_for_selector("#main")
    assert page.inner_text("#word") == ""
    assert page.url == f"{server.url}/console"


def test_a_newcomer_is_told_what_comes_next_and_sees_it_happen(server, page):
    """Nothing yet: the shop and a command; then a click's arrival and outcome, and the audience it fills."""
    opened(page, server.key)
    page.wait_for_selector("#nothing")
    command = page.inner_text("#make")
    assert f"{server.url}/v5/ad_accounts/{server.account}/audiences" in command
    body = command.partition("-d '")[2].removesuffix("'")
    request = urllib.request.Request(
        f"{server.url}/v5/ad_accounts/{server.account}/audiences",
        body.encode(),
        {"authorization": f"Bearer {server.key}"},
    )
    made = json.loads(urllib.request.urlopen(request, timeout=SECONDS).read())
    shop = page.context.new_page()
    shop.goto(f"{server.url}/shop/product.html?id=7")
    row = page.locator("#arrivals tbody tr", has_text="pagevisit")
    row.wait_for()
    assert row.locator(".outcome").inner_text().replace("\u00a0", " ").startswith("accepted ")
    audience = page.locator("#audiences tbody tr", has_text=made["id"])
    audience.wait_for()
    page.wait_for_function(
        "document.querySelector('#audiences .number:last-child') && "
        "document.querySelector('#audiences tbody .number').textContent === '1'"
    )
    assert page.is_hidden("#nobody")
    assert page.is_hidden("#nothing")


def test_what_a_stranger_sent_is_text(server, page):
    """Markup in an address runs nowhere."""
    body = {
        "tid": str(server.tag),
        "event": "lead",
        "ad": {"loc": "https://shop.example/<img onerror=alert(1)>"},
    }
    request = urllib.request.Request(
        f"{server.url}/v3/", json.dumps(body).encode(), {"content-type": "text/plain", "user-agent": AGENT}
    )
    urllib.request.urlopen(request, timeout=SECONDS).close()
    opened(page, server.key)
    page.locator("#arrivals tbody tr", has_text="lead").wait_for()
    assert page.locator("#arrivals img").count() == 0


def test_a_key_that_no_header_can_carry_is_a_wrong_key(server, page):
    """Not a server that is down, which would be asked again every second."""
    opened(page, "rtk_live_\u2026")
    page.wait_for_selector("text=No such key is in use")


def test_long_names_leave_the_outcome_in_sight(server, page):
    """A hundred letters break within their column."""
    body = {"tid": str(server.tag), "event": "e" * 100, "ad": {"loc": "https://shop.example/" + "p" * 400}}
    request = urllib.request.Request(
        f"{server.url}/v3/", json.dumps(body).encode(), {"content-type": "text/plain", "user-agent": AGENT}
    )
    urllib.request.urlopen(request, timeout=SECONDS).close()
    opened(page, server.key)
    row = page.locator("#arrivals tbody tr", has_text="eeee")
    row.wait_for()
    box = row.locator(".outcome").bounding_box()
    assert box["x"] + box["width"] < page.viewport_size["width"]
