"""Audiences: list, create, get, update and remove, each with its live size.

https://developers.pinterest.com/docs/api/v5/audiences-list
"""

from __future__ import annotations

import base64
import binascii
import sqlite3
from typing import Annotated, Any

import msgspec

from retag import errors, likeness, rules
from retag.store import audiences, members, seeds
from retag.web.api.call import NAME_LIMIT, Call, Name, closed, number
from retag.web.api.rule_schema import AudienceRule

DESCRIPTION_LIMIT = 2_000
Description = Annotated[str, msgspec.Meta(max_length=DESCRIPTION_LIMIT)]


class AudienceCreate(msgspec.Struct):
    """The body of a creation. `description` may be null or empty, as the official SDK sends it."""

    name: Name
    audience_type: Annotated[str, closed("CUSTOMER_LIST", "VISITOR", "ENGAGEMENT", "ACTALIKE")]
    rule: AudienceRule
    description: Description | None = None
    ad_account_id: str | int | None = None


class AudienceUpdate(msgspec.Struct):
    """The body of an update: any of these."""

    name: Name | None = None
    rule: AudienceRule | None = None
    description: Description | None = None
    operation_type: Annotated[str, closed("UPDATE", "REMOVE")] | None = None
    ad_account_id: str | int | None = None


class AudienceView(msgspec.Struct, omit_defaults=False):
    """What an answer shows. Times are Unix seconds; `progress` is 1 when the rule's history is in."""

    ad_account_id: str
    id: str
    name: str
    audience_type: str
    description: str | None
    rule: AudienceRule
    size: int | None
    status: str
    created_timestamp: int
    updated_timestamp: int
    progress: float
    type: str = "audience"
    created_by_company_name: str | None = None
    is_nca: bool = False


class AudiencePage(msgspec.Struct):
    items: list[AudienceView]
    bookmark: str | None


async def index(call: Call) -> AudiencePage:
    """One page, by id."""
    order = call.choice("order", ("ASCENDING", "DESCENDING"))
    size = call.size("page_size", 25, 250)
    if call.choice("ownership_type", ("OWNED", "RECEIVED")) == "RECEIVED":
        return AudiencePage([], None)
    after = read_bookmark(call.request.query_params.get("bookmark"), order)
    sign = ">" if order == "ASCENDING" else "<"
    sql = (
        f"{audiences.SELECT} WHERE a.account = ? AND a.removed IS NULL AND a.id {sign} ?"
        f" ORDER BY a.id {'ASC' if order == 'ASCENDING' else 'DESC'} LIMIT ?"
    )
    rows = await call.state.reader.all(sql, (call.account, after, size + 1))
    found = [audiences.decode(row) for row in rows]
    views = [await view(call, audience) for audience in found[:size]]
    return AudiencePage(views, bookmark(found[size - 1].id) if len(found) > size else None)


async def create(call: Call) -> AudienceView:
    """A new audience. Its history is filled in behind the door: INITIALIZING, then READY."""
    wanted = call.json(AudienceCreate)
    same_account(wanted.ad_account_id, call.account)
    title = text("name", wanted.name, NAME_LIMIT)
    description = wanted.description and text("description", wanted.description, DESCRIPTION_LIMIT)
    rule = rules.echo(ruled(call.account, wanted.audience_type, wanted.rule))
    new = audiences.Wanted(title, description, wanted.audience_type, rule)
    if new.type == "ACTALIKE":
        likeness.require()

    def write(cn: sqlite3.Connection) -> int:
        check_references(cn, call.account, rule)
        seeds.check(cn, seeds_of(rule))
        return audiences.create(cn, call.account, new, call.now)

    audience_id = await call.state.journal.write(write)
    if new.type == "ACTALIKE":
        call.state.refits.wake()
    return await view(call, await find(call, audience_id))


async def get(call: Call) -> AudienceView:
    """One audience."""
    return await view(call, await find(call, call.id("audience_id")))


async def update(call: Call) -> AudienceView:
    """UPDATE (any of name, rule, description) or REMOVE."""
    known = await find(call, call.id("audience_id"))
    wanted = call.json(AudienceUpdate)
    same_account(wanted.ad_account_id, call.account)
    if (operation := wanted.operation_type or "UPDATE") not in ("UPDATE", "REMOVE"):
        raise errors.Invalid("operation_type", f"must be UPDATE or REMOVE, not {operation[:40]!r}")
    if operation == "REMOVE":
        return await _remove(call, known)
    changes = _changes(known, wanted)

    def write(cn: sqlite3.Connection) -> None:
        rule = changes.get("rule", {})
        check_references(cn, call.account, rule)
        if rule != known.rule:
            seeds.check(cn, seeds_of(rule), known.id)
        audiences.update(cn, known.id, changes, call.now)

    await call.state.journal.write(write)
    if known.type == "ACTALIKE" and "rule" in changes:
        call.state.refits.wake()
    return await view(call, await find(call, known.id))


def _changes(known: audiences.Audience, wanted: AudienceUpdate) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if wanted.name is not None:
        changes["name"] = text("name", wanted.name, NAME_LIMIT)
    if wanted.description is not None:
        changes["description"] = wanted.description and text(
            "description", wanted.description, DESCRIPTION_LIMIT
        )
    if wanted.rule is not None:
        changes["rule"] = rules.echo(ruled(known.account, known.type, wanted.rule))
    return changes


async def _remove(call: Call, known: audiences.Audience) -> AudienceView:
    last = await view(call, known)
    await call.state.journal.write(lambda cn: audiences.remove(cn, known.id, call.now))
    return msgspec.structs.replace(last, status="REMOVED", updated_timestamp=call.now // 1000)


async def find(call: Call, audience_id: int) -> audiences.Audience:
    """The account's audience, or NotFound."""
    sql = f"{audiences.SELECT} WHERE a.account = ? AND a.id = ? AND a.removed IS NULL"
    row = await call.state.reader.one(sql, (call.account, audience_id))
    if row is None:
        raise errors.NotFound("Audience not found. GET …/audiences lists the ones there are.")
    return audiences.decode(row)


async def view(call: Call, audience: audiences.Audience) -> AudienceView:
    """An audience as an answer shows it, with its size now."""
    size = call.state.journal.store.census.size(audience.build, call.now)
    if size is None:
        size = await members.size(call.state.reader, audience.build, call.now)
    return AudienceView(
        ad_account_id=str(audience.account),
        id=str(audience.id),
        name=audience.name,
        audience_type=audience.type,
        description=audience.description,
        rule=audience.rule,
        size=size,
        status=status(audience, size, call.state.settings.too_small),
        created_timestamp=audience.created // 1000,
        updated_timestamp=audience.updated // 1000,
        progress=audience.progress,
    )


def status(audience: audiences.Audience, size: int, too_small: int) -> str:
    """INITIALIZING until its first build is whole; then TOO_SMALL or READY."""
    if audience.ready is None:
        return "INITIALIZING"
    return "TOO_SMALL" if size < too_small else "READY"


def check_references(cn: sqlite3.Connection, account: int, rule: dict[str, Any]) -> None:
    """Tags, lists and seeds that a rule names must be the account's own."""
    tables = {"visitor_source_id": "tag", "customer_list_id": "customer_list", "seed_id": "audience"}
    for clause in audiences.clauses_of(rule):
        for field, table in tables.items():
            for one in flat(clause.get(field)):
                sql = f"SELECT 1 FROM {table} WHERE id = ? AND account = ?"
                if cn.execute(sql, (number(f"rule.{field}", str(one)), account)).fetchone() is None:
                    raise errors.Invalid(
                        f"rule.{field}", f"{one} is no {table.replace('_', ' ')} of this ad account"
                    )


def seeds_of(rule: dict[str, Any]) -> list[int]:
    """The audiences that an act-alike's rule names."""
    return [int(one) for one in rule.get("seed_id") or []]


def flat(named: Any) -> list[Any]:
    """The values of a field: one, several, or under operators."""
    if isinstance(named, dict):
        return [one for value in named.values() for one in flat(value)]
    return named if isinstance(named, list) else [] if named is None else [named]


def ruled(account: int, audience_type: str, given: Any) -> rules.Rule:
    """The rule, which may name no ad account but the address's."""
    rule = rules.parse(audience_type, given)
    same_account(rule.raw.get("ad_account_id"), account, "rule.ad_account_id")
    return rule


def same_account(named: str | int | None, account: int, field: str = "ad_account_id") -> None:
    if named is not None and str(named) != str(account):
        raise errors.Invalid(field, f"differs from the account of the address, {account}")


def text(field: str, value: str, limit: int) -> str:
    """A text within its limit, without control characters and not blank."""
    if not value.strip() or len(value) > limit or any(ord(c) < 32 and c not in "\n\t" for c in value):
        raise errors.Invalid(field, f"must be 1 to {limit} characters without control characters")
    return value


def bookmark(last: int) -> str:
    return base64.urlsafe_b64encode(str(last).encode()).decode()


def read_bookmark(given: str | None, order: str) -> int:
    """The id after which a page starts."""
    if not given:
        return 0 if order == "ASCENDING" else 1 << 62
    try:
        return number("bookmark", base64.urlsafe_b64decode(given).decode())
    except (errors.RetagError, binascii.Error, ValueError):
        raise errors.Invalid("bookmark", "must be one that an earlier page gave") from None
