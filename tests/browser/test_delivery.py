"""No event is lost that can be saved, and nothing on a page stops or is stopped by the tag."""

import contextlib
import json
import pathlib
import subprocess
import time
from email.utils import formatdate

import pytest
from conftest import SCRIPT, STUB
from playwright.sync_api import Error

from server import retag

VIEW = "pintrk('load', TAG); pintrk('page');"
HIDDEN = """
let hidden = true;
Object.defineProperty(document, 'hidden', {get: () => hidden, configurable: true});
window.reveal = () => { hidden = false; document.dispatchEvent(new Event('visibilitychange')); };
window.conceal = () => { hidden = true; document.dispatchEvent(new Event('visibilitychange')); };
"""
SNIPPET = pathlib.Path(__file__).parents[2] / "snippet"


def test_a_server_that_was_down_gets_the_events_later(stage):
    """A failed request is made again, once."""
    page = stage.context.new_page()
    page.route("**/v3/", lambda route: route.abort())
    stage.show(calls=VIEW, page=page)
    stage.wait(lambda: stage.sent)
    page.unroute("**/v3/")
    rows = stage.until("init")
    assert len({row[1] for row in rows}) == 1


def test_an_overload_is_waited_out(stage):
    """503 is asked again, once, and not before `Retry-After` says."""
    asked = stage.overload(lambda _: {"retry-after": "3"})
    stage.show(calls=VIEW)
    stage.until("init")
    assert len(asked) == 2
    assert asked[1] - asked[0] >= 3


def test_a_retry_after_may_be_a_date(stage):
    """As gateways write it; https://www.rfc-editor.org/rfc/rfc9110#field.retry-after"""
    asked = stage.overload(lambda now: {"retry-after": formatdate(now + 6, usegmt=True)})
    stage.show(calls=VIEW)
    stage.until("init")
    assert asked[1] - asked[0] >= 5


@pytest.mark.parametrize("query", ["?cache=1/2", "?from=https://shop.example/", "#a/b"])
def test_the_scripts_own_query_does_not_move_its_beacons(stage, query):
    """Caches are busted by anything that is different."""
    stage.show(calls=VIEW, script=f'<script async src="/tag.js{query}"></script>')
    stage.until("init")


def test_a_lease_of_a_clock_that_was_years_ahead_ends(stage):
    """The clock has been set right since: what that tab left is sent."""
    page = stage.show(calls=None, script="")
    loc = f"{stage.server.url}/stage/{stage.name}"
    event = {"tid": stage.tag, "event": "lead", "ed": {}, "pd": {}, "ad": {"loc": loc}, "ts": 0}
    lease = (time.time() + 5 * 365 * 86400) * 1000
    page.evaluate("text => (localStorage['_retag:1'] = text)", json.dumps([lease, [event]]))
    stage.show(calls=VIEW)
    stage.until("init", "lead")


def test_what_is_blocked_is_tried_five_times_and_then_left_alone(stage):
    """By fetch, then as an image; again when the connection is back. The page's clock runs fast."""
    stage.context.add_init_script(
        "const now = Date.now, begun = now(), later = setTimeout;"
        "Date.now = () => begun + (now() - begun) * 20;"
        "window.setTimeout = (run, ms) => later(run, ms / 20 + 2)"
    )
    page = stage.context.new_page()
    page.route("**/v3/**", lambda route: route.abort())
    stage.show(calls=VIEW, page=page)
    stage.wait(lambda: len(stage.sent) == 5)
    stage.settle(6000)
    assert len(stage.sent) == 5
    assert [url.endswith("/v3/") for url in stage.sent] == [True, True, False, False, False]
    page.unroute("**/v3/**")
    page.evaluate("dispatchEvent(new Event('online'))")
    stage.until("init")


def test_a_definite_refusal_is_dropped(stage):
    """400 is not asked again, nor stored."""
    page = stage.context.new_page()
    page.route("**/v3/", lambda route: route.fulfill(status=400))
    stage.show(calls=VIEW, page=page)
    stage.wait(lambda: stage.sent and not stage.waiting)
    page.wait_for_function("!Object.keys(localStorage).some(key => key.startsWith('_retag'))")
    stage.settle(2500)
    assert len(stage.sent) == 1


def left_unsent(stage):
    """A page that has told its `init`, and was left offline with a `lead` in its queue."""
    page = stage.show(calls=VIEW)
    stage.until("init")
    # In the page, since a request of one that is gone may pass a route by.
    page.evaluate(
        "fetch = () => new Promise(() => {}); navigator.sendBeacon = () => false; pintrk('track', 'lead')"
    )
    page.wait_for_function("Object.values(localStorage).join().includes('lead')")
    page.goto("about:blank")
    return page


def test_events_of_an_offline_page_are_sent_by_the_next(stage):
    """The queue outlives the page."""
    left_unsent(stage)
    stage.show(calls="pintrk('load', TAG);")
    stage.until("init", "lead")


def test_a_tab_that_is_killed_mid_send_loses_nothing(stage):
    """Its process crashes; its lease runs out, and another page takes over."""
    page = stage.context.new_page()
    page.route("**/v3/", lambda route: None)
    stage.show(calls=VIEW, page=page)
    page.wait_for_function("Object.keys(localStorage).some(key => key.startsWith('_retag:'))")
    with page.expect_event("crash"), contextlib.suppress(Error):
        page.goto("chrome://crash")
    stage.waiting.clear()
    stage.show(calls="pintrk('load', TAG);")
    stage.until("init")


def test_what_a_beacon_lost_is_sent_by_the_next_page(stage):
    """Offline, sendBeacon says yes all the same; nobody hears how it fared."""
    page = stage.show(calls=VIEW)
    stage.until("init")
    stage.context.set_offline(True)
    page.evaluate("pintrk('track', 'lead')")
    page.goto("about:blank")
    stage.waiting.clear()
    stage.context.set_offline(False)
    stage.show(calls="pintrk('load', TAG);")
    stage.until("init", "lead")


def test_a_page_that_was_offline_sends_when_it_is_back(stage):
    """At once, by the browser's own word."""
    page = stage.show(calls=VIEW)
    stage.until("init")
    stage.context.set_offline(True)
    page.evaluate("pintrk('track', 'lead'); pintrk('track', 'search')")
    stage.wait(lambda: not stage.waiting)
    assert stage.names() == ["init"]
    stage.context.set_offline(False)
    rows = stage.until("init", "lead", "search")
    assert len({row[1] for row in rows}) == 1


def test_what_is_more_than_a_beacon_holds_is_split(stage):
    """Thirty events of 8 KB as the page hides: browsers share 64 KiB among all that is under way."""
    stage.context.add_init_script(HIDDEN)
    page = stage.show(calls=VIEW)
    page.evaluate("reveal()")
    stage.until("init")
    page.evaluate(
        "const text = 'boots '.repeat(1300); for (let i = 0; i < 30; i++) pintrk('track', 'lead', {i, text});"
        "conceal()"
    )
    stage.until("init", *["lead"] * 30)


def test_the_first_event_does_not_wait_for_storage(stage):
    """Opening it asks another process; what is not answered is kept there all the same, soon after."""
    stage.context.add_init_script(
        "window.order = []; const {fetch} = window;"
        "window.fetch = (...given) => { order.push('sent'); return fetch(...given) };"
        "const {get} = Object.getOwnPropertyDescriptor(window, 'localStorage');"
        "Object.defineProperty(window, 'localStorage',"
        "{get() { order.push('opened'); return get.call(window) }})"
    )
    page = stage.context.new_page()
    page.route("**/v3/", lambda route: None)
    stage.show(calls=VIEW, page=page)
    page.wait_for_function("Object.keys(localStorage).some(key => key.startsWith('_retag:'))")
    assert page.evaluate("order")[:2] == ["sent", "opened"]
    stage.waiting.clear()


def test_a_tab_in_the_background_takes_nothing_over(stage):
    """It may be closed unseen: what others have left stays in storage until it is looked at."""
    page = left_unsent(stage)
    page.add_init_script(HIDDEN)
    stage.show(calls="pintrk('load', TAG);", page=page)
    stage.settle(600)
    assert page.evaluate("Object.keys(localStorage).filter(key => key.startsWith('_retag:')).length") == 1
    assert stage.names() == ["init"]
    page.evaluate("reveal()")
    stage.until("init", "lead")


def test_two_tabs_of_a_new_browser_opened_at_once_are_one_visitor(stage):
    """Both send before either has been answered; their word is the longest that there is."""
    stage.context.add_init_script("crypto.getRandomValues = bytes => bytes.fill(255)")
    held = []

    def hold(route):
        held.append(route)
        if len(held) == 2:
            for one in held:
                one.continue_()

    page = stage.show(calls=None, script="<script></script>")
    stage.context.route("**/v3/", hold)
    body = page_of(stage, VIEW)
    stage.context.route("**/stage/**", lambda route: route.fulfill(body=body, content_type="text/html"))
    url = f"{stage.server.url}/stage/{stage.name}"
    page.evaluate("url => { open(url + '?p=1'); open(url + '?p=2') }", url)
    rows = stage.until("init", "init")
    assert len({row[1] for row in rows}) == 1


def test_an_event_as_a_new_page_hides_is_the_same_visitors(stage):
    """It does not wait for the first answer, and is no second visitor for it."""
    stage.context.add_init_script(HIDDEN)
    held = []
    page = stage.context.new_page()
    page.route("**/v3/", lambda route: held.append(route) if not held else route.continue_())
    stage.show(calls=VIEW, page=page)
    page.evaluate("reveal()")
    stage.wait(lambda: held)
    page.evaluate("pintrk('track', 'lead'); conceal()")
    stage.wait(lambda: stage.names() == ["lead"])
    held[0].continue_()
    rows = stage.until("init", "lead")
    assert len({row[1] for row in rows}) == 1


def test_a_navigation_waits_for_nobody(stage):
    """A declared link is followed while the server says nothing at all."""
    page = stage.show("<a id=go href='about:blank#there' data-retag=click>Go</a>", calls=VIEW)
    stage.until("init")
    page.route("**/v3/", lambda route: None)
    page.click("#go")
    page.wait_for_url("about:blank#there")
    stage.waiting.clear()


def test_a_page_without_our_script_is_as_it_was(stage):
    """Blocked: the stub takes calls and nothing else happens; no row, no request, no error."""
    page = stage.context.new_page()
    page.route("**/tag.js", lambda route: route.abort())
    stage.show("<button id=own onclick='window.own = 1'>Own</button>", calls=VIEW, page=page)
    page.evaluate("pintrk('track', 'lead', {}, () => { throw 1 })")
    page.click("#own")
    stage.settle()
    assert page.evaluate("[own, pintrk.queue.length]") == [1, 3]
    assert stage.sent == []
    assert stage.names() == []


def test_two_tabs_send_each_event_once(stage):
    """And are one visitor."""
    stage.show(calls=VIEW)
    stage.until("init")
    stage.show(calls=VIEW)
    rows = stage.until("init", "init")
    assert len({row[1] for row in rows}) == 1


def page_of(stage, calls):
    """A page as `Stage.show` makes one, for routes of a test's own."""
    inline = f"<script>{STUB}{calls.replace('TAG', repr(stage.tag))}</script>"
    return f"<!doctype html><link rel=icon href=data:,>{inline}{SCRIPT}<body>"


def test_without_any_storage_events_are_sent(stage):
    """Every access to storage throws in some browsers."""
    stage.context.add_init_script(
        "for (const [of, name] of [[window, 'localStorage'], [Document.prototype, 'cookie']])"
        "Object.defineProperty(of, name, {get() { throw new DOMException('no', 'SecurityError') },"
        "set() { throw new DOMException('no', 'SecurityError') }})"
    )
    stage.show(calls=VIEW)
    stage.until("init")


def test_a_frozen_stub_is_still_served(stage):
    """Its queue is taken over instead."""
    page = stage.show(calls=VIEW + "Object.defineProperty(window, 'pintrk', {writable: false});")
    stage.until("init")
    page.evaluate("pintrk('track', 'lead')")
    stage.until("init", "lead")


@pytest.mark.parametrize(
    "policy",
    [
        "default-src 'none'; script-src 'self' 'unsafe-inline'; connect-src 'self'; img-src 'self' data:",
        "default-src 'none'; script-src 'nonce-abc'; connect-src 'self'; img-src data:",
        "default-src 'none'; script-src 'nonce-abc' 'strict-dynamic'; connect-src 'self'; img-src data:;"
        "require-trusted-types-for 'script'",
    ],
)
def test_the_documented_policies_are_enough(stage, policy):
    """Strict content security policies, with a nonce and with Trusted Types."""
    script = '<script nonce=abc async src="/tag.js"></script>'
    inline = f"<script nonce=abc>{inline_of(stage)}</script>"
    stage.show(calls=None, script=inline + script, headers={"content-security-policy": policy})
    stage.until("init")


def test_pages_without_any_inline_script_need_no_more(stage):
    """The calls in a file of the shop's own: `script-src 'self'` and `connect-src 'self'`."""
    policy = "default-src 'none'; script-src 'self'; connect-src 'self'; img-src data:"
    page = stage.context.new_page()
    calls = inline_of(stage)
    page.route("**/calls.js", lambda route: route.fulfill(body=calls, content_type="text/javascript"))
    script = '<script src="/calls.js"></script><script async src="/tag.js"></script>'
    stage.show(calls=None, script=script, headers={"content-security-policy": policy}, page=page)
    stage.until("init")


def inline_of(stage):
    return (
        "window.pintrk=function(){window.pintrk.queue.push(Array.prototype.slice.call(arguments))};"
        f"pintrk.queue=[];pintrk('load','{stage.tag}');pintrk('page');"
    )


def test_where_connections_are_blocked_an_image_goes(stage):
    """connect-src forbids us, img-src does not."""
    policy = "connect-src 'none'; img-src 'self' data:"
    stage.show(calls=VIEW, headers={"content-security-policy": policy})
    stage.until("init")


def test_debug_mode_explains(stage):
    """Each call in words, the answer, consent, and what the policy blocked."""
    heard = []
    page = stage.context.new_page()
    page.on("console", lambda one: heard.append(one.text))
    policy = {"content-security-policy": "script-src 'self' 'unsafe-inline'; connect-src 'none'"}
    calls = VIEW + "pintrk('track'); pintrk('track', 'lead', {node: window});"
    stage.show(calls=calls, query="?retag_debug=1", headers=policy, page=page)
    stage.until("init")
    wanted = (
        "pintrk('page') done",
        "needs the event's name",
        "its data is no JSON",
        "event init",
        "consent: unknown",
        "blocked by connect-src",
    )
    for words in wanted:
        stage.wait(lambda words=words: any(words in text for text in heard))


@pytest.mark.parametrize("mode", ["required", "opt-out"])
def test_debug_mode_says_that_an_event_waits_for_consent(stage, mode):
    """By the tag's configuration or by the script's attribute; and says so no more when it is given."""
    heard = []
    page = stage.context.new_page()
    page.on("console", lambda one: heard.append(one.text))
    stage.patch(consent=mode)
    strict = '<script async src="/tag.js" data-debug data-consent="required"></script>'
    script = strict if mode == "opt-out" else '<script async src="/tag.js" data-debug></script>'
    stage.show(calls=VIEW, script=script, page=page)
    stage.wait(lambda: any("event init" in text and "consent is required" in text for text in heard))
    page.evaluate("pintrk('setconsent', true); pintrk('track', 'lead')")
    stage.until("init", "lead")
    assert not any("event lead" in text and "required" in text for text in heard)


def test_without_debug_the_console_is_silent(stage):
    """And nothing of the debug module is fetched."""
    heard, fetched = [], []
    page = stage.context.new_page()
    page.on("console", lambda one: heard.append(one.text))
    page.on("request", lambda one: fetched.append(one.url.rpartition("/")[2]))
    stage.show(calls=VIEW + "pintrk('track'); pintrk('nonsense');", page=page)
    stage.until("init")
    assert heard == []
    assert [one for one in fetched if one.endswith(".js")] == ["tag.js"]


def hosts(stage, page, *names):
    """Other people's hosts, answered by our server."""
    for name in names:
        page.route(
            f"https://{name}/**",
            lambda route: route.fulfill(
                response=route.fetch(url=stage.server.url + "/" + route.request.url.split("/", 3)[3])
            ),
        )


def test_the_official_base_code_runs_with_its_hosts_answered_by_us(stage):
    """Character for character as Pinterest publishes it."""
    base = (
        "<script>!function(e){if(!window.pintrk){window.pintrk=function(){window.pintrk.queue.push("
        'Array.prototype.slice.call(arguments))};var n=window.pintrk;n.queue=[],n.version="3.0";'
        'var t=document.createElement("script");t.async=!0,t.src=e;'
        'var r=document.getElementsByTagName("script")[0];r.parentNode.insertBefore(t,r)}}'
        f"(\"https://s.pinimg.com/ct/core.js\");pintrk('load','{stage.tag}');pintrk('page');</script>"
    )
    page = stage.context.new_page()
    hosts(stage, page, "s.pinimg.com")
    stage.show(calls=None, script=base, page=page)
    stage.until("init")


def test_react_pinterest_tag_runs_as_published(stage, tmp_path):
    """The package from npm: init, pageView, track."""
    entry = tmp_path / "entry.js"
    entry.write_text(
        "import tag from 'react-pinterest-tag'; const one = tag.default || tag;"
        f"one.init('{stage.tag}'); one.pageView(); one.track('AddToCart', {{value: 5}});"
    )
    built = subprocess.run(
        [SNIPPET / "node_modules/.bin/esbuild", entry, "--bundle", "--format=iife"],
        env={"NODE_PATH": str(SNIPPET / "node_modules"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    page = stage.context.new_page()
    hosts(stage, page, "s.pinimg.com")
    stage.show(f"<script>{built}</script>", calls=None, script="<script></script>", page=page)
    stage.until("init", "addtocart")


def test_the_file_with_its_integrity_runs(stage):
    """As `retag snippet --integrity` prints it."""
    command = retag("snippet", "--integrity", "--address", stage.server.url)
    database = f"sqlite:///{stage.server.folder / 'retag.db'}"
    code = subprocess.run(
        [*command, "--database", database], capture_output=True, text=True, check=True
    ).stdout
    assert "integrity=" in code
    stage.show(calls=None, script="<script></script>" + code.partition("<noscript>")[0])
    stage.until("init")


def test_the_package_for_bundlers_loads_the_tag(stage, tmp_path):
    """Packed as npm would publish it, imported by name, bundled, with the integrity that the server gives."""
    packed = subprocess.run(
        ["npm", "pack", "--json", "--pack-destination", tmp_path],
        cwd=SNIPPET,
        capture_output=True,
        text=True,
        check=True,
    )
    files = {one["path"] for one in json.loads(packed.stdout)[0]["files"]}
    assert files == {"package.json", "index.js", "index.d.ts", "README.md"}
    home = tmp_path / "node_modules/retag-tag"
    home.mkdir(parents=True)
    archive = next(tmp_path.glob("*.tgz"))
    subprocess.run(["tar", "-xzf", archive, "-C", home, "--strip-components=1"], check=True)
    entry = tmp_path / "entry.js"
    entry.write_text(
        "import { load, page, track, set, setConsent } from 'retag-tag';"
        f"setConsent(true); load('{stage.tag}', {{ server: '{stage.server.url}/', np: 'npm' }}); page();"
        "set({ external_id: 'u1' }); track('AddToCart', { value: 5 });"
    )
    command = [SNIPPET / "node_modules/.bin/esbuild", entry, "--bundle", "--format=iife"]
    built = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    stage.show(f"<script>{built}</script>", calls=None, script="<script></script>")
    stage.until("init", "addtocart")


@pytest.mark.parametrize(
    ("policies", "wanted"), [("", 1), ("; trusted-types retag", 1), ("; trusted-types own", 0)]
)
def test_the_package_and_trusted_types(stage, tmp_path, policies, wanted):
    """By a policy of its own; where that is not allowed, the page hears so in the console and goes on."""
    entry, heard = tmp_path / "entry.js", []
    entry.write_text(
        f"import {{ load, page }} from '{SNIPPET}/index.js';"
        f"load('{stage.tag}', {{ server: '{stage.server.url}', nonce: 'abc' }}); page(); window.on = 1;"
    )
    command = [SNIPPET / "node_modules/.bin/esbuild", entry, "--bundle", "--format=iife"]
    built = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    policy = "script-src 'nonce-abc'; connect-src 'self'; require-trusted-types-for 'script'" + policies
    page = stage.context.new_page()
    page.on("console", lambda one: heard.append(one.text))
    code = f"<script nonce=abc>{built}</script>"
    stage.show(calls=None, script=code, headers={"content-security-policy": policy}, page=page)
    assert page.evaluate("on") == 1
    stage.until(*["init"] * wanted)
    assert any("retag: not loaded" in text for text in heard) == (not wanted)


def test_the_types_fit_the_calls(tmp_path):
    """Every published form compiles; a wrong one does not."""
    (tmp_path / "retag-tag.d.ts").write_text((SNIPPET / "index.d.ts").read_text())
    (tmp_path / "good.ts").write_text(
        "import { load, page, set, setConsent, track } from './retag-tag';\n"
        "load(2600000000001, { server: 'https://shop.example/retag', integrity: 'sha384-x', em: ['a'] });\n"
        "page({ page_name: 'x' }, (ok) => ok); set({ em: '', external_id: 7 }); setConsent(false);\n"
        "load('1'); window.pintrk.push?.(['page']); window.pintrk('page', {}, (ok, error) => error);\n"
        "track('AddToCart', { value: 5, line_items: { product_id: 7 } }, (ok, error) => ok || error);\n"
        "window.pintrk('setconsent', 'true'); window.pintrk('load', '1', { np: 'gtm' });\n"
    )
    (tmp_path / "bad.ts").write_text("import { track } from './retag-tag';\ntrack({ value: 5 });\n")
    command = [SNIPPET / "node_modules/.bin/tsc", "--noEmit", "--strict", "--skipLibCheck"]
    good = subprocess.run([*command, "good.ts"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert good.returncode == 0, good.stdout
    bad = subprocess.run([*command, "bad.ts"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "TS2345" in bad.stdout
