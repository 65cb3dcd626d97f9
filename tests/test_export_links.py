"""Links: a whole signed address, for one audience and one time; and every download is written down."""

import re

import httpx
import pytest

from retag.press.job import Job, Manifest
from retag.store.members import AsOf
from retag.web import press
from retag.web.api import export_links, limits
from retag.web.streaming import MOST_READERS
from shop import running
from test_api_exports import export, filled


async def linked(shop, made, **changes):
    body = {"audience_id": made["id"], "format": "ndjson"} | changes
    return (await shop.ask("POST", "/export_links", json=body))["url"]


async def fetch(shop, url, **how):
    """As a tool without a key does."""
    return await shop.client.get(url, headers={"authorization": ""}, **how)


async def test_link_gives_the_export_without_a_key(tmp_path):
    """As it is when fetched; HEAD too."""
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann", "bob")
        url = await linked(shop, made, fields="visitor_id")
        found = await fetch(shop, url)
        assert (found.status_code, len(found.text.splitlines())) == (200, 3)
        assert (await shop.client.head(url, headers={"authorization": ""})).status_code == 200


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("format=ndjson", "format=csv"),
        ("expires=", "expires=9"),
        ("signature=", "signature=A"),
        ("&signature=", "&format=csv&signature="),
        ("/exports/", "/exports/1"),
    ],
)
async def test_changed_link_is_refused(tmp_path, old, new):
    """Format, end, audience: all are signed."""
    async with running(tmp_path) as shop:
        url = await linked(shop, await filled(shop, "ann"))
        assert (await fetch(shop, url.replace(old, new, 1))).status_code == 403
        assert (await fetch(shop, url.partition("?")[0])).status_code == 403


async def test_link_ends_with_its_time_and_with_its_key(tmp_path):
    """Whoever finds it in an old mail has nothing."""
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann")
        for seconds in (59, 30 * 86_400 + 1):
            body = {"audience_id": made["id"], "expires_in": seconds}
            await shop.ask("POST", "/export_links", 400, json=body)
        url = await linked(shop, made)
        path, query = url.removeprefix("http://shop").partition("&signature=")[0].split("?")
        past = re.sub(r"expires=\d+", "expires=1", query)
        signer = shop.state.door.keys.signer(shop.account, export_links.PURPOSE)
        signature = signer.sign(export_links._digest(path, past))
        assert (await fetch(shop, f"{path}?{past}&signature={signature}")).status_code == 403
        assert (await fetch(shop, url)).status_code == 200
        await shop.state.journal.write(lambda cn: cn.execute("UPDATE api_key SET revoked = 1").rowcount)
        assert (await fetch(shop, url)).status_code == 403


async def test_every_download_is_in_the_audit_log(tmp_path):
    """Who, what, how many, which bytes; one that is sent again too."""
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann", "bob")
        _, first = await export(shop, made)
        await export(shop, made, f"format=ndjson&as_of={first.headers['retag-as-of']}")
        await fetch(shop, await linked(shop, made))
        found = (await shop.ask("GET", "/downloads"))["items"]
        assert [one["who"].startswith("link of ") for one in found] == [True, False, False]
        assert {one["rows"] for one in found} == {2}
        assert found[1]["sha256"] == found[2]["sha256"]
        assert found[1]["export_id"] == first.headers["retag-export-id"]


async def test_any_cut_of_the_stream_is_detected(tmp_path):
    """No prefix of an NDJSON export ends in a true trailer."""
    async with running(tmp_path) as shop:
        _, response = await export(shop, await filled(shop, "ann", "bob"))
        whole = response.content
        trailer = whole[:-1].rpartition(b"\n")[2] + b"\n"
        assert b'"sha256"' in trailer
        for end in range(len(whole)):
            assert not whole[:end].endswith(trailer)
            assert b'"sha256"' not in whole[:end] or not whole[:end].endswith(b"\n")


async def test_who_tries_links_is_told_to_wait_and_nobody_else(tmp_path):
    """An address has ten guesses a minute; a link that is valid works from there all the same."""
    async with running(tmp_path) as shop:
        url = await linked(shop, await filled(shop, "ann"))
        transport = httpx.ASGITransport(shop.client._transport.app, client=("9.9.9.9", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as stranger:
            wrong = url.replace("format=ndjson", "format=csv")
            found = [await stranger.get(wrong) for _ in range(12)]
            assert [one.status_code for one in found] == [403] * 10 + [429] * 2
            assert 0 < int(found[-1].headers["retry-after"]) <= 60
            assert (await stranger.get(url)).status_code == 200
        assert (await fetch(shop, wrong)).status_code == 403


async def test_one_link_is_not_fetched_all_the_time(tmp_path, monkeypatch):
    """Its like is, and whoever has a key."""
    monkeypatch.setitem(limits.PER_MINUTE, "link", 2)
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann")
        url = await linked(shop, made)
        found = [await fetch(shop, url) for _ in range(3)]
        assert [one.status_code for one in found] == [200, 200, 429]
        assert "retry-after" in found[-1].headers
        assert (await fetch(shop, await linked(shop, made, format="csv"))).status_code == 200
        await export(shop, made)


async def test_links_leave_room_to_those_with_a_key(tmp_path):
    """When half of the press or half of the readers' places are taken."""
    async with running(tmp_path) as shop:
        made, kept = await filled(shop, "ann"), shop.state.kept
        url = await linked(shop, made)
        about = Manifest("1", None, "ndjson", "0-0", None, [], span=(0, 0))
        for number in range(press.AT_ONCE // 2):
            kept.press.runs[str(number)] = press.Run(
                kept.press, str(number), tmp_path, Job(about, AsOf(0, 0))
            )
        assert (await fetch(shop, url)).status_code == 429
        await export(shop, made)
        kept.press.runs.clear()
        kept.readers = MOST_READERS // 2
        assert (await fetch(shop, url)).status_code == 429
        await export(shop, made)
