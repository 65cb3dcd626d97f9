"""The wire: every form decodes to what it means; garbage decodes, or is Malformed, and nothing else."""

from __future__ import annotations

import json
import pathlib
import re
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hits import TAG, hit
from retag import fields, wire

SUITE = pathlib.Path(__file__).parents[2] / "shared" / "data" / "bad-input" / "JSONTestSuite"
OWN_BAD = [
    b"",
    b"[1,]",
    b"{,}",
    b"[NaN]",
    b"[1e9999999999",
    b'["\xff"]',
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b"nul",
]
OWN_GOOD = [b"[]", b"{}", b"[1e5]", b'["\\u00e9"]', b"null", b'{"a":{"b":[1]}}']
PARTS = {
    "ed": {"value": 116, "line_items": [{"product_id": "11"}]},
    "pd": {"em": "x"},
    "ad": {"loc": "https://shop.example/"},
}


def cases(prefix, own):
    files = sorted(SUITE.rglob(f"{prefix}_*.json"))
    return [pytest.param(one, id=str(i)) for i, one in enumerate(own)] + [
        pytest.param(file.read_bytes(), id=file.stem) for file in files
    ]


def only(found):
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("body", cases("y", OWN_GOOD))
def test_valid_json_is_read(body):
    """JSONTestSuite's y_ files, and our own."""
    wire.parse(body)


@pytest.mark.parametrize("body", cases("n", OWN_BAD))
def test_invalid_json_is_malformed(body):
    """JSONTestSuite's n_ files; as `ed` they cost the data, not the event."""
    with pytest.raises(wire.Malformed):
        wire.parse(body)
    text = body.decode("utf-8", "replace")[:2000]
    beacon = only(wire.decode(hit({"ed": text})))
    assert (beacon.ed, beacon.event) == ({}, "pagevisit")
    assert beacon.faults == (text != "")


@given(st.text(st.sampled_from('\ud83d\ude00\udc00\udbffa\\"/ud83\n'), max_size=12))
def test_half_a_character_is_replaced_and_the_rest_is_read(text):
    """As browsers write it: pairs, halves, and what only looks like an escape."""
    said = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    wanted = re.sub("[\ud800-\udfff]", "\ufffd", said)
    for body in (json.dumps([text]), json.dumps([text]).encode()):
        assert wire.parse(body) == [wanted]


def test_a_form_is_read_as_utf_8_whether_it_is_escaped_or_not():
    """`curl -d` and many scripts escape nothing; the kind of body may be in capitals."""
    raw = f'tid={TAG}&event=checkout&ed={{"product_name":"Café 2"}}&ed[name]=Zürich'.encode()
    form = "Application/X-WWW-Form-Urlencoded; charset=UTF-8"
    for body in (raw, urlencode([tuple(one.split("=", 1)) for one in raw.decode().split("&")]).encode()):
        (beacon,) = wire.decode(hit(None, body=body, content_type=form))
        assert beacon.ed == {"product_name": "Café 2", "name": "Zürich"}


@pytest.mark.parametrize("name", [[], {}, True, 1.5])
def test_a_name_that_is_no_text_is_malformed(name):
    """It must not pass for a page view; a number is a text without quotes."""
    with pytest.raises(wire.Malformed, match="event"):
        wire.decode(hit({"event": name}))
    assert only(wire.decode(hit({"event": 404}))).event == "404"
    assert only(wire.decode(hit({"event": None}))).event == ""


def test_every_form_means_the_same():
    """Query with JSON strings, form body, JSON body, JSON body of JSON strings, bracket parameters."""
    texts = {name: json.dumps(part) for name, part in PARTS.items()}
    top = {"tid": str(TAG), "event": "checkout"}
    brackets = top | {
        "ed[value]": "116", "ed[line_items][0][product_id]": "11", "pd[em]": "x", "ad[loc]": "https://shop.example/",
    }  # fmt: skip
    form = "application/x-www-form-urlencoded"
    decoded = [
        only(wire.decode(one))
        for one in (
            hit(None, method="GET", query=urlencode(top | texts).encode()),
            hit(None, method="GET", query=urlencode(brackets).encode()),
            hit(None, body=urlencode(top | texts).encode(), content_type=form),
            hit(top | PARTS),
            hit(top | texts),
            hit(None, query=urlencode(top).encode(), body=json.dumps(PARTS).encode()),
        )
    ]
    assert {one.event for one in decoded} == {"checkout"}
    assert [fields.clean(one.ed) for one in decoded] == [PARTS["ed"]] * 6
    assert [(one.pd, one.ad) for one in decoded] == [(PARTS["pd"], PARTS["ad"])] * 6


def test_the_documented_example_is_read_with_its_typo():
    """One key of it lacks the `ed`, and its ids are in quotes; real pages copy both."""
    query = (
        b"tid=26&event=checkout&ed[value]=10.00&ed[line_items][0][product_name]=Parker+Boots"
        b"&[line_items][0][product_id]='1414'&ed[line_items][1][product_id]='ABC'&noscript=1"
    )
    beacon = only(wire.decode(hit(None, method="GET", query=query)))
    items = fields.clean(beacon.ed)["line_items"]
    assert items == [{"product_name": "Parker Boots", "product_id": "1414"}, {"product_id": "ABC"}]


EUROS = b"ed=%7B%22currency%22:%22EUR%22%7D"


@pytest.mark.parametrize("query", [b"ed[value]=1&" + EUROS, EUROS + b"&ed[value]=1"])
def test_brackets_and_json_of_one_part_are_both_read(query):
    """In either order; broken JSON costs only itself."""
    both = only(wire.decode(hit(None, method="GET", query=b"tid=1&" + query)))
    assert both.ed == {"value": "1", "currency": "EUR"}
    broken = only(wire.decode(hit(None, method="GET", query=b"tid=1&ed[value]=1&ed=%7B")))
    assert broken.ed == {"value": "1"}


def test_several_events_come_in_order():
    """An array of objects."""
    body = json.dumps([{"tid": "1", "event": str(i)} for i in range(3)]).encode()
    assert [one.event for one in wire.decode(hit(None, body=body))] == ["0", "1", "2"]


@pytest.mark.parametrize(
    "body", [b"[]", b"1", b'"x"', b"[1]", b'{"event":"x"}', b'{"tid":null}', b'{"tid":[1]}', b"[{}]",
             json.dumps([{"tid": "1"}] * 101).encode()],
)  # fmt: skip
def test_what_is_no_event_is_malformed(body):
    """With the reason."""
    with pytest.raises(wire.Malformed) as caught:
        wire.decode(hit(None, body=body))
    assert caught.value.message


@pytest.mark.parametrize(
    "one",
    [
        {"method": "GET", "query": b"tid=1&ed" + b"[a]" * 9 + b"=1"},
        {"method": "GET", "query": b"tid=1&ed" + b"[a]" * 5_000 + b"=1"},
        {"body": b'{"tid":"1","ed":' + b"[" * 50_000},
    ],
)
def test_what_nests_without_end_is_refused(one):
    """In brackets as in JSON, and it says so."""
    with pytest.raises(wire.Malformed, match="nested deeper than 8"):
        wire.decode(hit(None, **one))


def test_what_is_nested_too_deeply_costs_itself_alone():
    """Not the checkout that came with it in one request, nor the rest of its own event."""
    deep: dict[str, object] = {}
    for _ in range(8):
        deep = {"a": deep}
    events = [
        {"tid": "1", "event": "checkout", "ed": {"value": 5}},
        {"tid": "1", "event": "lead", "ed": deep, "pd": {"em": "x"}, "ts": 5, "sent": [[deep]]},
    ]
    first, second = wire.decode(hit(None, body=json.dumps(events).encode()))
    assert (first.ed, first.faults) == ({"value": 5}, 0)
    assert (second.event, second.ed, second.pd, second.faults) == ("lead", {}, {"em": "x"}, 1)
    assert (second.ts, second.sent) == (5, None)
    (alone,) = wire.decode(hit(None, body=json.dumps(events[1]).encode()))
    assert (alone.ed, alone.faults) == ({}, 1)


def test_brackets_may_nest_as_deeply_as_json():
    """No deeper key of a form is lost."""
    (found,) = wire.decode(hit(None, method="GET", query=b"tid=1&ed[a][b][c][d][e][f][g]=1"))
    assert found.ed == {"a": {"b": {"c": {"d": {"e": {"f": {"g": "1"}}}}}}}


def test_ten_thousand_parameters_are_refused():
    """Before they cost anything."""
    with pytest.raises(wire.Malformed, match="parameters"):
        wire.decode(hit(None, method="GET", query=b"a=b&" * 10_000))


@given(
    st.binary(max_size=300),
    st.binary(max_size=300),
    st.sampled_from(["", "application/x-www-form-urlencoded"]),
)
def test_garbage_decodes_or_is_malformed(query, body, kind):
    """h11's invariant: never any other error."""
    try:
        found = wire.decode(hit(None, query=query, body=body, content_type=kind))
    except wire.Malformed:
        return
    for one in found:
        fields.clean(one.ed)
        fields.event_id(one.ed)


KEYS = st.sampled_from(
    ["tid", "event", "ed", "pd", "ad", "ts", "sent", "value", "line_items", "product_id", "em"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda one: st.lists(one, max_size=4) | st.dictionaries(KEYS | st.text(), one, max_size=6),
    max_leaves=20,
)


@given(st.dictionaries(KEYS, JSON), st.booleans())
def test_strange_structures_decode_or_are_malformed(body, many):
    """Any JSON under the keys that we know."""
    text = json.dumps([body] if many else body, allow_nan=True)
    try:
        found = wire.decode(hit(None, body=text.encode("utf-8", "replace")))
    except wire.Malformed:
        return
    for one in found:
        json.dumps(fields.clean(one.ed), allow_nan=False)
