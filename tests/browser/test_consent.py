"""Consent decides first: what may be sent, stored and kept, in each mode and order."""

import pytest

VIEW = "pintrk('load', TAG); pintrk('page');"
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


def test_global_privacy_control_is_a_no(stage):
    """No request, no cookie, whatever the mode says."""
    stage.context.add_init_script(
        "Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', {get: () => true})"
    )
    stage.patch(consent="off")
    stage.show(calls="pintrk('setconsent', true);" + VIEW, query="?gclid=EAIaIQobChMI7")
    stage.settle(600)
    assert stage.sent == []
    assert stage.cookies() == set()


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


def test_googles_consent_mode_is_followed(stage):
    """Denied by default, granted by an update."""
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
    """Once asked for, in this browser for good."""
    stage.show(calls=VIEW, query="?retag_ignore=1")
    page = stage.show(calls=VIEW)
    stage.settle()
    assert stage.names() == []
    page.evaluate("localStorage.retag_ignore = 0")
    stage.show(calls=VIEW)
    stage.until("init")
