"""The audience rule language: parse, validate, match one event, remember, and say until when a rule holds.

    rule = parse("VISITOR", {"event": "checkout", "retention_days": 30})
    memories = rule.nothing()
    for i, clause in enumerate(rule.clauses):
        if clause.matches(fact):
            memories[i] = clause.remember(memories[i], fact.time, clause.value(fact))
    rule.window(memories).holds(now)

Pure: the same functions serve the live fold, the backfill, the estimate and the tests' oracle.
"""

from __future__ import annotations

from typing import Any

from retag.rules.book import Book
from retag.rules.clause import Clause
from retag.rules.compile import parse
from retag.rules.fact import Fact
from retag.rules.language import canonical
from retag.rules.memory import Memory
from retag.rules.rule import Rule

__all__ = ["Book", "Clause", "Fact", "Memory", "Rule", "canonical", "echo", "parse"]


def echo(rule: Rule) -> dict[str, Any]:
    """What the API shows: declared fields in their declared types, Retag's own beside them."""
    return rule.raw
