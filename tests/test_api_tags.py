"""Conversion tags over HTTP, and what Retag adds to one."""

import pytest

from shop import running


async def test_tag_answers_as_recorded_with_a_snippet_of_this_server(tmp_path):
    """Pinterest's base code, its two addresses ours."""
    async with running(tmp_path) as shop:
        made = await shop.ask("POST", "/conversion_tags", json={"name": "Shop", "aem_enabled": True})
        assert made["id"].startswith("26")
        assert len(made["id"]) == 13
        assert (made["status"], made["version"], made["ad_account_id"]) == ("ACTIVE", "3", str(shop.account))
        assert made["configs"]["aem_enabled"] is True
        assert made["configs"]["aem_ph_enabled"] is False
        assert f"pintrk('load', '{made['id']}')" in made["code_snippet"]
        assert f"/v3/?tid={made['id']}&noscript=1" in made["code_snippet"]
        assert "pinimg.com" not in made["code_snippet"]
        assert await shop.ask("GET", f"/conversion_tags/{made['id']}") == made


async def test_list_has_items_and_no_bookmark_and_may_leave_archived_tags_out(tmp_path):
    """As measured; the SDK writes filter_deleted=False with a capital."""
    async with running(tmp_path) as shop:
        made = await shop.ask("POST", "/conversion_tags", json={"name": "Old", "md_frequency": None})
        await shop.ask("PATCH", f"/conversion_tags/{made['id']}", json={"status": "ARCHIVED"})
        everything = await shop.ask("GET", "/conversion_tags?filter_deleted=False")
        assert everything.keys() == {"items"}
        assert [one["id"] for one in everything["items"]] == [str(shop.tag), made["id"]]
        live = await shop.ask("GET", "/conversion_tags?filter_deleted=True")
        assert [one["id"] for one in live["items"]] == [str(shop.tag)]


async def test_domains_and_consent_are_set_one_by_one(tmp_path):
    """A PATCH keeps what it does not name."""
    async with running(tmp_path) as shop:
        path = f"/conversion_tags/{shop.tag}"
        await shop.ask("PATCH", path, json={"domains": ["https://Shop.Example/", "*.shop.test", "localhost"]})
        found = await shop.ask("PATCH", path, json={"consent": "required"})
        assert found["retag"]["domains"] == ["shop.example", "shop.test", "localhost"]
        assert found["retag"]["consent"] == "required"


@pytest.mark.parametrize(
    "body",
    [
        {"domains": ["no host"]},
        {"domains": ["shop.example/path"]},
        {"consent": "maybe"},
        {"status": "GONE"},
        {"name": ""},
        {"params": [""]},
    ],
)
async def test_wrong_field_is_named(tmp_path, body):
    """The message names the field; nothing is changed."""
    async with running(tmp_path) as shop:
        path = f"/conversion_tags/{shop.tag}"
        before = await shop.ask("GET", path)
        answer = await shop.ask("PATCH", path, 400, json=body)
        assert next(iter(body)) in answer["message"]
        assert await shop.ask("GET", path) == before


async def test_another_accounts_tag_is_not_found(tmp_path):
    """Ids of others are as good as none."""
    async with running(tmp_path) as shop:
        await shop.ask("GET", "/conversion_tags/2600000999999", 404)
        await shop.ask("PATCH", "/conversion_tags/2600000999999", 404, json={"name": "x"})
        await shop.ask("GET", "/conversion_tags/abc", 400)
