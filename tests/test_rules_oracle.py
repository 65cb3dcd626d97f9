"""Rules against brute force: random rules, random histories, random instants; one meaning, in one place.

`make test` checks some hundreds of pairs of rule and history; RETAG_ORACLE_PAIRS=10000 checks that many.
"""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oracle import MINUTE, holds
from retag.rules import Fact, parse
from retag.rules.memory import LONGEST
from retag.windows import NEVER

PAIRS = int(os.environ.get("RETAG_ORACLE_PAIRS", "300"))
exhaustive = settings(
    max_examples=PAIRS,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

NAMES = ["pagevisit", "addtocart", "checkout", "init", "save", "click"]
URLS = ["https://shop.example/p/1", "https://shop.example/sale/2", "https://www.other.example/p/1", ""]
PRICES = [0, 5, 10, 19.99, -3]
spans = st.fixed_dictionaries({}, optional={"retention_minutes": st.sampled_from([1, 2, 5, 20])})
texts = st.sampled_from(["shoes", "hats", "shirts"])
amounts = st.sampled_from([0, 5, 10, 19.99])


def operated(values, operators):
    return values | st.dictionaries(st.sampled_from(operators), values, min_size=1, max_size=2)


item_conditions = st.fixed_dictionaries({"product_category": operated(texts, ["=", "!=", "contains"])}) | (
    st.fixed_dictionaries(
        {"product_category": texts, "product_price": operated(amounts, [">", ">=", "<", "<=", "="])}
    )
)
event_data = st.fixed_dictionaries(
    {},
    optional={
        "value": operated(amounts, ["=", "!=", ">", ">=", "<", "<="]),
        "page_name": operated(texts, ["=", "!=", "contains"]) | texts.map(lambda one: {"in": [one, "other"]}),
        "line_items": item_conditions | st.lists(item_conditions, min_size=1, max_size=2),
    },
).filter(bool)
urls = st.sampled_from(URLS[:3]).map(lambda one: [one]) | st.dictionaries(
    st.sampled_from(["=", "!=", "contains", "not_contains", "starts_with"]),
    st.sampled_from(["/p/", "https://shop", "sale", URLS[0]]),
    min_size=1,
    max_size=2,
)
often = st.fixed_dictionaries(
    {}, optional={"min_count": st.integers(1, 4), "min_value": st.sampled_from([5, 10, 19.99, 30, 39.98])}
)


def clauses(kind):
    own = {
        "event": st.fixed_dictionaries({}, optional={"event": st.sampled_from(NAMES), "url": urls}),
        "data": st.fixed_dictionaries({"event": st.sampled_from(NAMES[:3]), "event_data": event_data}),
        "source": st.fixed_dictionaries(
            {
                "visitor_source_id": st.sampled_from(["1", ["1", "2"]]),
                "event_source": st.just({"=": ["web"]}) | st.just({"=": ["web", "offline"]}),
            }
        ),
        "engagement": st.fixed_dictionaries(
            {"engager_type": st.just(1)},
            optional={
                "engagement_type": st.sampled_from(["save", "click"]),
                "engagement_domain": st.sampled_from([["other.example"], ["shop.example", "other.example"]]),
                "pin_id": st.just(["7"]),
                "url": urls,
            },
        ),
        "list": st.sampled_from([{"customer_list_id": "1"}, {"customer_list_id": "2"}]),
    }[kind]
    if kind == "list":
        return own
    return st.tuples(own, spans, often).map(lambda parts: {**parts[0], **parts[1], **parts[2]})


any_clause = st.sampled_from(["event", "data", "source", "engagement", "list", "event"]).flatmap(clauses)
groups = st.fixed_dictionaries(
    {}, optional={group: st.lists(any_clause, min_size=1, max_size=3) for group in ("any", "all", "none")}
)
top = st.just({}) | st.sampled_from(["event", "data", "source"]).flatmap(clauses)
rules = st.tuples(top, groups).map(lambda parts: {**parts[0], **parts[1]})
typed_rules = rules.map(lambda rule: ("VISITOR", rule)) | groups.flatmap(
    lambda group: clauses("engagement").map(lambda own: ("ENGAGEMENT", {**own, **group}))
)

lines = st.lists(
    st.fixed_dictionaries({"product_category": texts, "product_price": st.sampled_from(PRICES)}), max_size=2
)
data = st.fixed_dictionaries(
    {},
    optional={
        "value": st.sampled_from(PRICES),
        "page_name": texts,
        "line_items": lines,
        "product_category": texts,
        "pin_id": st.sampled_from(["7", "8"]),
        "engager_type": st.just(1),
        "link": st.sampled_from(URLS[:3]),
    },
)
events = st.fixed_dictionaries(
    {
        "name": st.sampled_from(NAMES),
        "time": st.integers(0, 25).map(lambda minute: minute * MINUTE),
        "tag": st.integers(0, 2),
        "source": st.integers(1, 2),
        "platform": st.integers(1, 3),
        "url": st.sampled_from(URLS),
        "data": data,
    }
)
histories = st.lists(st.tuples(events, st.sampled_from([0, 0, 0, 1, 3, 30])), max_size=14)
"""Events, each with the minutes that it arrives late."""
list_changes = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 2), st.booleans()), max_size=3)


def happenings(history, changes):
    """What the fold sees, in the order that it sees it: `(instant, event or None, list change or None)`."""
    seen = [(event["time"] + late * MINUTE, event, None) for event, late in history]
    seen += [(minute * MINUTE, None, (list_id, on)) for minute, list_id, on in changes]
    return sorted(seen, key=lambda one: one[0])


def folded(rule, memories, event):
    fact = Fact(**event)
    return [
        clause.remember(memory, fact.time, clause.value(fact)) if clause.matches(fact) else memory
        for clause, memory in zip(rule.clauses, memories, strict=True)
    ]


def listed(rule, memories, list_id, on, at):
    return [
        ([] if not on else clause.remember(memory, at, 0)) if clause.list_id == list_id else memory
        for clause, memory in zip(rule.clauses, memories, strict=True)
    ]


def instants(known, now, then):
    """Every boundary that the spans above can make, one ms to either side, while nothing else happens."""
    edges = {e["time"] + minutes * MINUTE for e in known for minutes in (0, 1, 2, 5, 20)} | {now, then}
    return sorted({t for edge in edges for t in (edge - 1, edge, edge + 1) if now <= t < then})


@exhaustive
@given(typed_rules, histories, list_changes)
def test_the_window_is_what_brute_force_says(typed, history, changes):
    """At every instant, with what had arrived by then, the window holds exactly when the rule does."""
    kind, raw = typed
    rule = parse(kind, raw)
    memories, window, lists, known = rule.nothing(), NEVER, set(), []
    seen = happenings(history, changes)
    ends = [*(one[0] for one in seen[1:]), 100 * MINUTE][: len(seen)]
    for (now, event, change), then in zip(seen, ends, strict=True):
        if event:
            known.append(event)
            memories = folded(rule, memories, event)
        else:
            memories = listed(rule, memories, *change, now)
            (lists.add if change[1] else lists.discard)(change[0])
        window = rule.window(memories, window)
        for at in instants(known, now, then):
            assert window.holds(at) == holds(kind, raw, known, at, lists), (at, window, memories)


@exhaustive
@given(typed_rules, histories, st.randoms(use_true_random=False), st.integers(0, 14))
def test_memory_depends_on_the_events_alone(typed, history, random, cut):
    """Any order, and any two parts merged in either direction, remember the same."""
    rule = parse(*typed)
    in_order = [event for event, _ in history]
    shuffled = random.sample(in_order, len(in_order))
    whole, other, one, two = (rule.nothing() for _ in range(4))
    for event in in_order:
        whole = folded(rule, whole, event)
    for event in shuffled:
        other = folded(rule, other, event)
    assert whole == other
    for event in shuffled[:cut]:
        one = folded(rule, one, event)
    for event in shuffled[cut:]:
        two = folded(rule, two, event)
    for clause, a, b, all_of_it in zip(rule.clauses, one, two, whole, strict=True):
        assert clause.merge(a, b) == clause.merge(b, a) == all_of_it


@exhaustive
@given(typed_rules, st.lists(events, max_size=14))
def test_since_is_the_instant_it_began(typed, history):
    """For events in order, `opens` is when the unbroken membership that holds at the end began."""
    kind, raw = typed
    rule = parse(kind, raw)
    memories, window, known = rule.nothing(), NEVER, []
    for event in sorted(history, key=lambda one: one["time"]):
        known.append(event)
        memories = folded(rule, memories, event)
        window = rule.window(memories, window)
    now = max((event["time"] for event in known), default=0)
    if window.holds(now):
        assert not holds(kind, raw, known, window.opens - 1)
        assert all(holds(kind, raw, known, at) for at in instants(known, window.opens, now + 1))


@exhaustive
@given(typed_rules)
def test_the_canonical_form_is_a_fixed_point(typed):
    """What is stored and echoed parses to itself: a client may send back what it was given."""
    kind, raw = typed
    rule = parse(kind, raw)
    assert parse(kind, rule.raw).raw == rule.raw


@pytest.mark.parametrize("events_seen", [LONGEST * 3])
def test_memory_is_bounded(events_seen):
    """A visitor with endless small purchases costs a thousand pairs, and none of the money is forgotten."""
    rule = parse("VISITOR", {"event": "checkout", "min_value": 10_000_000})
    memory = []
    for i in range(events_seen):
        memory = rule.clauses[0].remember(memory, i * 1000, 1.0)
    assert len(memory) == LONGEST
    assert sum(value for _, value in memory) == events_seen
