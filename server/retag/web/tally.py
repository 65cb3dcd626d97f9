"""Counts since the start of what leaves by itself, for the metrics: webhook deliveries, scheduled exports."""

from __future__ import annotations


class Tally:
    """Attempts by what they came to: WAITING is for another attempt. `failing` are schedules whose last run
    has not gone well, None before anybody has looked."""

    def __init__(self) -> None:
        self.deliveries = dict.fromkeys(("DELIVERED", "WAITING", "FAILED"), 0)
        self.runs = dict.fromkeys(("DELIVERED", "WAITING", "FAILED"), 0)
        self.failing: int | None = None
