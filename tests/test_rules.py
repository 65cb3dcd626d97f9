"""The rule language: what each field means at its boundary, what is refused and how, and what is echoed."""

import timeit

import pytest

from retag.errors import Invalid
from retag.rules import Book, Fact, echo, parse
from retag.windows import DAY, EVER, MINUTE, NEVER, NOTHING, Window, either

T = 1_700_000_000_000
BROWSERS = "https://xn--mbel-5qa.example/gr%C3%B6%C3%9Fe/?q=ein%20h%C3%BCt&p=1"
"""As `location.href` has it, and so the tag."""


def fact(**fields):
    return Fact(**{"name": "checkout", "time": T, "tag": 7, "url": "https://shop.example/sale/1", **fields})


def clause(kind="VISITOR", /, **raw):
    return parse(kind, raw).clauses[0]


def window(raw, *events, kind="VISITOR"):
    """The window of a rule after events of (name, time, value)."""
    rule = parse(kind, raw)
    memories, held = rule.nothing(), None
    for name, time, value in events:
        one = fact(name=name, time=time, data={"value": value})
        for i, part in enumerate(rule.clauses):
            if part.matches(one):
                memories[i] = part.remember(memories[i], time, part.value(one))
        held = rule.window(memories, held)
    return held


def refusal(raw, kind="VISITOR"):
    with pytest.raises(Invalid) as caught:
        parse(kind, raw)
    return caught.value.field, str(caught.value)


# Windows


def test_a_match_counts_from_its_instant_until_its_retention():
    """An event at e counts at instants t with e <= t < e + retention; a day is 86,400,000 ms."""
    found = window({"event": "checkout", "retention_days": 1}, ("checkout", T, 0))
    assert (found.opens, found.closes) == (T, T + DAY)
    assert [found.holds(t) for t in (T - 1, T, T + DAY - 1, T + DAY)] == [False, True, True, False]


def test_minutes_are_finer_than_days():
    assert (
        window({"event": "checkout", "retention_minutes": 90}, ("checkout", T, 0)).closes == T + 90 * MINUTE
    )


def test_the_default_retention_is_180_days():
    assert window({"event": "checkout"}, ("checkout", T, 0)).closes == T + 180 * DAY


def test_in_none_no_retention_means_ever():
    """Who ever bought is out for good; with a retention, only for so long."""
    events = [("addtocart", T, 0), ("checkout", T + 5, 0)]
    assert window({"event": "addtocart", "none": [{"event": "checkout"}]}, *events) is NEVER
    found = window({"event": "addtocart", "none": [{"event": "checkout", "retention_days": 7}]}, *events)
    assert found == Window(T + 5 + 7 * DAY, T + 180 * DAY)


def test_none_alone_means_all_visitors_but():
    """Without a positive clause, any event within 180 days is the positive one."""
    rule = {"none": [{"customer_list_id": "5"}]}
    assert window(rule, ("pagevisit", T, 0)) == Window(T, T + 180 * DAY)


def test_the_kth_latest_closes_a_count():
    """Three times in ten days: open at the third, closed when the oldest of the latest three lapses."""
    rule = {"event": "checkout", "min_count": 3, "retention_days": 10}
    days = [T, T + 2 * DAY, T + 4 * DAY, T + 5 * DAY]
    assert window(rule, *(("checkout", t, 0) for t in days[:2])) is NEVER
    assert window(rule, *(("checkout", t, 0) for t in days[:3])) == Window(days[2], T + 10 * DAY)
    assert window(rule, *(("checkout", t, 0) for t in days)) == Window(days[2], T + 12 * DAY)


def test_the_shortest_run_closes_a_sum():
    """The sum of `value` over the latest matches; refunds count nothing, and 0.7 + 0.1 reaches 0.8."""
    rule = {"event": "checkout", "min_value": 100, "retention_days": 10}
    assert window(rule, ("checkout", T, 60), ("checkout", T + DAY, 39.99)) is NEVER
    events = [("checkout", T, 60), ("checkout", T + DAY, -50), ("checkout", T + 2 * DAY, 40)]
    assert window(rule, *events) == Window(T + 2 * DAY, T + 10 * DAY)
    assert window({**rule, "min_value": 0.8}, ("checkout", T, 0.7), ("checkout", T + 1, 0.1)).holds(T + 1)


def test_since_survives_renewal_and_ends_with_a_gap():
    """Coming back in time keeps the opening; coming back too late starts anew."""
    rule = {"event": "pagevisit", "retention_days": 10}
    times = [T, T + 9 * DAY, T + 18 * DAY]
    assert window(rule, *(("pagevisit", t, 0) for t in times)).opens == T
    assert window(rule, ("pagevisit", T, 0), ("pagevisit", T + 11 * DAY, 0)).opens == T + 11 * DAY


def test_windows_join():
    """Any of them is the stretch that closes last; nothing joined is never."""
    one, two, three = (0, 10), (5, 20), (30, 40)
    assert either([one, two]) == (0, 20)
    assert either([one, two, three]) == three
    assert either([NOTHING]) is either([]) is NOTHING


def test_list_clauses_hold_while_listed():
    """No event matches a customer list; its membership is remembered and forgotten by others."""
    part = clause("CUSTOMER_LIST", customer_list_id="5")
    assert part.list_id == 5
    assert not part.matches(fact())
    assert part.window(part.remember([], T, 0)) == Window(T, EVER)
    assert part.window([]) is NEVER


# Matching


@pytest.mark.parametrize(
    ("raw", "fields", "matches"),
    [
        ({}, {"name": "init"}, True),
        ({"event": "pagevisit"}, {"name": "init"}, False),
        ({"event": "PageVisit"}, {"name": "pagevisit"}, True),
        ({"event": "MyOwnEvent"}, {"name": "myownevent"}, True),
        ({"visitor_source_id": "7"}, {}, True),
        ({"visitor_source_id": ["8", 9]}, {}, False),
        ({"visitor_source_id": 7}, {}, True),
        ({"event_source": {"=": ["web", "mobile"]}}, {"platform": 2}, True),
        ({"event_source": {"=": ["web", "mobile"]}}, {"platform": 3}, False),
        ({"event_source": "web"}, {"platform": 1}, True),
        ({"event_source": {"!=": ["web"]}}, {"platform": 1}, False),
        ({"ingestion_source": {"=": "conversions_api"}}, {"source": 2}, True),
        ({"url": "https://shop.example/sale/1"}, {}, True),
        ({"url": ["https://a.example/", "https://shop.example/sale/1"]}, {}, True),
        ({"url": {"contains": "/sale/"}}, {}, True),
        ({"url": {"contains": ["/none/", "/sale/"]}}, {}, True),
        ({"url": {"contains": "/Sale/"}}, {}, False),
        ({"url": {"not_contains": ["/none/", "/sale/"]}}, {}, False),
        ({"url": {"not_contains": "/cart"}}, {}, True),
        ({"url": {"!=": ["https://shop.example/sale/1", "x"]}}, {}, False),
        ({"url": {"starts_with": "https://shop.example/"}}, {}, True),
        ({"url": {"starts_with": "https://shop.example/", "not_contains": "sale"}}, {}, False),
        ({"url": {"starts_with": "HTTPS://Shop.Example/sale"}}, {}, True),
        ({"url": {"contains": "/größe/"}}, {"url": BROWSERS}, True),
        ({"url": {"contains": "ein hüt"}}, {"url": BROWSERS}, True),
        ({"url": {"not_contains": "/größe/"}}, {"url": BROWSERS}, False),
        ({"url": "https://Möbel.example/größe/?q=ein hüt&p=1"}, {"url": BROWSERS}, True),
        ({"url": BROWSERS}, {"url": BROWSERS}, True),
        ({"url": {"contains": "/größe/"}}, {"url": "https://möbel.example/größe/"}, True),
    ],
)
def test_event_and_page_conditions(raw, fields, matches):
    """Sources, tags and URLs: several values are any of them, negated operators none of them."""
    assert clause(**raw).matches(fact(**fields)) is matches


@pytest.mark.parametrize(
    ("condition", "data", "matches"),
    [
        ({"value": "100"}, {"value": 100.0}, True),
        ({"value": 100}, {"value": 100.5}, False),
        ({"value": {">=": 100}}, {"value": 100.0}, True),
        ({"value": {">": 100}}, {"value": 100.0}, False),
        ({"value": {">=": "50", "<": 100}}, {"value": 99.99}, True),
        ({"value": {"<": 100}}, {}, False),
        ({"value": {"!=": 100}}, {}, True),
        ({"currency": "EUR"}, {"currency": "EUR"}, True),
        ({"currency": "eur"}, {"currency": "EUR"}, False),
        ({"currency": ["EUR", "USD"]}, {"currency": "USD"}, True),
        ({"currency": {"in": ["EUR", "USD"]}}, {"currency": "GBP"}, False),
        ({"search_query": {"contains": "boot"}}, {"search_query": "red boots"}, True),
        ({"my_flag": True}, {"my_flag": "true"}, True),
        ({"my_flag": True}, {"my_flag": True}, True),
        ({"my_points": {">": 5}}, {"my_points": "7"}, True),
        ({"my_tags": "sale"}, {"my_tags": ["new", "sale"]}, True),
        ({"order_quantity": "2"}, {"order_quantity": 2}, True),
        ({"line_items": {"product_id": "11"}}, {"line_items": [{"product_id": "11"}]}, True),
        ({"line_items": {"product_id": 11}}, {"product_id": "11"}, True),
        ({"product_category": "shoes"}, {"line_items": [{"product_category": "shoes"}]}, True),
        (
            {"line_items": [{"product_id": "1"}, {"product_id": "2"}]},
            {"line_items": [{"product_id": "1"}]},
            False,
        ),
        ({"line_items": {"product_category": {"!=": "shoes"}}}, {}, False),
    ],
)
def test_event_data_conditions(condition, data, matches):
    """Numbers as numbers, text exactly, absent is unequal; flat product fields are an item too."""
    assert clause(event="checkout", event_data=condition).matches(fact(data=data)) is matches


def test_item_conditions_hold_on_one_and_the_same_item():
    """A cheap shoe and an expensive hat are no expensive shoe."""
    part = clause(
        event="checkout",
        event_data={"line_items": {"product_category": "shoes", "product_price": {">=": 100}}},
    )
    cheap, dear = {"product_category": "shoes", "product_price": 20.0}, {"product_category": "hats"}
    assert not part.matches(fact(data={"line_items": [cheap, {**dear, "product_price": 200.0}]}))
    assert part.matches(fact(data={"line_items": [cheap, {**cheap, "product_price": 200.0}]}))


@pytest.mark.parametrize(
    ("raw", "name", "data", "matches"),
    [
        ({}, "save", {}, True),
        ({}, "pagevisit", {}, False),
        ({"engagement_type": "click"}, "save", {}, False),
        ({"event": "save"}, "save", {}, True),
        ({"pin_id": ["1", "2"]}, "save", {"pin_id": "2"}, True),
        ({"pin_id": 2}, "save", {"pin_id": "2"}, True),
        ({"campaign_id": ["spring"]}, "click", {"campaign_id": "spring"}, True),
        ({"ad_id": ["3"]}, "click", {}, False),
        ({"objective_type": ["AWARENESS"]}, "click", {"objective_type": "AWARENESS"}, True),
        ({"engager_type": "1"}, "like", {"engager_type": 1}, True),
        ({"engagement_domain": ["www.shop.example"]}, "like", {}, True),
        ({"engagement_domain": ["https://example/"]}, "like", {"link": "https://shop.example/1"}, True),
        ({"engagement_domain": ["hop.example"]}, "like", {}, False),
        ({"engagement_domain": ["möbel.example"]}, "like", {"link": BROWSERS}, True),
        ({"engagement_domain": ["shop.example"]}, "like", {"link": "https://other.example/"}, False),
        ({"url": {"contains": "/pin"}}, "like", {"link": "https://other.example/pin"}, True),
    ],
)
def test_engagement_conditions(raw, name, data, matches):
    """The five actions by pin, campaign, ad and domain; the link of the pin, else the page."""
    assert clause("ENGAGEMENT", **raw).matches(fact(name=name, data=data)) is matches


def test_kinds_mix_in_one_rule():
    """Engaged with the domain, not on the list, never visited a product."""
    rule = parse(
        "ENGAGEMENT",
        {
            "engagement_domain": ["shop.example"],
            "none": [{"customer_list_id": 5}, {"event": "pagevisit", "url": {"contains": "/p/"}}],
        },
    )
    assert [part.kind for part in rule.clauses] == ["engagement", "list", "event"]
    assert [part.group for part in rule.clauses] == ["rule", "none", "none"]


def test_an_actalike_remembers_its_seeds():
    rule = parse("ACTALIKE", {"seed_id": [11, "12"], "percentage": "5", "country": "us"})
    assert rule.clauses[0].seeds == (11, 12)
    assert rule.raw == {"seed_id": ["11", "12"], "percentage": 5, "country": "US"}
    assert not rule.clauses[0].matches(fact())


# Echo


@pytest.mark.parametrize(
    ("raw", "echoed"),
    [
        ({"retention_days": "180", "prefill": "True"}, {"retention_days": 180, "prefill": True}),
        ({"visitor_source_id": ["26"], "event": None}, {"visitor_source_id": "26"}),
        ({"url": "https://a.example/"}, {"url": ["https://a.example/"]}),
        ({"event_source": "web"}, {"event_source": {"=": ["web"]}}),
        (
            {"event": "checkout", "event_data": {"value": 116, "line_items": [{"product_id": "11"}]}},
            {"event": "checkout", "event_data": {"value": "116", "line_items": {"product_id": 11}}},
        ),
        (
            {"event": "Checkout", "url": {"contains": "/s"}, "retention_days": 3, "prefill": False},
            {
                "prefill": False,
                "all": [{"event": "checkout", "url": {"contains": "/s"}, "retention_days": 3}],
            },
        ),
        (
            {"event": "checkout", "event_data": {"value": {">=": 100}}, "all": [{"event": "search"}]},
            {"all": [{"event": "checkout", "event_data": {"value": {">=": 100}}}, {"event": "search"}]},
        ),
        (
            {"event": "checkout", "event_data": {"product_id": "SKU-1"}},
            {"all": [{"event": "checkout", "event_data": {"product_id": "SKU-1"}}]},
        ),
        (
            {"event": "checkout", "event_data": {"value": "99.50", "order_quantity": "2"}},
            {"event": "checkout", "event_data": {"value": "99.50", "order_quantity": 2}},
        ),
        ({"visitor_source_id": ["1", "2"]}, {"all": [{"visitor_source_id": ["1", "2"]}]}),
        (
            {"any": [{"event": "checkout", "min_count": "2"}]},
            {"any": [{"event": "checkout", "min_count": 2}]},
        ),
    ],
)
def test_the_echo_is_in_declared_types(raw, echoed):
    """Liberal in, declared types out; what does not fit stands as one clause under `all`."""
    assert echo(parse("VISITOR", raw)) == echoed
    assert echo(parse("VISITOR", echoed)) == echoed


def test_an_engagement_rule_keeps_its_kind_when_it_moves():
    """Moved under `all`, a clause no longer leans on the audience's type."""
    rule = parse("ENGAGEMENT", {"url": {"contains": "/p/"}})
    assert rule.raw["all"][0]["engagement_type"] == ["click", "comment", "save", "like", "closeup"]
    assert parse("ENGAGEMENT", rule.raw).clauses[0].names == rule.clauses[0].names


# Refusals


@pytest.mark.parametrize(
    ("raw", "field", "said"),
    [
        ({"retention_days": 541}, "rule.retention_days", "from 1 to 540"),
        ({"retention_days": "soon"}, "rule.retention_days", "not 'soon'"),
        ({"retention_days": 0.5}, "rule.retention_days", "whole number"),
        ({"retention_days": True}, "rule.retention_days", "whole number"),
        ({"retention_days": 1, "retention_minutes": 1}, "rule.retention_minutes", "one of the two"),
        ({"event": ["a", "b"]}, "rule.event", "under any"),
        ({"event": ""}, "rule.event", "empty"),
        ({"event_data": {"value": 1}}, "rule.event_data", "needs an event"),
        ({"event": "a", "event_data": {"value": "x"}}, "rule.event_data.value", "must be a number"),
        ({"event": "a", "event_data": {"value": {"~": 1}}}, "rule.event_data.value", "use one of"),
        ({"event": "a", "event_data": {"value": {">": "x"}}}, "rule.event_data.value.>", "number"),
        ({"event": "a", "event_data": {"order_id": {"in": "x"}}}, "rule.event_data.order_id.in", "list"),
        ({"event": "a", "event_data": {"line_items": []}}, "rule.event_data.line_items", "empty list"),
        ({"event": "a", "event_data": {"line_items": "x"}}, "rule.event_data.line_items[0]", "an object"),
        ({"event": "a", "event_data": {}}, "rule.event_data", "no conditions"),
        ({"url": {"matches": "x"}}, "rule.url", "contains, not_contains, starts_with"),
        ({"url": []}, "rule.url", "empty list"),
        ({"url": {}}, "rule.url", "empty object"),
        ({"event_source": {"=": ["tv"]}}, "rule.event_source.=[0]", "web, mobile, offline"),
        ({"visitor_source_id": "abc"}, "rule.visitor_source_id", "digits"),
        ({"min_count": 101}, "rule.min_count", "1 to 100"),
        ({"min_value": 0}, "rule.min_value", "greater than 0"),
        ({"min_value": "nan"}, "rule.min_value", "greater than 0"),
        ({"retention_day": 3}, "rule.retention_day", "did you mean retention_days?"),
        ({"gender": "x"}, "rule.gender", "the fields are"),
        ({"any": {}}, "rule.any", "a list of clauses"),
        ({"any": [3]}, "rule.any[0]", "an object"),
        ({"any": [{"none": []}]}, "rule.any[0].none", "at the top only"),
        ({"any": [{"event": "a", "customer_list_id": "5"}]}, "rule.any[0].event", "clause of its own"),
        ({"any": [{"seed_id": ["1"]}]}, "rule.any[0]", "ACTALIKE"),
        ({"event": "checkout", "pin_id": "1"}, "rule.event", "engagement fields"),
        ({"event": "save", "engagement_type": "save"}, "rule.event", "one of the two"),
        ({"seed_id": "1"}, "rule.seed_id", "ACTALIKE"),
        ({"all": [{"event": "a"}] * 51}, "rule", "at most 50"),
        ({"url": ["x"] * 501}, "rule.url", "at most 500"),
        ({"url": "x" * 2049}, "rule.url", "2048"),
        ([], "rule", "must be an object"),
    ],
)
def test_wrong_input_names_the_field_and_the_remedy(raw, field, said):
    """A rule that is not understood is refused: an ignored filter would make a wrong audience in silence."""
    assert refusal(raw)[0] == field
    assert said in refusal(raw)[1]


@pytest.mark.parametrize(
    ("kind", "raw", "field"),
    [
        ("PERSONA", {}, "audience_type"),
        ("visitor", {}, "audience_type"),
        (None, {}, "audience_type"),
        ("CUSTOMER_LIST", {}, "rule.customer_list_id"),
        ("CUSTOMER_LIST", {"customer_list_id": "5", "retention_days": 3}, "rule.retention_days"),
        ("ACTALIKE", {"percentage": 3}, "rule.seed_id"),
        ("ACTALIKE", {"seed_id": ["1"], "percentage": 11}, "rule.percentage"),
        ("ACTALIKE", {"seed_id": ["1"], "country": "France"}, "rule.country"),
        ("ENGAGEMENT", {"event": "checkout"}, "rule.event"),
        ("ENGAGEMENT", {"engagement_type": "share"}, "rule.engagement_type"),
        ("ENGAGEMENT", {"engagement_domain": ["https:///path"]}, "rule.engagement_domain[0]"),
    ],
)
def test_each_type_has_its_fields(kind, raw, field):
    """What a type needs and what it does not take."""
    assert refusal(raw, kind)[0] == field


# The index


def rows(rules):
    return [(key, i, clause) for key, rule in rules.items() for i, clause in enumerate(rule.clauses)]


def test_the_book_finds_the_clauses_that_an_event_can_touch():
    """By name, with those for any event; list clauses never; data only where some clause looks."""
    book = Book(
        rows(
            {
                1: parse("VISITOR", {"event": "checkout", "none": [{"customer_list_id": "5"}]}),
                2: parse("VISITOR", {"any": [{"event": "addtocart"}, {"event": "checkout", "min_value": 5}]}),
                3: parse("VISITOR", {"visitor_source_id": "7"}),
                4: parse("ENGAGEMENT", {"pin_id": "1"}),
            }
        )
    )
    found = {
        name: [(key, i) for key, i, _ in book.shelf(name).touching("")]
        for name in ("checkout", "save", "other")
    }
    assert found == {"checkout": [(1, 0), (2, 1), (3, 0)], "save": [(3, 0), (4, 0)], "other": [(3, 0)]}
    assert [book.shelf(name).needs_data for name in ("checkout", "addtocart", "save", "other")] == [
        True,
        False,
        True,
        False,
    ]
    assert [key for key, _, _ in book.matching(fact(name="save"))] == [3]


@pytest.mark.parametrize(
    ("operators", "parts"),
    [
        ({"contains": "/sale/"}, ("sale",)),
        ({"contains": ["/sale/", "/new in/"]}, ("sale", "new in", "new%20in")),
        ({"contains": "/sale/", "not_contains": "/shoes/"}, ("sale",)),
        ({"contains": ["/sale/", "sale"]}, ()),
        ({"contains": "/sale/shoes/"}, ()),
        ({"contains": "//"}, ()),
        ({"contains": "/"}, ()),
        ({"starts_with": "/sale/"}, ()),
        ("/sale/", ()),
    ],
)
def test_the_book_knows_clauses_by_the_parts_of_an_address(operators, parts):
    """Only where every operand is one whole part: whoever holds then has one of them."""
    part = clause(event="pagevisit", url=operators)
    assert part.parts == parts


def test_the_book_finds_by_the_parts_of_an_address_what_asking_every_clause_finds():
    """In the same order, each once, whatever the address: relative, without a path, a part twice or last."""
    urls = [
        {"contains": "/sale/"},
        {"contains": ["/new/", "/sale/"]},
        {"contains": "sale"},
        {"contains": "/shop.example/", "starts_with": "https:"},
        {"not_contains": "/sale/"},
    ]
    rules = {i: parse("VISITOR", {"event": "pagevisit", "url": url}) for i, url in enumerate([*urls, *urls])}
    rules[99] = parse("VISITOR", {"event": "pagevisit", "none": [{"url": {"contains": "/new/"}}]})
    book, found = Book(rows(rules)), []
    for url in (
        "",
        "/sale/",
        "/sale",
        "https://shop.example/sale/new/sale/x",
        "https://shop.example",
        "a/new/",
    ):
        one = fact(name="pagevisit", url=url)
        asked = [
            (key, i, c) for key, rule in rules.items() for i, c in enumerate(rule.clauses) if c.matches(one)
        ]
        assert book.matching(one) == asked, url
        found.append(len(asked))
    assert len(set(found)) > 3


def test_a_plain_clause_matches_in_under_a_microsecond():
    """The fold asks every clause about every event; the best of five runs leaves the machine's noise out."""
    part, one = clause(event="checkout", visitor_source_id="7"), fact()
    assert min(timeit.repeat(lambda: part.matches(one), number=20_000, repeat=5)) / 20_000 < 1e-6
