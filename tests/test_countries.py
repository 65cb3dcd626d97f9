"""Countries: an event knows where it came from if the shop keeps a database, and nothing of the address."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import time
from typing import Any

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from door import standing
from retag import errors, people
from retag.cli import doctor
from retag.settings import Settings
from retag.web.countries import Countries, code_of


def database(path: pathlib.Path, **networks: Any) -> str:
    """A file in MaxMind's format: records by network."""
    writer = MMDBWriter(6, "Test-Country", ipv4_compatible=True)
    for record, network in networks.items():
        writer.insert_network(IPSet([network]), {"country": {"iso_code": record}})
    writer.to_db_file(str(path))
    return str(path)


def test_an_address_has_the_country_of_its_network(tmp_path: pathlib.Path) -> None:
    """Of either family; what is not in the database, or no address, has none."""
    countries = Countries(database(tmp_path / "c.mmdb", DE="81.2.69.0/24", FR="2001:db8::/32"))
    found = [countries.of(one) for one in ("81.2.69.7", "2001:db8::1", "8.8.8.8", "", "no address")]
    assert found == ["DE", "FR", "", "", ""]


@pytest.mark.parametrize(
    ("record", "code"),
    [
        ({"country": {"iso_code": "DE"}, "registered_country": {"iso_code": "US"}}, "DE"),
        ({"registered_country": {"iso_code": "US"}}, "US"),
        ({"country": "DE"}, "DE"),
        ({"country": "Germany", "country_code": "DE"}, "DE"),
        ({"country_code": "DE"}, "DE"),
        ({"country": {"iso_code": "de"}}, ""),
        ({"country": {}}, ""),
        (None, ""),
        ("DE", ""),
    ],
)
def test_a_record_is_read_in_the_shapes_that_databases_have(record: Any, code: str) -> None:
    """MaxMind's, DB-IP's, IPinfo's; anything else is no country."""
    assert code_of(record) == code


def test_a_newer_file_is_taken_up_and_a_broken_one_is_not(tmp_path: pathlib.Path) -> None:
    """As a scheduled download replaces it."""
    path = tmp_path / "c.mmdb"
    countries = Countries(database(path, DE="81.2.69.0/24"))
    os.replace(database(tmp_path / "new.mmdb", AT="81.2.69.0/24", FR="90.0.0.0/16"), path)
    countries.refresh()
    assert countries.of("81.2.69.7") == "AT"
    path.write_bytes(b"half a file")
    countries.refresh()
    assert countries.of("81.2.69.7") == "AT"
    path.unlink()
    countries.refresh()
    assert countries.of("81.2.69.7") == "AT"


def test_a_file_that_cannot_be_read_is_said_at_the_start(tmp_path: pathlib.Path) -> None:
    """By the name of the setting, and by the doctor."""
    broken = tmp_path / "c.mmdb"
    broken.write_bytes(b"no database")
    for path in (broken, tmp_path / "absent.mmdb"):
        with pytest.raises(errors.Invalid, match="RETAG_COUNTRIES"):
            Countries(str(path))
        found = list(doctor.of_settings(Settings.load({}, countries=str(path))))
        assert any(must and "RETAG_COUNTRIES" in line for must, line in found)


@pytest.mark.parametrize(
    ("said", "code"),
    [("de", "DE"), (["US"], "US"), (hashlib.sha256(b"fr").hexdigest(), "FR"),
     ("Germany", ""), ("", ""), (None, ""), ({}, ""), ("a" * 64, ""), (7, "")],
)  # fmt: skip
def test_a_country_may_be_said(said: Any, code: str) -> None:
    """As Pinterest has it: two letters, or their digest."""
    assert people.country(said) == code


def on_disk(folder: pathlib.Path) -> bytes:
    """The database and its write-ahead log."""
    return b"".join(file.read_bytes() for file in folder.glob("retag.db*"))


async def test_an_event_keeps_its_country_and_no_address(tmp_path: pathlib.Path) -> None:
    """A page's by the client behind the proxy, a server's by the address it names, else what is said."""
    path = database(tmp_path / "c.mmdb", DE="81.2.69.0/24")
    event = {
        "event_name": "lead",
        "action_source": "web",
        "event_time": int(time.time()) - 1,
        "event_id": "e",
    }
    address = {"client_ip_address": "81.2.69.9", "client_user_agent": "x"}
    async with standing(tmp_path, countries=path, trusted_proxies="127.0.0.1") as door:
        await door.beacon(headers={"x-forwarded-for": "81.2.69.7"})
        await door.beacon({"pd": {"country": hashlib.sha256(b"at").hexdigest()}})
        await door.beacon()
        users = [address, {"em": "ann@mail.example", "country": "fr"}]
        await door.api("POST", "/events", json={"data": [{**event, "user_data": user} for user in users]})
        rows = await door.state.reader.all("SELECT context FROM log ORDER BY seq")
        found = [json.loads(row[0]).get("country") if row[0] else None for row in rows]
        assert found == ["DE", "AT", None, "DE", "FR"]
        lines = (await door.api("GET", f"/events/export?to={int(time.time() * 1000) + 1}")).text.splitlines()
        assert [json.loads(line)["country"] for line in lines[:-1]] == found
        assert b"81.2.69" not in on_disk(tmp_path)
