"""A job done again and again: woken, failing, and always ending when told to."""

from __future__ import annotations

import asyncio

from retag import errors
from retag.ticking import Ticker, Turns


async def test_woken_job_runs_at_once_and_a_failed_one_again():
    """Whatever it raises."""
    seen = asyncio.Queue()
    faults = [errors.Overloaded(), ValueError("odd")]

    async def job():
        seen.put_nowait(1)
        if faults:
            raise faults.pop()

    ticker = Ticker("test", job, 3600)
    ticker.start()
    for _ in range(3):
        await asyncio.wait_for(seen.get(), 20)
        ticker.wake()
    await ticker.close()


async def test_ticker_that_is_woken_as_it_is_closed_ends():
    """Neither call is lost behind the other."""

    async def job():
        pass

    for turns in range(200):
        ticker = Ticker("test", job, 3600)
        ticker.start()
        for _ in range(turns % 7):
            await asyncio.sleep(0)
        ticker.wake()
        await asyncio.wait_for(ticker.close(), 20)


async def test_turns_are_taken_a_few_at_a_time_and_none_twice():
    """One that fails is due again; what ends makes room; closing breaks off what is under way."""
    due, taken, running = [1, 2, 3], asyncio.Queue(), {}

    async def look():
        return [(number, number) for number in due]

    async def work(number):
        running[number] = asyncio.Event()
        taken.put_nowait(number)
        try:
            await running[number].wait()
        finally:
            del running[number]
        due.remove(number)
        raise errors.Overloaded

    turns = Turns("test", look, work, at_once=2, pause=0.01)
    turns.start()
    assert [await asyncio.wait_for(taken.get(), 20) for _ in range(2)] == [1, 2]
    assert sorted(running) == [1, 2]
    running[1].set()
    assert await asyncio.wait_for(taken.get(), 20) == 3
    await turns.drop(2)
    assert await asyncio.wait_for(taken.get(), 20) == 2
    await turns.close()
    assert (running, turns._under_way) == ({}, {})
