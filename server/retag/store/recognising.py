"""Recognising events by what was done and never by when: so all that say the same are looked at once.

For questions about the past that read millions of them (store.trails).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from retag.rules import Clause, Fact
from retag.store import trails

T = TypeVar("T")
decode = msgspec.json.decode


class Recognised(trails.Kept[str, T]):
    """What `learn` makes of an event, by what the column `told` says of it, which is null where none of
    `clauses` looks, or where `only` does not hold. `names` are the column's parameters."""

    def __init__(self, clauses: Sequence[Clause], learn: Callable[[Fact], T], only: str = "1") -> None:
        super().__init__(lambda told: learn(_fact(told)))
        named = sorted({name for clause in clauses for name in clause.names or ()})
        self.names = {f"name{i}": name for i, name in enumerate(named)}
        looked = f"name IN ({', '.join(f':{key}' for key in self.names)})"
        if any(clause.names is None for clause in clauses):
            looked, self.names = "1", {}
        data = "CAST(data AS TEXT)" if any(clause.needs_data for clause in clauses) else "''"
        # One value and not six: reading is most of the work.
        said = f"json_array(name, tag, source, platform, url, {data})"
        self.told = f"CASE WHEN {only} AND {looked} THEN {said} END"

    def trim(self) -> None:
        """Forget, when it has become too much."""
        if len(self) >= trails.MOST_KEPT:
            self.clear()


def _fact(told: str) -> Fact:
    name, tag, source, platform, url, data = decode(told)
    return Fact(name, 0, tag, source, platform, url, decode(data) if data else {})
