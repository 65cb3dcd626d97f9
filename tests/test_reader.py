"""The reader: connections outlive whoever is cancelled while they open or are used."""

import asyncio
import threading
from types import SimpleNamespace

import pytest

from beds import Bed
from retag.store import reader as readers
from retag.store import sqlite
from retag.store.reader import Reader


@pytest.fixture
def path(tmp_path):
    Bed(tmp_path / "a.db").cn.close()
    return tmp_path / "a.db"


async def begun(question):
    """A task that has asked as far as it gets by itself."""
    task = asyncio.create_task(question)
    for _ in range(5):
        await asyncio.sleep(0)
    return task


async def cancelled(task):
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class Slow:
    """Stands in for `sqlite.connect`: waits until it may."""

    def __init__(self):
        self.may = threading.Event()
        self.calls = 0

    def __call__(self, path, readonly=False):
        self.calls += 1
        assert self.may.wait(20)
        return sqlite.connect(path, readonly)


@pytest.fixture
def slow(monkeypatch):
    one = Slow()
    monkeypatch.setattr(readers, "sqlite", SimpleNamespace(connect=one))
    yield one
    one.may.set()


async def test_closing_waits_for_an_opening_whose_caller_has_gone(path, slow):
    """Else its thread would answer a loop that is closed by then."""
    reader = Reader(path)
    await cancelled(await begun(reader.one("SELECT 1")))
    timer = threading.Timer(0.2, slow.may.set)
    timer.start()
    await reader.close()
    assert slow.may.is_set()
    timer.join()


async def test_an_opening_whose_caller_has_gone_serves_the_next(path, slow):
    """No place of the pool is lost, and no connection is opened twice for one place."""
    reader = Reader(path, connections=1)
    await cancelled(await begun(reader.one("SELECT 1")))
    slow.may.set()
    assert await reader.one("SELECT 2") == (2,)
    assert slow.calls == 1
    await reader.close()


async def test_a_place_survives_a_failed_opening(path, monkeypatch):
    """The next caller tries again."""
    reader = Reader(path, connections=1)
    with monkeypatch.context() as patch:
        nowhere = SimpleNamespace(connect=lambda _, readonly: sqlite.connect(path / "nowhere", readonly))
        patch.setattr(readers, "sqlite", nowhere)
        with pytest.raises(sqlite.Unusable):
            await reader.one("SELECT 1")
    assert await reader.one("SELECT 2") == (2,)
    await reader.close()


async def test_a_snapshot_cancelled_while_it_begins_leaves_no_transaction(path):
    """The connection is whole for the next, at whatever moment the first was cancelled."""
    reader = Reader(path, connections=1)
    await reader.one("SELECT 1")

    async def ask():
        async with reader.snapshot() as snapshot:
            await snapshot.one("SELECT 1")

    for steps in range(12):
        task = asyncio.create_task(ask())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await ask()
    await reader.close()
