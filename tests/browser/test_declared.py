"""Events without code, on markup as it is found."""

import json

import pytest

LOAD = "pintrk('load', TAG);"
CARD = """
<div data-retag-product-id=7 data-retag-campaign=c1>
  <button id=save data-retag=save data-retag-pin=p1><svg width=20 height=20>
    <path id=deep d="M0 0h20v20H0z"/></svg></button>
  <button id=add data-retag=AddToCart data-retag-value=9.5 data-retag-currency=EUR>Add</button>
</div>"""


def test_a_click_deep_inside_an_svg_is_its_buttons(stage):
    """With what the elements around it say."""
    page = stage.show(CARD, calls=LOAD)
    page.wait_for_function("pintrk.retag")
    page.click("#deep")
    page.click("#add")
    saved, added = [json.loads(row[2]) for row in stage.until("save", "addtocart")]
    assert saved == {"pin_id": "p1", "product_id": "7", "campaign_id": "c1"}
    assert (added["value"], added["currency"], added["product_id"]) == (9.5, "EUR", "7")


ENGAGEMENTS = ("closeup", "click", "save", "like", "comment")


def test_the_five_engagements_by_mouse_and_by_keyboard(stage):
    """On elements that came later than the tag, with pin, campaign and ad."""
    page = stage.show("<main id=here></main>", calls=LOAD)
    page.wait_for_function("pintrk.retag")
    page.evaluate(
        "all => { here.innerHTML = all.map((name) => `<button id=${name} data-retag=${name} data-retag-pin=p"
        " data-retag-campaign=c data-retag-ad=a>${name}</button>`).join('') }",
        ENGAGEMENTS,
    )
    for name in ENGAGEMENTS[:3]:
        page.click(f"#{name}")
    for name, key in zip(ENGAGEMENTS[3:], ("Enter", "Space"), strict=True):
        page.focus(f"#{name}")
        page.keyboard.press(key)
    rows = stage.until(*ENGAGEMENTS)
    assert {row[2] for row in rows} == {b'{"pin_id":"p","campaign_id":"c","ad_id":"a"}'}


def test_a_click_on_a_label_is_one(stage):
    """The browser clicks its field as well, inside of it."""
    body = "<label id=heart data-retag=save data-retag-product-id=7>Keep <input type=checkbox></label>"
    page = stage.show(body, calls=LOAD)
    page.wait_for_function("pintrk.retag")
    page.click("#heart", position={"x": 3, "y": 5})
    stage.until("save")
    stage.settle()
    page.click("#heart input")
    stage.until("save", "save")
    stage.settle()
    assert stage.names() == ["save", "save"]


def test_a_handler_that_stops_the_click_stops_us_not(stage):
    """And we do not stop the page's."""
    page = stage.show(CARD, calls=LOAD)
    page.wait_for_function("pintrk.retag")
    page.evaluate(
        "document.body.addEventListener('click', e => { e.stopImmediatePropagation(); window.own = 1 }, true)"
    )
    page.click("#add")
    stage.until("addtocart")
    assert page.evaluate("own") == 1


def test_open_shadow_roots_are_seen_through(stage):
    """By the event's composed path."""
    page = stage.show("<div id=host></div>", calls=LOAD)
    page.wait_for_function("pintrk.retag")
    page.evaluate(
        "host.attachShadow({mode: 'open'}).innerHTML = '<button data-retag=like data-retag-pin=p2>♥</button>'"
    )
    page.click("button")
    assert json.loads(stage.until("like")[0][2]) == {"pin_id": "p2"}


def test_a_form_speaks_when_it_is_submitted(stage):
    """Also one whose fields hide its own methods; a click inside it is none."""
    form = (
        "<form data-retag=comment data-retag-pin=p3 onsubmit='return false'><input name=action>"
        "<input name=getAttribute><input name=attributes><button id=go>Go</button></form>"
    )
    page = stage.show(form, calls=LOAD)
    page.wait_for_function("pintrk.retag")
    # Playwright's own click trips over such a form.
    page.evaluate("document.querySelector('[name=action]').click(); document.querySelector('#go').click()")
    stage.until("comment")
    stage.settle()
    assert stage.names() == ["comment"]


def test_a_product_page_says_its_product(stage):
    """JSON-LD, when the module is on; what the call says itself comes first."""
    stage.patch(script={"modules": ["products"]})
    linked = {
        "@graph": [
            {
                "@type": "Product",
                "sku": "B7",
                "name": "Boots",
                "offers": {"price": "199.98", "priceCurrency": "EUR"},
            }
        ]
    }
    body = f'<script type="application/ld+json">{json.dumps(linked)}</script>'
    page = stage.show(body, calls=LOAD)
    page.wait_for_function("pintrk.retag")
    page.evaluate("pintrk('track', 'pagevisit')")
    page.evaluate("pintrk('track', 'pagevisit', {product_id: 'own'})")
    first, second = [json.loads(row[2]) for row in stage.until("pagevisit", "pagevisit")]
    assert first["line_items"][0] == {"product_id": "B7", "product_name": "Boots", "product_price": 199.98}
    assert "line_items" not in second


def test_a_product_further_down_the_page_is_waited_for(stage):
    """`pagevisit` is called in the head, while the page is still being read."""
    stage.patch(script={"modules": ["products"]})
    linked = {"@type": "Product", "sku": "B7", "offers": {"price": 48, "priceCurrency": "EUR"}}
    body = f'<script>"late"</script><script type="application/ld+json">{json.dumps(linked)}</script>'
    script = '<script src="/tag.js"></script>'
    stage.show(body, calls=LOAD + "pintrk('track', 'Page Visit');", script=script)
    (row,) = stage.until("pagevisit")
    data = json.loads(row[2])
    assert data["line_items"] == [{"product_id": "B7", "product_price": 48}]
    assert data["currency"] == "EUR"


OPEN_GRAPH = """
<meta property="og:type" content="product"><meta property="og:title" content="Boots">
<meta property="product:retailer_item_id" content="B7"><meta property="product:price:amount" content="199,98">
<meta property="product:price:currency" content="EUR">"""
MICRODATA = """
<div itemscope itemtype="https://schema.org/Product">
  <div itemprop="isRelatedTo" itemscope itemtype="https://schema.org/Product">
    <b itemprop="sku">OTHER</b></div>
  <b itemprop="name">Boots</b><meta itemprop="sku" content="B7">
  <div itemprop="review" itemscope itemtype="https://schema.org/Review"><i itemprop="name">Bad</i></div>
  <div itemprop="offers" itemscope itemtype="https://schema.org/Offer">
    <span itemprop="price" content="199.98">199,98 EUR</span>
    <meta itemprop="priceCurrency" content="EUR"></div>
</div>"""


def test_a_product_without_an_offer_is_a_product(stage):
    """Sold out: an empty list of offers."""
    stage.patch(script={"modules": ["products"]})
    linked = {"@type": "Product", "sku": "B7", "name": "Boots", "offers": [], "brand": None}
    body = f'<script type="application/ld+json">{json.dumps(linked)}</script>'
    stage.show(body, calls=LOAD + "pintrk('track', 'pagevisit');")
    assert json.loads(stage.until("pagevisit")[0][2])["line_items"] == [
        {"product_id": "B7", "product_name": "Boots"}
    ]


OFFER = {"price": "39.99", "priceCurrency": "EUR"}
COAT = {"product_id": "C1", "product_name": "Coat", "product_price": 39.99}
NAMED = {"@type": "Product", "sku": "C1", "name": "Coat"}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(
            {
                "@type": "ProductGroup",
                "productGroupID": "C1",
                "name": "Coat",
                "hasVariant": [{"@type": "Product", "sku": "C1-S", "offers": OFFER}, {"@type": "Product"}],
            }
        ),
        json.dumps(
            NAMED | {"offers": {"@type": "AggregateOffer", "offers": [OFFER, {"price": 60}], "offerCount": 2}}
        ),
        "//<![CDATA[\n" + json.dumps(NAMED | {"offers": [OFFER]}) + "\n//]]>",
        "<!--\n" + json.dumps(NAMED | {"offers": [OFFER]}) + "\n-->",
        json.dumps(NAMED | {"offers": OFFER, "description": "Warm#"}).replace("#", "\n\tand dry"),
    ],
    ids=["variants", "offers of an offer", "CDATA", "comment", "broken lines"],
)
def test_a_product_as_shops_write_it(stage, text):
    """Groups of variants, offers in offers, and what templates leave around JSON."""
    stage.patch(script={"modules": ["products"]})
    body = f'<script type="application/ld+json">{text}</script>'
    stage.show(body, calls=LOAD + "pintrk('track', 'pagevisit');")
    data = json.loads(stage.until("pagevisit")[0][2])
    assert (data.get("line_items"), data.get("currency")) == ([COAT], "EUR")


CATEGORY = {"@type": "ItemList", "itemListElement": [{"@type": "ListItem", "item": NAMED}] * 2}
CATEGORIES = [
    f'<script type="application/ld+json">{json.dumps(CATEGORY)}</script>',
    f'<script type="application/ld+json">{json.dumps({"mainEntity": CATEGORY})}</script>',
    '<ul itemscope itemtype="https://schema.org/ItemList"><li itemprop=itemListElement itemscope '
    'itemtype="https://schema.org/Product"><b itemprop=name>Coat</b></ul>',
]


@pytest.mark.parametrize("markup", CATEGORIES)
def test_a_category_is_no_page_of_its_first_product(stage, markup):
    """Its visitors have not looked at that."""
    stage.patch(script={"modules": ["products"]})
    stage.show(markup, calls=LOAD + "pintrk('track', 'pagevisit');")
    assert "line_items" not in json.loads(stage.until("pagevisit")[0][2] or b"{}")


def test_the_price_is_not_a_neighbours(stage):
    """A related product comes first, with its own offer; the page's has a lowest price."""
    related = (
        '<div itemprop="isRelatedTo" itemscope itemtype="https://schema.org/Product"><div itemprop=offers '
        'itemscope itemtype="https://schema.org/Offer"><meta itemprop=price content=1></div></div>'
    )
    offer = (
        '<div itemprop=offers itemscope itemtype="https://schema.org/AggregateOffer">'
        "<meta itemprop=lowPrice content=39.99></div>"
    )
    name = "<b itemprop=name>Coat</b>"
    body = f'<div itemscope itemtype="https://schema.org/Product">{related}{name}{offer}</div>'
    stage.patch(script={"modules": ["products"]})
    stage.show(body, calls=LOAD + "pintrk('track', 'pagevisit');")
    data = json.loads(stage.until("pagevisit")[0][2])
    assert data["line_items"] == [{"product_name": "Coat", "product_price": 39.99}]


@pytest.mark.parametrize("markup", [OPEN_GRAPH, MICRODATA])
def test_a_product_in_other_words(stage, markup):
    """Open Graph; microdata without what is its reviews' and neighbours'. Broken JSON-LD is passed over."""
    stage.patch(script={"modules": ["products"]})
    broken = '<script type="application/ld+json">{"@type": "Product", </script>'
    stage.show(broken + markup, calls=LOAD + "pintrk('track', 'pagevisit');")
    data = json.loads(stage.until("pagevisit")[0][2])
    assert data["line_items"] == [{"product_id": "B7", "product_name": "Boots", "product_price": 199.98}]
    assert data["currency"] == "EUR"


def test_a_page_without_a_product_sends_its_visit_all_the_same(stage):
    """With nothing made up."""
    stage.patch(script={"modules": ["products"]})
    stage.show("<h1>About</h1>", calls=LOAD + "pintrk('track', 'pagevisit', {page_name: 'About'});")
    assert json.loads(stage.until("pagevisit")[0][2]) == {"page_name": "About"}


def test_engagement_is_told_when_the_page_is_left(stage):
    """Seconds in view, how far it was scrolled, and the viewport; an option, so without it nothing."""
    fast = "const real = performance.now; performance.now = () => real.call(performance) * 20"
    stage.context.add_init_script(fast)
    tall = "<div style='height: 4000px'></div>"
    page = stage.show(tall, calls=LOAD + "pintrk('page');")
    stage.until("init")
    page.goto("about:blank")
    stage.patch(script={"modules": ["engagement"]})
    page = stage.show(tall, calls=LOAD + "pintrk('page');")
    stage.until("init", "init")
    page.evaluate("scrollTo(0, 1500)")
    page.wait_for_function("performance.now() > 8000 && scrollY == 1500")
    page.goto("about:blank")
    data = json.loads(stage.until("init", "init", "engagement")[2][2])
    assert data["seconds"] >= 1
    assert 20 < data["scroll"] < 100
    assert "x" in data["viewport"]


def test_engagement_belongs_to_the_page_that_was_read(stage):
    """Inside of a page its address has already changed when it is left."""
    fast = "const real = performance.now; performance.now = () => real.call(performance) * 20"
    stage.context.add_init_script(fast)
    stage.patch(script={"modules": ["engagement"]})
    page = stage.show(calls=LOAD + "pintrk('page');", query="?p=1")
    stage.until("init")
    page.wait_for_function("performance.now() > 8000")
    page.evaluate("history.pushState({}, '', '?p=2')")
    stage.until("init", "engagement", "init")
    ends = [(name, url[-3:]) for name, url in stage.rows("name, url")]
    assert sorted(ends) == [("engagement", "p=1"), ("init", "p=1"), ("init", "p=2")]


def test_engagement_of_a_hash_route_belongs_to_the_route_that_was_read(stage):
    """Both modules write the event's address."""
    fast = "const real = performance.now; performance.now = () => real.call(performance) * 20"
    stage.context.add_init_script(fast)
    stage.patch(script={"modules": ["engagement"], "hash": True})
    page = stage.show(calls=LOAD + "pintrk('page');", query="#/one?token=s3cret")
    stage.until("init")
    page.wait_for_function("performance.now() > 8000")
    page.evaluate("location.hash = '#/two'")
    stage.until("init", "engagement", "init")
    ends = [(name, url.partition("%23")[2]) for name, url in stage.rows("name, url")]
    assert sorted(ends) == [("engagement", "/one"), ("init", "/one"), ("init", "/two")]


def test_a_right_click_goes_nowhere(stage):
    """It opens a menu; the middle button opens the link."""
    stage.patch(script={"modules": ["forms"]})
    page = stage.show("<a id=out href='https://elsewhere.example/x'>Out</a>", calls=LOAD)
    page.wait_for_function("pintrk.retag")
    page.click("#out", button="right")
    stage.settle()
    assert stage.names() == []
    page.evaluate("addEventListener('auxclick', (event) => event.preventDefault())")
    page.click("#out", button="middle")
    stage.until("outbound")


def test_outbound_clicks_and_submits_come_with_a_module(stage):
    """Nothing in the form's fields is read."""
    stage.patch(script={"modules": ["forms"]})
    body = (
        "<a id=out href='https://elsewhere.example/x?secret=1' onclick='return false'>Out</a>"
        "<form id=news onsubmit='return false'><input value=hidden-text><button id=go>Go</button></form>"
    )
    page = stage.show(body, calls=LOAD)
    page.wait_for_function("pintrk.retag")
    page.click("#out")
    page.click("#go")
    rows = stage.until("outbound", "form_submit")
    assert json.loads(rows[0][2]) == {"link": "https://elsewhere.example/x"}
    assert "hidden-text" not in str(rows)
