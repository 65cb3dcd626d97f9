"""The courier as the server sees it: a process for each errand, which ends when it is called off."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import msgspec

from retag.courier.places import Allowed, Undeliverable, Undelivered
from retag.courier.worker import Errand, Receipt

WITHIN_S = 7_200.0
TIDY_S = 3.0
BROKEN_OFF = "The delivery was broken off; the server's log may say why."


def allowed(settings: Any) -> Allowed:
    """What the settings let an errand do."""
    return Allowed(settings.export_folder, settings.export_buckets, settings.min_free_mb << 20)


async def send(errand: Errand) -> list[dict[str, Any]]:
    """Deliver; the manifests of what is there now. Raises Undeliverable when it cannot be done as
    things stand, Undelivered when it may be tried again."""
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "retag.courier")
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    assert process.stdin is not None  # noqa: S101
    assert process.stdout is not None  # noqa: S101
    answer = None
    try:
        async with asyncio.timeout(WITHIN_S):
            process.stdin.write(msgspec.json.encode(errand) + b"\n")
            answer = await process.stdout.read()
    except (TimeoutError, ConnectionError):
        raise Undelivered(BROKEN_OFF) from None
    finally:
        if answer is None:
            process.terminate()  # it tidies up
        process.stdin.close()
        await _gone(process)
    if not answer.endswith(b"\n"):
        raise Undelivered(BROKEN_OFF)
    receipt = msgspec.json.decode(answer, type=Receipt)
    if receipt.fault:
        raise Undeliverable(receipt.fault) if receipt.final else Undelivered(receipt.fault)
    return receipt.files


async def _gone(process: asyncio.subprocess.Process) -> None:
    """Until it has ended; one that hangs in a disk or a network that hangs is killed, and not waited for."""
    try:
        async with asyncio.timeout(TIDY_S):
            await process.wait()
    except TimeoutError:
        process.kill()
