"""Customer lists over HTTP: counts, states and matches."""

import asyncio
import hashlib
import time

import pytest

from shop import running
from test_api_visitors import checkout

ANN, BOB = bytes([1]) * 16, bytes([2]) * 16


def digest(text, name="sha256"):
    return hashlib.new(name, text.encode()).digest()


async def show(shop, visitor, *values):
    """The visitor shows identifiers."""
    sql = "INSERT INTO identifier VALUES (?, 1, ?, ?, 0)"
    rows = [(shop.account, value, visitor) for value in values]
    await shop.state.journal.write(lambda cn: cn.executemany(sql, rows) and None)


async def applied(shop, list_id):
    """The list, once nothing waits."""
    deadline = time.monotonic() + 30
    while (found := await shop.ask("GET", f"/customer_lists/{list_id}"))["status"] == "PROCESSING":
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    return found


async def change(shop, list_id, operation, records):
    body = {"operation_type": operation, "records": records}
    await shop.ask("PATCH", f"/customer_lists/{list_id}", json=body)
    return await applied(shop, list_id)


async def test_new_list_answers_as_recorded(tmp_path):
    """Every key of Pinterest's recorded answer, PROCESSING at first, counts by record."""
    async with running(tmp_path) as shop:
        made = await shop.customer_list("dryrun1@mail.example,dryrun2@mail.example")
        assert (
            made | {"num_batches": 1, "num_removed_user_records": 0, "num_uploaded_user_records": 2} == made
        )
        assert (made["type"], made["status"], made["exceptions"]) == ("customerlist", "PROCESSING", {})
        assert isinstance(made["id"], str)
        assert (await applied(shop, made["id"]))["status"] == "TOO_SMALL"


@pytest.mark.parametrize("name", ["sha256", "sha1", "md5"])
async def test_raw_and_hashed_records_match_who_showed_either(tmp_path, name):
    """A raw list finds a visitor who showed any hash; a hashed list finds who showed that hash."""
    async with running(tmp_path) as shop:
        await show(shop, ANN, digest("ann@mail.example", name))
        for records in ("Ann@Mail.Example", digest("ann@mail.example", name).hex()):
            made = await shop.customer_list(records)
            assert (await applied(shop, made["id"]))["num_matched_visitors"] == 1


@pytest.mark.parametrize("name", ["sha256", "sha1", "md5"])
async def test_a_list_in_any_hash_finds_who_showed_the_address_itself(tmp_path, name):
    """A raw address is kept in all three hashes, once: and never as it came."""
    async with running(tmp_path) as shop:
        made = await shop.customer_list(digest("ann@mail.example", name).hex())
        await shop.send(checkout() | {"user_data": {"em": ["Ann@Mail.Example"]}})
        deadline = time.monotonic() + 30
        while (await shop.ask("GET", f"/customer_lists/{made['id']}"))["num_matched_visitors"] != 1:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        seen = await shop.ask("GET", "/visitors/ann@mail.example")
        assert seen["identifiers"] == {"em": 1}
    assert b"ann@mail" not in (tmp_path / "retag.db").read_bytes().lower()


async def test_counts_rise_for_repeats_and_strangers_and_invalid_records_are_explained(tmp_path):
    """As documented: an ADD of someone already there counts, so does a REMOVE of someone who is not."""
    async with running(tmp_path) as shop:
        list_id = (await shop.customer_list("a@mail.example,b@mail.example"))["id"]
        await change(shop, list_id, "ADD", "a@mail.example,undefined,nonsense,")
        found = await change(shop, list_id, "REMOVE", "stranger@mail.example")
        assert (found["num_batches"], found["num_uploaded_user_records"]) == (3, 3)
        assert found["num_removed_user_records"] == 1
        assert found["record_counts"] == {"processed": 6, "valid": 4, "invalid": 2}
        assert sum(found["exceptions"].values()) == 2


async def test_removing_one_identifier_keeps_whoever_another_one_still_matches(tmp_path):
    """A visitor leaves a list with the last of their identifiers on it."""
    async with running(tmp_path) as shop:
        await show(shop, ANN, digest("ann@mail.example"), digest("ann@work.example"))
        await show(shop, BOB, digest("bob@mail.example"))
        records = "ann@mail.example,ann@work.example,bob@mail.example"
        list_id = (await shop.customer_list(records))["id"]
        assert (await applied(shop, list_id))["num_matched_visitors"] == 2
        assert (await change(shop, list_id, "REMOVE", "ann@mail.example"))["num_matched_visitors"] == 2
        assert (await change(shop, list_id, "REMOVE", "ann@work.example"))["num_matched_visitors"] == 1


async def test_removing_any_hash_of_a_raw_record_removes_the_record(tmp_path):
    """Added raw, removed by its MD5: the SHA-256 goes with it."""
    async with running(tmp_path) as shop:
        await show(shop, ANN, digest("ann@mail.example"))
        list_id = (await shop.customer_list("ann@mail.example"))["id"]
        await applied(shop, list_id)
        found = await change(shop, list_id, "REMOVE", digest("ann@mail.example", "md5").hex())
        assert found["num_matched_visitors"] == 0


async def test_list_change_shows_in_its_audience_within_seconds(tmp_path):
    """The audience of a list follows it, without a rebuild."""
    async with running(tmp_path) as shop:
        await show(shop, ANN, digest("ann@mail.example"))
        list_id = (await shop.customer_list("bob@mail.example"))["id"]
        await applied(shop, list_id)
        made = await shop.audience({"customer_list_id": list_id}, audience_type="CUSTOMER_LIST")
        assert await settled(shop, made["id"], 0)
        await change(shop, list_id, "ADD", "ann@mail.example")
        assert await settled(shop, made["id"], 1)
        await change(shop, list_id, "REMOVE", "ann@mail.example")
        assert await settled(shop, made["id"], 0)


async def settled(shop, audience_id, size):
    """Whether the audience comes to this size."""
    deadline = time.monotonic() + 30
    while (await shop.ask("GET", f"/audiences/{audience_id}"))["size"] != size:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


async def test_large_list_is_applied_in_slices_and_whole(tmp_path):
    """More than one slice and one part; every record counts."""
    async with running(tmp_path) as shop:
        await show(shop, ANN, digest("u4999@mail.example"))
        made = await shop.customer_list(",".join(f"u{n}@mail.example" for n in range(5_000)))
        found = await applied(shop, made["id"])
        assert (found["num_uploaded_user_records"], found["num_matched_visitors"]) == (5_000, 1)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"records": ""}, "records"),
        ({"records": ",,"}, "records"),
        ({"records": "undefined"}, "records"),
        ({"records": ["a@mail.example"]}, "records"),
        ({"name": ""}, "name"),
        ({"list_type": "FAX"}, "list_type"),
    ],
)
async def test_wrong_field_is_named(tmp_path, body, field):
    """A list without one usable record is refused: it would be an audience of nobody."""
    async with running(tmp_path) as shop:
        good = {"name": "Leads", "records": "a@mail.example"}
        answer = await shop.ask("POST", "/customer_lists", 400, json=good | body)
        assert (answer["code"], field in answer["message"]) == (4196, True)
        assert (await shop.ask("GET", "/customer_lists"))["items"] == []


@pytest.mark.parametrize("list_type", ["EMAIL", "IDFA", "MAID", "LR_ID", "DLX_ID", "HASHED_PINNER_ID", None])
async def test_every_list_type_takes_hashes(tmp_path, list_type):
    """All the types of the reference; null is the default."""
    async with running(tmp_path) as shop:
        made = await shop.customer_list(digest("x").hex(), list_type=list_type)
        assert made["list_type"] == (list_type or "EMAIL")


async def test_raw_records_are_nowhere_on_disk(tmp_path):
    """Raw e-mail never reaches the database or its log."""
    async with running(tmp_path) as shop:
        list_id = (await shop.customer_list("needle-in-haystack@mail.example"))["id"]
        await applied(shop, list_id)
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or b"needle-in-haystack" not in file.read_bytes()
