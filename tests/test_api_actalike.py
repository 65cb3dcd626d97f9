"""Act-alikes over HTTP from events to export: a customer list as the seed, and ad accounts wholly apart."""

import asyncio
import contextlib
import hashlib
import secrets
import sys
import time

import httpx
import pytest

from retag.store import registry
from shop import Shop, running

pytest.importorskip("lightgbm")


def mail(number):
    return f"u{number}@mail.example"


def digest(number):
    return hashlib.sha256(mail(number).encode()).hexdigest()


def visit(number, kind):
    """A page visit of a visitor who is known by their address."""
    return {
        "event_name": "page_visit",
        "action_source": "web",
        "event_time": int(time.time()) - 3600 - number,
        "event_id": f"v{number}",
        "event_source_url": f"https://shop.example/{kind}",
        "user_data": {"em": [digest(number)]},
        "custom_data": {"contents": [{"id": f"{kind} {number % 7}", "item_category": kind}]},
    }


async def visits(shop, count=600, shoes=120):
    """The first `shoes` of `count` visitors look at shoes, the others at something else."""
    kinds = ["shoes" if number < shoes else f"kind{number % 13}" for number in range(count)]
    await shop.send(*(visit(number, kind) for number, kind in enumerate(kinds)))


async def asked(shop, address, true, seconds=60):
    """The answer at this address, once it is as wished."""
    end = time.monotonic() + seconds
    while not true(found := await shop.ask("GET", address)):
        assert time.monotonic() < end, found
        await asyncio.sleep(0.05)
    return found


async def listed(shop, records, size):
    """The id of an audience of a new customer list, once it is whole."""
    listed = await shop.customer_list(records)
    rule = {"customer_list_id": listed["id"]}
    made = await shop.audience(rule, audience_type="CUSTOMER_LIST", name="Customers")
    await asked(shop, f"/audiences/{made['id']}", lambda one: one["size"] == size and one["progress"] == 1)
    return made["id"]


async def fitted(shop, audience):
    """Its model, once it is fitted and its members are in."""
    found = await asked(shop, f"/audiences/{audience}/likeness", lambda one: one["fitted_timestamp"])
    await asked(shop, f"/audiences/{audience}", lambda one: one["status"] != "INITIALIZING")
    return found


async def exported(shop, audience):
    """The visitor ids in a full export."""
    answer = await shop.client.get(f"{shop.v5}/audiences/{audience}/export?format=csv")
    assert answer.status_code == 200
    return {line.partition(",")[0] for line in answer.text.splitlines()[1:] if "," in line}


async def ids(shop, numbers):
    """The visitor ids of those with these addresses."""
    return {(await shop.ask("GET", f"/visitors/{digest(number)}"))["visitor_id"] for number in numbers}


@contextlib.asynccontextmanager
async def beside(shop):
    """A second ad account on the same server, with a key of its own."""
    account, now = shop.account + 1, time.time_ns() // 1_000_000

    def write(cn):
        cn.execute("INSERT INTO account VALUES (?, 'Other', 0)", (account,))
        return registry.create_key(cn, account, "test", registry.SCOPES, now, secrets.token_bytes(40))

    key = await shop.state.journal.write(write)
    made = registry.Made(str(account), str(shop.tag), key)
    headers = {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(
        transport=shop.client._transport, base_url="http://shop", headers=headers
    ) as client:
        yield Shop(shop.state, client, made, key)


async def test_a_customer_list_finds_those_who_act_like_it(tmp_path):
    """Addresses in, visitors out: those on the list are the seed, those like them are the export."""
    async with running(tmp_path) as shop:
        await visits(shop)
        seed = await listed(shop, ",".join(mail(number) for number in range(60)), 60)
        made = await shop.audience({"seed_id": [seed], "percentage": 5}, audience_type="ACTALIKE")
        found = await fitted(shop, made["id"])
        assert (found["status"], found["seeds"], found["eligible"], found["members"]) == (
            *("READY", 60, 540, 27),
        )
        assert found["quality"]["low"] > 0.8
        assert "shoes" in found["features"][0]
        assert await exported(shop, made["id"]) <= await ids(shop, range(60, 120))


async def test_a_list_that_matches_too_few_says_how_many_are_needed(tmp_path):
    """29 of 30: TOO_SMALL with the number; one more on the list, and a refit finds them."""
    async with running(tmp_path) as shop:
        await visits(shop)
        seed = await listed(shop, ",".join([*map(mail, range(29)), "nobody@mail.example"]), 29)
        made = await shop.audience({"seed_id": [seed], "percentage": 10}, audience_type="ACTALIKE")
        address = f"/audiences/{made['id']}"
        found = await fitted(shop, made["id"])
        assert (found["status"], found["seeds"], found["seeds_needed"]) == ("TOO_SMALL", 29, 30)
        assert "30 are needed" in found["explanation"]
        token = (await shop.client.get(f"{shop.v5}{address}/export?format=csv")).headers["retag-as-of"]
        rule = (await shop.ask("GET", f"/audiences/{seed}"))["rule"]
        change = {"operation_type": "ADD", "records": mail(29)}
        await shop.ask("PATCH", f"/customer_lists/{rule['customer_list_id']}", json=change)
        await asked(shop, f"/audiences/{seed}", lambda one: one["size"] == 30)
        await shop.ask("POST", f"{address}/refit")
        found = await asked(shop, f"{address}/likeness", lambda one: one["status"] == "READY")
        assert (found["seeds"], found["members"]) == (30, 57)
        await asked(shop, address, lambda one: one["size"] == 57)
        delta = await shop.client.get(f"{shop.v5}{address}/export?format=csv&since={token}")
        rows = delta.text.splitlines()
        op = rows[0].split(",").index("op")
        assert [row.split(",")[op] for row in rows[1:] if "," in row] == ["add"] * 57


async def test_accounts_are_apart(tmp_path):
    """Another account's seed is refused, its act-alikes cannot be seen, and its visitors are not chosen."""
    async with running(tmp_path) as shop, beside(shop) as other:
        await visits(shop, 300)
        await visits(other)
        seed = await listed(shop, ",".join(map(mail, range(60))), 60)
        wanted = {"name": "Alike", "audience_type": "ACTALIKE", "rule": {"seed_id": [seed], "percentage": 10}}
        refused = await other.ask("POST", "/audiences", 400, json=wanted)
        assert f"{seed} is no audience of this ad account" in refused["message"]
        made = (await shop.ask("POST", "/audiences", json=wanted))["id"]
        found = await fitted(shop, made)
        assert (found["seeds"], found["eligible"], found["members"]) == (60, 240, 24)
        assert await exported(shop, made) <= await ids(shop, range(300))
        own = await listed(other, ",".join(map(mail, range(80))), 80)
        alike = (await other.ask("POST", "/audiences", json=wanted | {"rule": {"seed_id": [own]}}))["id"]
        assert (await fitted(other, alike))["eligible"] == 520
        assert not await exported(other, alike) & await ids(shop, range(300))
        changed = {"rule": {"seed_id": [seed]}}
        assert (
            "is no audience"
            in (await other.ask("PATCH", f"/audiences/{alike}", 400, json=changed))["message"]
        )
        for method, address in (
            ("GET", f"/audiences/{made}/likeness"),
            ("POST", f"/audiences/{made}/refit"),
            ("GET", f"/audiences/{made}/lift"),
            ("GET", f"/audiences/{made}/insights"),
            ("GET", f"/audiences/{made}/overlap?with={alike}"),
            ("GET", f"/audiences/{alike}/overlap?with={made}"),
        ):
            await other.ask(method, address, 404)
        foreign = await other.client.get(f"{shop.v5}/audiences/{made}/likeness")
        assert foreign.status_code == 403


async def test_a_refit_while_events_pour_in(tmp_path):
    """Events are acknowledged all the while, every refit asked for is done, and the model stays sound."""
    async with running(tmp_path) as shop:
        await visits(shop)
        seed = await listed(shop, ",".join(map(mail, range(60))), 60)
        made = await shop.audience({"seed_id": [seed], "percentage": 5}, audience_type="ACTALIKE")
        address = f"/audiences/{made['id']}"
        first = await fitted(shop, made["id"])
        number = 600

        async def pour():
            nonlocal number
            while True:
                found = await shop.send(visit(number, f"kind{number % 13}"))
                assert found["num_events_processed"] == 1
                number += 1

        pouring = asyncio.create_task(pour())
        try:
            await asyncio.sleep(1.1)  # a fit is told to the second
            await asyncio.gather(*(shop.ask("POST", f"{address}/refit") for _ in range(5)))
            later = lambda one: one["fitted_timestamp"] > first["fitted_timestamp"]  # noqa: E731
            found = await asked(shop, f"{address}/likeness", later)
        finally:
            pouring.cancel()
            await asyncio.gather(pouring, return_exceptions=True)
        assert not pouring.cancelled() or number > 600
        assert found["eligible"] > 540
        assert found["members"] == found["eligible"] * 5 // 100
        assert await ids(shop, range(60, 87)) & await exported(shop, made["id"])


async def test_without_the_extra_the_answer_is_the_command_that_installs_it(tmp_path, monkeypatch):
    """501 for a new act-alike and for a refit; other audiences are none the worse."""
    async with running(tmp_path) as shop:
        await visits(shop, 100)
        seed = await listed(shop, ",".join(map(mail, range(20))), 20)
        wanted = {"name": "Alike", "audience_type": "ACTALIKE", "rule": {"seed_id": [seed]}}
        made = (await shop.ask("POST", "/audiences", json=wanted))["id"]
        await fitted(shop, made)
        monkeypatch.setitem(sys.modules, "lightgbm", None)  # as if it were not installed
        for address, body in (("/audiences", wanted), (f"/audiences/{made}/refit", {})):
            refused = await shop.ask("POST", address, 501, json=body)
            assert "lightgbm: run pip install 'retag[actalike]'" in refused["message"]
        assert (await shop.ask("GET", f"/audiences/{made}/likeness"))["status"] == "TOO_SMALL"
        await shop.audience({"event": "checkout"})


async def test_lift_of_nothing_is_said_in_words(tmp_path):
    """No members then, or no outcome at all: nulls and a sentence, never a crash."""
    async with running(tmp_path) as shop:
        await visits(shop, 100)
        made = (await shop.audience({"event": "pagevisit"}))["id"]
        found = await shop.ask("GET", f"/audiences/{made}/lift?event=checkout&days=30")
        assert (found["ratio"], found["low"], found["high"], found["reliable"]) == (None, 0.0, None, False)
        assert "Nobody was a member at that moment" in found["explanation"]
        for item in (await shop.ask("GET", "/engagement_lift?days=1"))["items"]:
            assert (item["members"]["size"], item["ratio"]) == (0, None)
        for days in ("0", "91", "x", "1.5"):
            await shop.ask("GET", f"/audiences/{made}/lift?days={days}", 400)


async def test_lift_of_an_event_in_any_spelling_or_in_none(tmp_path):
    """A name is read as the door reads it; one that no event can have is refused."""
    async with running(tmp_path) as shop:
        made = (await shop.audience({"event": "pagevisit"}))["id"]
        for spelling in ("AddToCart", "add_to_cart", "ADD-TO-CART", "%20addtocart%20"):
            found = await shop.ask("GET", f"/audiences/{made}/lift?event={spelling}")
            assert found["event"] == "addtocart"
        for address in (f"/audiences/{made}/lift", "/engagement_lift"):
            for name in ("%20", "%00", "%F0%9F%9B%92", "a;b", "x" * 101):
                refused = await shop.ask("GET", f"{address}?event={name}", 400)
                assert refused["message"].startswith("event: must be a name of 1 to 100")


async def test_lift_of_an_act_alike_needs_a_past(tmp_path):
    """It was made just now, so who was in it a month ago is not known: 409, and what to do."""
    async with running(tmp_path) as shop:
        await visits(shop, 300)
        seed = await listed(shop, ",".join(map(mail, range(40))), 40)
        made = await shop.audience({"seed_id": [seed], "percentage": 10}, audience_type="ACTALIKE")
        await fitted(shop, made["id"])
        for audience in (seed, made["id"]):
            refused = await shop.ask("GET", f"/audiences/{audience}/lift", 409)
            assert "Ask for fewer days" in refused["message"]
