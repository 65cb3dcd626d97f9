"""Exports over HTTP: exact, told whole from truncated, and what changed since."""

import hashlib
import json

import msgspec
import pytest

from retag.web.api import exports
from shop import running
from test_api_visitors import checkout, until


async def export(shop, audience, query="format=ndjson", status=200):
    """The lines, and the response."""
    response = await shop.client.get(f"{shop.v5}/audiences/{audience['id']}/export?{query}")
    assert response.status_code == status, response.text
    return [json.loads(line) for line in response.text.splitlines()], response


def trailer_is_true(response):
    """Whether the trailer's hash covers all bytes before it."""
    body, _, last = response.content.rstrip(b"\n").rpartition(b"\n")
    body = body + b"\n" if body else b""
    return json.loads(last)["sha256"] == hashlib.sha256(body).hexdigest()


async def filled(shop, *names):
    made = await shop.audience()
    await shop.send(*(checkout(f"{name}@mail.example") for name in names))
    await until(shop, made["id"], len(names))
    return made


async def test_ndjson_has_every_member_and_a_trailer(tmp_path):
    """Columns as in the contract; rows and hash tell a whole download."""
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann", "bob", "cleo")
        (*lines, trailer), response = await export(shop, made)
        assert [set(line) for line in lines] == [{"visitor_id", "since", "until", "last_event"}] * 3
        assert all(line["since"] == line["last_event"] < line["until"] for line in lines)
        assert (trailer["rows"], trailer["as_of"]) == (3, response.headers["retag-as-of"])
        assert trailer_is_true(response)
        manifest = await shop.ask("GET", f"/exports/{response.headers['retag-export-id']}")
        assert (manifest["rows"], manifest["sha256"]) == (3, trailer["sha256"])


async def test_csv_has_a_heading_and_the_columns_asked_for(tmp_path):
    """In their order; a manifest holds the hash of the whole file."""
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann", "bob")
        url = f"{shop.v5}/audiences/{made['id']}/export?format=csv&fields=last_event,visitor_id"
        response = await shop.client.get(url)
        heading, *lines = response.text.splitlines()
        assert (heading, len(lines)) == ("last_event,visitor_id", 2)
        manifest = await shop.ask("GET", f"/exports/{response.headers['retag-export-id']}")
        assert manifest["sha256"] == hashlib.sha256(response.content).hexdigest()


async def test_empty_audience_exports_nobody(tmp_path):
    """A trailer alone, its hash that of nothing."""
    async with running(tmp_path) as shop:
        lines, response = await export(shop, await shop.audience())
        assert lines[0]["rows"] == 0
        assert trailer_is_true(response)


async def test_as_of_is_the_same_bytes_later_and_since_is_what_changed(tmp_path):
    """Two exports and their delta agree."""
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann", "bob")
        (*before, _), first = await export(shop, made)
        await shop.send(checkout("cleo@mail.example"))
        await until(shop, made["id"], 3)
        await shop.ask("PATCH", f"/audiences/{made['id']}", json={"name": "Renamed"})
        _, again = await export(shop, made, f"format=ndjson&as_of={first.headers['retag-as-of']}")
        assert again.content == first.content
        (*after, _), _ = await export(shop, made)
        (*delta, _), _ = await export(shop, made, f"format=ndjson&since={first.headers['retag-as-of']}")
        assert [line["op"] for line in delta] == ["add"]
        known = {line["visitor_id"] for line in before}
        assert known | {delta[0]["visitor_id"]} == {line["visitor_id"] for line in after}


async def test_erased_visitor_is_removed_by_the_delta_and_their_old_export_is_gone(tmp_path):
    """Who downloaded them learns whom to remove; nobody downloads them again."""
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann", "bob")
        _, first = await export(shop, made)
        erased = (await shop.ask("DELETE", "/visitors/ann@mail.example"))["erased"]
        token = first.headers["retag-as-of"]
        (*delta, _), _ = await export(shop, made, f"format=ndjson&since={token}")
        assert [(line["op"], line["visitor_id"]) for line in delta] == [("remove", erased[0])]
        lines, _ = await export(shop, made, f"format=ndjson&as_of={token}", 410)
        assert "full export" in lines[0]["message"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("format=xml", 400),
        ("fields=email", 400),
        ("as_of=nonsense", 400),
        ("since=0-0", 410),
        ("as_of=ffffffffffff-1", 400),
    ],
)
async def test_wrong_parameter_is_named(tmp_path, query, status):
    """A token of another server is no token."""
    async with running(tmp_path) as shop:
        lines, _ = await export(shop, await shop.audience(), query, status)
        assert query.partition("=")[0] in lines[0]["message"] or status == 410


async def test_export_needs_its_scope(tmp_path):
    """A key that reads audiences does not download people."""
    async with running(tmp_path, scopes=("audiences:read", "audiences:write")) as shop:
        await export(shop, await shop.audience(), status=403)


async def test_an_audience_that_is_being_filled_is_not_given_out_as_a_whole(tmp_path, monkeypatch):
    """A tool would remove from its list whoever is not in the file yet: 409, with what to wait for."""
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann")
        known = exports.find

        async def unfinished(*given):
            return msgspec.structs.replace(await known(*given), ready=None)

        monkeypatch.setattr(exports, "PATIENCE_S", 0.1)
        monkeypatch.setattr(exports, "find", unfinished)
        early = await shop.client.get(f"{shop.v5}/audiences/{made['id']}/export")
        assert early.status_code == 409
        assert "READY" in early.json()["message"]
