"""Every way in which pages call the tag ends in the same rows."""

import hashlib
import json
import sqlite3
import time
from contextlib import closing

from conftest import SCRIPT, STUB, call

from retag.store.settle import TIMED

ANN = hashlib.sha256(b"ann@mail.example").hexdigest()


def test_calls_of_one_task_leave_as_one_beacon_of_one_visitor(stage):
    """Queue, order, casing and spaces; and one request."""
    stage.show(calls="pintrk('load', TAG); pintrk('page'); pintrk('track', 'Add To Cart', {value: 5});")
    rows = stage.until("init", "addtocart")
    assert len({row[1] for row in rows}) == 1
    assert len(stage.sent) == 1
    assert json.loads(rows[1][2])["value"] == 5


def test_events_right_after_each_other_are_one_visitor(stage):
    """Until the first answer the others wait: no two ids for one new browser."""
    page = stage.show(calls="pintrk('load', TAG); pintrk('page');")
    page.evaluate("for (let i = 0; i < 5; i++) setTimeout(() => pintrk('track', 'lead'), i)")
    rows = stage.until("init", *["lead"] * 5)
    assert len({row[1] for row in rows}) == 1


def test_a_number_is_a_tag_id_and_a_callback_is_told(stage):
    """Ids come as numbers; the fourth argument hears (true), or (false, why)."""
    page = stage.show(calls="pintrk('load', +TAG);")
    page.wait_for_function("window.pintrk.retag")
    said = page.evaluate(
        "new Promise(done => pintrk('track', 'lead', {}, (ok, error) => done([ok, error || null])))"
    )
    refused = page.evaluate("new Promise(done => pintrk('track', '', {}, (ok, error) => done([ok, error])))")
    assert said == [True, None]
    assert refused[0] is False
    assert refused[1]
    stage.until("lead")


def test_partner_data_is_hashed_merged_and_cleared(stage):
    """A raw address never leaves the page; an empty value clears."""
    posted = []
    stage.context.on("request", lambda one: posted.append(one.post_data or ""))
    page = stage.show(calls="pintrk('load', TAG, {em: ' Ann@Mail.example '}); pintrk('track', 'lead');")
    assert json.loads(stage.until("lead")[0][4]) == [[1, ANN]]
    page.evaluate("pintrk('set', {np: 'gtm'}); pintrk('set', {em: ''}); pintrk('track', 'search')")
    assert stage.until("lead", "search")[1][4] in (b"", None, "")
    assert not any("ann@mail" in text.lower() for text in posted)


def test_addresses_in_an_array_are_hashed_one_by_one(stage):
    """Hashed ones stay."""
    stage.show(calls=f"pintrk('load', TAG, {{em: ['{ANN}', 'bob@mail.example']}}); pintrk('track', 'lead');")
    assert len(json.loads(stage.until("lead")[0][4])) == 2


def test_one_line_item_may_be_an_object(stage):
    """It becomes a list; page's own properties are kept."""
    stage.show(
        calls="pintrk('load', TAG); pintrk('page', {page_name: 'x'});"
        "pintrk('track', 'checkout', {line_items: {product_id: 7}});"
    )
    rows = stage.until("init", "checkout")
    assert json.loads(rows[0][2])["page_name"] == "x"
    assert json.loads(rows[1][2])["line_items"] == [{"product_id": "7"}]


def test_a_queue_of_array_likes_without_a_version_is_read(stage):
    """As Google's tag manager makes one."""
    script = (
        f"<script>window.pintrk=function(){{}};pintrk.queue=[];"
        f"(function(){{pintrk.queue.push(arguments)}})('load','{stage.tag}');"
        f"pintrk.queue.push({{0:'track',1:'lead',length:2}});</script>{SCRIPT}"
    )
    page = stage.show(calls=None, script=script)
    stage.until("lead")
    page.evaluate("pintrk.queue.push(['track', 'search'])")
    stage.until("lead", "search")
    assert page.evaluate(
        "[Array.isArray(pintrk.queue), pintrk.version, pintrk.push !== Array.prototype.push]"
    )


def test_our_script_may_come_before_the_stub(stage):
    """The stub then steps aside."""
    base = "<script>if(!window.pintrk)throw 1;</script>"
    script = (
        f'<script src="/tag.js"></script>{base}<script>pintrk("load","{stage.tag}");pintrk("page")</script>'
    )
    stage.show(calls=None, script=script)
    stage.until("init")


def test_loaded_twice_is_one_tag_and_one_warning(stage):
    """And one page view."""
    heard = []
    page = stage.context.new_page()
    page.on("console", lambda one: heard.append(one.text))
    stage.show(
        calls="pintrk('load', TAG); pintrk('page');",
        script='<script src="/tag.js"></script><script src="/ct/core.js"></script>',
        page=page,
    )
    stage.until("init")
    stage.wait(lambda: any("twice" in text for text in heard))
    stage.settle()
    assert stage.names() == ["init"]
    assert len([text for text in heard if "twice" in text]) == 1


def test_several_tags_hear_every_event(stage):
    """One row for each tag, one visitor, as the cookie is the account's."""
    made = call(
        stage.server, "POST", f"/v5/ad_accounts/{stage.server.account}/conversion_tags", {"name": "Second"}
    )
    stage.show(calls=f"pintrk('load', TAG); pintrk('load', '{made['id']}'); pintrk('track', 'lead');")
    stage.until("lead", "lead")
    assert len({row[0] for row in stage.rows("tag")}) == 2
    assert len({row[0] for row in stage.rows("visitor")}) == 1


def test_the_pages_own_event_id_is_the_events(stage):
    """Under any of its names: what the server tells too is not counted twice."""
    calls = "".join(f"pintrk('track', 'lead', {{{name}: 'X-1'}});" for name in ("event_id", "eventID", "eid"))
    stage.show(calls="pintrk('load', TAG);" + calls + "pintrk('track', 'search', {event_id: ''});")
    stage.wait(lambda: "search" in stage.names() and not stage.waiting)
    path = stage.server.folder / "retag.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as cn:
        sql = "SELECT name, event_id FROM log WHERE url LIKE ? ORDER BY seq"
        found = cn.execute(sql, (f"%/stage/{stage.name}",)).fetchall()
    assert [one for one in found if one[0] == "lead"] == [("lead", "X-1")] * 3
    assert len(found[3][1]) > 30


def test_the_tags_own_event_ids_begin_with_the_time(stage):
    """In the form by which the server keeps them in that order, and none twice."""
    stage.show(calls="pintrk('load', TAG); pintrk('page'); pintrk('track', 'lead');")
    rows = stage.until("init", "lead") and stage.rows("event_id, time")
    for event_id, at in rows:
        assert abs(int(TIMED.match(event_id)[1]) - at) < 60_000
    assert len({event_id for event_id, _ in rows}) == 2


def test_the_landing_pages_click_id_is_kept_and_the_address_is_scrubbed(stage):
    """epik goes into its cookie and is a click on a pin; an unlisted parameter does not leave the page."""
    posted = []
    stage.context.on("request", lambda one: posted.append(one.post_data or ""))
    stage.show(calls="pintrk('load', TAG); pintrk('page');", query="?epik=dj0yJnU9abcdef&secret=x1y2&q=boots")
    row, click = stage.until("init", "click")
    assert row[3].endswith("?q=boots")
    assert click[1] == row[1]
    assert [5, "dj0yJnU9abcdef"] in json.loads(row[4])
    stage.wait(lambda: stage.cookies() >= {"_epik", "retag"})
    assert not any("x1y2" in text for text in posted)


def test_what_is_no_json_is_refused_and_stops_nothing(stage):
    """A loop, a BigInt, a page's window: the callback is told, the other events go."""
    page = stage.show(calls="pintrk('load', TAG);")
    page.wait_for_function("pintrk.retag")
    heard = page.evaluate(
        """() => {
          const loop = {}; loop.loop = loop;
          const heard = [];
          for (const bad of [loop, {big: 10n}, {node: window}])
            pintrk('track', 'search', bad, (...all) => heard.push(all));
          pintrk('nonsense'); pintrk(); pintrk('constructor', {}); pintrk.push(null, 7);
          pintrk('track', 'lead', {value: 5}, (...all) => heard.push(all));
          return heard;
        }"""
    )
    assert [one[0] for one in heard] == [False, False, False, True]
    assert heard[0][1] == "failed"
    assert json.loads(stage.until("lead")[0][2]) == {"value": 5}


def test_an_event_is_what_it_was_when_it_was_called(stage):
    """The page may change its objects right after."""
    page = stage.show(calls="pintrk('load', TAG);")
    page.wait_for_function("pintrk.retag")
    page.evaluate(
        "(() => { const data = {line_items: [{product_id: 7}]}; pintrk('track', 'addtocart', data);"
        "data.line_items[0].product_id = 8; data.value = 9 })()"
    )
    assert json.loads(stage.until("addtocart")[0][2]) == {"line_items": [{"product_id": "7"}]}


def test_a_callback_that_throws_is_its_own_affair(stage):
    """Nor does it keep the calls after it."""
    stage.show(calls="pintrk('load', TAG); pintrk('track', 'lead', {}, () => { throw 1 }); pintrk('page');")
    stage.until("lead", "init")


def test_a_page_with_a_callback_is_counted(stage):
    """It hears that the call was made."""
    stage.show(calls="pintrk('load', TAG); pintrk('page', {}, (...all) => (window.heard = all));")
    stage.until("init")
    assert stage.context.pages[0].evaluate("heard") == [True, None]


def test_only_listed_parameters_leave_the_page(stage):
    """Whatever case their names are in; a second question mark is no way around the list."""
    posted = []
    stage.context.on("request", lambda one: one.post_data and posted.append(one.post_data))
    query = "?Q=boots&token=s3cret&utm_source=mail&x=a?password=s3cret&page=ann@mail.example#q=s3cret"
    stage.show(calls="pintrk('load', TAG); pintrk('page');", query=query)
    stage.until("init")
    loc = json.loads(posted[0])[0]["ad"]["loc"]
    assert loc.partition("?")[2] == "Q=boots&utm_source=mail&page=[email]"
    assert "s3cret" not in posted[0]


def test_an_address_that_is_cut_is_masked_before(stage):
    """Half of an e-mail address says as much as the whole."""
    posted = []
    stage.context.on("request", lambda one: one.post_data and posted.append(one.post_data))
    page = stage.show(calls="pintrk('load', TAG);")
    long = "location.href.padEnd(1990, '/a') + '/ann.smith@mail.example'"
    page.evaluate(f"history.replaceState(0, '', {long})")
    page.evaluate("pintrk('page')")
    stage.until("init")
    loc = json.loads(posted[0])[0]["ad"]["loc"]
    assert len(loc) > 1990
    assert "ann" not in loc


def test_what_is_sent_of_the_browser(stage):
    """Address, referrer, screen, viewport, language, user-agent hints, times, and an id for each event."""
    posted = []
    stage.context.on("request", lambda one: one.post_data and posted.append(one.post_data))
    stage.patch(script={"title": True})
    page = stage.show(calls="pintrk('load', TAG); pintrk('page'); pintrk('track', 'lead');")
    kept = json.loads(stage.until("init", "lead")[0][5])
    assert [kept["vw"], kept["vh"]] == page.evaluate("[innerWidth, innerHeight]")
    first, second = json.loads(posted[0])
    assert first["ad"]["loc"].endswith(f"/stage/{stage.name}")
    assert {"sw", "sh", "language", "if", "title", "brands", "platform", "mobile"} <= first["ad"].keys()
    assert first["ad"]["title"] == "Stage"
    assert first["ts"] <= first["sent"]
    assert first["ed"]["eid"] != second["ed"]["eid"]


def test_all_click_ids_are_kept_for_later_pages(stage):
    """First-party, a year or ninety days; they go with the events of pages that do not have them."""
    ids = {
        "epik": "dj0yJnU9abcdef",
        "gclid": "EAIaIQobChMI7",
        "fbclid": "IwAR0abcdefgh",
        "ttclid": "E.C.P.abcdef",
        "msclkid": "0a1b2c3d4e5f",
    }
    query = "?" + "&".join(f"{name}={value}" for name, value in ids.items())
    stage.show(calls="pintrk('load', TAG); pintrk('page');", query=query)
    stage.until("init", "click")
    days = {one["name"]: (one["expires"] - time.time()) / 86400 for one in stage.context.cookies()}
    assert round(days["_epik"]) == 365
    assert {round(days[f"_{name}"]) for name in ids if name != "epik"} == {90}
    stage.show(calls="pintrk('load', TAG); pintrk('track', 'lead');")
    lead = next(row for row in stage.until("init", "click", "lead") if row[0] == "lead")
    assert {value for _, value in json.loads(lead[4])} == set(ids.values())


def test_the_base_code_inside_a_frame_says_so(stage):
    """Its address is its own, and it is the same visitor."""
    posted = []
    stage.context.on("request", lambda one: one.post_data and posted.append(one.post_data))
    page = stage.show(calls="pintrk('load', TAG); pintrk('page');")
    stage.until("init")
    inner = f"<script>{STUB}pintrk('load', '{stage.tag}'); pintrk('track', 'lead')</script>{SCRIPT}"
    page.route("**/frame", lambda route: route.fulfill(body=inner, content_type="text/html"))
    url = f"/stage/{stage.name}/frame"
    page.evaluate(
        "url => { const f = document.createElement('iframe'); f.src = url; document.body.append(f) }", url
    )
    rows = stage.until("init", "lead")
    assert len({row[1] for row in rows}) == 1
    assert [json.loads(one)[0]["ad"]["if"] for one in posted] == [False, True]
