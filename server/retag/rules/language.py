"""The language: a raw rule, as clients send it, becomes its canonical form.

The canonical form says the same in declared types (`AudienceRule`), so that a generated client can read it;
it is what is stored and echoed. Top-level fields that do not fit their declared types (operators, several
line items) stand as one clause under `all`, which means the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from retag.errors import Invalid
from retag.rules.fields import ENGAGEMENTS, FIELDS, OF_ENGAGEMENT, OF_LIST, OF_SEED
from retag.rules.scalars import digits, named, shown, truth

KINDS = ("VISITOR", "ENGAGEMENT", "CUSTOMER_LIST", "ACTALIKE")
GROUPS = ("any", "all", "none")
OUTSIDE = {"ad_account_id": digits, "prefill": truth}
"""Fields of a rule that are no condition."""
MOST_CLAUSES = 50


def canonical(audience_type: str, raw: Any) -> dict[str, Any]:
    """The rule in its stored form; raises `errors.Invalid` with the field and the remedy."""
    if audience_type not in KINDS:
        raise Invalid(
            "audience_type", f"must be one of {', '.join(KINDS)} (capitals), not {shown(audience_type)}"
        )
    given = _object("rule", raw)
    rule = {name: read(f"rule.{name}", given[name]) for name, read in OUTSIDE.items() if name in given}
    groups = {group: _group(f"rule.{group}", given[group]) for group in GROUPS if group in given}
    top = _fields("rule", {k: v for k, v in given.items() if k not in OUTSIDE and k not in GROUPS})
    _check_top(audience_type, top, groups)
    if top and not all(FIELDS[name].declared(value) for name, value in top.items()):
        groups["all"] = [_standing_alone(audience_type, top), *groups.get("all", ())]
        top = {}
    _check_size(sum(map(len, groups.values())))
    return {**rule, **top, **{group: groups[group] for group in GROUPS if group in groups}}


def _object(at: str, value: Any) -> dict[str, Any]:
    """The object without its nulls: generated clients send null for what is unset."""
    if not isinstance(value, dict):
        raise Invalid(at, f"must be an object, not {named(value)}")
    return {name: given for name, given in value.items() if given is not None}


def _group(at: str, value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise Invalid(at, f"must be a list of clauses, not {named(value)}")
    _check_size(len(value))
    return [_clause(f"{at}[{i}]", one) for i, one in enumerate(value)]


def _clause(at: str, value: Any) -> dict[str, Any]:
    given = _object(at, value)
    for group in GROUPS:
        if group in given:
            raise Invalid(
                f"{at}.{group}", "cannot stand inside a clause; any, all and none are at the top only"
            )
    if OF_SEED & given.keys():
        raise Invalid(
            at, "seed_id, country, percentage and include_seed stand at the top of an ACTALIKE rule only"
        )
    return _fields(at, {name: one for name, one in given.items() if name != "ad_account_id"})


def _fields(at: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """One clause's fields, each read by the table, and fit to stand together."""
    for name in given:
        if name not in FIELDS:
            raise Invalid(f"{at}.{name}", f"is not a field of a rule{_hint(name)}")
    fields = {name: FIELDS[name].read(f"{at}.{name}", value) for name, value in given.items()}
    _check_together(at, fields)
    return fields


def _hint(name: str) -> str:
    near = get_close_matches(name, [*FIELDS, *OUTSIDE, *GROUPS], 1)
    return (
        f"; did you mean {near[0]}?"
        if near
        else f"; the fields are {', '.join([*FIELDS, *OUTSIDE, *GROUPS])}"
    )


def _check_together(at: str, fields: Mapping[str, Any]) -> None:
    for kind in (OF_LIST, OF_SEED):
        if (kind & fields.keys()) and (others := sorted(fields.keys() - kind)):
            its = ", ".join(sorted(kind & fields.keys()))
            raise Invalid(
                f"{at}.{others[0]}",
                f"cannot stand beside {its}; put it in a clause of its own under all or none",
            )
    if "retention_days" in fields and "retention_minutes" in fields:
        raise Invalid(f"{at}.retention_minutes", "cannot stand beside retention_days; give one of the two")
    if "event_data" in fields and not ({"event", "engagement_type"} & fields.keys()):
        raise Invalid(f"{at}.event_data", "needs an event; add event beside it")
    if OF_ENGAGEMENT & fields.keys() and fields.get("event", ENGAGEMENTS[0]) not in ENGAGEMENTS:
        raise Invalid(
            f"{at}.event",
            f"cannot be {fields['event']!r} beside engagement fields: these are {', '.join(ENGAGEMENTS)};"
            " put it in a clause of its own under all, any or none",
        )
    if "event" in fields and "engagement_type" in fields:
        raise Invalid(f"{at}.event", "cannot stand beside engagement_type; give one of the two")


def _check_top(kind: str, top: Mapping[str, Any], groups: Mapping[str, list[dict[str, Any]]]) -> None:
    clauses = [top, *groups.get("any", ()), *groups.get("all", ())]
    if kind == "ACTALIKE" and "seed_id" not in top:
        raise Invalid("rule.seed_id", "is missing; give the ids of one or more seed audiences")
    if kind != "ACTALIKE" and OF_SEED & top.keys():
        raise Invalid(f"rule.{min(OF_SEED & top.keys())}", 'needs "audience_type": "ACTALIKE"')
    if kind == "CUSTOMER_LIST" and not any("customer_list_id" in clause for clause in clauses):
        raise Invalid("rule.customer_list_id", "is missing; give the id of a customer list")
    if kind == "ENGAGEMENT" and top.get("event", ENGAGEMENTS[0]) not in ENGAGEMENTS:
        raise Invalid(
            "rule.event",
            f"of an ENGAGEMENT rule is one of {', '.join(ENGAGEMENTS)}, not {top['event']!r};"
            " put other events in a clause under all, any or none",
        )


def _check_size(count: int) -> None:
    if count > MOST_CLAUSES:
        raise Invalid(
            "rule", f"has {count} clauses; at most {MOST_CLAUSES} are allowed, so merge or split it"
        )


def _standing_alone(kind: str, top: dict[str, Any]) -> dict[str, Any]:
    """The top-level fields as a clause that no longer leans on the audience's type."""
    if kind == "ENGAGEMENT" and "event" not in top and "engagement_type" not in top:
        return {"engagement_type": list(ENGAGEMENTS), **top}
    return top
