"""Events from servers: each has its own fate, whatever else is in the batch."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from hits import NOW, server_results
from retag import errors, fields
from retag.server_side import HANDFUL, MOST_PARTS, Result

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from(["12,50 €", "NaN"])
)
VALUES = st.recursive(
    SCALARS, lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(), one, max_size=3)
)
USER = {"em": st.sampled_from([["a" * 63 + "b"], "ann@mail.example", "", None]), "external_id": VALUES}
CUSTOM = dict.fromkeys(
    ("value", "currency", "order_id", "contents", "num_items", "opt_out_type", "x"), VALUES
)
EVENTS = st.fixed_dictionaries(
    {
        "event_name": st.sampled_from(["checkout", "Purchase", "own_name", "a b", ""]) | VALUES,
        "action_source": st.sampled_from(["web", "offline", "mars"]),
        "event_time": st.sampled_from([1, NOW // 1000, NOW, True, "1"]),
        "user_data": st.fixed_dictionaries({}, optional=USER),
    },
    optional={
        "custom_data": st.fixed_dictionaries({}, optional=CUSTOM) | VALUES,
        "event_source_url": st.text() | st.just("https://shop.example/a?page=2&token=x#y"),
        "event_id": VALUES,
        "opt_out": VALUES,
    },
)


def results(*events: object) -> list[Result]:
    return server_results(json.dumps({"data": events}).encode())


def apart_from_whose(result: Result) -> Result:
    return replace(result, event=result.event and replace(result.event, visitor=b""))


@given(st.lists(EVENTS | VALUES, min_size=1, max_size=6))
def test_an_event_fares_in_a_batch_as_it_does_alone(events):
    """Whatever is remembered from one event to the next, and whatever else fails beside it."""
    alone = [apart_from_whose(result) for one in events for result in results(one)]
    assert [apart_from_whose(result) for result in results(*events)] == alone
    assert [apart_from_whose(result) for result in results(*events)] == alone


@given(EVENTS | VALUES)
def test_every_event_is_stored_or_says_why_not(event):
    """Garbage has a fate too, and never another error."""
    (result,) = results(event)
    assert result.event is None or not result.error
    assert result.event or result.error or "opted out" in result.warning


GOOD = {
    "event_name": "lead",
    "action_source": "web",
    "event_time": 1,
    "user_data": {"em": ["a" * 63 + "b"]},
}


@pytest.mark.parametrize(
    "said",
    [
        *({"opt_out": word} for word in (True, "true", "True", 1, "1")),
        {"custom_data": {"opt_out_type": "ldp"}},
        {"user_data": GOOD["user_data"] | {"opt_out_type": ["LDP"]}},
    ],
)
def test_an_objection_is_heard_however_it_is_spelt(said):
    """Shops' scripts write booleans as texts and numbers; what says no is no."""
    (result,) = results(GOOD | said)
    assert (result.event, result.outcome) == (None, "opted_out")
    for word in (False, "false", 0, None, ""):
        assert results(GOOD | {"opt_out": word})[0].event is not None


def test_names_that_differ_in_case_or_spaces_are_one():
    """The tag's too (https://developers.pinterest.com/docs/track-conversions/pinterest-tag/)."""
    found = [
        results(GOOD | {"event_name": name})[0].event for name in ("Page Visit", " page_visit\n", "PAGEVISIT")
    ]
    assert {event.name for event in found} == {"pagevisit"}
    for name in ("page.visit", "päge visit", "a\0b", " "):
        assert results(GOOD | {"event_name": name})[0].error.startswith("event_name")


def test_an_event_may_not_be_as_large_as_its_batch():
    """A row of megabytes would weigh on every fold and export: it fails alone, and says why."""
    wide = {f"k{n}": n for n in range(50_000)}
    found = results(GOOD | {"custom_data": {"note": wide}}, GOOD | {"custom_data": {"note": "x" * 100_000}})
    assert (found[0].event, found[0].error[:11]) == (None, "custom_data")
    assert found[1].event is not None
    many = {"custom_data": {"content_ids": ["7"] * 10_000}}
    assert len(json.loads(results(GOOD | many)[0].event.data)["line_items"]) == fields.MOST_ITEMS


def test_a_body_of_nothing_but_brackets_is_refused_unread():
    """Decoding millions of lists takes a second in which the door can do nothing else."""
    for part in (b"[],", b"{},"):
        body = b'{"data": [' + part * (MOST_PARTS + 1) + b"1]}"
        with pytest.raises(errors.Invalid, match="lists and objects"):
            server_results(body)


def test_results_are_in_the_order_of_the_batch():
    """Across the handfuls in which it is read."""
    batch = [GOOD | {"event_id": number} if number % 3 else number for number in range(3 * HANDFUL + 1)]
    found = results(*batch)
    assert [one.event.event_id if one.event else "" for one in found] == [
        str(number) if number % 3 else "" for number in range(len(batch))
    ]


def test_half_of_a_character_does_not_cost_a_batch():
    """JavaScript's texts may be cut in the middle of an emoji: its servers send that as the tag does."""
    event = {"event_name": "search", "action_source": "web", "event_time": NOW // 1000 - 1}
    event |= {"user_data": {"external_id": "7"}, "custom_data": {"search_query": "boots \ud83d"}}
    (one,) = server_results(json.dumps({"data": [event]}).encode())
    assert json.loads(one.event.data) == {"search_query": "boots \ufffd"}
