"""Consent's scope: a visitor may be in audiences and share with nobody what identifies them elsewhere."""

import time

import pytest

from retag import upkeep
from shop import running
from test_api_exports import export, filled
from test_kept_exports import settled


async def withheld(shop, email, share=False):
    found = await shop.ask("GET", f"/visitors/{email}")
    visitor = bytes.fromhex(found["visitor_id"].replace("-", ""))
    write = upkeep.share if share else upkeep.withhold
    now = time.time_ns() // 1_000_000
    await shop.state.journal.write(lambda cn: write(cn, visitor, now))


async def figures(shop, made, name, query=""):
    url = f"{shop.v5}/audiences/{made['id']}/export?format={name}{query}"
    response = await shop.client.get(url)
    assert response.status_code == 200, response.text
    return response, await shop.ask("GET", f"/exports/{response.headers['retag-export-id']}")


@pytest.mark.parametrize("name", ["pinterest", "google", "meta", "tiktok"])
async def test_who_shares_nothing_is_in_no_upload_and_is_counted(tmp_path, name):
    """From that second; agreeing again puts them back."""
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann", "bob")
        await withheld(shop, "ann@mail.example")
        assert (await figures(shop, made, name))[1]["rows"] == 1
        assert (await figures(shop, made, name))[1]["missing"] == 1
        await withheld(shop, "ann@mail.example", share=True)
        assert (await figures(shop, made, name))[1]["rows"] == 2


async def test_own_formats_have_everybody_and_no_identifier_of_theirs(tmp_path):
    """The shop's own bidder knows visitors by the shop's own ids; `em` is empty."""
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann", "bob")
        await withheld(shop, "ann@mail.example")
        for name in ("csv", "ndjson"):
            assert (await figures(shop, made, name))[1]["rows"] == 2
        response, _ = await figures(shop, made, "csv", "&fields=visitor_id,em")
        assert sorted(len(line.split(",")[1]) for line in response.text.splitlines()[1:]) == [0, 64]


async def test_a_kept_upload_that_held_them_is_deleted(tmp_path):
    """And asking for it again is 410; one without identifiers stays."""
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann", "bob")
        shared, about = await figures(shop, made, "meta")
        _, other = await figures(shop, made, "csv")
        await withheld(shop, "ann@mail.example")
        await settled(lambda: shop.state.kept.bytes_of(about["export_id"]) is None)
        assert shop.state.kept.bytes_of(other["export_id"])
        await export(shop, made, f"format=meta&as_of={shared.headers['retag-as-of']}", 410)


async def test_the_platform_is_told_to_remove_them(tmp_path):
    """Their digests come once more, in the removals; they still are in the audience."""
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann", "bob")
        first, _ = await figures(shop, made, "pinterest")
        await withheld(shop, "ann@mail.example")
        since = f"&since={first.headers['retag-as-of']}"
        gone, _ = await figures(shop, made, "pinterest", f"{since}&op=remove")
        assert len(gone.text.split()) == 1
        assert gone.text.split()[0] in first.text.split()
        assert (await figures(shop, made, "pinterest", f"{since}&op=add"))[0].text == ""
        assert (await shop.ask("GET", f"/audiences/{made['id']}"))["size"] == 2
