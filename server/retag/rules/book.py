"""Book: the index from an event's name to the clauses that it can touch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

from retag.rules.clause import Clause
from retag.rules.fact import Fact
from retag.rules.rule import Rule

Key = TypeVar("Key", bound=Hashable)


class Book(Generic[Key]):
    """The live rules of one ad account by key (a build, say), indexed once and read for every event."""

    def __init__(self, rules: Mapping[Key, Rule]) -> None:
        self.rules = dict(rules)
        self._by_name: dict[str, list[tuple[Key, int, Clause]]] = defaultdict(list)
        self._of_any: list[tuple[Key, int, Clause]] = []
        rows = [(key, i, clause) for key, rule in rules.items() for i, clause in enumerate(rule.clauses)]
        events = [row for row in rows if row[2].list_id is None and not row[2].seeds]
        names = {name for _, _, clause in events for name in clause.names or ()}
        for row in events:
            for name in names if row[2].names is None else row[2].names:
                self._by_name[name].append(row)
            if row[2].names is None:
                self._of_any.append(row)
        self._needs_data = {
            name: any(c.needs_data for _, _, c in rows) for name, rows in self._by_name.items()
        }
        self._any_needs_data = any(clause.needs_data for _, _, clause in self._of_any)

    def touching(self, name: str) -> list[tuple[Key, int, Clause]]:
        """`(key, index of the clause in its rule, clause)` of each clause that such an event can match."""
        return self._by_name.get(name, self._of_any)

    def needs_data(self, name: str) -> bool:
        """Whether any of them looks into the event data, which must then be decoded."""
        return self._needs_data.get(name, self._any_needs_data)

    def matching(self, fact: Fact) -> list[tuple[Key, int, Clause]]:
        return [row for row in self.touching(fact.name) if row[2].matches(fact)]
