"""Every way in which pages call the tag ends in the same rows."""

import hashlib
import json

from conftest import SCRIPT, call

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
