"""The OpenAPI document: ours, whole, and a superset of the interface it keeps."""

from __future__ import annotations

import json
import pathlib

import pytest

from retag.rules.fields import FIELDS
from retag.web.api import TABLE
from retag.web.api.openapi import document

REFERENCE = pathlib.Path(__file__).parents[2] / "shared" / "reference" / "openapi"
LEFT_OUT = {
    "customer_list_uploads/create", "customer_list_uploads/get", "customer_list_uploads/run",
    "ocpm_eligible_conversion_tags/get", "page_visit_conversion_tags/get", "oauth/conversion_token",
}  # fmt: skip
"""Uploads straight to Amazon S3 (a closed beta), bidding, and OAuth: keys are made by `retag keys`."""


def resolved(schema, whole):
    """A schema with its reference followed and its `allOf` joined."""
    while "$ref" in schema:
        schema = whole["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    for part in schema.get("allOf", ()):
        part = resolved(part, whole)
        schema = schema | {"properties": part.get("properties", {}) | schema.get("properties", {})}
    return schema


def body(operation):
    return operation["requestBody"]["content"]["application/json"]["schema"]


def answer(operation):
    return operation["responses"]["200"]["content"]["application/json"]["schema"]


def operations(whole):
    for path, found in whole["paths"].items():
        for method, operation in found.items():
            yield path, method, operation


def reference():
    files = sorted(REFERENCE.glob("*.json"))
    for name in files:
        whole = json.loads(name.read_text())
        for path, method, operation in operations(whole):
            if operation["operationId"] not in LEFT_OUT:
                yield pytest.param(whole, path, method, id=operation["operationId"])
    if not files:
        skip = pytest.mark.skip(reason=f"no reference documents under {REFERENCE}")
        yield pytest.param(None, None, None, id="absent", marks=skip)


@pytest.mark.parametrize(("theirs", "path", "method"), list(reference()))
def test_every_operation_of_the_reference_is_there_with_its_fields(theirs, path, method):
    """A client made from Pinterest's document finds every path, parameter and field in ours."""
    ours = document(TABLE)
    known, mine = theirs["paths"][path][method], ours["paths"][path][method]
    assert mine["operationId"] == known["operationId"]
    assert names(known["parameters"], theirs) <= {one["name"] for one in mine["parameters"]}
    if "requestBody" in known:
        assert fields(body(known), theirs) <= fields(body(mine), ours)
    assert fields(answer(known), theirs) <= fields(answer(mine), ours)


def test_a_servers_event_has_every_field_of_the_reference():
    """Down to the person's data, the custom data and the items in it."""
    ours = document(TABLE)
    mine = resolved(body(ours["paths"]["/ad_accounts/{ad_account_id}/events"]["post"]), ours)
    event = mine["properties"]["data"]["items"]["properties"]
    assert {"event_name", "user_data", "custom_data"} <= set(event)
    for name in REFERENCE.glob("events.json"):
        theirs = json.loads(name.read_text())
        known = resolved(body(theirs["paths"]["/ad_accounts/{ad_account_id}/events"]["post"]), theirs)
        known = resolved(known["properties"]["data"]["items"], theirs)["properties"]
        assert set(known) <= set(event)
        custom = event["custom_data"]["anyOf"][0]["properties"]
        assert fields(known["custom_data"], theirs) <= set(custom)
        assert person(known["user_data"], theirs) <= set(event["user_data"]["properties"])
        item = known["custom_data"]["properties"]["contents"]["items"]
        assert fields(item, theirs) <= set(custom["contents"]["items"]["properties"])


def person(schema, whole):
    choices = resolved(schema, whole)["anyOf"]
    return {name for one in choices for name in fields({"$ref": one["$ref"]}, whole)}


def names(parameters, whole):
    follow = whole["components"]["parameters"]
    return {(follow[one["$ref"].rsplit("/", 1)[1]] if "$ref" in one else one)["name"] for one in parameters}


def fields(schema, whole):
    return set(resolved(schema, whole).get("properties", {}))


def test_every_route_is_documented_and_every_reference_resolves():
    """The document is made from the table, so it cannot fall behind."""
    ours = document(TABLE)
    text = json.dumps(ours)
    assert {(row.method.lower(), row.path.removeprefix("/v5")) for row in TABLE} == {
        (method, path) for path, method, _ in operations(ours)
    }
    for name in (part.split('"')[0] for part in text.split("#/components/schemas/")[1:]):
        assert name in ours["components"]["schemas"]


def test_the_rule_shows_every_field_of_the_reference_and_of_the_language():
    """Nothing can be said in a rule that the document does not name."""
    ours = document(TABLE)["components"]["schemas"]["AudienceCreate"]["properties"]["rule"]["properties"]
    assert set(FIELDS) <= set(ours)
    files = list(REFERENCE.glob("audiences.json"))
    for name in files:
        schemas = json.loads(name.read_text())["components"]["schemas"]
        assert set(schemas["AudienceRule"]["properties"]) <= set(ours)
