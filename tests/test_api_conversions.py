"""Conversions API over HTTP: one call, one durable batch, one answer for each event."""

import time

import pytest

from shop import running
from test_api_visitors import checkout


async def stored(shop):
    return (await shop.state.reader.one("SELECT count(*) FROM log"))[0]


async def test_events_are_on_disk_when_they_are_answered(tmp_path):
    """A 200 means committed; results come in the order of the request."""
    async with running(tmp_path) as shop:
        future = checkout(number=2, event_time=int(time.time()) + 90_000)
        answer = await shop.send(checkout(), future, checkout(number=3))
        assert await stored(shop) == 2
        assert (answer["num_events_received"], answer["num_events_processed"]) == (3, 2)
        assert [one["status"] for one in answer["events"]] == ["processed", "failed", "processed"]
        assert answer["events"][1]["error_message"]
        assert "external_id is missing" in answer["events"][0]["warning_message"]


async def test_test_mode_answers_alike_and_stores_nothing(tmp_path):
    """`?test=true`, in the SDK's spelling too."""
    async with running(tmp_path) as shop:
        real = await shop.send(checkout())
        for spelling in ("true", "True"):
            test = await shop.ask("POST", f"/events?test={spelling}", json={"data": [checkout()]})
            assert test == real
        assert await stored(shop) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'{"data": []}',
        b'{"data": {}}',
        b'{"data": [1]}',
        b'{"data": [{}], "more": 1}',
        b'{"data": [' + b"{}," * 1000 + b"{}]}",
        b'{"data": ' + b"[" * 10_000,
        b"\xff\xfe",
        b'{"data": []}' + b" " * (2 << 20),
    ],
)
async def test_wrong_body_is_one_clear_refusal(tmp_path, body):
    """A documented 400, or an answer that fails each event; never a 500, and nothing is stored."""
    async with running(tmp_path) as shop:
        response = await shop.client.post(f"{shop.v5}/events", content=body)
        if response.status_code == 200:
            assert all(one["status"] == "failed" for one in response.json()["events"])
        else:
            assert (response.status_code, response.json()["code"]) == (400, 4196)
        assert await stored(shop) == 0


async def test_body_may_have_eight_mebibytes_and_no_more(tmp_path):
    """1,000 rich events fit."""
    async with running(tmp_path) as shop:
        padding = b" " * (8 << 20)
        response = await shop.client.post(f"{shop.v5}/events", content=b'{"data": []}' + padding)
        assert response.status_code == 413
        rich = [checkout(number=n) | {"partner_name": "x" * 4000} for n in range(1000)]
        assert (await shop.send(*rich))["num_events_processed"] == 1000
        assert await stored(shop) == 1000


async def test_conversion_key_may_only_send(tmp_path):
    """A key for events reads no audience."""
    async with running(tmp_path, scopes=("events:write",)) as shop:
        assert (await shop.send(checkout()))["num_events_processed"] == 1
        assert (await shop.ask("GET", "/audiences", 403))["code"] == 29


async def test_rate_headers_name_the_category(tmp_path):
    """As measured."""
    async with running(tmp_path) as shop:
        response = await shop.client.post(f"{shop.v5}/events?test=true", json={"data": [checkout()]})
        assert "ads_conversions" in response.headers["x-ratelimit-limit"]
