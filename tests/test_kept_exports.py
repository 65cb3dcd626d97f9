"""Finished exports: the same as_of is the same bytes, resumable, and gone when somebody in them is."""

import asyncio
import hashlib
import time

import pytest

from retag.formats import FORMATS
from retag.press.asking import Asked, members_job
from retag.press.flow import AHEAD, EVER
from retag.press.job import Ended
from retag.store import members
from retag.web import press
from retag.web.streaming import RunResponse
from shop import running
from test_api_exports import export, filled
from test_api_visitors import checkout, until


async def again(shop, made, response, query="", **headers):
    token = response.headers["retag-as-of"]
    url = f"{shop.v5}/audiences/{made['id']}/export?format=ndjson&as_of={token}{query}"
    return await shop.client.get(url, headers=headers)


async def settled(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_same_as_of_is_the_same_bytes_while_members_act_again(tmp_path):
    """`until` and `last_event` move on; an export of before does not."""
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann", "bob")
        _, first = await export(shop, made)
        await shop.send(checkout("ann@mail.example"), checkout("cleo@mail.example"))
        await until(shop, made["id"], 3)
        second = await again(shop, made, first)
        assert second.content == first.content
        assert second.headers["retag-export-id"] == first.headers["retag-export-id"]


async def test_finished_export_resumes_and_is_not_sent_twice(tmp_path):
    """Range gives the rest; If-None-Match gives 304; HEAD gives no body."""
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann", "bob")
        _, first = await export(shop, made)
        rest = await again(shop, made, first, Range="bytes=10-")
        assert (rest.status_code, rest.content) == (206, first.content[10:])
        same = await again(shop, made, first, **{"If-None-Match": first.headers["etag"]})
        assert (same.status_code, same.content) == (304, b"")
        url = f"{shop.v5}/audiences/{made['id']}/export?as_of={first.headers['retag-as-of']}"
        head = await shop.client.head(url)
        assert (head.status_code, head.content) == (200, b"")


async def test_bytes_that_hold_somebody_erased_are_deleted_unasked(tmp_path):
    """Within a second; asking again is 410, and the manifest stays."""
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann", "bob")
        _, first = await export(shop, made)
        kept, name = shop.state.kept, first.headers["retag-export-id"]
        assert kept.bytes_of(name)
        await shop.ask("DELETE", "/visitors/ann@mail.example")
        await settled(lambda: kept.bytes_of(name) is None)
        assert (await again(shop, made, first)).status_code == 410
        assert (await shop.ask("GET", f"/exports/{name}"))["rows"] == 2


async def test_bytes_are_kept_for_a_day(tmp_path):
    """And an hour, for who is reading them; then the disk is free again."""
    async with running(tmp_path) as shop:
        _, first = await export(shop, await filled(shop, "ann"))
        kept, name = shop.state.kept, first.headers["retag-export-id"]
        await kept.sweep(int(time.time() * 1000) + 89_900_000)
        assert kept.bytes_of(name)
        await kept.sweep(int(time.time() * 1000) + 90_100_000)
        assert kept.bytes_of(name) is None


async def test_only_so_many_exports_run_at_a_time(tmp_path, monkeypatch):
    """The next is told to come later; nothing is left of an unfinished one."""
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann")
        monkeypatch.setattr(press, "AT_ONCE", 0)
        await export(shop, made, status=429)
        monkeypatch.undo()
        await export(shop, made)
        assert (shop.state.kept.readers, shop.state.kept.press.runs) == (0, {})
        assert not list(shop.state.kept.folder.glob("*.part"))


@pytest.mark.parametrize("name", ["pinterest", "google", "meta", "tiktok"])
async def test_upload_file_has_the_digests_that_members_showed(tmp_path, name):
    """One line each, under the platform's headings."""
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann", "bob")
        response = await shop.client.get(f"{shop.v5}/audiences/{made['id']}/export?format={name}")
        digests = {hashlib.sha256(f"{who}@mail.example".encode()).hexdigest() for who in ("ann", "bob")}
        lines = response.text.splitlines()
        heading = FORMATS[name].head([]).decode().strip()
        assert lines[: 1 if heading else 0] == [heading] * bool(heading)
        assert {line.split(",")[0] for line in lines[bool(heading) :]} == digests
        manifest = await shop.ask("GET", f"/exports/{response.headers['retag-export-id']}")
        assert (manifest["rows"], manifest["missing"]) == (2, 0)
        assert manifest["sha256"] == hashlib.sha256(response.content).hexdigest()


async def test_member_without_a_click_id_is_counted(tmp_path):
    """Missing, and said so."""
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann")
        response = await shop.client.get(f"{shop.v5}/audiences/{made['id']}/export?format=click_ids")
        assert response.text.startswith("visitor_id,epik,epik_seen,gclid,gclid_seen,")
        assert response.text.count("\r\n") == 1
        manifest = await shop.ask("GET", f"/exports/{response.headers['retag-export-id']}")
        assert (manifest["rows"], manifest["missing"]) == (0, 1)


async def test_platform_takes_a_delta_in_two_files(tmp_path):
    """Who came, and who left."""
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann")
        _, first = await export(shop, made)
        await shop.send(checkout("bob@mail.example"))
        await until(shop, made["id"], 2)
        url = f"{shop.v5}/audiences/{made['id']}/export?format=pinterest&since={first.headers['retag-as-of']}"
        assert len((await shop.client.get(url + "&op=add")).text.splitlines()) == 1
        assert (await shop.client.get(url + "&op=remove")).text == ""


async def test_reader_who_goes_before_the_first_byte_is_no_reader(tmp_path):
    """The press does not wait for them: the file is finished."""
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann")
        token, kept = await members.current(shop.state.reader, int(time.time() * 1000)), shop.state.kept
        job = await members_job(
            shop.state.reader, shop.account, int(made["id"]), Asked(as_of=str(token)), token.instant
        )
        run = await kept.press.begin(job)
        answer = RunResponse(shop.state, run, {})

        async def gone():
            return {"type": "http.disconnect"}

        async def send(message):
            assert message["type"] == "http.response.start"

        await answer({"type": "http", "asgi": {"spec_version": "2.3"}}, gone, send)
        assert (run.readers, kept.readers, run._told) == (0, 0, EVER + AHEAD)


async def test_export_not_printed_yet_has_no_size(tmp_path):
    """HEAD does not say that it is empty."""
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann")
        head = await shop.client.head(f"{shop.v5}/audiences/{made['id']}/export")
        assert (head.status_code, head.headers.get("content-length")) == (200, None)


async def test_compressed_copy_goes_with_its_original(tmp_path):
    """Also one that was still being packed when somebody in it went, or when the server was killed."""
    async with running(tmp_path) as shop:
        made, kept = await filled(shop, "ann", "bob"), shop.state.kept
        _, first = await export(shop, made)
        name = first.headers["retag-export-id"]
        await shop.ask("DELETE", "/visitors/ann@mail.example")
        await settled(lambda: kept.bytes_of(name) is None)
        (kept.folder / f"{name}.gzip").write_bytes(b"of before")
        await shop.ask("DELETE", "/visitors/bob@mail.example")
        await settled(lambda: not (kept.folder / f"{name}.gzip").exists())


async def test_copy_of_what_was_forgotten_is_not_kept(tmp_path):
    """Its end is known after the original's."""
    async with running(tmp_path) as shop:
        kept, name = shop.state.kept, "ab" * 16
        kept.folder.mkdir(exist_ok=True)
        path = kept.folder / f"{name}.gzip"
        path.write_bytes(b"of before")
        await kept._finish(press.Run(kept.press, path.name, path, None), Ended(path.name, 9))
        assert not path.exists()
