"""Raw events out: what arrived in a span of time, once each, and nobody who is gone."""

import hashlib
import json
import time

import pytest

from retag.store import raw
from shop import running
from test_api_exports import filled


async def taken(shop, query="", status=200):
    response = await shop.client.get(f"{shop.v5}/events/export{query}")
    assert response.status_code == status, response.text
    return [json.loads(line) for line in response.text.splitlines()], response.content


@pytest.mark.parametrize("page", [1, 2, 2000])
async def test_every_event_comes_once_whatever_the_pages(tmp_path, monkeypatch, page):
    """In the order of arrival."""
    monkeypatch.setattr(raw, "PAGE", page)
    async with running(tmp_path) as shop:
        await filled(shop, "ann", "bob", "cleo")
        pages = [rows async for rows in raw.pages(shop.state.reader, shop.account, 0, 1 << 60)]
        assert [row[0] for rows in pages for row in rows] == [1, 2, 3]


async def test_the_trailer_is_true(tmp_path):
    """Rows and hash, as for an audience."""
    async with running(tmp_path) as shop:
        await filled(shop, "ann", "bob", "cleo")
        (*lines, trailer), content = await taken(shop, f"?to={int(time.time() * 1000) + 1000}")
        assert [line["event"] for line in lines] == ["checkout"] * 3
        assert len({line["visitor_id"] for line in lines}) == trailer["rows"] == 3
        body = content[:-1].rpartition(b"\n")[0] + b"\n"
        assert hashlib.sha256(body).hexdigest() == trailer["sha256"]
        assert b"mail.example" not in content


async def test_span_bounds_it(tmp_path):
    """Half open; what is not a time is refused."""
    async with running(tmp_path) as shop:
        await filled(shop, "ann")
        (line, _), _ = await taken(shop, f"?to={int(time.time() * 1000) + 1000}")
        at = line["received"]
        for query, found in ((f"?from={at}&to={at + 1}", 1), (f"?from={at + 1}&to={at + 2}", 0)):
            assert len((await taken(shop, query))[0]) == found + 1
        assert len((await taken(shop, f"?from=0&to={at}"))[0]) == 1
        await taken(shop, "?from=yesterday", 400)
        await taken(shop, "?from=2&to=1", 400)


async def test_erased_visitor_is_in_no_export(tmp_path):
    """From the moment that the erasure is answered."""
    async with running(tmp_path) as shop:
        await filled(shop, "ann", "bob")
        await shop.ask("DELETE", "/visitors/ann@mail.example")
        (*lines, _), _ = await taken(shop, f"?to={int(time.time() * 1000) + 1000}")
        assert len(lines) == 1
