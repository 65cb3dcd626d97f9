"""What happens while an export is printed, and after: who goes, what is deleted, what is asked again."""

import json
import os
import pathlib
import signal
import sqlite3
import time
from contextlib import closing, contextmanager

import httpx
import pytest

from retag import errors, upkeep
from retag.press import asking, printing
from retag.press.job import Job, Manifest
from retag.store import members
from retag.store.members import AsOf
from server import serving
from serving import until as soon
from shop import running
from test_api_exports import export, filled
from test_api_visitors import checkout, until
from test_kept_exports import settled
from test_slow_readers import MEMBERS, begun, parts
from test_slow_readers import filled as crowded


def drained(reader):
    """A chunked answer's lines, to its last chunk."""
    found = bytearray()
    while not found.endswith(b"\r\n0\r\n\r\n") and (part := reader.recv(1 << 18)):
        found += part
    return bytes(found).removesuffix(b"\r\n0\r\n\r\n").splitlines()


@contextmanager
def crowd(tmp_path):
    """A server, a client of it, the export of a large audience now, and as of one instant."""
    with serving(tmp_path) as server:
        path = f"{crowded(server)}?format=ndjson"
        headers = {"authorization": f"Bearer {server.key}"}
        with httpx.Client(base_url=server.url, headers=headers, timeout=60) as client:
            token = client.head(path).headers["retag-as-of"]
            yield server, client, path, f"{path}&as_of={token}"


@pytest.mark.parametrize("wish", ["erase", "opt_out"])
def test_who_goes_while_it_is_printed_is_not_in_what_follows(tmp_path, wish):
    """Its reader has everybody else; asking for it again is 410, and a new one is without them."""
    with crowd(tmp_path) as (server, client, path, frozen):
        with begun(server, frozen) as reader:
            last, account = (MEMBERS - 1).to_bytes(16, "big"), [server.account][: wish == "erase"]
            with closing(sqlite3.connect(tmp_path / "retag.db", timeout=30, isolation_level=None)) as cn:
                cn.execute("BEGIN IMMEDIATE")
                getattr(upkeep, wish)(cn, *account, last, int(time.time() * 1000))
                cn.execute("COMMIT")
            lines = drained(reader)
        assert json.loads(lines[-1])["rows"] == MEMBERS - 1
        assert last.hex()[-12:].encode() not in lines[-3]
        soon(lambda: not parts(server))
        assert client.get(frozen).status_code == 410
        *lines, trailer = client.get(path).text.splitlines()
        assert len(lines) == json.loads(trailer)["rows"] == MEMBERS - 1


def test_audience_that_is_deleted_meanwhile_is_printed_to_its_end(tmp_path):
    """The reader has a whole file, as of then; nobody gets another."""
    with serving(tmp_path) as server:
        path = crowded(server)
        headers = {"authorization": f"Bearer {server.key}"}
        with (
            httpx.Client(base_url=server.url, headers=headers, timeout=60) as client,
            begun(server, f"{path}?format=ndjson") as reader,
        ):
            removed = client.patch(path.removesuffix("/export"), json={"operation_type": "REMOVE"})
            assert removed.status_code == 200, removed.text
            assert client.get(path).status_code == 404
            assert json.loads(drained(reader)[-1])["rows"] == MEMBERS


async def test_delta_says_what_is_to_be_done_whatever_its_columns(tmp_path):
    """`op` stands where `fields` say, else first; one half alone needs none."""
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann")
        since = (await export(shop, made))[1].headers["retag-as-of"]
        await shop.send(checkout("bob@mail.example"))
        await until(shop, made["id"], 2)
        url = f"{shop.v5}/audiences/{made['id']}/export?since={since}&fields=visitor_id"
        for query, heading in (("", "op,visitor_id"), (",op", "visitor_id,op"), ("&op=add", "visitor_id")):
            assert (await shop.client.get(url + query)).text.splitlines()[0] == heading


async def test_what_platforms_are_to_remove_is_not_kept_when_anybody_goes(tmp_path):
    """Whoever asks again gets it anew; what they are to add is kept."""
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann", "bob")
        since = (await export(shop, made))[1].headers["retag-as-of"]
        await shop.send(checkout("stranger@mail.example"))
        await until(shop, made["id"], 3)
        names = {}
        for op in asking.OPS:
            url = f"{shop.v5}/audiences/{made['id']}/export?format=meta&since={since}&op={op}"
            names[op] = (await shop.client.get(url)).headers["retag-export-id"]
        write = shop.state.journal.write
        await write(lambda cn: upkeep.erase(cn, shop.account, b"n" * 16, int(time.time() * 1000)))
        await settled(lambda: shop.state.kept.bytes_of(names["remove"]) is None)
        assert shop.state.kept.bytes_of(names["add"])


async def test_nothing_is_printed_on_what_the_door_needs_of_the_disk(tmp_path):
    """It has as much again for itself."""
    async with running(tmp_path, min_free_mb="100") as shop:
        assert shop.state.kept.least_free == 200 << 20


def test_delta_that_took_too_long_is_not_given_out():
    """What it takes to know who left may have been deleted while it was printed."""
    until = AsOf(members.KEPT_MS + 9, 0)
    job = Job(Manifest("1", "2", "csv", str(until), "9-0", []), until, since=AsOf(9, 0))
    printing._check_age(job, until.instant)
    with pytest.raises(errors.Gone, match="since"):
        printing._check_age(job, until.instant + 1)


def press_of(server):
    """The press's process."""
    children = pathlib.Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text()
    commands = {int(one): pathlib.Path(f"/proc/{one}/cmdline").read_bytes() for one in children.split()}
    (found,) = [one for one, command in commands.items() if b"retag.press" in command]
    return found


def test_press_that_is_killed_leaves_nothing_behind(tmp_path):
    """Its reader hears no end; whoever asks again at the same instant has everything."""
    with crowd(tmp_path) as (server, client, _, frozen):
        with begun(server, frozen) as reader:
            os.kill(press_of(server), signal.SIGKILL)
            lines = drained(reader)
        assert b"sha256" not in lines[-1]
        soon(lambda: not parts(server))
        *lines, trailer = client.get(frozen).text.splitlines()
        assert len(lines) == json.loads(trailer)["rows"] == MEMBERS
