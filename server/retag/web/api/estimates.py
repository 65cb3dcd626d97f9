"""POST …/audiences/estimate: the size of a rule before it is saved."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from retag import rules
from retag.store import estimate, sqlite
from retag.web.api.audiences import check_references, ruled, same_account
from retag.web.api.call import Call
from retag.web.api.rule_schema import AudienceRule


class EstimateRequest(msgspec.Struct):
    """The rule as a creation would have it."""

    rule: AudienceRule
    audience_type: str = "VISITOR"
    ad_account_id: str | int | None = None


class EstimateView(msgspec.Struct):
    """`exact`, or `size` give or take `margin` at 95 %, between the two bounds."""

    size: int
    exact: bool
    margin: int
    audience_size_lower_bound: int
    audience_size_upper_bound: int
    sampled_events: int
    rule: dict[str, Any]
    as_of: int


async def create(call: Call) -> EstimateView:
    """Exact on a short log, or where an audience with the very same rule exists; else from a sample."""
    wanted = call.json(EstimateRequest)
    same_account(wanted.ad_account_id, call.account)
    rule = ruled(call.account, wanted.audience_type, wanted.rule)
    found = await asyncio.to_thread(_measure, call.state.settings.path, call.account, rule, call.now)
    return EstimateView(
        found.size,
        found.exact,
        found.margin,
        found.lower,
        found.upper,
        found.sampled,
        rules.echo(rule),
        call.now,
    )


def _measure(path: str, account: int, rule: rules.Rule, now: int) -> estimate.Estimate:
    cn = sqlite.connect(path, readonly=True)
    try:
        cn.execute("BEGIN")
        check_references(cn, account, rules.echo(rule))
        return estimate.measure(cn, account, rule, now)
    finally:
        cn.close()
