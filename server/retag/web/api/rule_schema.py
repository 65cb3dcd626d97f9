"""The rule of an audience in the OpenAPI document: Pinterest's AudienceRule, and Retag's fields beside it.

What is accepted is wider (`retag.rules` reads numbers as texts and single values for lists); this is what is
echoed. https://developers.pinterest.com/docs/api/v5/audiences-create
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from retag.rules.fields import ENGAGEMENTS, LONGEST_DAYS, OBJECTIVES

TEXT = {"type": "string"}
ID = {"type": "string", "pattern": "^\\d+$"}
FLAG = {"type": "boolean"}


def many(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": schema}


def whole(least: int, most: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": least, "maximum": most}


def operators(*names: str) -> dict[str, Any]:
    """An object of operators; several must all hold."""
    return {"type": "object", "propertyNames": {"enum": list(names)}}


CLAUSE: dict[str, Any] = {
    "visitor_source_id": ID | {"description": "The conversion tag."},
    "event": TEXT | {"description": "Without it, any event matches, `init` too."},
    "event_data": {
        "type": "object",
        "description": 'Fields of the event: a value, or {operator: value}, as in {"value": {">=": 100}}.',
    },
    "url": {
        "oneOf": [TEXT, many(TEXT), operators("=", "!=", "contains", "not_contains", "starts_with")],
        "description": "Any of them; with != and not_contains none of them.",
    },
    "event_source": operators("=", "!=") | {"description": "web, mobile, offline"},
    "ingestion_source": operators("=", "!=") | {"description": "tag, conversions_api, file_upload, mmp"},
    "retention_days": whole(1, LONGEST_DAYS) | {"default": 180},
    "retention_minutes": whole(1, LONGEST_DAYS * 1440) | {"description": "Instead of retention_days."},
    "min_count": whole(1, 100) | {"description": "So many matching events within the retention."},
    "min_value": {"type": "number", "description": "Their values sum to so much within the retention."},
    "customer_list_id": ID,
    "engagement_domain": many(TEXT),
    "engagement_type": {"type": "string", "enum": list(ENGAGEMENTS)},
    "engager_type": whole(1, 2),
    "pin_id": many(TEXT),
    "campaign_id": many(TEXT),
    "ad_id": many(TEXT),
    "objective_type": many({"type": "string", "enum": list(OBJECTIVES)}),
}
GROUPS = {
    "any": "At least one of these clauses holds.",
    "all": "Each of these clauses holds.",
    "none": "None of these clauses holds; without a retention, ever.",
}
RULE: dict[str, Any] = {
    "type": "object",
    "title": "AudienceRule",
    "properties": CLAUSE
    | {
        "ad_account_id": ID,
        "prefill": FLAG | {"default": True, "description": "Whether past events count."},
        "seed_id": many(ID),
        "country": TEXT,
        "percentage": whole(1, 10),
        "include_seed": FLAG | {"default": False, "description": "Whether the seed is in it too."},
    }
    | {
        name: many({"type": "object", "properties": CLAUSE}) | {"description": why}
        for name, why in GROUPS.items()
    },
}

AudienceRule = Annotated[dict[str, Any], msgspec.Meta(extra_json_schema=RULE)]
