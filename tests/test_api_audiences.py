"""Audiences over HTTP: what clients of Pinterest's API see."""

import pytest

from shop import running

PINTEREST_KEYS = {
    "ad_account_id", "audience_type", "created_by_company_name", "created_timestamp", "description", "id",
    "is_nca", "name", "rule", "size", "status", "type", "updated_timestamp",
}  # fmt: skip


async def test_new_audience_answers_as_recorded(tmp_path):
    """Every key that Pinterest's recorded answer has, in its type; ids as strings of the same shape."""
    async with running(tmp_path) as shop:
        made = await shop.audience({"visitor_source_id": str(shop.tag), "retention_days": 180})
        assert made.keys() >= PINTEREST_KEYS
        assert (made["type"], made["audience_type"], made["size"]) == ("audience", "VISITOR", 0)
        assert made["id"].startswith("2542")
        assert len(made["id"]) == 13
        assert made["ad_account_id"] == str(shop.account)
        assert made["rule"] == {"visitor_source_id": str(shop.tag), "retention_days": 180}
        assert await shop.ask("GET", f"/audiences/{made['id']}") | {"status": "", "progress": 1.0} == made | {
            "status": "",
            "progress": 1.0,
        }


async def test_nulls_and_empty_texts_of_generated_clients_are_absent_fields(tmp_path):
    """The official SDK sends description "" and an ad_account_id in body and rule."""
    async with running(tmp_path) as shop:
        rule = {"ad_account_id": str(shop.account), "event": "checkout", "url": None, "prefill": None}
        made = await shop.audience(rule, description="", ad_account_id=str(shop.account))
        assert made["description"] == ""
        assert made["rule"] == {"ad_account_id": str(shop.account), "event": "checkout"}


async def test_list_pages_by_id_in_either_order_without_gap_or_repeat(tmp_path):
    """Following the bookmarks gives each audience once."""
    async with running(tmp_path) as shop:
        made = [(await shop.audience(name=f"a{n}"))["id"] for n in range(5)]
        for order, expected in (("ASCENDING", made), ("DESCENDING", made[::-1])):
            seen, bookmark = [], ""
            while bookmark is not None:
                path = f"/audiences?page_size=2&order={order}&bookmark={bookmark}"
                page = await shop.ask("GET", path)
                seen += [one["id"] for one in page["items"]]
                bookmark = page["bookmark"]
            assert seen == expected
        assert (await shop.ask("GET", "/audiences?ownership_type=RECEIVED"))["items"] == []


async def test_update_sets_what_is_given_and_leaves_the_rest(tmp_path):
    """A PATCH of the name keeps rule and description."""
    async with running(tmp_path) as shop:
        made = await shop.audience(description="kept")
        body = {"ad_account_id": str(shop.account), "operation_type": "UPDATE", "name": "Renamed"}
        changed = await shop.ask("PATCH", f"/audiences/{made['id']}", json=body)
        assert (changed["name"], changed["description"], changed["rule"]) == (
            "Renamed",
            "kept",
            made["rule"],
        )
        changed = await shop.ask("PATCH", f"/audiences/{made['id']}", json={"rule": {"event": "signup"}})
        assert changed["rule"] == {"event": "signup"}


async def test_removed_audience_is_gone_from_list_and_look_up(tmp_path):
    """REMOVE answers the audience a last time."""
    async with running(tmp_path) as shop:
        made = await shop.audience()
        path = f"/audiences/{made['id']}"
        assert (await shop.ask("PATCH", path, json={"operation_type": "REMOVE"}))["status"] == "REMOVED"
        assert (await shop.ask("GET", "/audiences"))["items"] == []
        await shop.ask("GET", path, 404)
        await shop.ask("PATCH", path, 404, json={"name": "x"})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": 3}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "x" * 257}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"audience_type": "visitor"}, "audience_type"),
        ({"rule": []}, "rule"),
        ({"rule": {"retention_days": 541}}, "rule.retention_days"),
        ({"rule": {"no_such_field": 1}}, "rule.no_such_field"),
        ({"rule": {"visitor_source_id": "2699999999999"}}, "rule.visitor_source_id"),
        ({"rule": {"customer_list_id": "1"}, "audience_type": "CUSTOMER_LIST"}, "rule.customer_list_id"),
        ({"rule": {"none": [{"customer_list_id": "1"}], "event": "checkout"}}, "rule.customer_list_id"),
        ({"ad_account_id": "1"}, "ad_account_id"),
        ({"rule": {"event": "checkout", "ad_account_id": "1"}}, "rule.ad_account_id"),
    ],
)
async def test_wrong_field_is_named_with_the_documented_code(tmp_path, body, field):
    """A client can tell what to mend from the message alone."""
    good = {"name": "Buyers", "audience_type": "VISITOR", "rule": {"event": "checkout"}}
    async with running(tmp_path) as shop:
        answer = await shop.ask("POST", "/audiences", 400, json=good | body if body else body)
        assert answer["code"] == 4196
        assert field in answer["message"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'"\xff"', b"[" * 5000, b'{"name": "\\ud800"}', b"null"]
)
async def test_body_that_is_no_object_is_refused(tmp_path, content):
    """Garbage is a clear 400, never a 500."""
    async with running(tmp_path) as shop:
        assert (await shop.ask("POST", "/audiences", 400, content=content))["code"] == 4196


@pytest.mark.parametrize(
    "query",
    ["order=UP", "page_size=0", "page_size=251", "page_size=x", "bookmark=%21", "ownership_type=MINE"],
)
async def test_wrong_query_parameter_is_named(tmp_path, query):
    """The message begins with the parameter."""
    async with running(tmp_path) as shop:
        answer = await shop.ask("GET", f"/audiences?{query}", 400)
        assert answer["message"].startswith(query.split("=")[0])


async def test_key_account_and_scope_are_each_checked(tmp_path):
    """401 says nothing but that it failed; 403 tells the scope that lacks."""
    async with running(tmp_path, scopes=("audiences:read",)) as shop:
        assert (await shop.ask("GET", "/audiences", headers={}))["items"] == []
        refused = await shop.ask("POST", "/audiences", 403, json={})
        assert refused["code"] == 29
        assert "audiences:write" in refused["message"]
        other = await shop.client.get("/v5/ad_accounts/1/audiences")
        assert (other.status_code, other.json()["code"]) == (403, 29)
        for header in ("", "Bearer nonsense", f"Bearer {shop.key}x", f"Bearer {shop.key[:-1]}"):
            answer = await shop.ask("GET", "/audiences", 401, headers={"authorization": header})
            assert answer == {"code": 2, "message": "Authentication failed."}


async def test_every_answer_carries_its_allowance(tmp_path):
    """Clients pace themselves by these headers."""
    async with running(tmp_path) as shop:
        first = await shop.client.get(f"{shop.v5}/audiences")
        second = await shop.client.get(f"{shop.v5}/audiences/1")
        assert second.status_code == 404
        left = [int(one.headers["x-ratelimit-remaining"]) for one in (first, second)]
        assert left[0] - left[1] == 1


async def test_unknown_address_and_method_answer_in_json(tmp_path):
    """Clients parse every error alike."""
    async with running(tmp_path) as shop:
        nowhere = await shop.client.get("/v5/nowhere")
        assert (nowhere.status_code, set(nowhere.json())) == (404, {"code", "message"})
        method = await shop.client.delete(f"{shop.v5}/audiences")
        assert (method.status_code, method.headers["allow"]) == (405, "GET, POST")


async def test_body_over_its_limit_is_refused_before_it_is_read(tmp_path):
    """1 MiB, by what is announced or by what arrives."""
    async with running(tmp_path) as shop:
        await shop.ask("POST", "/audiences", 413, content=b" " * ((1 << 20) + 1))

        async def endless():
            while True:
                yield b" " * 65536

        await shop.ask("POST", "/audiences", 413, content=endless())


async def test_an_actalike_is_never_made_from_itself(tmp_path):
    """Neither itself nor an act-alike of it, however far, can be its seed; the rule before stays."""
    async with running(tmp_path) as shop:
        made = [(await shop.audience())["id"]]
        for _ in range(3):
            rule = {"seed_id": [made[-1]], "percentage": 2}
            made.append((await shop.audience(rule, audience_type="ACTALIKE"))["id"])
        first = f"/audiences/{made[1]}"
        for seed, said in ((made[1], "is this audience itself"), (made[3], "made from this audience")):
            body = {"rule": {"seed_id": [made[0], seed]}}
            refused = await shop.ask("PATCH", first, 400, json=body)
            assert f"rule.seed_id: {seed} " in refused["message"]
            assert said in refused["message"]
        assert (await shop.ask("GET", first))["rule"]["seed_id"] == [made[0]]
        await shop.ask("PATCH", f"/audiences/{made[3]}", json={"rule": {"seed_id": made[:2]}})


async def test_a_removed_audience_is_no_new_seed(tmp_path):
    """Naming it is refused; an act-alike that has it already keeps it, and can be renamed."""
    async with running(tmp_path) as shop:
        seed = (await shop.audience())["id"]
        rule = {"seed_id": [seed], "percentage": 2}
        made = await shop.audience(rule, audience_type="ACTALIKE")
        await shop.ask("PATCH", f"/audiences/{seed}", json={"operation_type": "REMOVE"})
        body = {"name": "Like them", "audience_type": "ACTALIKE", "rule": rule}
        refused = await shop.ask("POST", "/audiences", 400, json=body)
        assert f"audience {seed} has been removed" in refused["message"]
        await shop.ask("PATCH", f"/audiences/{made['id']}", 400, json={"rule": rule | {"percentage": 3}})
        await shop.ask("PATCH", f"/audiences/{made['id']}", json={"name": "Renamed", "rule": rule})
