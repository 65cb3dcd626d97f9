"""Book: the index from an event's name, and from the parts of its address, to the clauses it can touch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from typing import Generic, TypeVar

from retag.rules.clause import Clause
from retag.rules.fact import Fact

Key = TypeVar("Key", bound=Hashable)
Row = tuple[Key, int, Clause]
"""`(key, index of the clause in its rule, clause)`; the key says whose clause it is."""


class Shelf(Generic[Key]):
    """The clauses that events of one name can match. Those of a part of the address are found by it."""

    def __init__(self, rows: Sequence[Row[Key]]) -> None:
        self._rows = rows
        self._others = [place for place, row in enumerate(rows) if not row[2].parts]
        self._rest = [rows[place] for place in self._others]
        self._of_part: dict[str, list[int]] = defaultdict(list)
        for place, row in enumerate(rows):
            for part in row[2].parts:
                self._of_part[part].append(place)
        self.needs_data = any(clause.needs_data for _, _, clause in rows)

    def touching(self, url: str) -> Sequence[Row[Key]]:
        """In the order of the rows, whatever led to them."""
        if not self._of_part:
            return self._rest
        parts = url.split("/")
        if self._of_part.keys().isdisjoint(parts):
            return self._rest
        found = {place for part in parts if part in self._of_part for place in self._of_part[part]}
        return [self._rows[place] for place in sorted(found.union(self._others))]


class Book(Generic[Key]):
    """The clauses of one ad account's live rules, indexed once and read for every event."""

    def __init__(self, rows: Iterable[Row[Key]]) -> None:
        events = [row for row in rows if row[2].list_id is None and not row[2].seeds]
        names = {name for _, _, clause in events for name in clause.names or ()}
        self._of_any = Shelf([row for row in events if row[2].names is None])
        self._by_name = {
            name: Shelf([row for row in events if row[2].names is None or name in row[2].names])
            for name in names
        }

    def shelf(self, name: str) -> Shelf[Key]:
        """The clauses that such an event can match."""
        return self._by_name.get(name, self._of_any)

    def matching(self, fact: Fact) -> list[Row[Key]]:
        return [row for row in self.shelf(fact.name).touching(fact.url) if row[2].matches(fact)]
