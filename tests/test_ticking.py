"""A job done again and again: woken, failing, and always ending when told to."""

from __future__ import annotations

import asyncio

from retag import errors
from retag.web.ticking import Ticker


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
