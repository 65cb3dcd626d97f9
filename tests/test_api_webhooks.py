"""Webhooks over the API, to a real receiver: told once, signed, tried again, and never sent inside."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import json
import os
import pathlib
import re
import socket
import ssl
import subprocess
import sys
import time

import pytest
import trustme

from receiver import receiving
from retag import webhooks
from retag.store import hooks
from retag.web import posting
from server import free_port
from shop import running
from test_api_exports import filled
from test_api_visitors import checkout, until

INSIDE = {"webhook_networks": "127.0.0.0/8"}


async def come(condition, seconds=30):
    """Wait for what other threads and tasks do."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.01)


async def hook(shop, url, *events, **changes):
    body = {"url": url, "events": list(events) or ["export.ready"]} | changes
    return await shop.ask("POST", "/webhooks", json=body)


async def log_of(shop, made):
    return (await shop.ask("GET", f"/webhooks/{made['id']}/deliveries"))["items"]


async def ended(shop, made, status):
    """The latest delivery, once it has this status."""
    deadline = time.monotonic() + 30
    while not (found := await log_of(shop, made)) or found[0]["status"] != status:
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.02)
    return found[0]


async def hurry(shop, due=1):
    """Let what waits for another attempt be due now."""
    await shop.state.journal.write(
        lambda cn: cn.execute("UPDATE webhook_delivery SET due = ? WHERE due IS NOT NULL", (due,)).rowcount
    )
    shop.state.outbox.wake()


async def test_crossing_is_told_once_each_way(tmp_path):
    """Up when the size is reached, down when it is left; nothing in between, and nothing twice."""
    async with running(tmp_path, **INSIDE) as shop:
        with receiving() as receiver:
            made = await filled(shop, "ann")
            both = await hook(
                shop, receiver.url, webhooks.ABOVE, webhooks.BELOW, audience_id=made["id"], size=2
            )
            await shop.send(checkout("bob@mail.example"), checkout("cleo@mail.example"))
            await come(lambda: len(receiver.taken) == 1)
            await until(shop, made["id"], 3)
            for who in ("cleo", "bob"):
                await shop.ask("DELETE", f"/visitors/{who}@mail.example")
            await come(lambda: len(receiver.taken) == 2)
            told = [json.loads(one.body) for one in receiver.taken]
            assert [one["type"] for one in told] == ["audience.above", "audience.below"]
            assert told[0]["data"]["size"] >= 2 > told[1]["data"]["size"]
            assert told[0]["data"] | {"size": 0} == {
                "ad_account_id": str(shop.account),
                "audience_id": made["id"],
                "size": 0,
                "threshold": 2,
            }
            await ended(shop, both, "DELIVERED")
            assert [one["status"] for one in await log_of(shop, both)] == ["DELIVERED"] * 2


async def test_only_the_way_that_was_asked_for_is_told(tmp_path):
    """Up alone."""
    async with running(tmp_path, **INSIDE) as shop:
        with receiving() as receiver:
            made = await filled(shop, "ann")
            await hook(shop, receiver.url, webhooks.ABOVE, audience_id=made["id"], size=1)
            await shop.ask("DELETE", "/visitors/ann@mail.example")
            await until(shop, made["id"], 0)
            sides = "SELECT above FROM webhook"
            deadline = time.monotonic() + 30
            while (await shop.state.reader.one(sides))[0] != 0:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.02)
            await shop.send(checkout("bob@mail.example"))
            await come(lambda: receiver.taken)
            assert [one.body.count(b"audience.above") for one in receiver.taken] == [1]


async def test_delivery_is_signed_with_the_secret_that_was_shown_once(tmp_path):
    """Over its name, its time and its body; no other answer shows the secret."""
    async with running(tmp_path, **INSIDE) as shop:
        with receiving() as receiver:
            made = await hook(shop, receiver.url)
            assert "secret" not in await shop.ask("GET", f"/webhooks/{made['id']}")
            assert made["secret"] not in str(await shop.ask("GET", "/webhooks"))
            sent = await shop.ask("POST", f"/webhooks/{made['id']}/test")
            (one,) = receiver.taken
            assert (sent["status"], sent["answer"], sent["attempts"]) == ("DELIVERED", 204, 1)
            assert sent["id"] == one.headers["webhook-id"]
            secret = base64.b64decode(made["secret"].removeprefix("whsec_"))
            seconds = int(one.headers["webhook-timestamp"])
            assert abs(seconds - time.time()) < 60
            expected = webhooks.signature(secret, sent["id"], seconds, one.body)
            assert one.headers["webhook-signature"] == expected
            assert (one.path, one.headers["content-type"]) == ("/hook?a=1", "application/json")


async def test_refused_delivery_is_tried_again_under_the_same_name(tmp_path):
    """Later each time; what the receiver said is in the log, and in the figures."""
    async with running(tmp_path, **INSIDE) as shop:
        with receiving() as receiver:
            receiver.answers = [500, 302, 204]
            receiver.location = "http://127.0.0.1:1/elsewhere"
            made = await hook(shop, receiver.url)
            await tell(shop, made)
            for answer in (500, 302):
                one = await settled(shop, made, answer)
                assert one["next_attempt_at"] > one["created_at"]
                await hurry(shop)
            one = await ended(shop, made, "DELIVERED")
            assert (one["attempts"], one["answer"], one["error"]) == (3, 204, None)
            assert len({taken.headers["webhook-id"] for taken in receiver.taken}) == 1
            assert shop.state.tally.deliveries == {"DELIVERED": 1, "WAITING": 2, "FAILED": 0}


async def tell(shop, made):
    now = int(time.time() * 1000)
    data = {"ad_account_id": str(shop.account), "audience_id": "1"}
    await shop.state.journal.write(lambda cn: hooks.tell(cn, shop.account, "export.ready", data, now))
    shop.state.outbox.wake()


async def settled(shop, made, answer):
    deadline = time.monotonic() + 30
    while not (found := await log_of(shop, made)) or found[0]["answer"] != answer:
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.02)
    return found[0]


async def test_delivery_is_given_up_after_a_day(tmp_path):
    """And stays in the log as FAILED."""
    async with running(tmp_path, **INSIDE) as shop:
        with receiving() as receiver:
            receiver.answers = [503]
            made = await hook(shop, receiver.url)
            await tell(shop, made)
            await settled(shop, made, 503)
            await shop.state.journal.write(
                lambda cn: cn.execute("UPDATE webhook_delivery SET at = at - 86400000").rowcount
            )
            await hurry(shop)
            one = await ended(shop, made, "FAILED")
            assert (one["next_attempt_at"], one["attempts"]) == (None, 2)


async def test_what_waits_is_sent_after_a_restart(tmp_path):
    """It was on disk in the transaction that made it true."""
    with receiving() as receiver:
        async with running(tmp_path, **INSIDE) as shop:
            receiver.answers = [500, 204]
            made = await hook(shop, receiver.url)
            await tell(shop, made)
            await settled(shop, made, 500)
            account = shop.account
        async with running(tmp_path, **INSIDE) as shop:
            await hurry(shop)
            await come(lambda: len(receiver.taken) == 2)
            assert shop.account == account
            await ended(shop, made, "DELIVERED")


async def test_clock_that_was_put_back_stops_no_delivery(tmp_path):
    """What waits longer than anything may was told to by a clock that was wrong."""
    async with running(tmp_path, **INSIDE) as shop:
        with receiving() as receiver:
            receiver.answers = [500, 204]
            made = await hook(shop, receiver.url)
            await tell(shop, made)
            await settled(shop, made, 500)
            await hurry(shop, 2_000_000_000_000)
            await ended(shop, made, "DELIVERED")


async def test_crossing_while_the_server_was_down_is_told_after_the_start(tmp_path):
    """On which side the audience was is remembered."""
    with receiving() as receiver:
        async with running(tmp_path, **INSIDE) as shop:
            made = await filled(shop, "ann")
            await hook(shop, receiver.url, webhooks.ABOVE, audience_id=made["id"], size=1)
            await shop.state.journal.write(lambda cn: cn.execute("UPDATE webhook SET above = 0").rowcount)
        async with running(tmp_path, **INSIDE) as shop:
            await come(lambda: len(receiver.taken) == 1)


async def test_resolver_that_changes_its_mind_leads_nowhere(tmp_path):
    """Asked once an attempt, and the connection goes to what was checked (DNS rebinding)."""
    async with running(tmp_path, webhook_networks="127.0.0.2/32") as shop:
        with receiving("127.0.0.2") as allowed, receiving("127.0.0.1", port_of(allowed)) as inside:
            asked = []

            async def rebinding(host, port):
                asked.append(host)
                return ["127.0.0.2"] if len(asked) == 1 else ["127.0.0.1"]

            shop.state.outbox.post.resolve = rebinding
            made = await hook(shop, f"http://hook.example:{port_of(allowed)}/")
            first = await shop.ask("POST", f"/webhooks/{made['id']}/test")
            second = await shop.ask("POST", f"/webhooks/{made['id']}/test")
            assert (first["status"], len(allowed.taken)) == ("DELIVERED", 1)
            assert allowed.taken[0].headers["host"] == f"hook.example:{port_of(allowed)}"
            assert (second["status"], second["answer"], len(asked)) == ("FAILED", None, 2)
            assert "RETAG_WEBHOOK_NETWORKS" in second["error"]
            assert inside.taken == []


async def test_fault_of_ours_counts_as_an_attempt(tmp_path):
    """What nobody thought of is tried again as late as any failure is, not at once and for ever."""
    async with running(tmp_path, **INSIDE) as shop:

        async def broken(host, port):
            raise ZeroDivisionError

        shop.state.outbox.post.resolve = broken
        made = await hook(shop, "http://hook.example/")
        await tell(shop, made)
        await come(lambda: shop.state.tally.deliveries["WAITING"])
        (one,) = await log_of(shop, made)
        assert (one["attempts"], one["error"]) == (1, "ZeroDivisionError: ")
        assert one["next_attempt_at"] > one["created_at"]


async def test_hook_of_a_removed_audience_is_still_ones_own(tmp_path):
    """It can be paused, and given another audience."""
    async with running(tmp_path, **INSIDE) as shop:
        audience, other = await shop.audience(), await shop.audience()
        narrowed = {"audience_id": audience["id"], "size": 5}
        made = await hook(shop, "http://hook.example/", "audience.above", **narrowed)
        await shop.ask("PATCH", f"/audiences/{audience['id']}", json={"operation_type": "REMOVE"})
        url = f"/webhooks/{made['id']}"
        assert (await shop.ask("PATCH", url, json={"status": "PAUSED"}))["status"] == "PAUSED"
        changed = await shop.ask("PATCH", url, json={"audience_id": other["id"]})
        assert changed["audience_id"] == other["id"]
        await shop.ask("PATCH", url, 404, json={"audience_id": audience["id"]})


def port_of(receiver):
    return int(receiver.url.rpartition(":")[2].partition("/")[0])


@pytest.mark.parametrize("inside", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1"])
async def test_name_with_one_private_address_is_not_sent_to(tmp_path, inside):
    """Though its first is allowed."""
    async with running(tmp_path, webhook_networks="127.0.0.2/32") as shop:
        with receiving("127.0.0.2") as allowed:

            async def both(host, port):
                return ["127.0.0.2", inside]

            shop.state.outbox.post.resolve = both
            made = await hook(shop, f"http://hook.example:{port_of(allowed)}/")
            sent = await shop.ask("POST", f"/webhooks/{made['id']}/test")
            assert (sent["status"], allowed.taken) == ("FAILED", [])


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "0"]
)
async def test_nothing_goes_inside_by_default(tmp_path, host):
    """However the address is written: it is refused when given, or when it is sent."""
    async with running(tmp_path) as shop:
        with receiving() as receiver:
            url = f"https://{host}:{port_of(receiver)}/"
            response = await shop.client.post(
                f"{shop.v5}/webhooks", json={"url": url, "events": ["export.ready"]}
            )
            if response.status_code == 200:
                sent = await shop.ask("POST", f"/webhooks/{response.json()['id']}/test")
                assert (sent["status"], sent["answer"]) == ("FAILED", None)
            else:
                assert response.status_code == 400
            assert receiver.taken == []


async def test_https_is_checked_for_the_name_and_sent_to_the_address(tmp_path):
    """A certificate of another name, or of a stranger, is none."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("hook.example").configure_cert(context)
    async with running(tmp_path, **INSIDE) as shop:
        with receiving(tls=context) as receiver:
            post = shop.state.outbox.post

            async def local(host, port):
                return ["127.0.0.1"]

            post.resolve = local
            made = await hook(shop, f"https://hook.example:{port_of(receiver)}/")
            stranger = await shop.ask("POST", f"/webhooks/{made['id']}/test")
            assert "CERTIFICATE_VERIFY_FAILED" in stranger["error"]
            authority.configure_trust(post.tls)
            assert (await shop.ask("POST", f"/webhooks/{made['id']}/test"))["status"] == "DELIVERED"
            other = await hook(shop, f"https://other.example:{port_of(receiver)}/")
            wrong = await shop.ask("POST", f"/webhooks/{other['id']}/test")
            assert (wrong["status"], len(receiver.taken)) == ("FAILED", 1)


@contextlib.asynccontextmanager
async def answering(*parts, pause=0.0):
    """A receiver that answers with these bytes, for ever the last: its address."""

    talks = set()

    async def answer(reader, writer):
        talks.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            for part in parts[:-1]:
                writer.write(part)
            while not writer.transport.is_closing():
                writer.write(parts[-1])
                await writer.drain()
                await asyncio.sleep(pause)
        writer.transport.abort()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        for talk in talks:
            talk.cancel()
        await asyncio.gather(*talks)
        await server.wait_closed()


@pytest.mark.parametrize(
    ("parts", "answer"),
    [
        ((b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 4096), 200),
        ((b"HTTP/1.1 200 OK\r\n", b"a: " + b"x" * 4096), None),
        ((b"HTTP/1.1 100 Continue\r\n\r\n",), None),
        ((b"no http at all\r\n",), None),
    ],
)
async def test_answer_without_end_costs_no_more_than_its_bound(tmp_path, parts, answer):
    """Of the body, of the head, of what comes before; garbage is a failure like any other."""
    async with running(tmp_path, **INSIDE) as shop, answering(*parts) as url:
        made = await hook(shop, url)
        sent = await shop.ask("POST", f"/webhooks/{made['id']}/test")
        assert sent["answer"] == answer
        assert sent["status"] == ("DELIVERED" if answer else "FAILED")


async def test_slow_answer_is_cut_off(tmp_path, monkeypatch):
    """One byte now and then does not hold the outbox."""
    monkeypatch.setattr(posting, "WITHIN_S", 0.3)
    async with running(tmp_path, **INSIDE) as shop, answering(b"H", pause=0.05) as url:
        made = await hook(shop, url)
        sent = await shop.ask("POST", f"/webhooks/{made['id']}/test")
        assert (sent["status"], sent["answer"]) == ("FAILED", None)


async def test_slow_receiver_holds_up_nobody_else(tmp_path):
    """One delivery a hook at a time."""
    async with running(tmp_path, **INSIDE) as shop, answering(b"H", pause=1.0) as slow:
        with receiving() as receiver:
            stuck, quick = await hook(shop, slow), await hook(shop, receiver.url)
            for _ in range(3):
                await tell(shop, stuck)
            await come(lambda: len(receiver.taken) == 3)
            assert (await shop.ask("GET", f"/webhooks/{stuck['id']}"))["waiting"] == 3
            await ended(shop, quick, "DELIVERED")


async def test_paused_hook_is_told_nothing_and_a_deleted_one_is_gone(tmp_path):
    """What waited for it goes with it."""
    async with running(tmp_path, **INSIDE) as shop:
        with receiving() as receiver:
            receiver.answers = [500]
            made = await hook(shop, receiver.url)
            await tell(shop, made)
            await settled(shop, made, 500)
            url = f"/webhooks/{made['id']}"
            assert (await shop.ask("PATCH", url, json={"status": "PAUSED"}))["status"] == "PAUSED"
            await tell(shop, made)
            assert len(await log_of(shop, made)) == 1
            assert (await shop.ask("DELETE", url))["status"] == "REMOVED"
            await shop.ask("GET", url, 404)
            assert await shop.state.reader.one("SELECT count(*) FROM webhook_delivery") == (0,)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"url": "http://shop.example/"}, "url"),
        ({"events": []}, "events"),
        ({"events": ["audience.gone"]}, "events"),
        ({"events": ["audience.above"]}, "size"),
        ({"size": 100}, "size"),
        ({"events": ["audience.above"], "size": 100}, "audience_id"),
        ({"events": ["audience.above"], "size": 0}, "size"),
        ({"audience_id": "ten"}, "audience_id"),
    ],
)
async def test_wrong_hook_is_refused_by_the_name_of_its_field(tmp_path, changes, field):
    """And nothing is stored."""
    async with running(tmp_path) as shop:
        body = {"url": "https://shop.example/", "events": ["export.ready"]} | changes
        refused = await shop.ask("POST", "/webhooks", 400, json=body)
        assert refused["message"].startswith(field)
        assert (await shop.ask("GET", "/webhooks"))["items"] == []


async def test_update_changes_what_it_names_and_keeps_the_hook_sound(tmp_path):
    """Null takes away; a half-made crossing is refused."""
    async with running(tmp_path) as shop:
        made = await shop.audience()
        hooked = await hook(shop, "https://shop.example/", "audience.above", audience_id=made["id"], size=5)
        url = f"/webhooks/{hooked['id']}"
        await shop.ask("PATCH", url, 400, json={"size": None})
        changed = await shop.ask("PATCH", url, json={"events": ["export.failed"], "size": None})
        assert (changed["events"], changed["size"], changed["audience_id"]) == (
            ["export.failed"], None, made["id"],
        )  # fmt: skip
        assert (await shop.ask("GET", url))["url"] == "https://shop.example/"


async def test_hooks_are_an_admins_and_the_accounts_own(tmp_path):
    """A key that may only read exports sees none of them."""
    async with running(tmp_path, scopes=["exports:read", "audiences:write"]) as shop:
        await shop.ask("GET", "/webhooks", 403)
        await shop.ask("POST", "/webhooks", 403, json={"url": "https://shop.example/", "events": []})


async def test_resolver_of_the_system_gives_every_address():
    """The one that is used when no test stands in for it."""
    found = await posting.resolve("localhost", 80)
    assert found
    assert all(ipaddress.ip_address(one).is_loopback for one in found)
    with pytest.raises(socket.gaierror):
        await posting.resolve("nowhere.invalid", 80)


@pytest.mark.parametrize(("secret", "status"), [("", "DELIVERED"), ("whsec_" + "A" * 44, "FAILED")])
async def test_receiver_of_the_documentation_takes_what_is_genuine(tmp_path, secret, status):
    """As it is printed there, in a process of its own; with another secret it refuses."""
    page = (pathlib.Path(__file__).parents[1] / "docs" / "exports.md").read_text()
    (tmp_path / "receiver.py").write_text(re.search(r"```python\n(.*?)```", page, re.DOTALL)[1])
    async with running(tmp_path, **INSIDE) as shop:
        port = free_port()
        made = await hook(shop, f"http://127.0.0.1:{port}/")
        environ = os.environ | {"WEBHOOK_SECRET": secret or made["secret"]}
        command = [sys.executable, str(tmp_path / "receiver.py"), str(port)]
        with (tmp_path / "receiver.log").open("wb") as log:
            process = subprocess.Popen(command, env=environ, stderr=log)  # noqa: ASYNC220
        try:
            await come(lambda: listens(port))
            sent = await shop.ask("POST", f"/webhooks/{made['id']}/test")
            assert (sent["status"], sent["answer"]) == (status, 204 if status == "DELIVERED" else 401)
        finally:
            process.kill()
            process.wait()


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
