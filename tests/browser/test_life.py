"""The life of a page: what counts as a view, and what does not."""

import json

HIDDEN = """
let hidden = true;
Object.defineProperty(document, 'hidden', {get: () => hidden, configurable: true});
window.reveal = () => { hidden = false; document.dispatchEvent(new Event('visibilitychange')); };
window.conceal = () => { hidden = true; document.dispatchEvent(new Event('visibilitychange')); };
"""
VIEW = "pintrk('load', TAG); pintrk('page');"


def test_navigation_inside_the_page_counts_each_address_once(stage):
    """A router may replace first and push after, and call page itself."""
    page = stage.show(calls=VIEW)
    stage.until("init")
    page.evaluate("history.replaceState({}, '', '?p=1'); history.pushState({}, '', '?p=2'); pintrk('page')")
    page.evaluate("history.pushState({}, '', '?p=2')")
    rows = stage.until("init", "init")
    stage.settle()
    assert stage.names() == ["init", "init"]
    assert rows[1][3].endswith("?p=2")


def test_a_view_that_a_router_tells_itself_was_reached_from_the_page_before(stage):
    """Called in the task of the navigation, before anything could be heard of it."""
    posted = []
    stage.context.on("request", lambda one: one.post_data and posted.append(one.post_data))
    page = stage.show(calls=VIEW)
    stage.until("init")
    page.evaluate("history.pushState({}, '', '?p=2'); pintrk('page', {page_name: 'two'})")
    stage.until("init", "init")
    assert json.loads(posted[-1])[0]["ad"]["ref"].endswith(stage.name)


def test_navigation_without_the_navigation_api_counts_too(stage):
    """pushState, and the way back."""
    stage.context.add_init_script("Object.defineProperty(window, 'navigation', {value: undefined})")
    page = stage.show(calls=VIEW)
    stage.until("init")
    page.evaluate("history.pushState({}, '', '?p=2')")
    stage.until("init", "init")
    page.evaluate("history.back()")
    stage.until("init", "init", "init")


def test_a_router_that_intercepts_navigations_is_followed(stage):
    """The Navigation API's own way: links, its own calls, the way back; a changed state is no view."""
    page = stage.show("<a id=go href='?p=1'>Go</a>", calls=VIEW)
    stage.until("init")
    page.evaluate(
        "navigation.addEventListener('navigate', (event) => event.canIntercept && event.intercept("
        "{handler: () => new Promise((done) => setTimeout(done, 100))}))"
    )
    seen = ["init"]
    for step, views in (
        ("document.querySelector('#go').click()", 1),
        ("navigation.updateCurrentEntry({state: 1})", 0),
        ("navigation.navigate('?p=2')", 1),
        ("history.back()", 1),
    ):
        page.evaluate(step + "; 1")
        seen += ["init"] * views
        stage.until(*seen)
        stage.settle()
    rows = stage.until(*seen)
    assert [row[3][-4:] for row in rows[1:]] == ["?p=1", "?p=2", "?p=1"]
    assert [json.loads(row[5])["ref"][-4:] for row in rows[2:]] == ["?p=1", "?p=2"]


def test_a_fragment_is_no_new_page(stage):
    """Unless the tag routes by it."""
    page = stage.show(calls=VIEW)
    stage.until("init")
    page.evaluate("location.hash = 'details'")
    stage.settle()
    assert stage.names() == ["init"]


def test_hash_routes_count_where_the_tag_says_so(stage):
    """An option of the tag's configuration; the route is kept as a path, without what it is asked with."""
    stage.patch(script={"hash": True})
    page = stage.show(calls=VIEW)
    stage.until("init")
    page.evaluate("location.hash = '/cart/ann@mail.example?token=secret'")
    stage.until("init", "init")
    page.evaluate("location.hash = 'details'")
    urls = [row[3] for row in stage.until("init", "init", "init")]
    assert urls[0] == urls[2]
    assert urls[1] == urls[0] + "%23/cart/[email]"


def test_a_return_from_the_back_forward_cache_is_a_view(stage):
    """pageshow with persisted."""
    page = stage.show(calls=VIEW)
    stage.until("init")
    page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    stage.until("init", "init")


def test_a_page_that_was_never_seen_is_not_counted(stage):
    """A background tab, or one that is prerendered, counts when it is seen."""
    stage.context.add_init_script(HIDDEN)
    page = stage.show(calls=VIEW)
    stage.settle()
    assert stage.names() == []
    assert stage.sent == []
    page.evaluate("reveal()")
    stage.until("init")


def test_what_happens_as_the_page_hides_is_sent(stage):
    """By beacon, at once."""
    stage.context.add_init_script(HIDDEN)
    page = stage.show(calls=VIEW)
    page.evaluate("reveal()")
    stage.until("init")
    page.evaluate("conceal(); pintrk('track', 'lead')")
    stage.until("init", "lead")


def test_the_last_click_before_leaving_is_not_lost(stage):
    """An event in the same task as a navigation."""
    page = stage.show(calls=VIEW)
    stage.until("init")
    page.evaluate("pintrk('track', 'lead'); location.href = 'about:blank'")
    stage.until("init", "lead")


def test_no_unload_listeners_are_set(stage):
    """They would keep the page out of the back/forward cache."""
    stage.context.add_init_script(
        "window.heard = []; const add = EventTarget.prototype.addEventListener;"
        "EventTarget.prototype.addEventListener = function (name, ...rest) "
        "{ heard.push(name); return add.call(this, name, ...rest); };"
    )
    page = stage.show(calls=VIEW)
    stage.until("init")
    assert not {"unload", "beforeunload"} & set(page.evaluate("heard"))
