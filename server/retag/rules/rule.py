"""Rule: clauses joined into one window.

The rule holds when every `all` clause (the top-level fields are one) and at least one `any` clause hold, and
no `none` clause does. All times of a visitor lie in the past of the instant asked about, so each group is
one window and so is their intersection: `none` opens when the last excluding clause closes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from retag.rules.clause import Clause
from retag.rules.memory import Memory
from retag.windows import EVER, NEVER, Window, either


class Rule(msgspec.Struct, frozen=True):
    """`raw` is the canonical form: what is stored, echoed, and parsed again to the same rule."""

    kind: str
    clauses: tuple[Clause, ...]
    raw: dict[str, Any]
    must: tuple[int, ...]
    any_: tuple[int, ...]
    none: tuple[int, ...]
    prefill: bool = True

    @property
    def plain(self) -> bool:
        """A single clause that remembers only its latest match."""
        return len(self.clauses) == 1 and self.clauses[0].recall.plain

    def window(self, memories: Sequence[Memory], held: Window | None = None) -> Window:
        """When it holds, given one memory for each clause.

        `held` is the window before: an unbroken membership keeps its opening, which the bounded memories no
        longer know.
        """
        clauses = self.clauses
        opens, closes = -EVER, EVER
        for i in self.must:
            one = clauses[i].recall.window(memories[i])
            opens, closes = max(opens, one.opens), min(closes, one.closes)
        if self.any_ and opens < closes:
            some = either([clauses[i].recall.window(memories[i]) for i in self.any_])
            opens, closes = max(opens, some.opens), min(closes, some.closes)
        if opens >= closes:
            return NEVER
        if held is not None and held.opens < opens <= held.closes:
            opens = held.opens
        if self.none and held is not None and opens < held.opens < held.closes:
            # What excluded them until then may be forgotten by now.
            opens = held.opens
        for i in self.none:
            if memories[i]:
                one = clauses[i].recall.window(memories[i])
                if one.opens < one.closes:
                    opens = max(opens, one.closes)
        return Window(opens, closes) if opens < closes else NEVER

    def last(self, memories: Sequence[Memory]) -> int:
        """The latest match of the clauses that must or may hold, UTC ms; 0 when there is none."""
        return max((int(memories[i][0][0]) for i in (*self.must, *self.any_) if memories[i]), default=0)

    def nothing(self) -> list[Memory]:
        """The memories of a visitor about whom nothing is known."""
        return [[] for _ in self.clauses]

    @property
    def reach(self) -> int:
        """How far back events matter, ms; EVER when some clause never lapses."""
        return max((c.retention for c in self.clauses if c.list_id is None and not c.seeds), default=0)
