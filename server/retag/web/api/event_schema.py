"""A server's event in the OpenAPI document: what Pinterest's Conversions API names, as it is accepted here.

What is accepted is wider: numbers as texts and texts as numbers, one value for a list, any further key.
https://developers.pinterest.com/docs/api/v5/events-create
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from retag.server_side import MOST, PLATFORM
from retag.web.api.rule_schema import many

TEXT: dict[str, Any] = {"type": ["string", "null"]}
AMOUNT: dict[str, Any] = {"type": ["string", "number", "null"], "description": "A number, or one as text."}
COUNT: dict[str, Any] = {"type": ["integer", "string", "null"]}
FLAG: dict[str, Any] = {"type": ["boolean", "null"]}
PERSON: dict[str, Any] = {
    "oneOf": [TEXT, many({"type": "string"})],
    "description": "SHA-256 of the normalised value; a raw one is hashed on arrival.",
}


def of(schema: dict[str, Any], *names: str) -> dict[str, Any]:
    """Each of these names with the same schema."""
    return dict.fromkeys(names, schema)


def an_object(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, **more}


USER = an_object(
    of(PERSON, "em", "ph", "external_id", "hashed_maids")
    | of(PERSON, "ge", "db", "ln", "fn", "ct", "st", "zp", "country")
    | of(TEXT, "client_ip_address", "client_user_agent", "click_id", "partner_id"),
    description="em, hashed_maids, or client_ip_address with client_user_agent, at least.",
)
ITEM = an_object(
    of(TEXT, "id", "item_name", "item_category", "item_brand") | {"item_price": AMOUNT, "quantity": COUNT}
)
CUSTOM = an_object(
    of(TEXT, "currency", "content_name", "content_category", "content_brand", "order_id", "search_string")
    | of(TEXT, "opt_out_type", "np", "external_measurement_id")
    | of(COUNT, "num_items", "external_measurement_vendor_id")
    | of(AMOUNT, "value", "predicted_ltv")
    | {
        "content_ids": {"type": "array", "items": {"type": "string"}},
        "contents": {"type": "array", "items": ITEM},
    }
)
EVENT = an_object(
    {
        "event_name": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,100}$"},
        "action_source": {"type": "string", "enum": list(PLATFORM)},
        "event_time": {"type": "integer", "minimum": 1, "description": "UNIX seconds, not in the future."},
        "event_id": {"type": ["string", "null"], "description": "The same as the page's: one event."},
        "user_data": USER,
        "custom_data": {"anyOf": [CUSTOM, {"type": "null"}]},
        "event_source_url": TEXT,
        "opt_out": FLAG | {"description": "The person objects: the event is not stored."},
        "wifi": FLAG,
        "app_info": {"type": ["object", "null"]},
        "device_info": {"type": ["object", "null"]},
    }
    | of(TEXT, "partner_name", "app_id", "app_name", "app_version", "language", "os_version")
    | of(TEXT, "device_brand", "device_carrier", "device_model", "device_type"),
    title="ConversionEvent",
    required=["event_name", "action_source", "event_time", "user_data"],
)
ConversionEvent = Annotated[dict[str, Any], msgspec.Meta(extra_json_schema=EVENT)]
Events = Annotated[list[ConversionEvent], msgspec.Meta(min_length=1, max_length=MOST)]
