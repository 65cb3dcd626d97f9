"""Direct: a reader's answers without its threads."""

import asyncio
from contextlib import closing

import pytest

from beds import Bed, event
from retag.store.direct import Direct

COUNT = "SELECT count(*) FROM log"


@pytest.fixture
def bed(tmp_path):
    return Bed(tmp_path / "a.db")


async def test_snapshot_is_one_state_and_ends_with_it(bed):
    """What is written meanwhile is seen behind it; then nothing pins the WAL."""
    with closing(Direct(bed.path)) as reader:
        async with reader.snapshot() as snapshot:
            before = await snapshot.one(COUNT)
            bed.append(event())
            assert await snapshot.one(COUNT) == before == (0,)
        assert await reader.all(COUNT) == [(1,)]
        assert bed.cn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0


async def test_snapshot_that_fails_pins_nothing(bed):
    """Nor is the next one hindered."""
    with closing(Direct(bed.path)) as reader:
        with pytest.raises(ZeroDivisionError):
            async with reader.snapshot():
                _ = 1 / 0
        async with reader.snapshot() as snapshot:
            assert await snapshot.one(COUNT) == (0,)


async def test_others_have_their_turn_between_reads(bed):
    """An export that reads and reads keeps no other from its page."""
    turns = []

    async def export(name, reader):
        for _ in range(3):
            await reader.all(COUNT)
            turns.append(name)

    with closing(Direct(bed.path)) as reader:
        await asyncio.gather(export("a", reader), export("b", reader))
    assert turns == ["a", "b"] * 3
