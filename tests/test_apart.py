"""Long readings apart: few at a time, and none outlives whoever wanted it."""

import asyncio
import operator
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from retag import likeness
from retag.errors import Overloaded
from retag.stats import ratio
from retag.web.apart import Apart, alone
from retag.web.api.call import number
from serving import until


def children(pid="self"):
    """The processes that this one, or another, has started."""
    folder = pathlib.Path(f"/proc/{pid}/task")
    return {int(one) for task in folder.glob("*/children") for one in task.read_text().split()}


def alive(pid):
    """Whether it runs: not gone, nor a zombie."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_answers_and_errors_come_back():
    """What the work gives, and what it raises, as if it had been called here."""
    assert await alone(operator.add, 1, 2) == 3
    assert await alone(os.getpid) != os.getpid()
    with pytest.raises(likeness.ExtraMissing, match="pip install"):
        await alone(likeness.load, "no_such_module")
    with pytest.raises(AttributeError, match="size"):
        await alone(ratio, 1, 2)


async def test_an_error_that_cannot_travel_is_told_in_words():
    """Some errors cannot be made again from their message; they still say what was wrong."""
    with pytest.raises(RuntimeError, match="Invalid: event_id: must be 1 to 18 digits"):
        await alone(number, "event_id", "x")


async def test_there_is_room_for_few():
    """One reads, one waits, the third is told when to come again; then there is room again."""
    apart = Apart(most=1, waiting=1)
    first, second = (asyncio.create_task(apart.run(time.sleep, 600)) for _ in range(2))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match="Too many") as refused:
        await apart.run(operator.add, 1, 2)
    assert refused.value.headers() == {"retry-after": "10"}
    for task in (second, first):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await apart.run(operator.add, 1, 2) == 3


async def test_a_killed_reading_is_to_be_asked_again():
    """No answer is 503 and not an empty one."""
    with pytest.raises(Overloaded, match="ask again"):
        await alone(os.abort)


async def test_a_reading_ends_when_it_is_given_up():
    """Its process is killed, and waited for."""
    before = children()
    task = asyncio.create_task(alone(time.sleep, 600))
    while not (made := children() - before):  # noqa: ASYNC110 (another process)
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not any(alive(pid) for pid in made)


def test_a_reading_ends_with_its_server():
    """Killed without a word, the server leaves no process behind."""
    code = "import asyncio, time; from retag.web.apart import alone; asyncio.run(alone(time.sleep, 600))"
    with subprocess.Popen([sys.executable, "-c", code]) as server:
        until(lambda: bool(children(server.pid)))
        (reading,) = children(server.pid)
        server.send_signal(signal.SIGKILL)
    until(lambda: not alive(reading))
