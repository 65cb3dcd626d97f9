"""The public door: statuses, outcomes, CORS and cookies as the contract has them, and nothing lost."""

from __future__ import annotations

import asyncio
import json
import pathlib
import sqlite3
import threading
import time
from typing import Any

import pytest

from door import CHROME, standing
from retag import devices, errors
from retag.web import collect, cors

SHOP = "https://shop.example"


def outcome(response: Any) -> str:
    return str(response.headers["retag-outcome"])


async def test_a_beacon_is_on_disk_when_it_is_answered(tmp_path: pathlib.Path) -> None:
    """204, and the row is there for another connection."""
    async with standing(tmp_path) as door:
        answer = await door.beacon({"event": "AddToCart", "ed": {"value": "12,50", "product_id": 7}})
        assert (answer.status_code, outcome(answer), answer.content) == (204, "accepted=1", b"")
        row = await door.state.reader.one("SELECT name, data, tag FROM log")
        assert (row[0], json.loads(row[1])) == ("addtocart", {"value": 12.5, "product_id": "7"})


async def test_a_pixel_answers_an_image(tmp_path: pathlib.Path) -> None:
    """200 and a GIF that no cache keeps."""
    async with standing(tmp_path) as door:
        answer = await door.pixel()
        assert (answer.status_code, outcome(answer)) == (200, "accepted=1")
        assert answer.headers["content-type"] == "image/gif"
        assert answer.headers["cache-control"] == "no-store, private"
        assert answer.content.startswith(b"GIF89a")


async def test_no_answer_before_the_commit(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the journal has not committed, the request waits; a thousand commit together."""
    async with standing(tmp_path) as door:
        held: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
        append = door.state.journal.append_nowait
        monkeypatch.setattr(door.state.journal, "append_nowait", lambda *given: held.put_nowait(given))
        waiting = [asyncio.create_task(door.beacon()) for _ in range(50)]
        asked = [await held.get() for _ in waiting]
        assert not any(one.done() for one in waiting)
        for given in asked:
            append(*given)
        answers = await asyncio.gather(*waiting)
        assert {answer.status_code for answer in answers} == {204}
        assert await door.rows() == 50


async def test_several_events_in_one_beacon_have_one_outcome_each(tmp_path: pathlib.Path) -> None:
    """The header counts each; the status is the best one's."""
    async with standing(tmp_path) as door:
        answer = await door.beacon({}, {"event": "not a name!"}, {"event": "checkout"})
        assert (answer.status_code, outcome(answer)) == (204, "accepted=2, malformed=1")


@pytest.mark.parametrize(
    ("event", "headers", "status", "expected"),
    [
        ({}, {"user-agent": "Googlebot/2.1"}, 204, "bot=1"),
        ({}, {"sec-purpose": "prefetch;prerender"}, 204, "prefetch=1"),
        ({}, {"x-moz": "prefetch"}, 204, "prefetch=1"),
        ({}, {"sec-gpc": "1"}, 204, "opted_out=1"),
        ({}, {"sec-gpc": "0"}, 204, "accepted=1"),
        ({}, {"sec-purpose": "", "purpose": "prefetch"}, 204, "prefetch=1"),
        ({}, {"cookie": "a=b; retag=opted-out"}, 204, "opted_out=1"),
        ({}, {"cookie": "myretag=opted-out; note=retag=opted-out"}, 204, "accepted=1"),
        ({"pd": {"opt_out_type": "ldp"}}, {}, 204, "opted_out=1"),
        ({}, {"user-agent": ""}, 204, "accepted=1"),
        ({"consent": 0}, {}, 204, "no_consent=1"),
        ({"ad": {"webdriver": True}}, {}, 204, "bot=1"),
        ({"event": "x" * 101}, {}, 400, "malformed=1"),
        ({"tid": ""}, {}, 400, "malformed=1"),
        ({"tid": "1"}, {}, 404, "unknown_tag=1"),
        ({"tid": "٣"}, {}, 404, "unknown_tag=1"),
        ({"pad": "x" * 70_000}, {}, 413, "too_large=1"),
        ({}, {"content-encoding": "gzip"}, 400, "malformed=1"),
        ({}, {"content-encoding": "Identity"}, 204, "accepted=1"),
        ({"event": ["pagevisit"]}, {}, 400, "malformed=1"),
    ],
)
async def test_every_event_has_the_outcome_and_status_of_the_contract(
    tmp_path: pathlib.Path, event: dict[str, Any], headers: dict[str, str], status: int, expected: str
) -> None:
    """And nothing that was not accepted is in the log."""
    async with standing(tmp_path) as door:
        answer = await door.beacon(event, headers=headers)
        assert (answer.status_code, outcome(answer)) == (status, expected)
        assert await door.rows() == expected.startswith("accepted")
        assert await door.rows("bot_log") == expected.startswith("bot")
        assert "set-cookie" not in answer.headers or expected.startswith("accepted")
        if status >= 400:
            assert answer.json()["message"].startswith(expected.partition("=")[0])


async def test_metrics_count_each_event_once(tmp_path: pathlib.Path) -> None:
    """Accepted and duplicates when the fold has settled them, the others at once."""
    async with standing(tmp_path) as door:
        first = await door.beacon({"ed": {"event_id": "a"}})
        cookie = {"cookie": first.headers["set-cookie"].partition(";")[0]}
        again = await door.beacon({"ed": {"event_id": "a"}}, headers=cookie)
        assert outcome(again) == "accepted=1"
        await door.beacon(headers={"user-agent": "curl/8"})
        found = (await door.client.get("/metrics")).text
        for name, count in {"accepted": 1, "duplicate": 1, "bot": 1, "malformed": 0}.items():
            assert f'retag_events_total{{outcome="{name}"}} {count}.0' in found


async def test_what_an_event_lost_on_its_way_is_counted(tmp_path: pathlib.Path) -> None:
    """Masked texts and unread parts, in the metrics and in the console's feed."""
    async with standing(tmp_path) as door:
        data = {"note": "ann@mail.example or bob@mail.example", "card": "4111 1111 1111 1111"}
        await door.beacon({"ed": data, "ad": {"title": "eyJhbGciOiJIUzI1.eyJzdWIiOiIx", "loc": SHOP}})
        await door.beacon({"ed": "{"}, {"pd": "[", "ad": "nul"})
        await door.api("POST", "/events", json={"data": [server_event(search_string="ann@mail.example")]})
        found = (await door.client.get("/metrics")).text
        for what, count in {"email": 3, "card": 1, "token": 1, "unread": 3}.items():
            assert f'retag_lost_total{{what="{what}"}} {count}.0' in found
        feed = await door.client.get("/console/feed", headers={"authorization": f"Bearer {door.key}"})
        assert feed.json()["lost"] == {"email": 3, "card": 1, "token": 1, "unread": 3}


def server_event(**custom: Any) -> dict[str, Any]:
    return {
        "event_name": "search", "action_source": "web", "event_time": int(time.time()) - 1, "event_id": "s",
        "user_data": {"em": ["411e44ce1261728ffd2c0686e44e3fffe413c0e2c5adc498bc7da883d476b9c8"]},
        "custom_data": custom,
    }  # fmt: skip


async def test_a_server_names_the_visitor_by_what_our_cookie_says(tmp_path: pathlib.Path) -> None:
    """Before any identifier; a forged one, or another account's, names nobody."""
    async with standing(tmp_path) as door:
        cookie = (await door.beacon()).headers["set-cookie"].partition(";")[0].partition("=")[2]
        for number, signed in enumerate((cookie, cookie[:-2] + "AA")):
            event = server_event() | {"event_id": str(number), "user_data": {"pin_unauth": signed}}
            answer = await door.api("POST", "/events", json={"data": [event]})
            assert answer.json()["num_events_processed"] == 1
        first, named, other = await door.state.reader.all("SELECT visitor FROM log ORDER BY seq")
        assert first == named != other


async def test_a_server_brings_nobody_back(tmp_path: pathlib.Path) -> None:
    """Of one who was erased or objected nothing is stored, whoever names them."""
    async with standing(tmp_path) as door:
        cookie = (await door.beacon()).headers["set-cookie"].partition(";")[0]
        signed = cookie.partition("=")[2]
        for request in (("POST", "/privacy/opt-out"), ("DELETE", "/privacy/me")):
            await door.client.request(*request, headers={"cookie": cookie})
            event = server_event() | {"user_data": {"pin_unauth": signed}}
            answer = await door.api("POST", "/events", json={"data": [event]})
            assert outcome(answer) == ("erased=1" if request[0] == "DELETE" else "opted_out=1")
            assert answer.json()["events"][0]["status"] == "processed"
        assert await door.rows() == 0


async def test_a_servers_events_are_counted_and_shown_like_a_pages(tmp_path: pathlib.Path) -> None:
    """Each in one outcome: in the header, in the metrics and in the console; a test's are in none."""
    async with standing(tmp_path) as door:
        events = [server_event(), {"event_name": "search"}, server_event() | {"opt_out": True}]
        await door.api("POST", "/events?test=true", json={"data": events})
        answer = await door.api("POST", "/events", json={"data": events})
        assert outcome(answer) == "accepted=1, malformed=1, opted_out=1"
        assert [one["status"] for one in answer.json()["events"]] == ["processed", "failed", "processed"]
        assert answer.json()["num_events_processed"] == 2
        found = (await door.client.get("/metrics")).text
        for name in ("accepted", "malformed", "opted_out"):
            assert f'retag_events_total{{outcome="{name}"}} 1.0' in found
        feed = await door.client.get("/console/feed", headers={"authorization": f"Bearer {door.key}"})
        (shown,) = feed.json()["arrivals"]
        assert (shown["events"], shown["tag"]) == (["search"], "")
        assert "action_source is missing" in shown["reasons"][0]


async def test_a_paused_tag_and_a_foreign_page_are_refused(tmp_path: pathlib.Path) -> None:
    """A change through the API holds for the next beacon."""
    async with standing(tmp_path) as door:
        await door.configure(domains=["shop.example"])
        foreign = await door.beacon(headers={"origin": "https://evil.example"})
        assert (foreign.status_code, outcome(foreign)) == (403, "foreign_origin=1")
        assert (await door.beacon(headers={"origin": "null"})).status_code == 403
        assert (await door.beacon(headers={"origin": "https://www.shop.example"})).status_code == 204
        await door.configure(status="PAUSED")
        paused = await door.beacon(headers={"origin": SHOP})
        assert (paused.status_code, outcome(paused)) == (404, "paused_tag=1")


async def test_required_consent_decides_first(tmp_path: pathlib.Path) -> None:
    """No id, no cookie and no row before it; with it all three."""
    async with standing(tmp_path) as door:
        await door.configure(consent="required")
        before = await door.beacon()
        assert (outcome(before), "set-cookie" in before.headers) == ("no_consent=1", False)
        asked = await door.client.get("/user/", params={"tid": door.tag}, headers={"user-agent": CHROME})
        assert "set-cookie" not in asked.headers
        after = await door.beacon({"consent": 1})
        assert (outcome(after), "set-cookie" in after.headers) == ("accepted=1", True)
        assert await door.rows() == 1


async def test_a_full_journal_answers_503_and_when_to_come_again(tmp_path: pathlib.Path) -> None:
    """Nothing of such a request is stored, and every event of it counts as overloaded."""
    async with standing(tmp_path) as door:
        door.state.journal.append_nowait = lambda events, apart, done: done(errors.Overloaded())
        answer = await door.beacon({}, {"event": "not a name!"})
        assert (answer.status_code, outcome(answer)) == (503, "overloaded=2")
        assert int(answer.headers["retry-after"]) >= 1
        assert "set-cookie" not in answer.headers


async def test_an_objection_that_cannot_be_written_is_to_be_sent_again(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk keeps nobody waiting for an answer, and pretends nothing."""
    async with standing(tmp_path) as shop:
        cookie = {"cookie": (await shop.beacon()).headers["set-cookie"].partition(";")[0]}

        def full(*_: object, **__: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(shop.state.store, "write", full)
            answer = await shop.beacon(headers={**cookie, "sec-gpc": "1"})
        assert (answer.status_code, outcome(answer)) == (503, "overloaded=1")
        answer = await shop.beacon(headers={**cookie, "sec-gpc": "1"})
        assert (answer.status_code, outcome(answer)) == (204, "opted_out=1")


async def test_who_is_being_looked_up_when_it_stops_is_stored(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that has gone left its beacon here: the end waits for its user agent."""
    go_on = threading.Event()

    def slow(agent: str) -> devices.Device:
        go_on.wait(30)
        return devices.UNKNOWN

    monkeypatch.setattr(devices, "classify", slow)
    async with standing(tmp_path) as shop:
        waiting = asyncio.ensure_future(shop.beacon(headers={"user-agent": "never seen"}))
        while not shop.state.collect._meetings:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        asyncio.get_running_loop().call_later(0.1, go_on.set)
    answer = await waiting
    assert (answer.status_code, outcome(answer)) == (204, "accepted=1")


async def test_a_short_disk_shuts_the_door_and_turns_readiness_red(tmp_path: pathlib.Path) -> None:
    """Before SQLite runs into the end of it; the process stays alive."""
    async with standing(tmp_path, min_free_mb="1000000") as door:
        ready = await door.client.get("/readyz")
        assert ready.status_code == 503
        assert "disk" in ready.json()["reasons"][0]
        assert (await door.beacon()).status_code == 503
        assert (await door.client.get("/healthz")).status_code == 200


async def test_readiness_is_red_when_nothing_is_folded(tmp_path: pathlib.Path) -> None:
    """The age of the oldest waiting event decides, not whether requests are answered."""
    async with standing(tmp_path) as door:
        assert (await door.client.get("/readyz")).status_code == 200
        door.state.journal.lag = lambda: (0, 60_000, 3)
        assert (await door.client.get("/readyz")).status_code == 503
        door.state.journal.lag = lambda: (60_000, 0, 3)
        assert (await door.client.get("/readyz")).status_code == 503


async def test_a_configured_domain_gets_its_origin_and_the_id(tmp_path: pathlib.Path) -> None:
    """With credentials, for the page may be on another site; nobody else is ever reflected."""
    async with standing(tmp_path) as door:
        await door.configure(domains=["shop.example"])
        answer = await door.beacon(headers={"origin": SHOP, "sec-fetch-site": "cross-site"})
        assert answer.headers["access-control-allow-origin"] == SHOP
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert answer.headers["vary"] == "Origin"
        assert "pin-unauth" in answer.headers
        assert "set-cookie" not in answer.headers
        stranger = await door.beacon(headers={"origin": "https://shop.example.evil.example"})
        assert stranger.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in stranger.headers
        assert "pin-unauth" not in stranger.headers


async def test_no_script_hears_the_id_where_the_cookie_works(tmp_path: pathlib.Path) -> None:
    """On the shop's own site it stays in the HttpOnly cookie; elsewhere an erased id is taken back."""
    async with standing(tmp_path) as door:
        await door.configure(domains=["shop.example"])
        for site in ("same-origin", "same-site"):
            answer = await door.beacon(headers={"origin": SHOP, "sec-fetch-site": site})
            assert "set-cookie" in answer.headers
            assert "pin-unauth" not in answer.headers
        away = {"origin": SHOP, "sec-fetch-site": "cross-site"}
        pin = (await door.beacon(headers=away)).headers["pin-unauth"]
        known = door.state.door.banned
        door.state.door.banned = lambda visitor: "erased"
        assert (await door.beacon({"pd": {"pin_unauth": pin}}, headers=away)).headers["pin-unauth"] == ""
        door.state.door.banned = known


async def test_a_tag_without_domains_hands_no_id_across_origins(tmp_path: pathlib.Path) -> None:
    """Anybody may send, nobody may read who it was."""
    async with standing(tmp_path) as door:
        answer = await door.beacon(headers={"origin": SHOP})
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers
        assert "pin-unauth" not in answer.headers


async def test_a_page_on_another_site_can_read_that_it_has_to_wait(tmp_path: pathlib.Path) -> None:
    """Of a request that is turned away unread no tag is known: its page's origin is one of any tag's."""
    async with standing(tmp_path) as door:
        await door.configure(domains=["shop.example"])
        door.state.gate.fault = "the disk is full"
        for origin, allowed in ((SHOP, SHOP), ("https://evil.example", "*")):
            answer = await door.beacon(headers={"origin": origin, "sec-fetch-site": "cross-site"})
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert answer.headers["access-control-allow-origin"] == allowed
            assert "Retry-After" in answer.headers["access-control-expose-headers"]


async def test_preflights_are_answered_and_kept(tmp_path: pathlib.Path) -> None:
    """The JSON POST of Pinterest's own tag asks first; the answer is good for a day."""
    async with standing(tmp_path) as door:
        await door.configure(domains=["shop.example"])
        for origin, allowed in ((SHOP, SHOP), ("https://evil.example", "*")):
            headers = {"origin": origin, "access-control-request-method": "POST"}
            answer = await door.client.options("/v3/", headers=headers)
            assert answer.status_code == 204
            assert answer.headers["access-control-allow-origin"] == allowed
            assert answer.headers["access-control-max-age"] == "86400"


async def test_a_returning_visitor_is_the_same_one(tmp_path: pathlib.Path) -> None:
    """By cookie; a forged, padded or foreign one makes a new visitor."""
    async with standing(tmp_path) as door:
        first = await door.beacon()
        cookie = first.headers["set-cookie"].partition(";")[0]
        again = await door.beacon(headers={"cookie": f"a=b; {cookie}; c=d"})
        assert "set-cookie" not in again.headers
        forged = await door.beacon(headers={"cookie": cookie[:-2] + "AA"})
        assert "set-cookie" in forged.headers
        rows = await door.state.reader.all("SELECT visitor FROM log ORDER BY seq")
        assert rows[0] == rows[1] != rows[2]


async def test_the_cookie_has_the_flags_of_its_topology(tmp_path: pathlib.Path) -> None:
    """`__Host-` and Secure, but for plain http to a loopback host."""
    async with standing(tmp_path) as door:
        plain = (await door.beacon()).headers["set-cookie"]
        assert plain.startswith("retag=")
        assert "Secure" not in plain
        for host in ("shop.example", "localhost.evil.example"):
            safe = (await door.beacon(headers={"host": host})).headers["set-cookie"]
            assert safe.startswith("__Host-retag=")
            assert all(flag in safe for flag in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"))
            assert len(safe.partition(";")[0]) <= 120


async def test_another_sites_page_keeps_its_visitor_by_the_header(tmp_path: pathlib.Path) -> None:
    """What `/user/` hands out comes back in `pd`; it is good for this tag."""
    async with standing(tmp_path) as door:
        await door.configure(domains=["shop.example"])
        headers = {"origin": SHOP, "user-agent": CHROME, "sec-fetch-site": "cross-site"}
        asked = await door.client.get("/user/", params={"tid": door.tag}, headers=headers)
        assert asked.json()["aemEnabled"] is False
        pin = asked.headers["pin-unauth"]
        for _ in range(2):
            await door.beacon({"pd": {"pin_unauth": pin}}, headers={"origin": SHOP})
        rows = await door.state.reader.all("SELECT DISTINCT visitor FROM log")
        assert len(rows) == 1


async def test_the_click_that_a_page_was_reached_by_is_handed_back_to_it(tmp_path: pathlib.Path) -> None:
    """`Epik`, as Pinterest's own tag reads it; to the shop's own pages alone, and if it is a click id."""
    async with standing(tmp_path) as door:
        await door.configure(domains=["shop.example"])
        for origin, address, expected in (
            (SHOP, f"{SHOP}/?epik=dj0yJnU9ZXhhbXBsZQ", "dj0yJnU9ZXhhbXBsZQ"),
            (SHOP, f"{SHOP}/?epik=ann%40mail.example", None),
            (SHOP, SHOP, None),
            ("https://evil.example", f"{SHOP}/?epik=dj0yJnU9ZXhhbXBsZQ", None),
        ):
            asked = {"tid": door.tag, "ad": json.dumps({"loc": address})}
            headers = {"origin": origin, "user-agent": CHROME, "sec-fetch-site": "cross-site"}
            answer = await door.client.get("/user/", params=asked, headers=headers)
            assert answer.headers.get("epik") == expected


async def test_an_erased_visitor_is_forgotten_by_the_browser_too(tmp_path: pathlib.Path) -> None:
    """A late event is `erased` and clears the cookie; the next visit is a new visitor."""
    async with standing(tmp_path) as door:
        first = await door.beacon()
        cookie = {"cookie": first.headers["set-cookie"].partition(";")[0]}
        visitor = (await door.state.reader.one("SELECT lower(hex(visitor)) FROM log"))[0]
        assert (await door.api("DELETE", f"/visitors/{visitor}")).status_code == 200
        late = await door.beacon(headers=cookie)
        assert (late.status_code, outcome(late)) == (204, "erased=1")
        assert "Max-Age=0" in late.headers["set-cookie"]
        assert await door.rows() == 0


async def test_rates_hold_by_address_and_by_visitor(tmp_path: pathlib.Path) -> None:
    """A public address is limited; a private peer may speak for everybody, so it is not."""
    async with standing(tmp_path, peer="8.8.8.8") as door:
        statuses = [(await door.pixel()).status_code for _ in range(600)]
        assert set(statuses) == {200}
        flood = [door.pixel() for _ in range(1000)]
        assert 429 in {answer.status_code for answer in await asyncio.gather(*flood)}
    (tmp_path / "private").mkdir()
    async with standing(tmp_path / "private") as door:
        first = await door.beacon()
        cookie = {"cookie": first.headers["set-cookie"].partition(";")[0]}
        answers = [await door.beacon(*[{}] * 50, headers=cookie) for _ in range(8)]
        assert outcome(answers[0]) == "accepted=50"
        assert answers[-1].status_code == 429
        assert (await door.beacon()).status_code == 204


async def test_rate_limits_can_be_off(tmp_path: pathlib.Path) -> None:
    """For load tests."""
    async with standing(tmp_path, peer="8.8.8.8", rate_limits="off") as door:
        assert {(await door.pixel()).status_code for _ in range(650)} == {200}


async def test_an_unseen_user_agent_holds_up_nobody_else(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is classified before its own answer, in a thread; others do not wait for it."""
    async with standing(tmp_path) as door:
        await door.beacon()
        known, held = collect.Unseen.learn, asyncio.Event()

        async def slow(unseen: Any, agent: str) -> bool:
            await held.wait()
            return await known(unseen, agent)

        monkeypatch.setattr(collect.Unseen, "learn", slow)
        unseen = asyncio.create_task(door.beacon(headers={"user-agent": CHROME + " Vivaldi/7"}))
        await asyncio.sleep(0)
        assert outcome(await door.beacon()) == "accepted=1"
        assert not unseen.done()
        held.set()
        assert outcome(await unseen) == "accepted=1"


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"1", b"null", b"{", b"[" * 60_000, b'{"tid":' * 9000, b"\xff\xfe", b'{"tid":NaN}', b"\x00",
     b"a=b&" * 15_000, b'{"tid":"\\ud800"}', b'[{"tid":"1"},2]'],
)  # fmt: skip
async def test_garbage_is_refused_at_once_and_in_words(tmp_path: pathlib.Path, body: bytes) -> None:
    """A clear 4xx, never a 5xx; half a second of processor time would be a loop that grows with the input."""
    async with standing(tmp_path) as door:
        for kind in ("text/plain", "application/json", "application/x-www-form-urlencoded"):
            began = time.thread_time()
            answer = await door.post(body, {"content-type": kind})
            assert time.thread_time() - began < 0.5
            assert answer.status_code in (400, 404)
            assert outcome(answer).partition("=")[0] in ("malformed", "unknown_tag")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_other_methods_are_refused(tmp_path: pathlib.Path, method: str) -> None:
    """And say which ones there are."""
    async with standing(tmp_path) as door:
        answer = await door.client.request(method, "/v3/")
        assert answer.status_code == 400
        assert "GET or POST" in answer.json()["message"]


async def test_the_server_refuses_to_start_on_weak_keys(tmp_path: pathlib.Path) -> None:
    """Nobody could tell its ids from forged ones."""
    import sqlite3

    from door import prepared
    from retag import app
    from retag.settings import Settings

    path, _ = prepared(tmp_path)
    for change in ("UPDATE signing_key SET secret = zeroblob(32)", "DELETE FROM signing_key"):
        cn = sqlite3.connect(path, isolation_level=None)
        cn.execute(change)
        cn.close()
        made = app.create(Settings.load({}, database=f"sqlite:///{path}"))
        with pytest.raises(errors.RetagError, match="key"):
            async with made.router.lifespan_context(made):
                pass


def test_only_listed_hosts_and_those_below_them_are_ours() -> None:
    """Never a suffix of the name, never another scheme."""
    trusted = {"https://shop.example", "http://www.shop.example:8080", "https://SHOP.example"}
    for origin in trusted | {
        "https://notshop.example",
        "https://shop.example.evil",
        "null",
        "",
        "ftp://shop.example",
    }:
        listed = cors.listed(("shop.example",), cors.host_of(origin))
        assert listed == (origin in trusted or origin.startswith("ftp")), origin
