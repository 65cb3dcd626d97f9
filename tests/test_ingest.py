"""Ingest: one hit becomes events of one visitor, or refusals from the closed list."""

from __future__ import annotations

import json
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hits import ACCOUNT, ENTROPY, KEYS, NOW, TAG, door, hit, server_results
from retag import browser_side, errors, identity
from retag.events import OUTCOMES
from retag.ingest import Door
from retag.keyring import Keyring
from retag.screen import Policy, Tag
from retag.settings import networks
from retag.windows import DAY

RING = Keyring(KEYS)
SOMEBODY = identity.mint(NOW - DAY, bytes(16))
OTHER = bytes(range(16, 32))


def take(event=None, tag=None, **changes):
    return door(**(tag or {})).take(hit({} if event is None else event, **changes), ENTROPY)


def test_an_event_is_a_row_of_the_log():
    """Every column as it will be stored."""
    intake = take(
        {"event": "AddToCart", "ed": {"value": "9,50", "eid": "e1"}, "pd": {"em": "ann@mail.example"},
         "ad": {"loc": "https://shop.example/hat?secret=1", "ref": "https://a.example/", "sw": 1920}}
    )  # fmt: skip
    (event,) = intake.events
    assert (event.account, event.tag, event.name, event.event_id) == (ACCOUNT, TAG, "addtocart", "e1")
    assert (event.time, event.received, event.source, event.platform) == (NOW, NOW, 1, 1)
    assert event.url == "https://shop.example/hat"
    assert json.loads(event.data) == {"value": 9.5}
    assert {kind for kind, _ in json.loads(event.people)} == {1}
    assert json.loads(event.context)["ref"] == "https://a.example/"
    assert (intake.visitor, intake.fresh, intake.outcomes) == (event.visitor, True, {})


@pytest.mark.parametrize(
    ("given", "stored"),
    [("PageVisit", "pagevisit"), ("page_visit", "pagevisit"), (" Add To Cart ", "addtocart"),
     ("purchase", "checkout"),
     ("begin_checkout", "initiatecheckout"), ("", "init"), ("page", "init"), ("PageView", "pagevisit"),
     ("Spring-Sale_7", "spring-sale_7"), ("init", "init")],
)  # fmt: skip
def test_names_are_one_in_all_their_spellings(given, stored):
    """Case, spaces, underscores and other platforms' words."""
    assert take({"event": given}).events[0].name == stored


@pytest.mark.parametrize("name", ["a" * 101, "<script>", "naïve", "a.b", "\x00", "💥"])
def test_a_name_that_cannot_be_one_is_malformed(name):
    """`[A-Za-z0-9_-]{1,100}`."""
    assert take({"event": name}).outcomes == {"malformed": 1}


@pytest.mark.parametrize(
    ("ts", "sent", "time"),
    [
        (None, None, NOW),
        (NOW - 5000, None, NOW),
        (1_000_000, 1_005_000, NOW - 5000),  # the client's clock is decades off
        ("1000000", "1005000", NOW - 5000),
        (NOW + 9000, NOW, NOW),
        (NOW - 30 * DAY, NOW, NOW - 7 * DAY),
        ("NaN", {}, NOW),
    ],
)
def test_time_is_corrected_for_the_clients_clock(ts, sent, time):
    """received − (sent − ts), within the last seven days."""
    assert take({"ts": ts, "sent": sent}).events[0].time == time


@pytest.mark.parametrize(
    ("expected", "event", "tag", "changes"),
    [
        ("paused_tag", {}, {"status": "PAUSED"}, {}),
        ("paused_tag", {}, {"status": "ARCHIVED"}, {}),
        ("foreign_origin", {}, {"domains": ("shop.example",)}, {"origin": "https://evil.example"}),
        ("foreign_origin", {}, {"domains": ("shop.example",)}, {"origin": "null"}),
        (
            "foreign_origin",
            {},
            {"domains": ("shop.example",)},
            {"referer": "https://evil.example/shop.example"},
        ),
        ("foreign_origin", {}, {"domains": ("shop.example",)}, {"fetch_site": "cross-site"}),
        ("", {}, {"domains": ("shop.example",)}, {}),
        ("", {}, {"domains": ("*.shop.example",)}, {"origin": "https://de.shop.example"}),
        ("prefetch", {}, {}, {"purpose": "prefetch"}),
        ("opted_out", {}, {}, {"gpc": True}),
        ("opted_out", {"pd": {"opt_out_type": "LDP"}}, {}, {}),
        ("", {}, {}, {"dnt": True}),
        ("no_consent", {"consent": "0"}, {}, {}),
        ("no_consent", {"consent": False}, {"consent": "opt-out"}, {}),
        ("no_consent", {}, {"consent": "required"}, {}),
        ("", {"consent": 1}, {"consent": "required"}, {}),
        ("bot", {"ad": {"webdriver": True}}, {}, {}),
        ("bot", {"ad": {"brands": [{"brand": "HeadlessChrome", "version": "143"}]}}, {}, {}),
        ("", {"ad": {"brands": [{"brand": "Chromium", "version": "143"}], "webdriver": False}}, {}, {}),
        ("malformed", {"tid": None}, {}, {}),
        ("unknown_tag", {"tid": "abc123"}, {}, {}),
        ("unknown_tag", {"tid": 7}, {}, {}),
    ],
)
def test_the_screen_refuses_with_a_reason(expected, event, tag, changes):
    """The first check that objects decides; a bot's event is kept apart, of the others nothing is."""
    intake = take(event, tag, **changes)
    assert intake.outcomes == ({expected: 1} if expected else {})
    assert len(intake.events) == (not expected)
    assert len(intake.apart) == (expected == "bot")
    assert bool(intake.reasons) == bool(expected)
    assert (intake.visitor is None) == bool(expected)


def test_the_shops_own_networks_and_dnt_are_settings():
    """Both off by default."""
    policy = Policy(dnt=True, internal=networks("192.0.2.0/24"))
    one = Door({TAG: Tag(TAG, ACCOUNT)}, RING, policy)
    assert one.take(hit({}, dnt=True), ENTROPY).outcomes == {"opted_out": 1}
    assert one.take(hit({}, address="192.0.2.7"), ENTROPY).outcomes == {"internal": 1}
    assert one.take(hit({}, address="198.51.100.7"), ENTROPY).outcomes == {}


def test_the_cookie_wins_over_the_body():
    """And each is good for its own purpose alone."""
    cookie, pin = (
        RING.visitor(ACCOUNT).sign(SOMEBODY),
        RING.tag(ACCOUNT, TAG).sign(identity.mint(1, bytes(16))),
    )
    assert take({"pd": {"pin_unauth": pin}}, cookie=f"__Host-retag={cookie}").visitor == SOMEBODY
    assert take({"pd": {"pin_unauth": pin}}).visitor == identity.mint(1, bytes(16))
    for wrong in ({"cookie": f"__Host-retag={pin}"}, {"cookie": f"__Host-retag={cookie[:-2]}AA"}):
        assert take({}, **wrong).fresh
    assert take({"pd": {"pin_unauth": cookie}}).fresh


def test_user_names_a_visitor_without_an_event():
    """`/user/` hands out the id."""
    intake = take({}, path="/user/")
    assert (intake.events, intake.outcomes, intake.fresh) == ((), {}, True)
    assert intake.visitor is not None


@pytest.mark.parametrize(("fate", "forget"), [("erased", True), ("opted_out", False)])
def test_who_is_gone_stays_gone(fate, forget):
    """A late event of an erased visitor clears the cookie; an objector's counts for nothing."""
    one = Door({TAG: Tag(TAG, ACCOUNT)}, RING, banned=lambda visitor: fate if visitor == SOMEBODY else None)
    cookie = f"__Host-retag={RING.visitor(ACCOUNT).sign(SOMEBODY)}"
    intake = one.take(hit({}, cookie=cookie), ENTROPY)
    assert (intake.outcomes, intake.forget, intake.events) == ({fate: 1}, forget, ())


def test_the_click_id_of_the_landing_page_is_shown():
    """`?epik=` names the ad's click; the address itself loses it."""
    (event,) = take({"ad": {"loc": "https://shop.example/?epik=dj0yJnU9ZXhhbXBsZQ"}}).events
    assert json.loads(event.people) == [[5, "dj0yJnU9ZXhhbXBsZQ"]]
    assert "epik" not in event.url


def test_broken_parts_cost_the_data_not_the_event():
    """And are told."""
    intake = take({"ed": "{", "pd": "[", "ad": "nul"})
    assert len(intake.events) == 1
    assert intake.reasons


@given(st.binary(max_size=300), st.binary(max_size=200), st.text(max_size=60), st.text(max_size=60))
def test_any_hit_is_events_or_listed_outcomes(body, query, cookie, origin):
    """h11's invariant: never any other error, and something happens to everything."""
    intake = take(None, body=body, query=b"tid=%d&" % TAG + query, cookie=cookie, origin=origin)
    assert set(intake.outcomes) <= set(OUTCOMES)
    assert intake.events or intake.outcomes


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | st.text(),
    lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(max_size=9), one, max_size=3),
    max_leaves=9,
)
SAID = (
    st.sampled_from(["eid", "value", "order_id", "line_items", "product_name[0]", "search_query"]) | st.text()
)


@given(st.dictionaries(SAID, JSON, max_size=5), st.text(max_size=20), st.sampled_from([None, "CPx"]))
def test_an_image_says_what_a_post_says(data, title, proof):
    """The tag's image, where connections are blocked, has the same event: texts, escapes, lists, consent."""
    event = {
        "tid": str(TAG), "event": "AddToCart", "ed": data, "ts": NOW - 9, "sent": NOW - 2, "consent": 1,
        "pd": {"em": ["a" * 63 + "b"], "epik": "dj0y%3D%3D-_", "first": "_retag:" + "1" * 40},
        "ad": {"title": title, "loc": "https://shop.example/?q=%26&epik=dj0y%3D%3D-_", "vw": 390},
        "mechanism": "google", "proof": proof,
    }  # fmt: skip
    said = {key: json.dumps(one) if type(one) is dict else one or "undefined" for key, one in event.items()}
    posted, drawn = take(event), take(method="GET", body=b"", query=urlencode(said).encode())
    assert posted.events
    assert (posted.events, posted.landings, posted.wish) == (drawn.events, drawn.landings, drawn.wish)


KEYS_KNOWN = """
tid event ed pd ad ts sent consent value line_items product_id eid em external_id epik pin_unauth country
opt_out_type loc ref title sw webdriver event_name action_source event_time event_id user_data custom_data
contents id content_ids event_source_url client_ip_address client_user_agent opt_out order_id currency
"""
NAMES = st.sampled_from(KEYS_KNOWN.split())
LIKELY = st.sampled_from(["checkout", "web", "https://a.example/?q=1&epik=abcdefgh", "1.234,50 €", NOW, 1])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | LIKELY
ANYTHING = st.recursive(
    SCALARS, lambda one: st.lists(one, max_size=4) | st.dictionaries(NAMES | st.text(), one, max_size=6)
)


def stored(event):
    """What the log takes: UTF-8, JSON, the sizes of its columns."""
    for part in (event.data, event.people, event.context):
        json.loads(part or b"{}")
    assert len(event.url.encode()) <= 4 * 1024
    assert len(event.event_id.encode()) <= 4 * 256
    assert len(event.visitor) == 16
    assert -(1 << 63) <= event.time < 1 << 63


@given(st.dictionaries(NAMES, ANYTHING, max_size=8))
def test_any_beacon_is_an_event_or_a_listed_outcome(event):
    """Whatever stands under the keys that we know."""
    body = json.dumps({"tid": str(TAG)} | event).encode()
    intake = take(None, body=body, query=b"tid=%d" % TAG)
    assert set(intake.outcomes) <= set(OUTCOMES)
    assert intake.events or intake.outcomes
    for one in (*intake.events, *intake.apart, *intake.landings):
        stored(one)


@given(st.lists(st.dictionaries(NAMES, ANYTHING, max_size=10) | ANYTHING, min_size=1, max_size=4))
def test_any_server_event_is_stored_or_refused_by_name(events):
    """One bad event costs itself alone; never any other error."""
    sound = {
        "event_name": "lead",
        "action_source": "web",
        "event_time": 1,
        "user_data": {"em": "a@b.example"},
    }
    given = [sound | one if isinstance(one, dict) else one for one in events]
    try:
        results = server_results(json.dumps({"data": [*given, sound]}).encode())
    except errors.Invalid:  # NaN is no JSON
        return
    assert len(results) == len(given) + 1
    assert results[-1].event is not None
    for one in results:
        assert (one.event is None) == bool(one.error or one.outcome)
        if one.event:
            stored(one.event)


@given(st.binary(max_size=400))
def test_a_body_of_garbage_is_refused(body):
    """In words, as any other that is no batch."""
    with pytest.raises(errors.Invalid):
        server_results(body)


def server(**changes):
    given = {"event_name": "checkout", "action_source": "web", "event_time": NOW // 1000 - 60,
             "event_id": "e", "user_data": {"em": ["a" * 63 + "b"]}} | changes  # fmt: skip
    body = json.dumps({"data": [{name: one for name, one in given.items() if one is not ...}]}).encode()
    (result,) = server_results(body)
    return result


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"event_name": ...}, "event_name"),
        ({"event_name": "a b.c"}, "event_name"),
        ({"action_source": "mars"}, "action_source"),
        ({"event_time": NOW}, "event_time"),
        ({"event_time": NOW // 1000 + 60}, "future"),
        ({"event_time": "1"}, "event_time"),
        ({"event_time": True}, "event_time"),
        ({"user_data": {}}, "user_data"),
        ({"user_data": {"client_ip_address": "1.2.3.4"}}, "user_data"),
    ],
)
def test_a_server_event_is_refused_by_the_name_of_its_field(changes, word):
    """As the documented answers do."""
    result = server(**changes)
    assert result.event is None
    assert word in result.error


@pytest.mark.parametrize("changes", [{"opt_out": True}, {"custom_data": {"opt_out_type": "LDP"}}])
def test_a_server_event_of_one_who_objects_is_no_error_and_is_not_stored(changes):
    """As the tag's own with `opt_out_type` is not."""
    result = server(**changes)
    assert (result.event, result.error) == (None, "")
    assert "opted out" in result.warning


def deep(levels):
    value = 1
    for _ in range(levels):
        value = {"a": value}
    return value


def test_a_server_event_that_nests_without_end_is_refused_alone():
    """Its neighbours are stored; so is what nests as deeply as anybody needs."""
    assert server(custom_data=deep(8)).event is not None
    for nested in (deep(10), {"line_items": [{"line_items": [deep(20)]}]}, {"contents": [{"x": deep(20)}]}):
        assert "nested deeper than 8" in server(custom_data=nested).error
    with pytest.raises(errors.Invalid, match="nested deeper"):
        server_results(b'{"data":' + b"[" * 100_000)


def test_nothing_of_an_erased_visitor_is_kept_apart():
    """A robot with the cookie of one who was erased is erased."""
    one = Door({TAG: Tag(TAG, ACCOUNT)}, RING, banned=lambda _: "erased")
    cookie = f"__Host-retag={RING.visitor(ACCOUNT).sign(SOMEBODY)}"
    intake = one.take(hit({"ad": {"webdriver": True}}, cookie=cookie), ENTROPY)
    assert (intake.outcomes, intake.apart) == ({"erased": 1}, ())


def test_what_is_kept_apart_says_why():
    """So that a shop can look at what it does not count."""
    (event,) = take({"ad": {"webdriver": True}}).apart
    assert json.loads(event.context)["apart"] == "navigator.webdriver"


def test_a_server_event_is_read_in_the_tags_terms():
    """`contents` are line items, amounts are numbers; the past is taken as given."""
    custom = {"value": "7.50", "contents": [{"id": "p", "item_price": "2.50", "quantity": 3}], "num_items": 3}
    event = server(custom_data=custom, event_time=1_500_000_000, action_source="app_ios").event
    assert event is not None
    assert (event.name, event.time, event.source, event.platform) == ("checkout", 1_500_000_000_000, 2, 2)
    data = json.loads(event.data)
    assert data["line_items"] == [{"product_id": "p", "product_price": 2.5, "product_quantity": 3}]
    assert (data["value"], data["order_quantity"]) == (7.5, 3)


def test_a_servers_words_are_the_tags_words():
    """`content_ids` are items, `search_string` is the query: one rule finds both; what is no id is none."""
    event = server(custom_data={"content_ids": ["7", 8], "search_string": "hat"}, event_id="undefined").event
    assert event is not None
    items = [{"product_id": "7"}, {"product_id": "8"}]
    assert json.loads(event.data) == {"line_items": items, "search_query": "hat"}
    assert event.event_id == ""


def test_a_server_events_name_is_the_same_word_as_the_tags():
    """Other platforms' words count as what they mean, and are no strangers."""
    result = server(event_name="Purchase", user_data={"em": ["a" * 63 + "b"]})
    assert result.event.name == "checkout"
    assert "Unknown" not in result.warning


PIN = "https://shop.example/hat?epik=dj0yJnU9abcdef&utm_campaign=Spring%20Sale"


@pytest.mark.parametrize(
    ("address", "campaign"),
    [
        (PIN, "Spring Sale"),
        (
            "https://shop.example/?UTM_SOURCE=Pinterest&utm_campaign=626744528398",
            "626744528398",
        ),
        ("https://shop.example/?q=1&epik=dj0yJnU9abcdef", None),
    ],
)
def test_a_landing_that_came_from_a_pin_is_a_click_too(address, campaign):
    """Of the same visitor and page, with the campaign; it is no event of the page's own."""
    intake = take({"event": "page", "ad": {"loc": address}})
    (view,), (click,) = intake.events, intake.landings
    assert (view.name, click.name) == ("init", "click")
    assert (click.visitor, click.url, click.time) == (view.visitor, view.url, view.time)
    assert (json.loads(click.data)["campaign_id"] if click.data else None) == campaign
    views = [{"tid": str(TAG), "event": name, "ad": {"loc": address}} for name in ("page", "pagevisit")]
    again = take(body=json.dumps(views).encode())
    assert [one.event_id for one in again.landings] == [click.event_id]


@pytest.mark.parametrize(
    ("event", "address", "tag"),
    [
        ("page", "https://shop.example/?utm_source=google&utm_campaign=1", {}),
        ("page", "https://shop.example/epik=dj0yJnU9abcdef", {}),
        ("page", "https://shop.example/?xepik=dj0yJnU9abcdef", {}),
        ("page", "https://shop.example/?epik=", {}),
        ("addtocart", PIN, {}),
        ("page", PIN, {"pin_clicks": False}),
        ("page", PIN, {"consent": "required"}),
    ],
)
def test_what_is_no_landing_from_a_pin_is_no_click(event, address, tag):
    """Another source, a look-alike, what happens later on the page, a tag that wants none, no consent."""
    assert take({"event": event, "ad": {"loc": address}}, tag).landings == ()


def test_click_ids_of_all_platforms_are_identifiers():
    """From the landing page's address, or as the tag keeps them; in the order in which they decide."""
    address = "https://shop.example/?gclid=EAIaIQobChMI7&fbclid=IwAR0abcdef&epik=dj0yJnU9abcdef"
    event = {
        "ad": {"loc": address},
        "pd": {"msclkid": "0123456789abcdef0123456789abcdef", "ttclid": "E.C.P.abc"},
    }
    assert json.loads(take(event).events[0].people) == [
        [5, "dj0yJnU9abcdef"], [6, "EAIaIQobChMI7"], [7, "IwAR0abcdef"], [8, "E.C.P.abc"],
        [9, "0123456789abcdef0123456789abcdef"],
    ]  # fmt: skip


def test_a_bots_landing_is_no_click():
    """It stays apart as a whole."""
    intake = take({"event": "page", "ad": {"loc": PIN, "webdriver": True}})
    assert (len(intake.apart), intake.landings) == (1, ())


def test_warnings_are_the_original_ones():
    """A strange name is processed, with a warning."""
    assert server().warning.startswith("external_id is missing. We highly recommend this on all events.")
    assert "'Unknown' event" in server(event_name="subscription").warning
    assert server(event_name="subscription").event is not None
    full = {"em": ["a" * 63 + "b"], "external_id": ["x1"], "click_id": "dj0yJnU9ZXhhbXBsZQ"}
    assert server(user_data=full).warning == ""


def test_every_event_of_a_batch_has_its_own_visitor():
    """However many share the batch's entropy."""
    one = {
        "event_name": "lead",
        "action_source": "web",
        "event_time": 1,
        "event_id": "e",
        "user_data": {"em": ["x"]},
    }
    results = server_results(json.dumps({"data": [one] * 1000}).encode())
    assert len({result.event.visitor for result in results if result.event}) == 1000


@pytest.mark.parametrize("random", ["0" * 16, "255" * 16])
def test_a_new_browsers_first_requests_are_one_visitor(random):
    """Those that share its word: each is told the same id, whichever answer comes last."""
    here = door()
    first = {"pd": {"first": f"_retag:{NOW}{random}"}}
    begun = here.take(hit(first, address="192.0.2.1"), ENTROPY)
    again = here.take(hit(first, address="192.0.2.1", received=NOW + 59_000), OTHER)
    assert (again.visitor, again.fresh) == (begun.visitor, True)


@pytest.mark.parametrize(
    ("word", "changes"),
    [
        ("7" * 40, {"address": "192.0.2.2"}),
        ("7" * 40, {"user_agent": "another"}),
        ("7" * 40, {"received": NOW + 60_000}),
        ("8" * 40, {}),
        ("short", {}),
        (None, {}),
        ([1], {}),
    ],
)
def test_a_word_from_elsewhere_opens_nobodys_id(word, changes):
    """Another address, agent, word or minute is another visitor: no id is had by guessing or planting."""
    here = door()
    begun = here.take(hit({"pd": {"first": "7" * 40}}, address="192.0.2.1"), ENTROPY)
    for none in ("short", None, [1]):
        here.take(hit({"pd": {"first": none}}, address="192.0.2.1"), ENTROPY)
    again = here.take(hit({"pd": {"first": word}}, **{"address": "192.0.2.1"} | changes), OTHER)
    assert again.visitor not in (None, begun.visitor)


def test_a_refused_event_makes_no_newcomer():
    """Nobody is remembered whose events do not count."""
    here = door(consent="required")
    first = {"pd": {"first": "7" * 40}}
    refused = here.take(hit(first, address="192.0.2.1"), ENTROPY)
    given = here.take(hit(first | {"consent": 1}, address="192.0.2.1"), OTHER)
    assert refused.visitor is None
    assert given.visitor == identity.mint(NOW, OTHER)


def test_what_a_long_request_says_of_its_page_is_not_remembered():
    """In memory lie some thousands of pages: none may be as large as an address may."""
    for number, kept in ((1, 1), (5000, 0)):
        browser_side._context.cache_clear()
        ad = quote(json.dumps({"loc": "https://shop.example/", "title": f"never said before {'x' * number}"}))
        case = hit(None, query=f"tid={TAG}&event=pagevisit&ad={ad}".encode(), method="GET")
        assert door().take(case, ENTROPY).events
        assert browser_side._context.cache_info().currsize == kept


@pytest.mark.parametrize("loc", ["about:srcdoc", "data:text/html,<p>Hello", None, 5])
def test_what_has_no_address_counts_on_the_page_around_it(loc):
    """As its request names that, else as the frame knows it."""
    around, other = "https://shop.example/boots", "https://shop.example/"
    named = take({"ad": {"loc": loc, "ref": other}}, referer=around)
    framed = take({"ad": {"loc": loc, "ref": other}})
    assert [one.events[0].url for one in (named, framed)] == [around, other]
    assert take({"ad": {"loc": loc}}).events[0].url == ""
