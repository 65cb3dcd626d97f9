"""Slots: when a schedule runs next, and how long to wait after a failure. Pure; times in UTC ms."""

from __future__ import annotations

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


def next_slot(starts: int, every: int, now: int) -> int:
    """The first of `starts`, `starts + every`, … after `now`. What was missed before is one run, not many."""
    return starts if now < starts else starts + ((now - starts) // every + 1) * every


def backoff(failures: int, first: int, most: int, chance: float) -> int:
    """How long to wait after so many failures in a row: twice as long each time, at most `most`.

    `chance`, from 0 to 1, takes up to half away, so that many who failed together do not come back together.
    """
    whole = min(first << min(failures - 1, 30), most)
    return int(whole * (1 - chance / 2))
