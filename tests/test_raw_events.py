"""Raw events out: what arrived in a span of time, once each, and nobody who is gone."""

import csv
import hashlib
import io
import json
import time

import pytest

from retag.formats import EVENT_FORMATS
from retag.store import raw
from shop import running
from test_api_exports import filled
from test_api_visitors import checkout
from test_kept_exports import settled


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


async def test_csv_says_what_ndjson_says(tmp_path):
    """By the standard reader; `event_id`, which is free text, when it is asked for."""
    async with running(tmp_path) as shop:
        await filled(shop, "ann", "bob")
        span = f"?from=0&to={int(time.time() * 1000) + 1000}"
        (*lines, _), _ = await taken(shop, span)
        response = await shop.client.get(f"{shop.v5}/events/export{span}&format=csv")
        read = list(csv.DictReader(io.StringIO(response.text)))
        for row, line in zip(read, lines, strict=True):
            assert json.loads(row.pop("data")) == line["data"]
            assert row == {name: "" if line[name] is None else str(line[name]) for name in row}
        assert {*lines[0]} - {*read[0]} == {"event_id", "data"}
        about = await shop.ask("GET", f"/exports/{response.headers['retag-export-id']}")
        assert about["sha256"] == hashlib.sha256(response.content).hexdigest()
        assert (about["rows"], about["audience_id"], about["span"][0]) == (2, None, 0)
        chosen = await shop.client.get(f"{shop.v5}/events/export{span}&format=csv&fields=event_id")
        assert sorted(chosen.text.split()) == ["ann-1", "bob-1", "event_id"]


def test_no_event_is_a_formula():
    """A name that begins as one gets an apostrophe; an id does where it is for a spreadsheet."""
    row = (1, 2, b"v" * 16, "-2", 3, "=1+1", 1, 1, 0, "https://shop.example/,x", 7, b'{"a":"=1"}', b"")
    fields = [*EVENT_FORMATS["csv"].columns, "event_id"]
    for spreadsheet, name in ((False, "=1+1"), (True, "'=1+1")):
        (line,) = EVENT_FORMATS["csv"].fresh(spreadsheet).rows([row], fields, {})
        (cells,) = csv.reader([line])
        assert (cells[1], cells[-1]) == ("'-2", name)
        assert not [cell for cell in cells[:-1] if cell.startswith(("=", "+", "-", "@"))]


def test_no_cell_has_a_nul():
    """Many readers stop there, or refuse the file; what stood there is still seen."""
    row = (1, 2, b"v" * 16, "a", 3, "\0=1+1", 1, 1, 0, "https://shop.example/\0x", 7, b"{}", b"")
    (line,) = EVENT_FORMATS["csv"].fresh().rows([row], ["url", "event_id"], {})
    assert line == "https://shop.example/\ufffdx,\ufffd=1+1\r\n"


async def test_kept_events_are_deleted_when_anybody_goes(tmp_path):
    """Then the same as_of is 410; before, it is the same bytes, and resumes."""
    async with running(tmp_path) as shop:
        await filled(shop, "ann", "bob")
        span = f"?from=0&to={int(time.time() * 1000) + 1000}"
        url = f"{shop.v5}/events/export{span}"
        first = await shop.client.get(url)
        again = f"{url}&as_of={first.headers['retag-as-of']}"
        assert (await shop.client.get(again)).content == first.content
        rest = await shop.client.get(again, headers={"range": "bytes=9-"})
        assert (rest.status_code, rest.content) == (206, first.content[9:])
        downloads = (await shop.ask("GET", "/downloads"))["items"]
        assert [(one["audience_id"], one["rows"]) for one in downloads] == [(None, 2)] * 3
        await shop.ask("DELETE", "/visitors/ann@mail.example")
        name = first.headers["retag-export-id"]
        await settled(lambda: shop.state.kept.bytes_of(name) is None)
        assert (await shop.client.get(again)).status_code == 410


async def test_as_of_alone_names_the_same_events(tmp_path):
    """Whatever has come since; and a span that ends later than it ends with it."""
    async with running(tmp_path) as shop:
        await filled(shop, "ann", "bob")
        for span in ("", f"to={int(time.time() * 1000) + 1_000_000}"):
            url = f"{shop.v5}/events/export?{span}"
            first = await shop.client.get(url)
            await shop.send(checkout(f"cleo{len(span)}@mail.example"))
            again = await shop.client.get(f"{url}&as_of={first.headers['retag-as-of']}")
            assert (again.status_code, again.content) == (200, first.content)


async def test_kept_events_are_not_given_out_before_they_are_deleted(tmp_path):
    """From the answer to the objection on."""
    async with running(tmp_path) as shop:
        await filled(shop, "ann", "bob")
        await shop.state.kept.ticker.close()
        url = f"{shop.v5}/events/export?from=0&to={int(time.time() * 1000)}"
        first = await shop.client.get(url)
        await shop.ask("DELETE", "/visitors/ann@mail.example")
        again = f"{url}&as_of={first.headers['retag-as-of']}"
        assert (await shop.client.get(again)).status_code == 410
