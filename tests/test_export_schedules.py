"""Scheduled exports: delivered whole, by the clock or on request, tried again, and visible."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time

import pytest

from bucket import storing
from receiver import receiving
from retag.cli import doctor
from retag.settings import Settings
from retag.store import schedules, sqlite
from shop import running
from test_api_exports import filled
from test_api_visitors import checkout, until

INSIDE = {"webhook_networks": "127.0.0.0/8"}
DAILY = {"destination": "ads", "every_minutes": 1440}


def out(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir(exist_ok=True)
    return {"export_folder": str(folder)}


async def scheduled(shop, audience, **changes):
    return await shop.ask("POST", "/export_schedules", json={"audience_id": audience["id"]} | DAILY | changes)


async def run_of(shop, made, status="DELIVERED", count=1):
    """The latest run, once there are so many and it has this status."""
    deadline = time.monotonic() + 60
    while True:
        runs = (await shop.ask("GET", f"/export_schedules/{made['id']}/runs"))["items"]
        if len(runs) == count and runs[0]["status"] == status:
            return runs[0]
        assert time.monotonic() < deadline, runs
        await asyncio.sleep(0.02)


async def again(shop, made):
    return await shop.ask("POST", f"/export_schedules/{made['id']}/run")


async def set_due(shop, due=1):
    """Let the clock have come to what is due next."""
    await shop.state.journal.write(
        lambda cn: cn.execute("UPDATE export_schedule SET due = ?", (due,)).rowcount
    )
    shop.state.scheduler.wake()


def delivered(tmp_path, run, part=0):
    """A delivered file, which its manifest must fit."""
    about = run["files"][part]
    folder = tmp_path / "out" / "ads"
    content = (folder / about["file"]).read_bytes()
    assert json.loads((folder / f"{about['file']}.manifest.json").read_text()) == about
    assert about["bytes"] == len(content)
    assert about["file_sha256"] == hashlib.sha256(content).hexdigest()
    assert not list(folder.glob(".*"))
    return content.decode()


async def test_schedule_delivers_at_once_and_then_by_its_slots(tmp_path):
    """The whole audience, with a manifest; the next run is a day later; every delivery is in the log."""
    async with running(tmp_path, **out(tmp_path)) as shop:
        audience = await filled(shop, "ann", "bob")
        made = await scheduled(shop, audience)
        run = await run_of(shop, made)
        heading, *lines = delivered(tmp_path, run).splitlines()
        assert (heading, len(lines)) == ("visitor_id,since,until,last_event", 2)
        assert run["files"][0]["sha256"] == run["files"][0]["file_sha256"]
        shown = await shop.ask("GET", f"/export_schedules/{made['id']}")
        assert shown["next_run_at"] == made["starts_at"] + 86_400
        assert (shown["as_of"], shown["last_run"]["id"]) == (run["as_of"], run["id"])
        (download,) = (await shop.ask("GET", "/downloads"))["items"]
        assert (download["who"], download["rows"]) == (f"schedule {made['id']}", 2)
        assert shop.state.tally.runs["DELIVERED"] == 1
        assert not list(shop.state.kept.folder.glob("*.data"))


async def test_runs_that_were_missed_are_made_up_once(tmp_path):
    """However many there were; the next is on time."""
    async with running(tmp_path, **out(tmp_path)) as shop:
        made = await scheduled(shop, await filled(shop, "ann"), every_minutes=60)
        await run_of(shop, made)
        day = 86_400_000
        await shop.state.journal.write(
            lambda cn: cn.execute("UPDATE export_schedule SET starts = starts - ?", (3 * day,)).rowcount
        )
        await set_due(shop, 1)
        await run_of(shop, made, count=2)
        shown = await shop.ask("GET", f"/export_schedules/{made['id']}")
        assert 0 < shown["next_run_at"] - time.time() <= 3600


async def test_delta_goes_on_from_what_was_delivered_last(tmp_path):
    """The first is whole; a run that failed in between leaves nothing out."""
    async with running(tmp_path, **out(tmp_path)) as shop:
        audience = await filled(shop, "ann")
        made = await scheduled(shop, audience, delta=True, format="ndjson", fields="visitor_id")
        first = await run_of(shop, made)
        known = {json.loads(line)["visitor_id"] for line in delivered(tmp_path, first).splitlines()[:-1]}
        await shop.send(checkout("bob@mail.example"))
        await until(shop, audience["id"], 2)
        (tmp_path / "out").rename(tmp_path / "away")
        await again(shop, made)
        failed = await run_of(shop, made, "WAITING", 2)
        assert "RETAG_EXPORT_FOLDER" in failed["error"]
        (tmp_path / "away").rename(tmp_path / "out")
        await set_due(shop)
        second = await run_of(shop, made, count=2)
        assert (second["attempts"], second["since"], second["error"]) == (2, first["as_of"], None)
        *lines, _ = map(json.loads, delivered(tmp_path, second).splitlines())
        assert [line["op"] for line in lines] == ["add"]
        assert lines[0]["visitor_id"] not in known


async def test_platform_gets_a_delta_in_two_files(tmp_path):
    """To add and to remove, each with its manifest."""
    async with running(tmp_path, **out(tmp_path)) as shop:
        audience = await filled(shop, "ann")
        made = await scheduled(shop, audience, delta=True, format="pinterest")
        await run_of(shop, made)
        await shop.send(checkout("bob@mail.example"))
        await until(shop, audience["id"], 2)
        await again(shop, made)
        run = await run_of(shop, made, count=2)
        assert [one["op"] for one in run["files"]] == ["add", "remove"]
        assert (len(delivered(tmp_path, run).splitlines()), delivered(tmp_path, run, 1)) == (1, "")


async def test_delta_from_too_long_ago_is_delivered_whole(tmp_path):
    """Nobody knows any more what has changed since."""
    async with running(tmp_path, **out(tmp_path)) as shop:
        made = await scheduled(shop, await filled(shop, "ann"), delta=True)
        await run_of(shop, made)
        await shop.state.journal.write(
            lambda cn: cn.execute("UPDATE export_schedule SET as_of = '1-1'").rowcount
        )
        await again(shop, made)
        run = await run_of(shop, made, count=2)
        assert (run["since"], run["files"][0]["since"], run["files"][0]["rows"]) == (None, None, 1)
        assert "-members-" in run["files"][0]["file"]


async def test_file_of_one_name_is_replaced(tmp_path):
    """Compressed, if that was asked for; two schedules cannot write the same one."""
    async with running(tmp_path, **out(tmp_path)) as shop:
        audience = await filled(shop, "ann")
        wanted = {"file": "buyers.csv.gz", "compress": "gzip"}
        made = await scheduled(shop, audience, **wanted)
        await run_of(shop, made)
        await again(shop, made)
        run = await run_of(shop, made, count=2)
        folder = tmp_path / "out" / "ads"
        assert {path.name for path in folder.iterdir()} == {"buyers.csv.gz", "buyers.csv.gz.manifest.json"}
        assert (folder / "buyers.csv.gz").read_bytes()[:2] == b"\x1f\x8b"
        assert run["files"][0]["sha256"] != run["files"][0]["file_sha256"]
        body = {"audience_id": audience["id"]} | DAILY | wanted
        await shop.ask("POST", "/export_schedules", 409, json=body)


async def test_bucket_gets_the_file_and_its_manifest(tmp_path):
    """By the credentials of the environment, which no answer shows."""
    with storing() as store:
        async with running(tmp_path, export_buckets="s3://shop") as shop:
            audience = await filled(shop, "ann", "bob")
            made = await scheduled(shop, audience, destination="s3://shop/ads", file="buyers.csv")
            run = await run_of(shop, made)
            found = await asyncio.to_thread(store.objects)
            assert hashlib.sha256(found["ads/buyers.csv"]).hexdigest() == run["files"][0]["sha256"]
            assert json.loads(found["ads/buyers.csv.manifest.json"]) == run["files"][0]
            assert "hush" not in str(await shop.ask("GET", "/export_schedules"))


async def test_run_that_cannot_work_fails_at_once_and_says_so(tmp_path):
    """No attempts for what only a person can mend; a hook is told, the figures count it."""
    with receiving() as receiver:
        async with running(tmp_path, **out(tmp_path)) as shop:
            audience = await filled(shop, "ann")
            made = await scheduled(shop, audience)
            await run_of(shop, made)
        async with running(tmp_path, **INSIDE) as shop:
            body = {"url": receiver.url, "events": ["export.failed", "export.ready"]}
            await shop.ask("POST", "/webhooks", json=body)
            await again(shop, made)
            run = await run_of(shop, made, "FAILED", 2)
            assert (run["attempts"], "RETAG_EXPORT_FOLDER" in run["error"]) == (1, True)
            deadline = time.monotonic() + 30
            while not receiver.taken or not shop.state.tally.failing:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.02)
            told = json.loads(receiver.taken[0].body)
            assert (told["type"], told["data"]["run_id"]) == ("export.failed", run["id"])
            assert (shop.state.tally.failing, shop.state.tally.runs["FAILED"]) == (1, 1)


async def test_failing_run_is_given_up_in_the_end(tmp_path):
    """After so many attempts; the next slot starts anew."""
    async with running(tmp_path, **out(tmp_path)) as shop:
        made = await scheduled(shop, await filled(shop, "ann"))
        await run_of(shop, made)
        (tmp_path / "out").rename(tmp_path / "away")
        await set_due(shop)
        await run_of(shop, made, "WAITING", 2)
        await shop.state.journal.write(
            lambda cn: (
                cn.execute(
                    "UPDATE export_run SET attempts = ? WHERE ended IS NULL", (schedules.MOST_ATTEMPTS - 1,)
                ).rowcount
            )
        )
        await set_due(shop)
        run = await run_of(shop, made, "FAILED", 2)
        assert run["attempts"] == schedules.MOST_ATTEMPTS
        (tmp_path / "away").rename(tmp_path / "out")
        await set_due(shop)
        assert (await run_of(shop, made, count=3))["attempts"] == 1


async def test_ready_export_is_told_with_its_files(tmp_path):
    """What is needed to fetch and check it."""
    async with running(tmp_path, **out(tmp_path), **INSIDE) as shop:
        with receiving() as receiver:
            audience, other = await filled(shop, "ann"), await shop.audience()
            for wanted in (audience, other):
                body = {"url": receiver.url, "events": ["export.ready"], "audience_id": wanted["id"]}
                await shop.ask("POST", "/webhooks", json=body)
            run = await run_of(shop, await scheduled(shop, audience))
            deadline = time.monotonic() + 30
            while not receiver.taken:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.02)
            (told,) = [json.loads(one.body)["data"] for one in receiver.taken]
            assert (told["audience_id"], told["as_of"]) == (audience["id"], run["as_of"])
            assert told["files"] == run["files"]
            assert told["destination"] == "ads"


async def test_paused_schedule_runs_on_request_alone(tmp_path):
    """And misses nothing when it is resumed but what it was to miss."""
    async with running(tmp_path, **out(tmp_path)) as shop:
        made = await scheduled(shop, await filled(shop, "ann"))
        await run_of(shop, made)
        url = f"/export_schedules/{made['id']}"
        paused = await shop.ask("PATCH", url, json={"status": "PAUSED"})
        assert (paused["status"], paused["next_run_at"]) == ("PAUSED", None)
        await set_due(shop)
        await again(shop, made)
        await run_of(shop, made, count=2)
        await set_due(shop)
        resumed = await shop.ask("PATCH", url, json={"status": "ACTIVE"})
        assert resumed["next_run_at"] > time.time()
        assert (await shop.ask("DELETE", url))["status"] == "REMOVED"
        await shop.ask("GET", url, 404)
        assert len(list((tmp_path / "out" / "ads").iterdir())) == 4


async def test_start_to_come_is_waited_for(tmp_path):
    """Nothing before; the slots count from it."""
    async with running(tmp_path, **out(tmp_path)) as shop:
        starts = int(time.time()) + 3600
        made = await scheduled(shop, await filled(shop, "ann"), starts_at=starts)
        assert made["next_run_at"] == starts
        past = await scheduled(shop, await shop.audience(), starts_at=starts - 2 * 86_400)
        assert past["next_run_at"] == starts
        shop.state.scheduler.wake()
        assert (await shop.ask("GET", f"/export_schedules/{made['id']}/runs"))["items"] == []


async def test_clock_that_was_put_back_stops_nothing(tmp_path):
    """What is due years ahead was written by a clock that was wrong."""
    async with running(tmp_path, **out(tmp_path)) as shop:
        made = await scheduled(shop, await filled(shop, "ann"), starts_at=int(time.time()) - 60)
        await set_due(shop, 2_000_000_000_000)
        await run_of(shop, made)
        assert (await shop.ask("GET", f"/export_schedules/{made['id']}"))["next_run_at"] < 2_000_000_000


async def test_run_that_was_broken_off_is_taken_up_at_the_same_instant(tmp_path):
    """As if the server had died in the middle: one run, one file."""
    async with running(tmp_path, **out(tmp_path)) as shop:
        made = await scheduled(shop, await filled(shop, "ann"))
        first = await run_of(shop, made)
        await shop.state.journal.write(
            lambda cn: cn.execute("UPDATE export_run SET status = 'RUNNING', ended = NULL").rowcount
        )
    async with running(tmp_path, **out(tmp_path)) as shop:
        run = await run_of(shop, made)
        assert (run["id"], run["as_of"], run["attempts"]) == (first["id"], first["as_of"], 2)
        assert len(list((tmp_path / "out" / "ads").iterdir())) == 2


async def test_somebody_erased_between_attempts_is_in_no_delivery(tmp_path):
    """The run goes on at a later instant."""
    async with running(tmp_path, **out(tmp_path)) as shop:
        audience = await filled(shop, "ann", "bob")
        made = await scheduled(shop, audience)
        first = await run_of(shop, made)
        (tmp_path / "out").rename(tmp_path / "away")
        await again(shop, made)
        waiting = await run_of(shop, made, "WAITING", 2)
        await shop.ask("DELETE", "/visitors/ann@mail.example")
        await until(shop, audience["id"], 1)
        (tmp_path / "away").rename(tmp_path / "out")
        await set_due(shop)
        run = await run_of(shop, made, count=2)
        assert (first["files"][0]["rows"], run["files"][0]["rows"]) == (2, 1)
        assert run["as_of"] != waiting["as_of"]


async def test_doctor_names_schedules_that_do_not_deliver(tmp_path):
    """What is not allowed must be mended; what failed last is told with its reason."""
    async with running(tmp_path, **out(tmp_path)) as shop:
        made = await scheduled(shop, await filled(shop, "ann"))
        await run_of(shop, made)
        (tmp_path / "out").rename(tmp_path / "away")
        await again(shop, made)
        await run_of(shop, made, "WAITING", 2)
        cn = sqlite.connect(tmp_path / "retag.db", readonly=True)
        ((must, line),) = doctor.of_schedules(cn, shop.state.settings)
        assert (must, "is no folder that exists" in line) == (False, True)
        ((must, line),) = doctor.of_schedules(cn, Settings.load({}))
        assert (must, "RETAG_EXPORT_FOLDER" in line) == (True, True)
        cn.close()


async def test_removed_audience_fails_its_schedule(tmp_path):
    """Rather than deliver an empty file."""
    async with running(tmp_path, **out(tmp_path)) as shop:
        audience = await filled(shop, "ann")
        made = await scheduled(shop, audience)
        await run_of(shop, made)
        await shop.ask("PATCH", f"/audiences/{audience['id']}", json={"operation_type": "REMOVE"})
        await again(shop, made)
        assert "removed" in (await run_of(shop, made, "FAILED", 2))["error"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"destination": "../etc"}, "destination"),
        ({"destination": "/etc"}, "destination"),
        ({"destination": "s3://shop/ads"}, "destination"),
        ({"every_minutes": 4}, "every_minutes"),
        ({"format": "xlsx"}, "format"),
        ({"fields": "name"}, "fields"),
        ({"format": "google", "fields": "em"}, "fields"),
        ({"compress": "rar"}, "compress"),
        ({"file": "../up.csv"}, "file"),
        ({"file": ".hidden"}, "file"),
        ({"file": "a.csv.manifest.json"}, "file"),
        ({"file": "a.csv", "delta": True}, "file"),
        ({"audience_id": "x"}, "audience_id"),
    ],
)
async def test_wrong_schedule_is_refused_by_the_name_of_its_field(tmp_path, changes, field):
    """When it is made, and when it is changed."""
    async with running(tmp_path, **out(tmp_path)) as shop:
        audience = await shop.audience()
        body = {"audience_id": audience["id"]} | DAILY | changes
        assert (await shop.ask("POST", "/export_schedules", 400, json=body))["message"].startswith(field)
        made = await scheduled(shop, audience, starts_at=int(time.time()) + 3600)
        if field != "audience_id":
            url = f"/export_schedules/{made['id']}"
            assert (await shop.ask("PATCH", url, 400, json=changes))["message"].startswith(field)
            assert await shop.ask("GET", url) == made


async def test_folders_are_off_until_somebody_turns_them_on(tmp_path):
    """A key of the API writes nowhere by itself."""
    async with running(tmp_path) as shop:
        body = {"audience_id": (await shop.audience())["id"]} | DAILY
        refused = await shop.ask("POST", "/export_schedules", 400, json=body)
        assert "RETAG_EXPORT_FOLDER" in refused["message"]


async def test_schedules_are_changed_by_an_admin_alone(tmp_path):
    """A key that reads exports sees them."""
    async with running(tmp_path, scopes=["exports:read"], **out(tmp_path)) as shop:
        assert (await shop.ask("GET", "/export_schedules"))["items"] == []
        await shop.ask("POST", "/export_schedules", 403, json=DAILY | {"audience_id": "1"})
        await shop.ask("POST", "/export_schedules/1/run", 403)


async def test_ad_accounts_do_not_deliver_into_one_folder(tmp_path):
    """Neither sees the other's files overwritten; what one has left there stays as well."""
    async with running(tmp_path, **out(tmp_path)) as shop:
        audience = await filled(shop, "ann")
        made = await scheduled(shop, audience, file="buyers.csv")
        run = await run_of(shop, made)
        content = delivered(tmp_path, run)
        await shop.state.journal.write(other_accounts)
        body = {"audience_id": audience["id"]} | DAILY
        await shop.ask("POST", "/export_schedules", 409, json=body | {"file": "others.csv"})
        await scheduled(shop, audience, destination="ads/more", starts_at=int(time.time()) + 999)
        await shop.state.journal.write(lambda cn: schedules.remove(cn, int(made["id"])))
        about = tmp_path / "out" / "ads" / "buyers.csv.manifest.json"
        about.write_text(about.read_text().replace(f'"{shop.account}"', '"1"'))
        failed = await run_of(shop, await scheduled(shop, audience, file="buyers.csv"), "FAILED")
        assert "ad account 1's" in failed["error"]
        assert (tmp_path / "out" / "ads" / "buyers.csv").read_text() == content.replace("\r\n", "\n")


def other_accounts(cn):
    """Give every schedule to another ad account."""
    cn.execute("INSERT INTO account VALUES (1, 'Another', 0)")
    cn.execute("UPDATE export_schedule SET account = 1")
