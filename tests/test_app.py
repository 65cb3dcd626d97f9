"""The app as a process and as a page: an orderly end, logs without people, the console and the figures."""

from __future__ import annotations

import contextlib
import http.client
import json
import pathlib
import re
import socket
import sqlite3
import threading
from typing import Any

import pytest

from door import CHROME, standing
from retag.settings import TAKEN
from server import Server, serving
from serving import until


def post(server: Server, event_id: str, connection: http.client.HTTPConnection) -> bool:
    """Whether an event was acknowledged."""
    body = json.dumps({"tid": str(server.tag), "event": "pagevisit", "ed": {"event_id": event_id}})
    connection.request("POST", "/v3/", body, {"Content-Type": "text/plain", "User-Agent": CHROME})
    answer = connection.getresponse()
    answer.read()
    return answer.status == 204


def test_sigterm_drains_and_exits_with_0(tmp_path: pathlib.Path) -> None:
    """Under load, with a half-open client: every acknowledged event is there, within 15 s."""
    with serving(tmp_path, rate_limits="off") as server:
        host, port = server.url.removeprefix("http://").split(":")
        acked: list[str] = []

        def load(number: int) -> None:
            connection = http.client.HTTPConnection(host, int(port), timeout=20)
            with (
                contextlib.closing(connection),
                contextlib.suppress(OSError, http.client.HTTPException),
            ):
                for i in range(100_000):
                    if post(server, f"{number}-{i}", connection):
                        acked.append(f"{number}-{i}")  # noqa: PERF401

        threads = [threading.Thread(target=load, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        until(lambda: len(acked) > 300)
        with socket.create_connection((host, int(port))) as half:
            half.sendall(b"POST /v3/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx")
            server.process.terminate()
            assert server.process.wait(15) == 0
        for thread in threads:
            thread.join(20)
    cn = sqlite3.connect(tmp_path / "retag.db")
    stored = {row[0] for row in cn.execute("SELECT event_id FROM log")}
    cn.close()
    assert set(acked) <= stored


def test_logs_are_json_lines_without_anybody_in_them(tmp_path: pathlib.Path) -> None:
    """No address, query, cookie or body of a visitor, even of a request that goes wrong."""
    with serving(tmp_path) as server:
        host, port = server.url.removeprefix("http://").split(":")
        for path in ("/v3/?tid=1&pd[em]=ann@mail.example", "/nowhere?who=ann@mail.example"):
            connection = http.client.HTTPConnection(host, int(port), timeout=20)
            connection.request("GET", path, headers={"User-Agent": "Ann", "Cookie": "retag=ann@mail.example"})
            connection.getresponse().read()
            connection.close()
        server.process.terminate()
        server.process.wait(15)
    lines = (tmp_path / "server.log").read_text().splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{")]
    assert found
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in found)
    assert "ann@mail.example" not in "".join(lines)
    assert "127.0.0.1:" not in "".join(line for line in lines if "GET" in line)


async def test_every_way_to_a_page_is_relative(tmp_path: pathlib.Path) -> None:
    """Behind a proxy that cuts a path off, an address from the root is another site's."""
    async with standing(tmp_path) as door:
        for path in ("/", "/shop"):
            answer = await door.client.get(path)
            assert (answer.status_code, answer.headers["location"]) == (307, "shop/")
        for page in ("index", "product", "cart", "thanks"):
            answer = await door.client.get(f"/shop/{page}.html")
            assert answer.status_code == 200
            assert '"../tag.js"' in answer.text
            assert not re.findall(r'(?:href|src)="/|"/tag', answer.text)
        assert (await door.client.get("/console/")).status_code == 200


async def test_the_console_runs_its_own_script_and_no_other(tmp_path: pathlib.Path) -> None:
    """The policy names the inline script by its hash and lets nothing load from anywhere."""
    async with standing(tmp_path) as door:
        answer = await door.client.get("/console")
        policy = answer.headers["content-security-policy"]
        assert answer.status_code == 200
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert not re.search(r"innerHTML|document\.write|eval\(|\son\w+=|src=|https?://", answer.text)


async def test_the_feed_needs_a_key_and_shows_what_came(tmp_path: pathlib.Path) -> None:
    """Arrivals with outcome and reason, newest last, and nothing about the visitor."""
    async with standing(tmp_path) as door:
        assert (await door.client.get("/console/feed")).status_code == 401
        await door.beacon({"event": "addtocart", "ad": {"loc": "https://shop.example/a?q=ann"}})
        await door.beacon(headers={"user-agent": "Googlebot/2.1"})
        await door.beacon({"tid": "1"})
        feed: dict[str, Any] = (
            await door.client.get("/console/feed", headers={"authorization": f"Bearer {door.key}"})
        ).json()
        first, bot, unknown = feed["arrivals"]
        assert (first["events"], first["outcomes"]) == (["addtocart"], {"accepted": 1})
        assert first["url"] == "https://shop.example/a"
        assert (bot["outcomes"], bool(bot["reasons"])) == ({"bot": 1}, True)
        assert unknown["outcomes"] == {"unknown_tag": 1}
        after = await door.client.get(
            f"/console/feed?after={feed['seen']}", headers={"authorization": f"Bearer {door.key}"}
        )
        assert after.json()["arrivals"] == []


async def test_the_console_keeps_a_hundred_arrivals(tmp_path: pathlib.Path) -> None:
    """However many come."""
    async with standing(tmp_path) as door:
        for _ in range(130):
            await door.beacon()
        assert len(door.state.arrivals.since(0, door.account)) == 100


@pytest.mark.parametrize(
    ("peer", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("10.1.2.3", {}, 200),
        ("8.8.8.8", {}, 401),
        ("127.0.0.1", {"x-forwarded-for": "8.8.8.8"}, 401),
    ],
)
async def test_the_figures_are_for_the_inside(
    tmp_path: pathlib.Path, peer: str, headers: dict[str, str], status: int
) -> None:
    """From elsewhere, or through a proxy, they need a key with the scope admin."""
    async with standing(tmp_path, peer=peer) as door:
        assert (await door.client.get("/metrics", headers=headers)).status_code == status
        key = {"authorization": f"Bearer {door.key}"}
        assert (await door.client.get("/metrics", headers=headers | key)).status_code == 200


async def test_a_word_of_the_owners_names_the_tags_paths_and_the_old_ones_stay(tmp_path):
    """Script, beacon, noscript pixel and versions: names that no block list knows."""
    async with standing(tmp_path, path_name="goods") as shop:
        own, old = await shop.client.get("/goods.js"), await shop.client.get("/tag.js")
        assert own.status_code == 200
        assert own.content == old.content
        assert b'name:"goods"' in own.content
        version = shop.state.tag_file.current.path("goods")
        assert (await shop.client.get(version)).content == own.content
        for path in ("/goods/", "/v3/"):
            sent = await shop.client.post(
                path, content=f'{{"tid": "{shop.tag}", "event": "lead"}}', headers={"user-agent": CHROME}
            )
            assert (sent.status_code, sent.headers["retag-outcome"]) == (204, "accepted=1")
        pixel = await shop.client.get("/goods/", params={"tid": shop.tag}, headers={"user-agent": CHROME})
        assert pixel.headers["content-type"] == "image/gif"
        assert await shop.rows() == 3
        code = (await shop.api("GET", f"/conversion_tags/{shop.tag}")).json()["code_snippet"]
        assert "/goods.js" in code
        assert "/goods/?tid=" in code
        assert "tag.js" not in code


async def test_no_word_hides_another_page(tmp_path):
    """Every first segment of an address is refused as the tag's word."""
    async with standing(tmp_path) as shop:
        paths = [route.path for route in shop.app.routes] + list(shop.state.doors)
        taken = {path.split("/")[1].partition(".")[0] for path in paths} - {"", "openapi"}
        assert taken <= TAKEN
        assert "goods" not in shop.state.doors
