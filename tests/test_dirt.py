"""What the world really sends, in at the door and out at the export: nothing breaks, nothing is lost."""

from __future__ import annotations

import json
import pathlib
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_from_bytes, urlsplit

import pytest

from door import Doorstep, standing
from hits import hit
from retag import browser_side, fields, wire
from retag.wire import Beacon

DATA = pathlib.Path(__file__).parents[2] / "shared" / "data"
NAUGHTY = DATA / "bad-input" / "blns.json"
SUITE = DATA / "bad-input" / "JSONTestSuite"
PUBLISHED = DATA / "pixel-requests.json"
OWN = ["undefined", "\u00a0", "\u202etest", "<script>alert(1)</script>", "'; DROP TABLE log--", "a\u0000b"]
FEW = 10
FREE = ("search_query", "page_name", "property", "promo_code", "lead_type", "video_title", "own_key")
PILLOWS = {"product_name": "Pillows (Set of 2)", "product_id": "11", "product_price": 48}
BOOTS = [
    {"product_name": name, "product_id": id_, "product_price": 5.0, "product_quantity": 1}
    for name, id_ in (("Parker Boots", "1414"), ("Parker Sandals", "ABC"))
]
ORDER = {"value": 116, "order_quantity": 2, "currency": "USD"}
TENNER = {"value": 10.0, "order_quantity": 2, "currency": "USD"}
MEANT: dict[str, dict[str, Any]] = {
    "base page load": {"name": "init", "loc": "https://www.redfin.com/", "sw": 1600},
    "init + enhanced": {
        "name": "init",
        "em": "f660ab912ec121d1b1e928a0bb4bc61b15f5ad44d5efdc4e1c92a25e99b8e44a",
    },
    "checkout, line_items as OBJECT": {
        "name": "checkout",
        "data": ORDER | {"transaction_id": "AAAA123", "line_items": [PILLOWS | {"product_quantity": 1}]},
    },
    "MALFORMED JSON": {"name": "checkout", "data": {}, "faults": 2},
    "docs noscript base with": {"name": "init", "em": "<hashed_email_address>"},
    "docs img checkout, bracket": {"name": "checkout", "data": TENNER | {"line_items": BOOTS}},
    "docs img checkout with LDP": {"name": "checkout", "data": TENNER, "opt_out_type": "LDP"},
    "server-side tag manager": {
        "name": "pagevisit",
        "data": {"timestamp": 1670409810, "event": "pagevisit"},
        "tm": "pinterest-mc",
    },
}
"""By how the description of a published request begins."""
MASKS = ("[email]", "[card]", "[token]")


def published() -> Iterator[Any]:
    samples = json.loads(PUBLISHED.read_text())["samples"] if PUBLISHED.exists() else []
    yield from (pytest.param(one, id=f"{i}") for i, one in enumerate(samples) if "url" in one)
    if not samples:
        yield pytest.param(None, marks=pytest.mark.skip(reason=f"no published requests at {PUBLISHED}"))


@pytest.mark.parametrize("sample", list(published()))
def test_a_published_request_decodes_to_what_it_means(sample: Any) -> None:
    """Every one is an event; those in the table mean what it says."""
    address = urlsplit(sample["url"])
    found = wire.decode(hit(None, method="GET", path=address.path, query=address.query.encode()))
    assert len(found) == 1
    assert browser_side.name_of(found[0].event) is not None
    meant = [one for kind, one in MEANT.items() if sample["kind"].startswith(kind)]
    for name, value in meant[0].items() if meant else ():
        assert meaning(found[0], name) == value


def meaning(beacon: Beacon, name: str) -> Any:
    own = {
        "name": browser_side.name_of(beacon.event),
        "data": fields.clean(beacon.ed),
        "faults": beacon.faults,
    }
    return own[name] if name in own else (beacon.pd | beacon.ad).get(name)


def naughty() -> list[str]:
    """Texts within a free field's length; an empty one is nothing."""
    return [one for one in (json.loads(NAUGHTY.read_text()) if NAUGHTY.exists() else OWN) if one]


async def test_naughty_strings_come_out_as_they_went_in(tmp_path: pathlib.Path) -> None:
    """In every free-text field, from pages and servers, unless a mask applies."""
    async with standing(tmp_path, rate_limits="off") as door:
        texts = naughty()
        for start in range(0, len(texts), FEW):
            some = list(enumerate(texts))[start : start + FEW]
            events = [{"event": "search", "ed": {"eid": f"p{i}", **dict.fromkeys(FREE, t)}} for i, t in some]
            answer = await door.beacon(*events)
            assert answer.headers["retag-outcome"] == f"accepted={len(some)}"
            batch = {"data": [from_server(i, text) for i, text in some]}
            answer = await door.api("POST", "/events", json=batch)
            assert answer.headers["retag-outcome"] == f"accepted={len(some)}"
        out = await exported(door)
        for i, text in enumerate(texts):
            for name in FREE:
                assert survives(out[f"p{i}"][name], text)
                assert survives(out[f"s{i}"][name], text)


def survives(kept: Any, text: str) -> bool:
    return kept == text or (kept is not None and any(mask in kept for mask in MASKS))


def from_server(number: int, text: str) -> dict[str, Any]:
    return {
        "event_name": "search", "action_source": "web", "event_time": int(time.time()) - 1,
        "event_id": f"s{number}", "user_data": {"em": [f"ann{number}@mail.example"]},
        "custom_data": dict.fromkeys(FREE, text),
    }  # fmt: skip


async def exported(door: Doorstep) -> dict[str, dict[str, Any]]:
    """The data of every event by its id, from the events' export."""
    body = (await door.api("GET", "/events/export")).content.decode()
    lines = [json.loads(line) for line in body.split("\n") if line]
    return {one["event_id"]: one["data"] for one in lines if one.get("event_id")}


async def test_json_that_is_none_costs_the_request_or_the_data(tmp_path: pathlib.Path) -> None:
    """As a body it is refused in words, valid or not an event; as `ed` it costs the data; nothing fails."""
    async with standing(tmp_path, rate_limits="off") as door:
        files = sorted(SUITE.rglob("*.json"))
        bodies = [(one.name, one.read_bytes()) for one in files] or [("n_own", b"[1,]"), ("y_own", b"[1]")]
        for name, body in bodies:
            answer = await door.post(body)
            assert answer.status_code in (400, 413)
            assert answer.headers["retag-outcome"] in ("malformed=1", "too_large=1")
            assert (answer.status_code == 413) == (len(body) > 64 << 10)
            assert name[0] != "n" or not body or "tid" not in answer.json()["message"]
            as_data = f"tid={door.tag}&event=lead&ed={quote_from_bytes(body)}".encode()
            if len(as_data) < 60_000:
                kind = {"content-type": "application/x-www-form-urlencoded"}
                assert (await door.post(as_data, kind)).headers["retag-outcome"] == "accepted=1"
