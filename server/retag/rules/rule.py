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
from retag.windows import EVER, NOTHING, Span, Window, either, window


class Rule(msgspec.Struct, frozen=True):
    """`raw` is the canonical form: what is stored, echoed, and parsed again to the same rule.

    `traced`: the clauses of which a match by itself lets nobody in, and of which the latest match is all that
    is remembered. So rules may share what they remember of these.
    """

    kind: str
    clauses: tuple[Clause, ...]
    raw: dict[str, Any]
    must: tuple[int, ...]
    any_: tuple[int, ...]
    none: tuple[int, ...]
    traced: tuple[int, ...] = ()
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
        return window(self.span(memories, (held.opens, held.closes) if held else NOTHING))

    def span(self, memories: Sequence[Memory], held: Span) -> Span:
        """The same as `(opens, closes)`; `held` is NOTHING for no window before."""
        clauses = self.clauses
        opens, closes = -EVER, EVER
        for i in self.must:
            begins, ends = clauses[i].recall.span(memories[i])
            opens, closes = begins if begins > opens else opens, ends if ends < closes else closes
            if opens >= closes:
                return NOTHING
        if self.any_:
            begins, ends = either([clauses[i].recall.span(memories[i]) for i in self.any_])
            opens, closes = max(opens, begins), min(closes, ends)
        if opens >= closes:
            return NOTHING
        before, until = held
        if before < opens <= until or (self.none and opens < before < until):
            # An unbroken membership, or what excluded them until then may be forgotten by now.
            opens = before
        for i in self.none:
            if memories[i]:
                begins, ends = clauses[i].recall.span(memories[i])
                if opens < ends and begins < ends:
                    opens = ends
        return (opens, closes) if opens < closes else NOTHING

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
