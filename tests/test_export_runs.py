"""Exports under way: one for all who ask, finished for whoever comes back, and none that hangs or hides."""

import asyncio
import hashlib
import json
import random

import httpx
import pytest
from backports import zstd

from retag import errors
from retag.press.flow import AHEAD
from retag.press.job import Job, Manifest
from retag.store.members import AsOf
from retag.web.streaming import follow
from server import serving
from serving import until
from shop import running
from test_api_exports import export, filled, trailer_is_true
from test_api_visitors import checkout
from test_api_visitors import until as sized
from test_slow_readers import MEMBERS, begun
from test_slow_readers import filled as crowded

WINDOW = 4 << 20
"""Bytes that buffers on the way may hold: far less than the whole."""


async def as_of(shop, made):
    """A token, with nothing printed yet."""
    response = await shop.client.head(f"{shop.v5}/audiences/{made['id']}/export")
    return response.headers["retag-as-of"]


@pytest.mark.parametrize("seed", range(3))
async def test_same_as_of_is_the_same_bytes_while_events_pour_in(tmp_path, seed):
    """However many ask, when they ask, in whichever compression; and its rows are the size then."""
    chance = random.Random(seed)
    async with running(tmp_path, rate_limits="off") as shop:
        made, found = await filled(shop, "ann", "bob"), {}

        async def pour():
            for number in range(20):
                await shop.send(checkout(f"visitor{number % 7}@mail.example", number))

        async def take(token):
            query = f"format={chance.choice(['csv', 'ndjson'])}&as_of={token}"
            headers = {"accept-encoding": chance.choice(["identity", "gzip", "zstd"])}
            url = f"{shop.v5}/audiences/{made['id']}/export?{query}"
            response = await shop.client.get(url, headers=headers)
            assert response.status_code == 200, response.text
            packed = response.headers.get("content-encoding") == "zstd"
            content = zstd.decompress(response.content) if packed else response.content
            found.setdefault(query, set()).add(content)

        pouring, tokens = asyncio.create_task(pour()), []
        for _ in range(3):
            tokens.append(await as_of(shop, made))
            await asyncio.gather(*(take(chance.choice(tokens)) for _ in range(4)))
        await pouring
        await sized(shop, made["id"], 9)
        await asyncio.gather(*(take(token) for token in tokens for _ in range(2)))
        assert {len(contents) for contents in found.values()} == {1}
        (*lines, trailer), response = await export(shop, made)
        assert len(lines) == trailer["rows"] == 9
        assert trailer_is_true(response)


async def test_deltas_over_http_add_up(tmp_path):
    """full(T0) + delta(T0→T1) = full(T1), at every pair, by `op` or in two files."""
    async with running(tmp_path) as shop:
        made, full = await filled(shop, "ann"), {}
        for name in ("bob", "cleo", "dan"):
            token = (await export(shop, made))[1].headers["retag-as-of"]
            (*lines, _), _ = await export(shop, made, f"format=ndjson&as_of={token}")
            full[token] = {line["visitor_id"] for line in lines}
            await shop.send(checkout(f"{name}@mail.example"))
            await sized(shop, made["id"], len(full) + 1)
            if name == "cleo":
                await shop.ask("DELETE", "/visitors/ann@mail.example")
                await shop.send(checkout("anna@mail.example"))
                await sized(shop, made["id"], len(full) + 1)
        tokens = list(full)
        for i, since in enumerate(tokens):
            for token in tokens[i:]:
                moved = {"add": set(), "remove": set()}
                for op in moved:
                    query = f"format=ndjson&since={since}&as_of={token}&op={op}"
                    response = await shop.client.get(f"{shop.v5}/audiences/{made['id']}/export?{query}")
                    if response.status_code == 200:
                        lines = response.text.splitlines()[:-1]
                        moved[op] = {json.loads(line)["visitor_id"] for line in lines}
                    else:
                        assert response.status_code == 410
                        break
                else:
                    assert (full[since] | moved["add"]) - moved["remove"] == full[token]


@pytest.mark.parametrize(
    "query", ["format=csv", "format=ndjson", "format=parquet", "format=csv&compress=gzip"]
)
async def test_any_cut_is_detected(tmp_path, query):
    """By the manifest of every format; no prefix has its hash."""
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann", "bob")
        url = f"{shop.v5}/audiences/{made['id']}/export?{query}"
        response = await shop.client.get(url, headers={"accept-encoding": "identity"})
        again = f"{url}&as_of={response.headers['retag-as-of']}"
        plain = await shop.client.get(again.replace("&compress=gzip", ""))
        covered = plain.content
        if "ndjson" in query:
            covered = covered[:-1].rpartition(b"\n")[0] + b"\n"
        manifest = await shop.ask("GET", f"/exports/{response.headers['retag-export-id']}")
        assert manifest["sha256"] == hashlib.sha256(covered).hexdigest()
        for end in range(len(covered)):
            assert manifest["sha256"] != hashlib.sha256(covered[:end]).hexdigest()


def test_who_went_away_comes_back_for_the_rest(tmp_path):
    """The export is finished without them, is in the audit log, and goes on where the download broke off."""
    with serving(tmp_path) as server:
        path = crowded(server)
        headers = {"authorization": f"Bearer {server.key}", "accept-encoding": "identity"}
        with httpx.Client(base_url=server.url, headers=headers, timeout=60) as client:
            token = client.head(path).headers["retag-as-of"]
            with client.stream("GET", f"{path}?as_of={token}") as response:
                parts = response.iter_raw(10_000)
                begin, name = next(parts), response.headers["retag-export-id"]
            manifest = f"/v5/ad_accounts/{server.account}/exports/{name}"
            until(lambda: client.get(manifest).status_code == 200, 60)
            rest = client.get(f"{path}?as_of={token}", headers={"range": f"bytes={len(begin)}-"})
            assert rest.status_code == 206
            about = client.get(manifest).json()
            assert about["rows"] == MEMBERS
            assert about["sha256"] == hashlib.sha256(begin + rest.content).hexdigest()
            downloads = client.get(f"/v5/ad_accounts/{server.account}/downloads").json()["items"]
            assert [one["rows"] for one in downloads] == [MEMBERS, MEMBERS]


def test_a_slow_reader_is_not_run_away_from(tmp_path):
    """What is not printed yet can still leave out whoever objects: the file is a little ahead, no more."""
    with serving(tmp_path) as server, begun(server, crowded(server)) as reader:
        (part,) = (server.folder / "exports").glob("*.part")
        sizes = [part.stat().st_size]
        for _ in range(200):
            reader.recv(4096)
            sizes.append(part.stat().st_size)
        assert max(sizes) < 2 * AHEAD + WINDOW


async def test_the_press_is_started_again(tmp_path):
    """Who was reading is cut off, which the audit log tells by a missing hash; who asks next is served."""
    async with running(tmp_path) as shop:
        made, press = await filled(shop, "ann"), shop.state.kept.press
        await export(shop, made)
        job = Job(
            Manifest("1", None, "ndjson", "0-0", None, [], export_id="ab" * 16, span=(0, 0)), AsOf(0, 0)
        )
        press._process.kill()
        run = await press.begin(job)
        run.part.write_bytes(b"begun")
        await shop.state.kept.admit(run, "somebody")
        with pytest.raises(errors.Overloaded):
            [_ async for _ in follow(shop.state, run)]
        rows = await shop.state.reader.all("SELECT sha256 FROM download WHERE who = 'somebody'")
        assert rows == [("",)]
        assert not run.part.exists()
        await export(shop, made)


async def test_a_short_disk_is_said_before_the_first_byte(tmp_path):
    """Events come first; what to do is in the answer."""
    async with running(tmp_path, min_free_mb="1000000") as shop:
        made = await shop.audience()
        lines, response = await export(shop, made, status=503)
        assert "disk" in lines[0]["message"]
        assert response.headers["retry-after"] == "60"


async def test_headers_tell_what_the_manifest_tells(tmp_path):
    """To HEAD too; the file's name says which audience, and of when."""
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann", "bob")
        _, first = await export(shop, made, "format=ndjson")
        query = f"format=ndjson&as_of={first.headers['retag-as-of']}"
        head = await shop.client.head(f"{shop.v5}/audiences/{made['id']}/export?{query}")
        manifest = await shop.ask("GET", f"/exports/{first.headers['retag-export-id']}")
        known = [head.headers[f"retag-{name}"] for name in ("rows", "missing", "sha256")]
        assert known == ["2", "0", manifest["sha256"]]
        assert f"audience-{made['id']}-buyers-members-20" in head.headers["content-disposition"]


async def test_a_tool_without_a_key_is_asked_for_a_password(tmp_path):
    """Basic with the key as password is as good as a bearer; elsewhere no browser asks."""
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann")
        url = f"{shop.v5}/audiences/{made['id']}/export"
        refused = await shop.client.get(url, headers={"authorization": "Basic x"})
        assert refused.headers.get_list("www-authenticate")[1].startswith("Basic ")
        assert (await shop.client.get(url, auth=("retag", shop.key))).status_code == 200
        other = await shop.client.get(f"{shop.v5}/audiences", headers={"authorization": ""})
        assert len(other.headers.get_list("www-authenticate")) == 1


async def test_a_token_of_the_future_is_none(tmp_path):
    """Neither of a later step nor of a number that no step has."""
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann")
        instant = (await as_of(shop, made)).partition("-")[0]
        for step in ("ffff", "ffffffffffffffff"):
            for name in ("as_of", "since"):
                await export(shop, made, f"{name}={instant}-{step}", 400)


async def test_what_fails_before_the_first_byte_is_answered(tmp_path):
    """By 503 and words, not by an empty file that breaks off."""
    async with running(tmp_path) as shop:
        made, folder = await filled(shop, "ann"), shop.state.kept.folder
        await export(shop, made)
        url = f"{shop.v5}/audiences/{made['id']}/export?format=ndjson"
        head = (await shop.client.head(url)).headers
        query = f"format=ndjson&as_of={head['retag-as-of']}"
        blocked = folder / f"{head['retag-export-id']}.data.part"
        blocked.mkdir()
        for compress in ("", "&compress=gzip"):
            (refused,), _ = await export(shop, made, query + compress, 503)
            assert "failed" in refused["message"]
        blocked.rmdir()
        await export(shop, made, query)
