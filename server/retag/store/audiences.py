"""Audiences as rows: what was asked for, which build answers for it, and how far a new build is."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import msgspec

from retag import fold
from retag.store import log, numbered

TABLE, FIRST_ID = "audience", 2_542_000_000_001
"""Pinterest's audience ids have 13 digits and start with 2542; higher is newer."""

SELECT = (
    "SELECT a.id, a.account, a.name, a.description, a.type, a.rule, a.build, a.created, a.updated, a.removed,"
    " b.ready, n.id, n.ready, n.backfilled, n.live_from FROM audience a"
    " LEFT JOIN build b ON b.id = a.build"
    " LEFT JOIN build n ON n.id = (SELECT max(id) FROM build WHERE audience = a.id)"
)


class Audience(msgspec.Struct, frozen=True):
    """One audience. `build` answers for it; `newest` is another while an edited rule is being backfilled."""

    id: int
    account: int
    name: str
    description: str | None
    type: str
    rule: dict[str, Any]
    build: int
    created: int
    updated: int
    removed: int | None
    ready: int | None
    newest: int | None
    newest_ready: int | None
    backfilled: int | None
    live_from: int | None

    @property
    def progress(self) -> float:
        """How much of the log the newest build has seen, 0 to 1."""
        if self.newest_ready is not None or not self.live_from:
            return 1.0 if self.newest_ready is not None else 0.0
        return round(min((self.backfilled or 0) / self.live_from, 1.0), 4)


def decode(row: tuple[Any, ...]) -> Audience:
    """A row of SELECT as an Audience."""
    fields = dict(zip(Audience.__struct_fields__, row, strict=True))
    return Audience(**fields | {"rule": json.loads(fields["rule"])})


class Wanted(msgspec.Struct, frozen=True):
    """A new audience; `rule` is canonical (rules.echo)."""

    name: str
    description: str | None
    type: str
    rule: dict[str, Any]


def create(cn: sqlite3.Connection, account: int, wanted: Wanted, now: int) -> int:
    """A new audience and its first build; its id, above all others."""
    row = msgspec.structs.asdict(wanted) | {"rule": json.dumps(wanted.rule), "account": account, "build": 0}
    audience_id = numbered.create(cn, TABLE, FIRST_ID, row, now)
    build = fold.start_build(cn, audience_id, wanted.rule, now, wanted.rule.get("prefill", True))
    cn.execute("UPDATE audience SET build = ? WHERE id = ?", (build, audience_id))
    return audience_id


def update(cn: sqlite3.Connection, audience_id: int, changes: dict[str, Any], now: int) -> None:
    """Set name, description or rule. A changed rule starts a build; the old one answers until it is whole."""
    if "rule" in changes:
        rule = changes["rule"]
        known = cn.execute("SELECT rule FROM audience WHERE id = ?", (audience_id,)).fetchone()[0]
        if json.loads(known) != rule:
            fold.start_build(cn, audience_id, rule, now, rule.get("prefill", True))
        changes = changes | {"rule": json.dumps(rule)}
    numbered.update(cn, TABLE, audience_id, changes, now)


def remove(cn: sqlite3.Connection, audience_id: int, now: int) -> None:
    """Out of service: no longer listed, shown, folded or exported."""
    step = log.next_step(cn)
    cn.execute("UPDATE audience SET removed = ?, updated = ? WHERE id = ?", (now, now, audience_id))
    cn.execute(
        "UPDATE build SET retired = ?, retired_step = ? WHERE audience = ? AND retired IS NULL",
        (now, step, audience_id),
    )


def clauses_of(rule: dict[str, Any]) -> list[dict[str, Any]]:
    """The rule's own fields and every clause in it, as one flat list of objects."""
    clauses = [rule]
    for key in ("any", "all", "none"):
        clauses += [clause for clause in rule.get(key) or [] if isinstance(clause, dict)]
    return clauses
