"""`/readyz` is about events that are kept and counted, and `/metrics` about every one of them."""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
import sqlite3
import threading
from typing import Any

import pytest

from door import Doorstep, standing
from retag import __version__
from retag.events import OUTCOMES


async def reasons(door: Doorstep) -> list[str]:
    """Why it is not ready; the status and the gauge say the same."""
    answer = await door.client.get("/readyz")
    found: list[str] = answer.json()["reasons"]
    assert answer.status_code == (503 if found else 200)
    return found


async def until_ready(door: Doorstep, ready: bool) -> list[str]:
    async with asyncio.timeout(20):
        while bool(found := await reasons(door)) == ready:  # noqa: ASYNC110 (it asks over HTTP)
            await asyncio.sleep(0.01)
    return found


async def figures(door: Doorstep) -> dict[str, float]:
    """Every sample of /metrics by its name with labels."""
    lines = (await door.client.get("/metrics")).text.splitlines()
    pairs = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    return {name: float(value) for name, _, value in pairs}


async def test_a_commit_that_hangs_turns_it_red(tmp_path: pathlib.Path) -> None:
    """The event in the writer's hands counts, though nothing else waits; when it is through all is well."""
    async with standing(tmp_path, max_lag_ms="100") as door:
        store, gate = door.state.store, threading.Event()
        append = store.append

        def stuck(events: Any, apart: Any) -> None:
            gate.wait(30)
            append(events, apart)

        store.append = stuck
        beacon = asyncio.ensure_future(door.beacon())
        (reason,) = await until_ready(door, False)
        assert "for its commit" in reason
        assert (await figures(door))["retag_ready"] == 0
        gate.set()
        assert (await beacon).status_code == 204
        assert await until_ready(door, True) == []


async def test_a_fold_that_hangs_turns_it_red(tmp_path: pathlib.Path) -> None:
    """What is acknowledged and counts nowhere is a fault too."""
    async with standing(tmp_path, max_lag_ms="100") as door:
        store, gate = door.state.store, threading.Event()
        fold = store.fold

        def stuck(*given: Any, **more: Any) -> Any:
            gate.wait(30)
            return fold(*given, **more)

        store.fold = stuck
        await door.beacon()
        (reason,) = await until_ready(door, False)
        assert "unfolded" in reason
        gate.set()
        assert await until_ready(door, True) == []


async def test_a_file_that_another_program_locks_turns_it_red(tmp_path: pathlib.Path) -> None:
    """503 for as long as it lasts, with nothing stored, and 204 as soon as it is over."""
    async with standing(tmp_path) as door:
        await door.state.journal.write(lambda cn: None)
        with contextlib.closing(sqlite3.connect(tmp_path / "retag.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert (await door.beacon()).status_code == 503
            assert any("locked" in reason for reason in await reasons(door))
        assert (await door.beacon()).status_code == 204
        assert await until_ready(door, True) == []
        assert await door.rows() == 1


async def test_a_short_disk_shuts_the_door_to_servers_too(tmp_path: pathlib.Path) -> None:
    """However an event comes it needs room; and a full disk is short by any setting."""
    async with standing(tmp_path, min_free_mb="0") as door:
        door.state.health.free = lambda: 200_000
        assert any("disk is short" in reason for reason in await reasons(door))
        event = {"event_name": "search", "action_source": "web", "event_time": 1_795_000_000}
        answer = await door.api("POST", "/events", json={"data": [event]})
        assert (answer.status_code, answer.json()["code"]) == (503, 4197)
        assert (await door.beacon()).status_code == 503
        assert (await figures(door))['retag_events_total{outcome="overloaded"}'] == 2


async def test_a_disk_that_becomes_short_is_logged_once_and_its_end_too(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever looks for refused events in the log finds when and why, not a line for each look."""
    async with standing(tmp_path, min_free_mb="0") as door:
        room = door.state.health.free
        with caplog.at_level("INFO", "retag"):
            for free in (lambda: 200_000, lambda: 100_000, room, room):
                door.state.health.free = free
                await reasons(door)
        told = [
            (one.levelname, one.message.partition(":")[0]) for one in caplog.records if "disk" in one.message
        ]
        assert told == [("ERROR", "the disk is short"), ("INFO", "the disk has room again")]


async def test_every_outcome_is_there_from_the_start(tmp_path: pathlib.Path) -> None:
    """A rate over a counter that appears with its first event would miss that event."""
    async with standing(tmp_path) as door:
        found = await figures(door)
        assert {found[f'retag_events_total{{outcome="{name}"}}'] for name in OUTCOMES} == {0}


async def test_the_figures_tell_of_waits_and_sizes(tmp_path: pathlib.Path) -> None:
    """How long commits take, how large the files are, and what runs."""
    async with standing(tmp_path) as door:
        for _ in range(3):
            await door.beacon()
        found = await figures(door)
        assert found["retag_commit_seconds_count"] == found['retag_commit_seconds_bucket{le="+Inf"}'] == 3
        assert 0 < found["retag_commit_seconds_sum"] < 60
        assert found["retag_database_bytes"] > 4096
        assert found["retag_wal_bytes"] > 4096
        about = f'version="{__version__}"'
        assert any(name.startswith("retag_build_info") and about in name for name in found)
