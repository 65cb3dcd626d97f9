"""Apart: long readings of the log, each in a process of its own, at low priority and a few at a time.

The process ends with its answer, with whoever asked, and with this server, however that ends: it watches its
standard input, which is open for as long as the server lives.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, BinaryIO, ParamSpec, TypeVar, cast

from retag.errors import Overloaded

P = ParamSpec("P")
T = TypeVar("T")
MOST, WAITING = 2, 6
"""Readings at once, and those who wait for one."""
AFTER_S = 10
"""When those may ask again for whom there was no room."""
START = "from retag.web.apart import main; main()"
NICE = 10
ONE_CORE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""The door needs the others."""


class Apart:
    """Room for a few readings; made in the loop."""

    def __init__(self, most: int = MOST, waiting: int = WAITING) -> None:
        self._free = asyncio.Semaphore(most)
        self._room = most + waiting

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `alone` gives, or raises; Overloaded at once when too many wait already."""
        if not self._room:
            raise Overloaded("Too many questions about the past at once: ask again in a moment.", AFTER_S)
        self._room -= 1
        try:
            async with self._free:
                return await alone(work, *args, **kwargs)
        finally:
            self._room += 1


async def alone(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `work`, a function of a module, gives or raises in a process of its own, which is killed when the
    caller gives up. Overloaded when it ended without an answer."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", START, stdin=pipe, stdout=pipe)
    to, back = cast(asyncio.StreamWriter, process.stdin), cast(asyncio.StreamReader, process.stdout)
    try:
        to.write(pickle.dumps(pickle.dumps((work, args, kwargs))))
        said = await back.read()
    finally:
        to.close()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    try:
        failed, answer = pickle.loads(said)  # noqa: S301 (our own process)
    except (EOFError, pickle.UnpicklingError):
        raise Overloaded("The reading was ended before it was done: ask again.", AFTER_S) from None
    if failed:
        raise answer
    return answer  # type: ignore[no-any-return]


def main() -> None:
    """The process: one question from standard input, one answer to standard output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends this
    os.nice(NICE)
    os.environ.update(ONE_CORE)
    gc.set_threshold(50_000, 20, 50)
    asked, answers = os.fdopen(0, "rb", closefd=False), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    question = pickle.load(asked)  # noqa: S301 (from the server)
    threading.Thread(target=_end_with, args=(asked,), daemon=True).start()
    answers.write(_answer(question))
    answers.flush()
    os._exit(0)


def _answer(question: bytes) -> bytes:
    try:
        work, args, kwargs = pickle.loads(question)  # noqa: S301 (from the server)
        return pickle.dumps((False, work(*args, **kwargs)))
    except Exception as error:  # whoever asked gets it
        return _failure(error)


def _failure(error: Exception) -> bytes:
    said: Any = pickle.dumps((True, error))
    try:
        pickle.loads(said)  # noqa: S301 (just made)
    except TypeError:
        said = pickle.dumps((True, RuntimeError(f"{type(error).__name__}: {error}")))
    return bytes(said)


def _end_with(server: BinaryIO) -> None:
    server.read()
    os._exit(1)
