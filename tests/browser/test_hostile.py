"""Whatever a page does to itself, it is counted, and it is not hurt."""

import json

import pytest
from conftest import PERSON

VIEW = "pintrk('load', TAG); pintrk('page');"
SYNC = '<script src="/tag.js"></script>'
NO_API = "delete window.navigation;"


@pytest.mark.parametrize(
    "hostile",
    [
        "Array.prototype.toJSON = function () { return JSON.stringify([...this]) }",
        "Math.random = () => { throw 1 }",
        "window.fetch = undefined",
        "navigator.sendBeacon = undefined",
        "Object.freeze(history); Object.freeze(document); Object.freeze(navigator)",
        "Element.prototype.closest = Element.prototype.matches = () => { throw 1 }",
        "Object.prototype.surprise = 1; Array.prototype.extra = () => 1",
        "console.log = console.warn = () => { throw 1 }",
        "Array.from = Object.fromEntries = () => { throw 1 }",
        "Object.freeze(Array.prototype); Object.freeze(Object.prototype); Object.freeze(Element.prototype)",
        "window.requestIdleCallback = window.queueMicrotask = undefined; delete window.navigation",
        "Object.defineProperty(document, 'cookie', {get: () => null, set() {}})",
        "window.screen = null",
        "Object.defineProperty(Navigator.prototype, 'userAgentData', {get: () => ({})})",
        "Object.defineProperty(document, 'referrer', {get: () => null})",
    ],
)
def test_hostile_pages_are_counted_and_not_hurt(stage, hostile):
    """Prototypes are tampered with, globals frozen or missing; polyfills answer otherwise than browsers."""
    stage.context.add_init_script(hostile)
    page = stage.show(calls=VIEW)
    stage.until("init")
    page.evaluate("pintrk('track', 'lead', {line_items: [{product_id: '7'}]})")
    stage.until("init", "lead")


@pytest.mark.parametrize(
    "markup", ["<form name=cookie></form><form name=referrer></form>", "<img name=hidden>"]
)
def test_elements_whose_names_hide_the_documents_own_are_no_harm(stage, markup):
    """https://html.spec.whatwg.org/multipage/dom.html#dom-tree-accessors"""
    stage.show(f"{markup}{SYNC}", calls=VIEW, script="")
    stage.until("init")


def test_an_image_cannot_pass_for_our_script(stage):
    """Who may write markup alone could else name the host that takes events and gives debug code."""
    asked = []
    page = stage.context.new_page()
    page.route("https://evil.example/**", lambda route: (asked.append(route.request.url), route.abort()))
    image = "<img name=currentScript data-debug src='https://evil.example/tag.js'>"
    stage.show(f"{image}{SYNC}", calls=VIEW, script="", query="?retag_debug=1", page=page)
    stage.until("init")
    assert set(asked) == {"https://evil.example/tag.js"}


@pytest.mark.parametrize(
    ("hostile", "inline"),
    [
        ("", "const navigation = document.documentElement;"),
        (NO_API + "window.navigation = {};", ""),
        (NO_API, "document.write('<nav id=navigation></nav>');"),
        ("const later = setTimeout; window.setTimeout = (run, ms) => later(run, ms);", ""),
    ],
)
def test_navigation_is_heard_whatever_the_page_has_in_its_place(stage, hostile, inline):
    """A constant or an element of that name, timers that forget arguments."""
    stage.context.add_init_script(hostile or PERSON)
    page = stage.show(f"<script>{inline}</script>{SYNC}", calls=VIEW, script="")
    stage.until("init")
    page.evaluate("history.pushState({}, '', '?p=2')")
    stage.until("init", "init")


def test_partner_data_that_is_no_json_stops_no_event(stage):
    """A loop or a BigInt, in what every later event carries: it is left out, and the rest goes."""
    posted = []
    stage.context.on("request", lambda one: one.post_data and posted.append(one.post_data))
    calls = "pintrk('load', TAG, {node: window, big: 10n, run: () => 1, np: 'gtm'}); pintrk('page');"
    page = stage.show(calls=calls)
    stage.until("init")
    page.evaluate(
        "const loop = {}; loop.loop = loop; pintrk('set', {loop, st: 'x'}); pintrk('track', 'lead')"
    )
    stage.until("init", "lead")
    kept = [json.loads(one)[0]["pd"] for one in posted]
    assert [{"np", "st", "node", "big", "run", "loop"} & one.keys() for one in kept] == [{"np"}, {"np", "st"}]


def test_what_others_keep_under_our_keys_stops_nothing(stage):
    """Older tags, or anybody: what is no queue is passed over, and what the server refuses goes alone."""
    queues = ("[]", "[null]", "[{}]", '"abc"', "[5]", '[{"tid":"7"}]', '[{"tid":"7","pd":null}]')
    garbage = ["x", "null", "[]", "[0]", '{"lease":0,"mine":[{"tid":"7"}]}', '["a",[{"tid":"7","pd":5}]]']
    garbage += [f"[{lease},{queue}]" for queue in queues for lease in ("0", "9e15")]
    page = stage.show(calls=None, script="")
    page.evaluate("all => all.forEach((one, i) => (localStorage['_retag:' + i] = one))", garbage)
    page = stage.show(calls=VIEW)
    page.wait_for_function("!localStorage['_retag:18']")
    page.evaluate("pintrk('track', 'lead')")
    stage.wait(lambda: stage.names() == ["init", "lead"])


@pytest.mark.parametrize("query", ["?{}", "?q={}@", "#/{}@"])
def test_an_address_without_end_costs_a_page_no_time(stage, query):
    """A megabyte, in which a careless pattern would look at each letter a million times."""
    stage.patch(script={"hash": True})
    page = stage.show(calls="", script="")
    page.evaluate("text => history.replaceState({}, '', text)", query.format("a" * 1_000_000))
    page.evaluate(
        "tag => { pintrk('load', tag); pintrk('page'); const one = document.createElement('script');"
        "one.src = '/tag.js'; document.head.append(one) }",
        stage.tag,
    )
    stage.until("init")


def test_a_link_cannot_fill_the_cookies_of_a_shop(stage):
    """Servers refuse requests whose cookies are longer than some kilobytes: each later page of the shop."""
    names = ("epik", "gclid", "fbclid", "ttclid", "msclkid")
    page = stage.show(calls=VIEW, query="?" + "&".join(f"{name}={'A' * 3900}" for name in names))
    stage.wait(lambda: "init" in stage.names() and not stage.waiting)
    assert len(page.evaluate("document.cookie")) < 3000


def test_hundreds_of_events_in_one_task_are_all_sent(stage):
    """In batches, one after the other."""
    page = stage.show(calls=VIEW)
    stage.until("init")
    page.evaluate("for (let i = 0; i < 300; i++) pintrk('track', 'lead', {i})")
    stage.until("init", *["lead"] * 300)


def test_the_pages_own_storage_is_not_used_up(stage):
    """An event of megabytes, and a server that does not answer: the page can still write its own."""
    page = stage.show(calls=VIEW)
    stage.until("init")
    page.route("**/v3/", lambda route: None)
    page.evaluate("pintrk('track', 'lead', {text: 'x'.repeat(3e6)}); pintrk('track', 'search')")
    page.wait_for_timeout(500)
    page.evaluate("localStorage.own = 'x'.repeat(3e6)")
    stage.waiting.clear()


def test_a_page_that_takes_pintrk_away_sees_no_error(stage):
    """Clicks and submits go on as they were."""
    stage.patch(script={"modules": ["forms", "engagement"]})
    page = stage.show(
        "<a id=out href='https://elsewhere.example/' onclick='return false'>Out</a>", calls=VIEW
    )
    stage.until("init")
    page.evaluate("window.pintrk = document.body; document.getElementById('out').click()")
    page.evaluate("dispatchEvent(new Event('pagehide'))")
    stage.settle()
    assert stage.names() == ["init"]
