"""The clock on the wall: UTC in whole milliseconds, as every time in Retag is."""

from __future__ import annotations

import time


def time_ms() -> int:
    return time.time_ns() // 1_000_000
