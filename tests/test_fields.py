"""Event data as it comes, and as it is kept."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retag import fields


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (12.5, 12.5),
        ("12.50", 12.5),
        ("12,50", 12.5),
        ("1.234,50 €", 1234.5),
        ("$1,234.50", 1234.5),
        ("1,234", 1234),
        ("1.234.567", 1234567),
        ("0,500", 0.5),
        ("EUR 9", 9),
        ("1 234,50", 1234.5),
        ("1'234.50", 1234.5),
        *(("1\u2019234.50", 1234.5), ("\u22125,00 kr", -5), ("1\u2009234,50", 1234.5)),
        ("-5", -5),
        *((".50", 0.5), ("$.99", 0.99), ("-.5", -0.5), (",500", 0.5), ("-0,500", -0.5), ("Rs.500", 500)),
        (0, 0),
        *((nothing, None) for nothing in ("", "NaN", "undefined", "abc", None, True, [], {}, "9" * 50)),
        *((nothing, None) for nothing in (float("nan"), float("inf"), 1e300, "1e99")),
    ],
)
def test_an_amount_is_a_number_or_nothing(given, kept):
    """Comma or point, currency sign, placeholder: sites send them all."""
    assert fields.number(given) == kept


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"line_items": {"product_id": 1}}, {"line_items": [{"product_id": "1"}]}),
        ({"line_items": {"0": {"product_id": "a"}, "1": {"product_id": "b"}}},
         {"line_items": [{"product_id": "a"}, {"product_id": "b"}]}),
        ({"product_name[0]": "a", "product_name[1]": "b"}, {"product_name": ["a", "b"]}),
        ({"product_category": ["Hats"]}, {"product_category": ["Hats"]}),
        ({"product_category": 16}, {"product_category": 16}),
        ({"order_id": 1414, "order_quantity": "2"}, {"order_id": "1414", "order_quantity": 2}),
        ({"product_id": "4111111111111111"}, {"product_id": "4111111111111111"}),
        ({"product_id": [7, "", "a"]}, {"product_id": ["7", "a"]}),
        ({"product_id": {"a": 1}, "order_id": "undefined"}, {"product_id": {"a": 1}}),
        ({"ann@mail.example": 1, "note": "4111 1111 1111 1111"}, {"[email]": 1, "note": "[card]"}),
        ({"value": "NaN", "currency": "undefined", "anything": "else"}, {"anything": "else"}),
        ({"eventID": "a", "eid": "b", "event_id": "c"}, {}),
        ({"big": 1 << 60}, {"big": str(1 << 60)}),
    ],
)  # fmt: skip
def test_data_is_kept_in_one_shape(given, kept):
    """Items as a list, ids as text, amounts as numbers, unknown keys as they are."""
    assert fields.clean(given) == kept


def test_the_id_goes_by_three_names():
    """https://developers.pinterest.com/docs/track-conversions/track-conversions-in-the-api"""
    assert [fields.event_id({name: " 7 "}) for name in ("event_id", "eventID", "eid")] == ["7"] * 3
    assert fields.event_id({"event_id": "undefined", "eid": 12}) == "12"
    assert fields.event_id({"EVENT_ID": "x"}) == ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda one: st.lists(one, max_size=4) | st.dictionaries(st.text(), one, max_size=6),
    max_leaves=30,
)


@given(
    st.dictionaries(st.sampled_from(["value", "order_id", "line_items", "product_price"]) | st.text(), JSON)
)
def test_whatever_comes_can_be_stored(data):
    """Bounded keys, and JSON that every parser reads."""
    kept = fields.clean(data)
    assert len(kept) <= fields.MOST_KEYS
    json.dumps(kept, allow_nan=False)


def test_ids_that_hold_an_address_stay_different():
    """As digests: two orders must not become one because both were masked."""
    one, two = (fields.clean({"order_id": f"{name}@mail.example-1"})["order_id"] for name in ("ann", "bob"))
    assert one != two
    assert one.startswith("sha256-")
    assert fields.event_id({"eid": "ann@mail.example-1"}) == one


@pytest.mark.parametrize("name", ["pin_id", "campaign_id", "ad_id", "order_id", "product_id"])
def test_ids_of_digits_are_no_cards(name):
    """A pin has eighteen digits, and one number in ten has the check digit of a card."""
    for number in range(424_605_071_105_031_780, 424_605_071_105_031_800):
        said = {name: str(number)}
        assert fields.clean({**said, "line_items": [said]}) == {**said, "line_items": [said]}
