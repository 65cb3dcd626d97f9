"""Clause: a pure predicate on one event, and a bounded memory for each visitor."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec

from retag.rules.fact import Fact
from retag.rules.memory import Memory, Recall, Standing
from retag.windows import Window, window

Check = Callable[[Fact], bool]

REMEMBERING = frozenset({"retention_days", "retention_minutes", "min_count", "min_value"})
EVENT, ENGAGEMENT, LIST, SEED = "event", "engagement", "list", "seed"


class Clause(msgspec.Struct, frozen=True):
    """One condition of a rule.

    `names` are the event names that it can match (None: any), `list_id` the customer list or `seeds` the seed
    audiences when others decide it (then no event matches), `raw` the clause as the API shows it, `group` the
    part of the rule that it stands in: `rule` (the top-level fields), `any`, `all` or `none`. `parts`: the
    address of whatever matches has one of these between two slashes; nothing is known where there are none.
    """

    group: str
    kind: str
    raw: dict[str, Any]
    recall: Recall | Standing
    names: frozenset[str] | None = None
    checks: tuple[Check, ...] = ()
    needs_data: bool = False
    sums: bool = False
    parts: tuple[str, ...] = ()
    list_id: int | None = None
    seeds: tuple[int, ...] = ()

    @property
    def retention(self) -> int:
        """ms; EVER when a match never lapses."""
        return self.recall.retention

    @property
    def predicate(self) -> str:
        """Which events match, as a text: the same of clauses that differ in what they remember alone."""
        asked = {name: value for name, value in self.raw.items() if name not in REMEMBERING}
        return json.dumps([self.kind, asked], sort_keys=True)

    def matches(self, fact: Fact) -> bool:
        names = self.names
        if names is not None and fact.name not in names:
            return False
        for check in self.checks:  # noqa: SIM110 (a generator costs more than the checks)
            if not check(fact):
                return False
        return True

    def value(self, fact: Fact) -> float:
        """What the event adds towards `min_value`: its `value`; nothing when absent or negative."""
        value = fact.data.get("value", 0)
        return max(0.0, float(value)) if isinstance(value, int | float) else 0.0

    def remember(self, memory: Memory, time: int, value: float) -> Memory:
        """The memory with a match at `time`; the very same list when nothing changes."""
        return self.recall.add(memory, time, value)

    def merge(self, one: Memory, other: Memory) -> Memory:
        return self.recall.merge(one, other)

    def window(self, memory: Memory) -> Window:
        return window(self.recall.span(memory))
