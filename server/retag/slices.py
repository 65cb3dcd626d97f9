"""Slices: the writer's folding, a slice at a time, and what becomes of a slice that fails."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from retag.pace import Pace
from retag.store import collector
from retag.store.protocol import Folded, Store

log = logging.getLogger("retag.journal")

REACH, NEAR = 2048, 256
"""Events of a draft: at most, and behind one in which an event changed hands."""
LESS, MORE = 4, 2
"""How much smaller a draft is behind one that failed, and larger behind one that did not."""


class Slices:
    """`between` is called between the steps of a draft and the portions of it that are written: it may append
    events, and do nothing else."""

    def __init__(
        self, store: Store, now: Callable[[], int], slice_ms: float, between: Callable[[], object]
    ) -> None:
        self._store, self._now, self._between = store, now, between
        self._pace = Pace(slice_ms)
        self._reach = REACH

    def due(self, closing: bool) -> bool:
        """Whether to fold now."""
        return self._pace.due(*self._store.waiting(), closing)

    def nap(self) -> float:
        """How long the writer may sleep if nothing wakes it."""
        return self._pace.nap(*self._store.waiting())

    def fold(self, quiet: bool) -> Folded:
        """The next slice; `quiet`: nobody is at the door. After one that failed come smaller ones, and what
        breaks even alone is folded without rules: it must not stop the rest."""
        most = self._reach
        try:
            with collector.paused():
                return self._fold(most, quiet)
        except Exception as error:
            self._reach = max(1, most // LESS)
            if most > 1 or not self._store.is_poison(error):
                raise
            log.exception("an event was folded without its rules")
            return self._store.fold(self._now(), 1, bare=True)

    def _fold(self, most: int, quiet: bool) -> Folded:
        waiting, since = self._store.waiting()
        for _ in self._store.draft(self._now(), most, self._pace.most(since, quiet)):
            self._between()
        spent, started = 0.0, time.perf_counter()
        for _ in self._store.portions():
            spent += time.perf_counter() - started
            self._between()
            started = time.perf_counter()
        folded = self._store.fold(self._now(), most)
        self._pace.folded(folded.events, spent + time.perf_counter() - started)
        # Where events change hands a draft ends: the next one looks less far.
        self._reach = min(REACH, MORE * most) if folded.events >= min(most, waiting) else min(NEAR, most)
        return folded
