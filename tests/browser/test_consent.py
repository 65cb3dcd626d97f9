"""Consent decides first: what may be sent, stored and kept, in each mode and order."""

import sqlite3
from contextlib import closing

import pytest
from conftest import SCRIPT, STUB, call

VIEW = "pintrk('load', TAG); pintrk('page');"
GPC = "Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', {get: () => true})"
RETURN = "dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}));"
OURS = "Object.keys(localStorage).filter(key => key.startsWith('_retag:')).length"


@pytest.mark.parametrize(
    ("mode", "before", "after", "wanted"),
    [
        ("opt-out", "", "", ["init"]),
        ("opt-out", "pintrk('setconsent', false);", "", []),
        ("opt-out", "", "pintrk('setconsent', 'false');", []),
        ("required", "", "", []),
        ("required", "pintrk('setconsent', true);", "", ["init"]),
        ("required", "", "pintrk('setconsent', 'true');", ["init"]),
        ("required", "", "pintrk('setconsent', false); pintrk('setconsent', true);", []),
        ("off", "", "", ["init"]),
    ],
)
def test_the_matrix(stage, mode, before, after, wanted):
    """What waited for consent goes on a yes and is dropped on a no; nothing is kept without one."""
    stage.patch(consent=mode)
    page = stage.show(calls=before + VIEW + after, query="?gclid=EAIaIQobChMI7")
    page.wait_for_function("pintrk.retag")
    if wanted:
        stage.until(*wanted)
    stage.settle()
    assert stage.names() == wanted
    assert bool(stage.cookies()) == bool(wanted)
    stage.wait(lambda: page.evaluate(OURS) == 0)


def test_withdrawal_deletes_ours_and_tells_the_server(stage):
    """No cookie is left, the server's neither, and one message with consent 0 was sent."""
    posted = []
    stage.context.on("request", lambda one: posted.append(one.post_data or ""))
    page = stage.show(calls=VIEW, query="?gclid=EAIaIQobChMI7")
    stage.until("init")
    page.evaluate("pintrk('setconsent', false); pintrk('track', 'lead')")
    stage.wait(lambda: not stage.cookies())
    stage.settle()
    assert stage.names() == ["init"]
    assert any('"consent":0' in text for text in posted)


def test_each_tag_of_a_page_has_its_own_mode(stage):
    """One waits for consent, the other does not; in the end both are the same visitor's."""
    tags = f"/v5/ad_accounts/{stage.server.account}/conversion_tags"
    strict = call(stage.server, "POST", tags, {"name": "Strict"})["id"]
    call(stage.server, "PATCH", f"{tags}/{strict}", {"consent": "required"})
    page = stage.show(calls=f"pintrk('load', TAG); pintrk('load', '{strict}'); pintrk('page');")
    stage.until("init")
    stage.settle()
    assert stage.rows("tag") == [(stage.server.tag,)]
    assert "init" not in page.evaluate("Object.values(localStorage).join()")
    page.evaluate("pintrk('setconsent', true)")
    stage.until("init", "init")
    assert stage.rows("tag")[1] == (int(strict),)
    assert len(set(stage.rows("visitor"))) == 1
    call(stage.server, "PATCH", f"{tags}/{strict}", {"status": "ARCHIVED", "consent": "opt-out"})


@pytest.mark.parametrize("trouble", ["offline", "overloaded"])
def test_a_withdrawal_that_was_not_heard_is_told_again(stage, trouble):
    """By the next page that is denied: before it has answered, nothing has changed for the server."""
    page = stage.show(calls=VIEW)
    stage.until("init")
    if trouble == "offline":
        stage.context.set_offline(True)
    else:
        stage.context.route("**/v3/", lambda route: route.fulfill(status=503))
    page.evaluate("pintrk('setconsent', false)")
    stage.settle(600)
    stage.waiting.clear()
    stage.context.set_offline(False)
    stage.context.unroute("**/v3/")
    stage.show(calls="pintrk('setconsent', false);" + VIEW)
    stage.wait(lambda: [row[0] for row in proofs(stage)] == [0] and not stage.cookies())


@pytest.mark.parametrize("first", ["", RETURN])
def test_a_withdrawal_in_another_tab_holds_in_this_one(stage, first):
    """Also in a page that comes back from the back/forward cache: what it sent would be a new visitor's."""
    page = stage.show(calls=VIEW)
    stage.until("init")
    page.evaluate("pintrk('track', 'search')")
    stage.until("init", "search")
    stage.show(calls="pintrk('load', TAG); pintrk('setconsent', false);")
    stage.wait(lambda: not stage.cookies())
    page.evaluate(first + "pintrk('track', 'lead')")
    stage.settle(800)
    assert stage.names() == ["init", "search"]
    assert stage.cookies() == set()


def test_global_privacy_control_is_a_no(stage):
    """No request, no cookie, whatever the mode says."""
    stage.context.add_init_script(GPC)
    stage.patch(consent="off")
    stage.show(calls="pintrk('setconsent', true);" + VIEW, query="?gclid=EAIaIQobChMI7")
    stage.settle(600)
    assert stage.sent == []
    assert stage.cookies() == set()


@pytest.mark.parametrize("denial", ["pintrk('setconsent', false);", GPC + ";"])
def test_a_denial_on_a_later_visit_deletes_what_an_earlier_one_left(stage, denial):
    """Before `load`, too: the server is told once, its own cookie goes, and no event is sent."""
    stage.show(calls=VIEW, query="?gclid=EAIaIQobChMI7")
    stage.until("init")
    assert "retag" in stage.cookies()
    told = []
    stage.context.on("request", lambda one: "/v3/" in one.url and told.append(one.post_data))
    for _ in range(2):
        page = stage.show(calls=denial + VIEW)
        page.wait_for_function("pintrk.retag")
        stage.wait(lambda: not stage.cookies())
        stage.settle()
        assert page.evaluate("Object.keys(localStorage)") == []
    assert len(told) == 1
    assert '"consent":0' in told[0]
    assert stage.names() == ["init"]


def test_an_answer_that_comes_after_the_denial_keeps_nothing(stage):
    """The first event is under way when consent is withdrawn."""
    held = []
    page = stage.context.new_page()
    page.route("**/v3/", lambda route: held.append(route) if not held else route.continue_())
    stage.show(calls=VIEW, page=page)
    stage.wait(lambda: held)
    page.evaluate("pintrk('setconsent', false)")
    held[0].continue_()
    stage.wait(lambda: not stage.waiting)
    stage.settle()
    assert page.evaluate("Object.keys(localStorage)") == []


def test_attributes_make_a_mode_stricter_and_never_looser(stage):
    """`data-consent="required"` waits; `data-consent="off"` on a tag that requires it waits too."""
    strict = '<script async src="/tag.js" data-consent="required"></script>'
    loose = '<script async src="/tag.js" data-consent="off"></script>'
    page = stage.show(calls=VIEW, script=strict)
    page.wait_for_function("pintrk.retag")
    stage.patch(consent="required")
    other = stage.show(calls=VIEW, script=loose)
    other.wait_for_function("pintrk.retag")
    stage.settle()
    assert stage.sent == []
    assert stage.cookies() == set()
    page.evaluate("pintrk('setconsent', true)")
    stage.until("init")


TCF = """
window.hear = null;
window.__tcfapi = (command, version, callback) => { hear = callback; callback(
  {eventStatus: 'cmpuishown', gdprApplies: true, purpose: {consents: {}}}, true); };
const said = (yes) => hear({eventStatus: 'useractioncomplete', gdprApplies: true,
  purpose: {consents: {1: yes, 3: yes, 4: yes}}}, true);
"""


@pytest.mark.parametrize("yes", [True, False])
def test_the_iab_tcf_is_waited_for(stage, yes):
    """Nothing goes while the banner shows; then as it says."""
    stage.patch(script={"modules": ["consent"]})
    page = stage.show(calls=TCF + VIEW)
    stage.settle()
    assert stage.sent == []
    page.evaluate("yes => said(yes)", yes)
    if yes:
        stage.until("init")
        page.evaluate("said(false); pintrk('track', 'lead')")
    stage.settle()
    assert stage.names() == ["init"] * yes


def proofs(stage):
    """What the page's visitor is told of their consent."""
    path = stage.server.folder / "retag.db"
    sql = (
        "SELECT granted, mechanism, proof FROM consent_log WHERE visitor IN"
        " (SELECT visitor FROM log WHERE url LIKE ?) ORDER BY id"
    )
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as cn:
        return cn.execute(sql, (f"%/stage/{stage.name}%",)).fetchall()


def test_the_log_has_the_frameworks_own_string(stage):
    """Of the yes that the first event waited for, and of the no that came after."""
    stage.patch(script={"modules": ["consent"]}, consent="required")
    string = "gdprApplies: true, tcString: 'CP' + yes,"
    page = stage.show(calls=TCF.replace("gdprApplies: true,\n", string + "\n") + VIEW)
    page.evaluate("said(true); pintrk('track', 'lead')")
    stage.until("init", "lead")
    stage.wait(lambda: proofs(stage) == [(1, "tcf", "CPtrue")])
    page.evaluate("said(false)")
    stage.wait(lambda: proofs(stage) == [(1, "tcf", "CPtrue"), (0, "tcf", "CPfalse")])


FRAMED = """
<iframe name=__tcfapiLocator></iframe>
<script>
addEventListener('message', ({data, source}) => {
  const call = data.__tcfapiCall;
  if (!call || call.command != 'addEventListener' || call.version != 2) return;
  const consents = (word) => ({1: word, 2: word, 3: word, 4: word});
  const tell = (eventStatus, word, callId = call.callId) => {
    const publisher = {consents: consents(word)};
    const returnValue = {gdprApplies: true, eventStatus, tcString: 'CP' + word, publisher};
    source.postMessage({__tcfapiReturn: {returnValue, success: true, callId}}, '*');
  };
  tell('cmpuishown', false);
  window.said = (word, ...rest) => tell('useractioncomplete', word, ...rest);
});
</script>"""


def test_a_tag_in_a_frame_asks_the_banner_of_the_page_around_it(stage):
    """By message, as the IAB's locator has it, though that is another origin's; not to others' answers."""
    stage.patch(script={"modules": ["consent"]})
    inner = f"<script>{STUB}{VIEW.replace('TAG', repr(stage.tag))}</script>{SCRIPT}"
    page = stage.context.new_page()
    page.route("**/stage/*/frame", lambda route: route.fulfill(body=inner, content_type="text/html"))
    url = f"{stage.server.url}/stage/{stage.name}/frame"
    around = f"<!doctype html>{FRAMED}<iframe src='{url}'></iframe>"
    page.route("**/around", lambda route: route.fulfill(body=around, content_type="text/html"))
    page.goto(stage.server.url.replace("127.0.0.1", "localhost") + "/around")
    page.wait_for_function("!!window.said")
    page.evaluate("said(true, 'another')")
    stage.settle(600)
    assert stage.sent == []
    page.evaluate("said(true)")
    stage.until("init")
    assert proofs(stage) == [(1, "tcf", "CPtrue")]


def test_what_objects_wins(stage):
    """The banner's no over the page's yes, whatever comes first; a later yes in the banner counts again."""
    stage.patch(script={"modules": ["consent"]})
    page = stage.show(calls=TCF + VIEW)
    page.evaluate("said(false); pintrk('setconsent', true); pintrk('track', 'lead')")
    stage.settle()
    assert stage.names() == []
    page.evaluate("said(true); pintrk('track', 'search')")
    stage.until("search")


def test_a_banner_that_comes_late_is_waited_for(stage):
    """Its script is loaded after ours: nothing is sent before it, and its no is heard."""
    stage.patch(script={"modules": ["consent"]})
    page = stage.show(calls=VIEW)
    page.wait_for_function("pintrk.retag")
    page.evaluate(TCF.replace("const said", "window.said") + "; 1")
    stage.settle(600)
    assert stage.sent == []
    page.evaluate("said(true)")
    stage.until("init")


def test_without_any_banner_the_tags_mode_decides(stage):
    """Two seconds after the page was loaded."""
    stage.patch(script={"modules": ["consent"]})
    stage.show(calls=VIEW)
    stage.until("init")


@pytest.mark.parametrize("broken", ["{}", "null", "{gdprApplies: true, eventStatus: 'tcloaded'}"])
def test_a_banner_that_talks_nonsense_gives_no_consent(stage, broken):
    """And is not thrown at."""
    stage.patch(script={"modules": ["consent"], "vendor": 7})
    banner = f"window.__tcfapi = (command, version, callback) => callback({broken}, true);"
    page = stage.show(calls=banner + VIEW)
    page.wait_for_function("pintrk.retag")
    stage.settle()
    assert stage.sent == []


YES = "{1: true, 3: true, 4: true}"


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ("purpose: {consents: YES}, vendor: {consents: {7: true}}", ["init"]),
        ("purpose: {consents: YES}, vendor: {consents: {7: true}, disclosedVendors: {7: true}}", ["init"]),
        ("purpose: {consents: YES}, vendor: {consents: {7: true}, disclosedVendors: {7: false}}", []),
        ("purpose: {consents: YES}, vendor: {consents: {8: true}}", []),
        ("purpose: {consents: YES}, publisher: {consents: YES}", []),
        ("purpose: {consents: {1: true, 3: true}}, vendor: {consents: {7: true}}", []),
        (
            "vendor: {consents: {7: true}}, publisher: {restrictions: {4: {7: 0}}}, purpose: {consents: YES}",
            [],
        ),
        (
            "vendor: {consents: {7: true}}, publisher: {restrictions: {4: {7: 1}}}, purpose: {consents: YES}",
            ["init"],
        ),
        ("purpose: {legitimateInterests: YES}, vendor: {legitimateInterests: {7: true}}", []),
    ],
)
def test_a_vendor_of_the_list_needs_its_own_consent(stage, data, wanted):
    """Its purposes, itself, no restriction by the publisher, and since 2.3 that it was shown at all."""
    stage.patch(script={"modules": ["consent"], "vendor": 7})
    said = f"{{gdprApplies: true, eventStatus: 'tcloaded', {data.replace('YES', YES)}}}"
    page = stage.show(calls=f"window.__tcfapi = (name, version, hear) => hear({said}, true);" + VIEW)
    page.wait_for_function("pintrk.retag")
    if wanted:
        stage.until(*wanted)
    stage.settle()
    assert (stage.names(), bool(stage.sent)) == (wanted, bool(wanted))


@pytest.mark.parametrize(
    ("consents", "wanted"),
    [(YES, ["init"]), ("{}", []), ("{1: true, 3: true, 4: false}", []), ("null", ["init"])],
)
def test_the_publishers_own_purposes_go_before_those_of_vendors(stage, consents, wanted):
    """A banner that does not ask for the publisher leaves them empty: nobody has consented to it."""
    stage.patch(script={"modules": ["consent"]}, consent="required")
    said = (
        f"{{gdprApplies: true, eventStatus: 'useractioncomplete', purpose: {{consents: {YES}}},"
        f"publisher: {{consents: {consents}}}}}"
    )
    page = stage.show(calls=f"window.__tcfapi = (name, version, hear) => hear({said}, true);" + VIEW)
    page.wait_for_function("pintrk.retag")
    if wanted:
        stage.until(*wanted)
    stage.settle()
    assert stage.names() == wanted


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("gtag('consent', 'update', all('granted'))", "said(true)"),
        ("said(true)", "gtag('consent', 'update', all('granted'))"),
    ],
)
def test_two_frameworks_must_agree_in_whatever_order_they_speak(stage, first, second):
    """The last is waited for; a no of either takes the other's yes back, and its own yes gives it again."""
    stage.patch(script={"modules": ["consent"], "google": True}, consent="required")
    layer = (
        "window.dataLayer = []; window.gtag = function () { dataLayer.push(arguments) };"
        "window.all = (word) => ({ad_storage: word, ad_user_data: word, ad_personalization: word});"
        "gtag('consent', 'default', all('denied'));"
    )
    page = stage.show(calls=layer + TCF + VIEW)
    page.wait_for_function("pintrk.retag")
    page.evaluate(first)
    stage.settle()
    assert stage.sent == []
    page.evaluate(second)
    stage.until("init")
    page.evaluate("gtag('consent', 'update', {ad_storage: 'denied'}); pintrk('track', 'lead')")
    stage.wait(lambda: not stage.cookies())
    assert stage.names() == ["init"]
    page.evaluate("gtag('consent', 'update', all('granted')); pintrk('track', 'search')")
    stage.until("init", "search")


def test_a_pixel_without_script_is_refused_where_consent_is_required(stage):
    """By the server: nobody can have asked."""
    stage.patch(consent="required")
    page = stage.show(f"<img src='/v3/?tid={stage.tag}&noscript=1'>", calls="pintrk('load', TAG);")
    stage.wait(lambda: stage.sent and not stage.waiting)
    stage.settle()
    assert stage.names() == []
    assert stage.cookies() == set()
    assert page.evaluate("document.querySelector('img').naturalWidth") == 1


@pytest.mark.parametrize(("sold", "wanted"), [(1, []), (2, ["init"])])
def test_a_us_opt_out_by_gpp_is_a_no(stage, sold, wanted):
    """SaleOptOut 1 objects; 2 does not."""
    stage.patch(script={"modules": ["consent"]})
    gpp = (
        "window.__gpp = (command, callback) => callback({eventName: 'signalStatus', data: 'ready',"
        f"pingData: {{parsedSections: {{usnat: [{{SaleOptOut: {sold}}}]}}}}}});"
    )
    stage.show(calls=gpp + VIEW)
    if wanted:
        stage.until(*wanted)
    stage.settle()
    assert stage.names() == wanted


def test_a_gpp_that_was_ready_before_us_is_heard(stage):
    """It says so as it takes our listener, and never again."""
    stage.patch(script={"modules": ["consent"]})
    ping = "{signalStatus: 'ready', parsedSections: {usca: {SaleOptOut: 2, Gpc: WORD}}}"
    gpp = (
        "window.__gpp = (command, callback) =>"
        f"callback({{eventName: 'listenerRegistered', data: true, pingData: {ping}}});"
    )
    stage.show(calls=gpp.replace("WORD", "true") + VIEW)
    stage.settle(600)
    assert stage.sent == []
    stage.show(calls=gpp.replace("WORD", "false") + VIEW)
    stage.until("init")


def test_googles_denied_default_is_a_question_and_a_denied_update_an_answer(stage):
    """What was waiting goes when the answer is yes."""
    stage.patch(script={"modules": ["consent"], "google": True})
    layer = (
        "window.dataLayer = []; window.gtag = function () { dataLayer.push(arguments) };"
        "window.all = (word) => ({ad_storage: word, ad_user_data: word, ad_personalization: word});"
        "gtag('consent', 'default', {...all('denied'), wait_for_update: 500}); gtag('js', new Date());"
    )
    page = stage.show(calls=layer + VIEW)
    page.wait_for_function("pintrk.retag")
    stage.settle(600)
    assert stage.sent == []
    page.evaluate("gtag('consent', 'update', all('granted'))")
    stage.until("init")
    page.evaluate("gtag('consent', 'update', all('denied')); pintrk('track', 'lead')")
    stage.settle()
    assert stage.names() == ["init"]


def test_googles_consent_mode_is_followed(stage):
    """Nothing said is waited for, granted by an update."""
    stage.patch(script={"modules": ["consent"], "google": True})
    layer = (
        "window.dataLayer = []; window.gtag = function () { dataLayer.push(arguments) };"
        "const all = (word) => ({ad_storage: word, ad_user_data: word, ad_personalization: word});"
    )
    page = stage.show(calls=layer + VIEW)
    stage.settle()
    assert stage.sent == []
    page.evaluate("gtag('consent', 'update', all('granted'))")
    stage.until("init")


def test_the_shops_own_staff_are_left_out(stage):
    """Once asked for, in this browser for good; the page's own code is called back all the same."""
    page = stage.show(calls=VIEW, query="?retag_ignore=1")
    page.wait_for_function("pintrk.retag")
    heard = page.evaluate("new Promise(done => pintrk('track', 'lead', {}, (...all) => done(all)))")
    assert heard == [False, "denied"]
    page = stage.show(calls=VIEW)
    stage.settle()
    assert stage.names() == []
    stage.show(calls=VIEW, query="?retag_ignore=0")
    stage.until("init")
    stage.show(calls=VIEW)
    stage.until("init", "init")
