"""The courier as the server sees it: called off it ends, even when it would not."""

from __future__ import annotations

import asyncio
import os

import pytest

from retag.courier.places import Allowed, Undeliverable, Undelivered
from retag.courier.worker import Errand, Parcel
from retag.web import courier
from serving import DEADLINE_S


def errand(tmp_path, source, destination="ads"):
    (tmp_path / "out").mkdir(exist_ok=True)
    allowed = Allowed(str(tmp_path / "out"), ())
    return Errand(destination, allowed, "1", [Parcel(str(source), "a.csv", {})])


async def test_receipt_says_what_was_delivered_or_why_not(tmp_path):
    """And whether it is worth trying again."""
    (tmp_path / "kept").write_bytes(b"a\r\n")
    (about,) = await courier.send(errand(tmp_path, tmp_path / "kept"))
    assert about["bytes"] == 3
    with pytest.raises(Undelivered):
        await courier.send(errand(tmp_path, tmp_path / "gone"))
    with pytest.raises(Undeliverable, match="destination"):
        await courier.send(errand(tmp_path, tmp_path / "kept", "s3://shop"))


async def test_courier_that_is_called_off_ends(tmp_path):
    """Though the file that it reads never comes."""
    os.mkfifo(tmp_path / "slow")
    sending = asyncio.create_task(courier.send(errand(tmp_path, tmp_path / "slow")))
    await asyncio.sleep(0)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(sending, DEADLINE_S)
    assert not list((tmp_path / "out").iterdir())


async def test_courier_that_takes_too_long_is_broken_off(tmp_path, monkeypatch):
    """It may work the next time."""
    monkeypatch.setattr(courier, "WITHIN_S", 0.5)
    os.mkfifo(tmp_path / "slow")
    with pytest.raises(Undelivered, match="broken off"):
        await courier.send(errand(tmp_path, tmp_path / "slow"))
