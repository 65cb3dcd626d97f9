"""Slices: the writer's folding, a slice at a time, and what becomes of a slice that fails."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from retag.pace import Pace
from retag.store.protocol import Folded, Store

log = logging.getLogger("retag.journal")


class Slices:
    """`between` is called between the steps of a draft: it may append events, and do nothing else."""

    def __init__(
        self, store: Store, now: Callable[[], int], slice_ms: float, between: Callable[[], object]
    ) -> None:
        self._store, self._now, self._between = store, now, between
        self._pace = Pace(slice_ms)
        self._sick = False

    def due(self, closing: bool) -> bool:
        """Whether to fold now."""
        return self._pace.due(*self._store.waiting(), closing)

    def nap(self) -> float:
        """How long the writer may sleep if nothing wakes it."""
        return self._pace.nap(*self._store.waiting())

    def fold(self, quiet: bool) -> Folded:
        """The next slice; `quiet`: nobody is at the door. After one that failed events go one by one, and one
        that breaks even alone is settled without rules: it must not stop the rest."""
        most = 1 if self._sick else self._pace.most(self._store.waiting()[1], quiet)
        try:
            folded = self._fold(most)
        except Exception as error:
            self._sick = True
            if most > 1 or not self._store.is_poison(error):
                raise
            log.exception("an event was folded without its rules")
            folded = self._store.fold(self._now(), 1, bare=True)
        self._sick = False
        return folded

    def _fold(self, most: int) -> Folded:
        for _ in self._store.draft(self._now(), most):
            self._between()
        started = time.perf_counter()
        folded = self._store.fold(self._now(), most)
        self._pace.folded(folded.events, time.perf_counter() - started)
        return folded
