"""What a visitor may ask: seen, forgotten, left alone; and nobody in another's name."""

from __future__ import annotations

import pathlib
import sqlite3
from typing import Any
from unittest.mock import AsyncMock

import pytest

from door import CHROME, Doorstep, standing
from retag.web import wishes
from retag.wish import Wish


async def cookie_of(door: Doorstep) -> dict[str, str]:
    """The Cookie header of a visitor who has just come."""
    answer = await door.beacon({"event": "addtocart"})
    return {"cookie": answer.headers["set-cookie"].partition(";")[0]}


async def test_gpc_support_is_published(tmp_path: pathlib.Path) -> None:
    """https://w3c.github.io/gpc/#gpc-support-resource"""
    async with standing(tmp_path) as door:
        answer = await door.client.get("/.well-known/gpc.json")
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["gpc"] is True


async def test_a_visitor_sees_what_is_held(tmp_path: pathlib.Path) -> None:
    """By their own cookie alone."""
    async with standing(tmp_path) as door:
        mine = await cookie_of(door)
        await door.client.get("/metrics")
        door.client.cookies.clear()
        seen = (await door.client.get("/privacy/me", headers=mine)).json()
        assert (seen["events"], len(seen["visitor_id"])) == (1, 36)
        assert (await door.client.get("/privacy/me")).json() == {"visitor_id": None}
        forged = {"cookie": mine["cookie"][:-3] + "AAA"}
        assert (await door.client.get("/privacy/me", headers=forged)).json() == {"visitor_id": None}


async def test_a_visitor_is_told_each_event_and_each_change_of_consent(tmp_path: pathlib.Path) -> None:
    """Data, not counts; an identifier is told by its kind alone."""
    async with standing(tmp_path) as door:
        mine = await cookie_of(door)
        event = {"event": "checkout", "ed": {"order_id": "7"}, "pd": {"em": "a" * 64}}
        await door.beacon(event, headers=mine)
        await door.client.get("/metrics")
        await door.client.post("/privacy/consent", json={"granted": False, "proof": "CPx"}, headers=mine)
        seen = (await door.client.get("/privacy/me", headers=mine)).json()
        assert [one["event"] for one in seen["history"]] == ["checkout", "addtocart"]
        assert seen["history"][0]["data"] == {"order_id": "7"}
        assert [(one["granted"], one["proof"]) for one in seen["consent"]] == [(False, "CPx")]
        assert (seen["opted_out"], seen["identifiers"]) == (True, {"em": 1})


async def test_a_page_on_another_site_names_its_visitor_by_the_signed_id(tmp_path: pathlib.Path) -> None:
    """As the tag keeps it there; a forged one, or another tag's, names nobody."""
    async with standing(tmp_path) as door:
        await door.configure(domains=["shop.example"])
        asked = {"tid": door.tag, "ad": "{}"}
        headers = {"origin": "https://shop.example", "sec-fetch-site": "cross-site", "user-agent": CHROME}
        pin = (await door.client.get("/user/", params=asked, headers=headers)).headers["pin-unauth"]
        await door.beacon({"pd": {"pin_unauth": pin}}, headers=headers)
        await door.client.get("/metrics")
        mine = {"tid": door.tag, "pin_unauth": pin}
        assert (await door.client.get("/privacy/me", params=mine)).json()["events"] == 1
        for wrong in ({"pin_unauth": pin[:-3] + "AAA"}, {"tid": "7"}, {"tid": "x"}, {"pin_unauth": ""}):
            assert (await door.client.get("/privacy/me", params=mine | wrong)).json() == {"visitor_id": None}
        assert (await door.client.request("DELETE", "/privacy/me", params=mine)).json() == {"erased": True}
        assert await door.rows() == 0


async def test_a_visitor_is_erased_on_request(tmp_path: pathlib.Path) -> None:
    """Rows and cookie go, and a late event does not bring them back."""
    async with standing(tmp_path) as door:
        mine = await cookie_of(door)
        consent = {"granted": True, "mechanism": "tcf", "proof": "CPx"}
        await door.client.post("/privacy/consent", json=consent, headers=mine)
        answer = await door.client.request("DELETE", "/privacy/me", headers=mine)
        assert answer.json() == {"erased": True}
        assert all("Max-Age=0" in one for one in answer.headers.get_list("set-cookie"))
        late = await door.beacon(headers=mine)
        assert late.headers["retag-outcome"] == "erased=1"
        assert await door.rows() == await door.rows("consent_log") == 0


async def test_an_opted_out_browser_stays_so_without_an_id(tmp_path: pathlib.Path) -> None:
    """Its old id counts for nothing either; taking the wish back makes a new visitor."""
    async with standing(tmp_path) as door:
        mine = await cookie_of(door)
        answer = await door.client.post("/privacy/opt-out", headers=mine)
        assert {one.partition(";")[0] for one in answer.headers.get_list("set-cookie")} == {
            "__Host-retag=opted-out",
            "retag=opted-out",
        }
        for cookie in (mine, {"cookie": "retag=opted-out"}):
            assert (await door.beacon(headers=cookie)).headers["retag-outcome"] == "opted_out=1"
        assert (await door.client.request("DELETE", "/privacy/opt-out")).status_code == 200
        assert (await door.beacon()).headers["retag-outcome"] == "accepted=1"


async def test_consent_changes_are_a_log_with_proof(tmp_path: pathlib.Path) -> None:
    """Each change is a row; a refusal holds until consent is given again."""
    async with standing(tmp_path) as door:
        mine = await cookie_of(door)
        for granted, outcome in ((False, "opted_out=1"), (True, "accepted=1")):
            consent = {"granted": granted, "mechanism": "banner", "proof": "v1"}
            answer = await door.client.post("/privacy/consent", json=consent, headers=mine)
            assert answer.json() == {"granted": granted, "noted": True}
            assert (await door.beacon(headers=mine)).headers["retag-outcome"] == outcome
        rows = await door.state.reader.all(
            "SELECT granted, mechanism, proof, at > 0 FROM consent_log ORDER BY id"
        )
        assert rows == [(0, "banner", "v1", 1), (1, "banner", "v1", 1)]
        assert (await door.client.post("/privacy/consent", content=b"{", headers=mine)).status_code == 400


async def test_consent_may_be_given_without_sharing(tmp_path: pathlib.Path) -> None:
    """The visitor counts on; that their identifiers go to nobody is noted, and taken back."""
    async with standing(tmp_path) as door:
        mine = await cookie_of(door)
        for sharing in (False, True):
            consent = {"granted": True, "sharing": sharing, "mechanism": "banner"}
            await door.client.post("/privacy/consent", json=consent, headers=mine)
            assert (await door.beacon(headers=mine)).headers["retag-outcome"] == "accepted=1"
            assert await door.rows("withheld") == (0 if sharing else 1)
        rows = await door.state.reader.all("SELECT sharing FROM consent_log ORDER BY id")
        assert rows == [(0,), (1,)]


async def audience_of(door: Doorstep) -> str:
    body = {"name": "a", "audience_type": "VISITOR", "rule": {"event": "addtocart"}}
    return str((await door.api("POST", "/audiences", json=body)).json()["id"])


async def size_of(door: Doorstep, audience: str) -> int:
    """Once what was acknowledged is folded."""
    await door.client.get("/metrics")
    return int((await door.api("GET", f"/audiences/{audience}")).json()["size"])


@pytest.mark.parametrize(
    ("headers", "event", "settings", "outcome", "mechanism"),
    [
        ({"sec-gpc": "1"}, {}, {}, "opted_out=1", "Sec-GPC"),
        ({"dnt": "1"}, {}, {"dnt": "on"}, "opted_out=1", "DNT"),
        ({}, {"consent": 0}, {}, "no_consent=1", "tag"),
    ],
)
async def test_an_objection_takes_a_known_visitor_out(
    tmp_path: pathlib.Path, headers: Any, event: Any, settings: Any, outcome: str, mechanism: str
) -> None:
    """Of every audience, at once; the browser drops the id, and the log says by which mechanism."""
    async with standing(tmp_path, **settings) as door:
        audience, mine = await audience_of(door), await cookie_of(door)
        assert await size_of(door, audience) == 1
        for expected in (outcome, outcome if mechanism != "tag" else "no_consent=1"):
            answer = await door.beacon(event, headers=mine | headers)
            assert answer.headers["retag-outcome"] == expected
        assert await size_of(door, audience) == 0
        first = await door.state.reader.all("SELECT granted, mechanism FROM consent_log")
        assert first == [(0, mechanism)]
        assert (await door.beacon(headers=mine)).headers["retag-outcome"] == "opted_out=1"
        assert (await door.beacon()).headers["retag-outcome"] == "accepted=1"


async def test_an_objection_makes_the_browser_drop_the_id(tmp_path: pathlib.Path) -> None:
    """And nothing is noted of a browser that nobody knows, or of one on a foreign page."""
    async with standing(tmp_path) as door:
        mine = await cookie_of(door)
        assert "set-cookie" not in (await door.beacon(headers={"sec-gpc": "1"})).headers
        await door.configure(domains=["shop.example"])
        foreign = mine | {"sec-gpc": "1", "origin": "https://evil.example"}
        assert (await door.beacon(headers=foreign)).status_code == 403
        assert await door.rows("consent_log") == 0
        gone = await door.beacon(headers=mine | {"sec-gpc": "1"})
        assert "Max-Age=0" in gone.headers["set-cookie"]
        assert await door.rows("consent_log") == 1


async def test_consent_that_a_page_tells_is_noted_once(tmp_path: pathlib.Path) -> None:
    """However many events say it; after a refusal it is noted again."""
    async with standing(tmp_path) as door:
        await door.configure(consent="required")
        first = await door.beacon({"consent": 1}, {"consent": 1})
        mine = {"cookie": first.headers["set-cookie"].partition(";")[0]}
        for _ in range(3):
            await door.beacon({"consent": 1}, headers=mine)
        await door.state.collect.wishes.close()
        assert await door.rows("consent_log") == 1
        await door.beacon({"consent": 0}, headers=mine)
        again = await door.beacon({"consent": 1})
        assert again.headers["retag-outcome"] == "accepted=1"
        await door.state.collect.wishes.close()
        rows = await door.state.reader.all("SELECT granted, visitor FROM consent_log ORDER BY id")
        assert [granted for granted, _ in rows] == [1, 0, 1]
        assert rows[0][1] == rows[1][1] != rows[2][1]


async def consent_of(door: Doorstep, mine: dict[str, str]) -> list[tuple[bool, str, str]]:
    """What the visitor is told of their consent, once it is written."""
    await door.state.collect.wishes.close()
    door.client.cookies.clear()
    seen = (await door.client.get("/privacy/me", headers=mine)).json()
    return [(one["granted"], one["mechanism"], one["proof"]) for one in seen["consent"]]


@pytest.mark.parametrize("mechanism", ["tcf", "gpp", "google", "api"])
async def test_the_proof_of_a_pages_consent_is_kept_and_told(tmp_path: pathlib.Path, mechanism: str) -> None:
    """Given, withdrawn and given again: each with the mechanism and the framework's own string."""
    async with standing(tmp_path) as door:
        first = await door.beacon({}, {"consent": 1, "mechanism": mechanism, "proof": "CPz-1.YA~BBBB"})
        mine = {"cookie": first.headers["set-cookie"].partition(";")[0]}
        expected = [(True, mechanism, "CPz-1.YA~BBBB")]
        assert await consent_of(door, mine) == expected
        for consent, proof in ((0, "CPno"), (1, "CPyes")):
            event = {"consent": consent, "mechanism": mechanism, "proof": proof}
            await door.beacon(event, headers=mine)
            expected.append((consent == 1, mechanism, proof))
            assert await consent_of(door, mine) == expected


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({"mechanism": "opt-out", "proof": "CPx"}, ("tag", "")),
        ({"mechanism": ["tcf"], "proof": "CPx"}, ("tag", "")),
        ({"proof": "CPx"}, ("tag", "")),
        ({"mechanism": "tcf", "proof": "C" * 2001}, ("tcf", "")),
        ({"mechanism": "tcf", "proof": "C" * 2000}, ("tcf", "C" * 2000)),
        ({"mechanism": "tcf", "proof": "ann@mail.example"}, ("tcf", "")),
        ({"mechanism": "tcf", "proof": "<script>"}, ("tcf", "")),
        ({"mechanism": "tcf", "proof": {"a": 1}}, ("tcf", "")),
    ],
)
async def test_a_page_cannot_put_just_anything_into_the_log(
    tmp_path: pathlib.Path, said: dict[str, Any], kept: tuple[str, str]
) -> None:
    """A listed mechanism, and what may be a consent string whole; the consent counts all the same."""
    async with standing(tmp_path) as door:
        first = await door.beacon({"consent": 1} | said)
        mine = {"cookie": first.headers["set-cookie"].partition(";")[0]}
        assert await consent_of(door, mine) == [(True, *kept)]


async def test_another_string_is_noted_once_a_day(tmp_path: pathlib.Path) -> None:
    """The same answer with a newer proof; and a no of our own button stays the last word."""
    async with standing(tmp_path) as door:
        visitor, day = bytes(range(16)), 86_400_000
        said = [
            *((True, "tag", 1, ""), (True, "tcf", 2, "A"), (True, "tcf", 3, "B"), (True, "tag", 4 + day, "")),
            *((True, "tcf", 2 + day, "A"), (True, "tcf", 3 + day, "B"), (False, "tcf", 4 + day, "C")),
            *(
                (False, wishes.BUTTON, 5 + day, ""),
                (False, "tcf", 6 + day, "D"),
                (True, "tcf", 9 + 2 * day, "E"),
            ),
        ]
        for granted, mechanism, at, proof in said:
            wish = Wish(door.account, visitor, granted, mechanism, at, proof)
            await door.state.journal.write(lambda cn, one=wish: wishes.write(cn, [one]))
        rows = await door.state.reader.all("SELECT mechanism, proof FROM consent_log ORDER BY id")
        assert rows == [("tag", ""), ("tcf", "A"), ("tcf", "B"), ("tcf", "C"), (wishes.BUTTON, "")]


async def test_a_no_anywhere_in_a_beacon_is_heard(tmp_path: pathlib.Path) -> None:
    """In the middle, between two yeses."""
    async with standing(tmp_path) as door:
        mine = await cookie_of(door)
        no = {"consent": 0, "mechanism": "tcf", "proof": "CPno"}
        for events in ([{"consent": 1}, no, {"consent": 1}], [{}, no, {}]):
            answer = await door.beacon(*events, headers=mine)
            assert "accepted" not in answer.headers["retag-outcome"]
        assert await consent_of(door, mine) == [(False, "tcf", "CPno")]


async def test_who_consents_again_is_welcome_again(tmp_path: pathlib.Path) -> None:
    """With that very event; but our own opt-out is not taken back by a banner that knows nothing of it."""
    async with standing(tmp_path) as door:
        audience, mine = await audience_of(door), await cookie_of(door)
        await door.beacon({"consent": 0}, headers=mine)
        again = await door.beacon({"consent": 1}, headers=mine)
        assert again.headers["retag-outcome"] == "accepted=1"
        assert await size_of(door, audience) == 1
        other = await cookie_of(door)
        await door.client.post("/privacy/opt-out", headers=other)
        answer = await door.beacon({"consent": 1}, headers=other)
        assert answer.headers["retag-outcome"] == "opted_out=1"
        log = await door.state.reader.all(
            "SELECT granted, mechanism FROM consent_log ORDER BY id DESC LIMIT 1"
        )
        assert log == [(0, "opt-out")]


async def test_nothing_is_noted_of_the_erased(tmp_path: pathlib.Path) -> None:
    """Neither by the door nor at their own request: no byte of the id comes back."""
    async with standing(tmp_path) as door:
        mine = await cookie_of(door)
        await door.client.request("DELETE", "/privacy/me", headers=mine)
        await door.beacon({"consent": 0}, headers=mine | {"sec-gpc": "1"})
        for path in ("/privacy/opt-out", "/privacy/consent"):
            await door.client.post(path, json={"granted": False}, headers=mine)
        assert await door.rows("consent_log") == await door.rows("opt_out") == 0


async def test_nobody_keeps_the_writer_busy_with_their_wishes(tmp_path: pathlib.Path) -> None:
    """Every one is a commit, and may count a whole history again: 429 says when to come back."""
    async with standing(tmp_path) as door:
        mine, other = await cookie_of(door), await cookie_of(door)
        consent = {"granted": True, "mechanism": "banner"}
        answers = [await door.client.post("/privacy/consent", json=consent, headers=mine) for _ in range(60)]
        refused = answers[-1]
        assert (answers[29].status_code, refused.status_code) == (200, 429)
        assert (refused.json()["code"], int(refused.headers["retry-after"])) == (8, 10)
        assert (await door.client.get("/privacy/me", headers=other)).status_code == 200
        assert (await door.beacon(headers=mine)).headers["retag-outcome"] == "accepted=1"


async def test_who_changes_their_mind_without_end_stays_out(tmp_path: pathlib.Path) -> None:
    """Every no is heard; a yes that comes too soon after so many is not."""
    async with standing(tmp_path) as door:
        mine = await cookie_of(door)
        said = []
        for _ in range(45):
            for word in (0, 1):
                answer = await door.beacon({"consent": word}, headers=mine)
                said.append(answer.headers["retag-outcome"])
        assert said[:2] == ["no_consent=1", "accepted=1"]
        assert (said[-1], answer.status_code, answer.headers["retry-after"]) == ("rate_limited=1", 429, "1")
        assert await door.rows("opt_out") == 1


async def test_a_wish_that_cannot_be_written_is_to_be_sent_again(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 with the time to wait, readable by the page; never a 500, and never a yes that is not on disk."""
    async with standing(tmp_path) as door:
        mine = await cookie_of(door)
        await door.configure(domains=["shop.example"])
        monkeypatch.setattr("retag.journal.MOST_JOBS", 0)
        headers = mine | {"origin": "https://shop.example"}
        paths = {"/privacy/me": "DELETE", "/privacy/opt-out": "POST", "/privacy/consent": "POST"}
        for path, method in paths.items():
            asked = {"json": {"granted": False}} if path.endswith("consent") else {}
            answer = await door.client.request(method, path, headers=headers, **asked)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert answer.headers["access-control-allow-origin"] == "https://shop.example"
            assert "set-cookie" not in answer.headers


async def test_a_file_that_cannot_be_written_makes_no_promise(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk: 503, and the cookie stays until the wish is on it."""
    async with standing(tmp_path) as door:
        mine = await cookie_of(door)
        full = AsyncMock(side_effect=sqlite3.OperationalError("database or disk is full"))
        monkeypatch.setattr(door.state.journal, "write", full)
        answer = await door.client.request("DELETE", "/privacy/me", headers=mine)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
        assert "set-cookie" not in answer.headers
        monkeypatch.undo()


async def test_only_the_shops_own_pages_may_read_it(tmp_path: pathlib.Path) -> None:
    """Credentials go to listed origins; a stranger gets no CORS header at all."""
    async with standing(tmp_path) as door:
        await door.configure(domains=["shop.example"])
        own = await door.client.get("/privacy/me", headers={"origin": "https://shop.example"})
        assert own.headers["access-control-allow-origin"] == "https://shop.example"
        other = await door.client.get("/privacy/me", headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
