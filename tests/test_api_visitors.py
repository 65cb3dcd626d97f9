"""Visitors over HTTP: look-ups with reasons, and erasure."""

import asyncio
import hashlib
import json
import time
import uuid
from urllib.parse import quote

import pytest
from msgspec.structs import replace

from hits import server_results
from retag.web.api import visitors
from shop import running

NOBODY = "01890000-0000-7000-8000-000000000000"


def digest(text, name="sha256"):
    return hashlib.new(name, text.encode()).hexdigest()


def checkout(email="ann@mail.example", number=1, **changes):
    name = f"{email.partition('@')[0]}-{number}"
    return {
        "event_name": "checkout",
        "action_source": "web",
        "event_time": int(time.time()) - 3600,
        "event_id": name,
        "event_source_url": "https://shop.example/thanks",
        "user_data": {"em": [digest(email)]},
        "custom_data": {"value": "72.39", "currency": "EUR", "order_id": name},
    } | changes


async def until(shop, audience_id, size):
    """The audience, once it is filled in and has this size."""
    deadline, found = time.monotonic() + 30, {"status": "INITIALIZING"}
    while found["status"] == "INITIALIZING" or found["size"] != size:
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.02)
        found = await shop.ask("GET", f"/audiences/{audience_id}")
    return found


@pytest.mark.parametrize("name", ["gid://shopify/Customer/7", "a+b/c==", "crm/7/", "50%2Fb?c#d", "-;Ä Ö"])
async def test_whatever_a_shop_calls_its_customers_is_found_and_erased(tmp_path, name):
    """Slashes too: escaped in the address, as they must be."""
    async with running(tmp_path) as shop:
        await shop.send(checkout(user_data={"external_id": [name]}))
        path = f"/visitors/{quote(name, safe='')}"
        (erased,) = (await shop.ask("DELETE", path))["erased"]
        assert erased != NOBODY
        await shop.ask("GET", path, 404)


async def test_look_up_says_which_audiences_since_when_and_why(tmp_path):
    """By raw e-mail, by its hash, and by visitor id: the same visitor, the same answer."""
    async with running(tmp_path) as shop:
        buyers = await shop.audience({"event": "checkout", "retention_days": 30})
        await shop.audience({"event": "signup"})
        sent = checkout()
        await shop.send(sent)
        await until(shop, buyers["id"], 1)
        found = await shop.ask("GET", "/visitors/Ann@Mail.example")
        assert [one["id"] for one in found["audiences"]] == [buyers["id"]]
        held = found["audiences"][0]
        assert held["since"] == sent["event_time"] * 1000
        assert held["until"] == held["since"] + 30 * 86_400_000
        assert held["why"][0]["rule"]["event"] == "checkout"
        assert held["why"][0]["last_event"]["url"] == "https://shop.example/thanks"
        assert held["why"][0]["last_event"]["time"] == held["since"]
        assert (found["events"], sum(found["identifiers"].values())) == (1, 1)
        for name in (digest("ann@mail.example"), digest("ann@mail.example").upper(), found["visitor_id"]):
            assert await shop.ask("GET", f"/visitors/{name}") == found


async def test_what_may_hold_and_does_not_is_no_reason(tmp_path):
    """A list that the visitor is not on, and events too few, though the rule holds by something else."""
    async with running(tmp_path) as shop:
        on, off = [(await shop.customer_list(f"{who}@mail.example"))["id"] for who in ("ann", "bob")]
        often = {"event": "checkout", "min_count": 3}
        clauses = [{"customer_list_id": on}, {"customer_list_id": off}, often, {"event": "checkout"}]
        made = await shop.audience({"any": clauses})
        await shop.send(checkout(), checkout(number=2))
        await until(shop, made["id"], 1)
        found = await shop.ask("GET", "/visitors/ann@mail.example")
        why = [one["rule"] for one in found["audiences"][0]["why"]]
        assert why == [{"customer_list_id": on}, {"event": "checkout"}]


async def test_reasons_are_the_clauses_that_hold(tmp_path):
    """Each clause with its own count and last event; an excluding clause is no reason."""
    async with running(tmp_path) as shop:
        rule = {
            "all": [{"event": "checkout", "min_count": 2}],
            "any": [{"event": "signup"}, {"event": "lead"}],
            "none": [{"event": "search"}],
        }
        made = await shop.audience(rule)
        await shop.send(checkout(), checkout(number=2), checkout(number=3, event_name="lead"))
        await until(shop, made["id"], 1)
        found = await shop.ask("GET", "/visitors/ann@mail.example")
        why = {one["clause"]: (one["rule"]["event"], one["matches"]) for one in found["audiences"][0]["why"]}
        assert why == {"all": ("checkout", 2), "any": ("lead", 1)}


@pytest.mark.parametrize("name", [NOBODY, "stranger@mail.example", digest("x"), "+49 30 1234567", "no one"])
async def test_strangers_are_not_found(tmp_path, name):
    """Neither by id nor by anything they might have shown."""
    async with running(tmp_path) as shop:
        await shop.ask("GET", f"/visitors/{name}", 404)


async def test_erased_visitor_is_in_nothing_and_stays_away(tmp_path):
    """Erased by identifier: out of audience, look-up and list; their neighbour stays."""
    async with running(tmp_path) as shop:
        buyers = await shop.audience({"event": "checkout"})
        await shop.send(checkout(), checkout("bob@mail.example"))
        await until(shop, buyers["id"], 2)
        gone = await shop.ask("DELETE", "/visitors/ann@mail.example")
        assert len(gone["erased"]) == 1
        await until(shop, buyers["id"], 1)
        await shop.ask("GET", "/visitors/ann@mail.example", 404)
        await shop.ask("GET", f"/visitors/{gone['erased'][0]}", 404)
        await shop.ask("GET", "/visitors/bob@mail.example")


async def test_who_was_just_acknowledged_can_be_erased_by_what_they_showed(tmp_path):
    """Though no fold has read the event yet: it must not bring them back a moment later."""
    async with running(tmp_path) as shop:
        for number in range(3):
            await shop.send(*(checkout(number=n) for n in range(number * 300, number * 300 + 300)))
            gone = await shop.ask("DELETE", "/visitors/ann@mail.example")
            assert len(gone["erased"]) == 1
            await shop.ask("GET", "/visitors/ann@mail.example", 404)
        assert (await shop.state.reader.one("SELECT count(*) FROM log"))[0] == 0


async def test_an_erasure_that_would_miss_something_is_to_be_sent_again(tmp_path, monkeypatch):
    """When the fold is far behind; nothing was erased, and the answer says so."""
    async with running(tmp_path) as shop:
        await shop.send(checkout())
        monkeypatch.setattr(visitors, "SETTLE_S", 0.0)
        monkeypatch.setattr(visitors, "FOLDED", "SELECT 0")
        refused = await shop.client.delete(f"{shop.v5}/visitors/ann@mail.example")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert "again" in refused.json()["message"]


async def test_a_visitor_of_another_account_is_not_found(tmp_path):
    """Nor erased, though their id is known."""
    async with running(tmp_path) as shop:
        (other,) = server_results(json.dumps({"data": [checkout(event_time=1)]}).encode())
        event = replace(other.event, account=shop.account + 1)
        await shop.state.journal.append([event])
        for method in ("GET", "DELETE"):
            await shop.ask(method, f"/visitors/{uuid.UUID(bytes=event.visitor)}", 404)
        assert (await shop.state.reader.one("SELECT count(*) FROM log"))[0] == 1
        assert (await shop.ask("DELETE", f"/visitors/{NOBODY}"))["erased"] == [NOBODY]


async def test_erasing_nobody_is_not_found(tmp_path):
    """A typing error in an identifier must not look like success."""
    async with running(tmp_path) as shop:
        await shop.ask("DELETE", "/visitors/stranger@mail.example", 404)


async def test_estimate_is_exact_on_a_short_log_and_for_a_saved_rule(tmp_path):
    """The size before saving is the size after."""
    async with running(tmp_path) as shop:
        rule = {"event": "checkout", "event_data": {"value": {">=": 50}}}
        buyers = await shop.audience({"event": "checkout"})
        await shop.send(checkout(), checkout("bob@mail.example", custom_data={"value": "10"}))
        await until(shop, buyers["id"], 2)
        for _ in range(2):
            found = await shop.ask("POST", "/audiences/estimate", json={"rule": rule})
            assert (found["size"], found["exact"], found["margin"]) == (1, True, 0)
            await until(shop, (await shop.audience(rule))["id"], 1)
        wrong = await shop.ask("POST", "/audiences/estimate", 400, json={"rule": {"min_count": 0}})
        assert "min_count" in wrong["message"]


@pytest.mark.parametrize("named", ["4999999", "9" * 30])
async def test_estimate_of_a_rule_with_a_list_that_is_not_there_says_so(tmp_path, named):
    """As a creation would; nobody is counted who stands on nothing."""
    async with running(tmp_path) as shop:
        await shop.send(checkout())
        wrong = {"rule": {"customer_list_id": named}, "audience_type": "CUSTOMER_LIST"}
        answer = await shop.ask("POST", "/audiences/estimate", 400, json=wrong)
        assert answer["message"].startswith("rule.customer_list_id: ")
