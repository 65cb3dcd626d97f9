"""Compile: the canonical form of a rule becomes clauses that can match."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retag import events
from retag.rules.clause import ENGAGEMENT, EVENT, LIST, SEED, Check, Clause
from retag.rules.conditions import (
    Operators,
    on_codes,
    on_domain,
    on_field,
    on_item,
    on_link,
    on_page,
    spelt,
    url_parts,
)
from retag.rules.fields import DEFAULT_DAYS, ENGAGEMENTS, OF_ENGAGEMENT, OF_LIST, OF_SEED
from retag.rules.language import GROUPS, canonical
from retag.rules.memory import Recall, Standing
from retag.rules.rule import Rule
from retag.windows import DAY, EVER, MINUTE

CODES: Mapping[str, tuple[str, Mapping[str, int]]] = {
    "event_source": ("platform", events.PLATFORMS),
    "ingestion_source": ("source", events.SOURCES),
}
EQUALITIES = ("pin_id", "campaign_id", "ad_id", "objective_type", "engager_type")
"""Engagement filters that are plain fields of the event data."""


def parse(audience_type: str, raw: Any) -> Rule:
    """The rule that `raw` says; raises `errors.Invalid(field, message)`."""
    form = canonical(audience_type, raw)
    top = {name: value for name, value in form.items() if name not in (*GROUPS, "ad_account_id", "prefill")}
    clauses = [_compile(group, one) for group in GROUPS for one in form.get(group, ())]
    if top or not (form.get("any") or form.get("all")):
        clauses.insert(0, _compile("rule", top, _default_kind(audience_type)))
    places: dict[str, list[int]] = {group: [] for group in ("rule", *GROUPS)}
    for i, clause in enumerate(clauses):
        places[clause.group].append(i)
    return Rule(
        kind=audience_type,
        clauses=tuple(clauses),
        raw=form,
        must=(*places["rule"], *places["all"]),
        any_=tuple(places["any"]),
        none=tuple(places["none"]),
        traced=_traced(
            clauses, [*places["none"], *(places["any"] if places["rule"] or places["all"] else ())]
        ),
        prefill=form.get("prefill", True),
    )


def _traced(clauses: list[Clause], places: list[int]) -> tuple[int, ...]:
    """Those of `places` that events decide, and whose memory is one time."""
    return tuple(i for i in places if clauses[i].recall.plain)


def _default_kind(audience_type: str) -> str:
    return ENGAGEMENT if audience_type == "ENGAGEMENT" else EVENT


def _kind(fields: Mapping[str, Any], default: str) -> str:
    for kind, names in ((LIST, OF_LIST), (SEED, OF_SEED), (ENGAGEMENT, OF_ENGAGEMENT)):
        if names & fields.keys():
            return kind
    return default


def _compile(group: str, fields: dict[str, Any], default: str = EVENT) -> Clause:
    kind = _kind(fields, default)
    if kind == LIST:
        return Clause(group, kind, fields, Standing(), frozenset(), list_id=int(fields["customer_list_id"]))
    if kind == SEED:
        seeds = tuple(int(seed) for seed in fields["seed_id"])
        return Clause(group, kind, fields, Standing(), frozenset(), seeds=seeds)
    filters = [*_filters(fields), *_page(kind, fields), *_engagement(fields), *_event_data(fields)]
    return Clause(
        group,
        kind,
        fields,
        Recall(_retention(group, fields), fields.get("min_count", 1), fields.get("min_value")),
        names=_names(kind, fields),
        checks=tuple(filters),
        needs_data=_needs_data(kind, fields),
        sums="min_value" in fields,
        parts=() if kind == ENGAGEMENT else url_parts(spelt(_operators(fields.get("url", {})))),
    )


def _needs_data(kind: str, fields: Mapping[str, Any]) -> bool:
    names = {"event_data", "min_value", *(("url", *OF_ENGAGEMENT) if kind == ENGAGEMENT else ())}
    return not fields.keys().isdisjoint(names - {"engagement_type"})


def _retention(group: str, fields: Mapping[str, Any]) -> int:
    if "retention_minutes" in fields:
        return int(fields["retention_minutes"]) * MINUTE
    if "retention_days" in fields or group != "none":
        return int(fields.get("retention_days", DEFAULT_DAYS)) * DAY
    return EVER


def _names(kind: str, fields: Mapping[str, Any]) -> frozenset[str] | None:
    if "event" in fields:
        return frozenset({fields["event"]})
    if kind == ENGAGEMENT:
        return frozenset(_listed(fields.get("engagement_type", list(ENGAGEMENTS))))
    return None


def _filters(fields: Mapping[str, Any]) -> list[Check]:
    checks = [
        on_codes(
            attribute,
            {operator: [codes[name] for name in names] for operator, names in fields[field].items()},
        )
        for field, (attribute, codes) in CODES.items()
        if field in fields
    ]
    if "visitor_source_id" in fields:
        tags = _operators(fields["visitor_source_id"])
        checks.insert(
            0, on_codes("tag", {operator: [int(tag) for tag in ids] for operator, ids in tags.items()})
        )
    return checks


def _page(kind: str, fields: Mapping[str, Any]) -> list[Check]:
    if "url" not in fields:
        return []
    operators = spelt(_operators(fields["url"]))
    return [on_link(operators) if kind == ENGAGEMENT else on_page(operators)]


def _engagement(fields: Mapping[str, Any]) -> list[Check]:
    checks = [on_field(name, {"=": _listed(fields[name])}) for name in EQUALITIES if name in fields]
    if "engagement_domain" in fields:
        checks.append(on_domain(fields["engagement_domain"]))
    return checks


def _event_data(fields: Mapping[str, Any]) -> list[Check]:
    """Flat product fields are conditions on one line item, as those under `line_items` are."""
    data = fields.get("event_data", {})
    of_event = {name: value for name, value in data.items() if not name.startswith("product_")}
    items = _listed(of_event.pop("line_items", []))
    flat = {name: value for name, value in data.items() if name.startswith("product_")}
    checks = [on_field(name, _operators(value)) for name, value in of_event.items()]
    of_items = [*items, flat] if flat else items
    return checks + [on_item({name: _operators(value) for name, value in one.items()}) for one in of_items]


def _operators(value: Any) -> Operators:
    given = value if isinstance(value, dict) else {"=": value}
    return {operator: _listed(operands) for operator, operands in given.items()}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
