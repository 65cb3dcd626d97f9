"""The OpenAPI document of this server, made from the same table that makes the routes: /openapi.json."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from retag import __version__
from retag.formats import EVENT_FORMATS, FORMATS
from retag.press.codecs import CODECS
from retag.web.api.call import Row

QUERY: dict[str, dict[str, Any]] = {
    "bookmark": {"type": "string", "description": "Cursor of the next page, from the page before."},
    "order": {"type": "string", "enum": ["ASCENDING", "DESCENDING"], "description": "By id."},
    "page_size": {"type": "integer", "minimum": 1, "maximum": 250, "default": 25},
    "ownership_type": {"type": "string", "enum": ["OWNED", "RECEIVED"], "default": "OWNED"},
    "filter_deleted": {"type": "boolean", "default": False, "description": "Leave archived tags out."},
    "test": {"type": "boolean", "description": "Answer as always and store nothing."},
    "format": {"type": "string", "enum": list(FORMATS), "default": "csv"},
    "as_of": {"type": "string", "description": "An as_of of an earlier export: the same set again."},
    "since": {"type": "string", "description": "An as_of of an earlier export: only what changed after it."},
    "event": {"type": "string", "default": "checkout", "description": "The event that counts as acting."},
    "days": {"type": "integer", "minimum": 1, "maximum": 90, "default": 30, "description": "How far back."},
    "with": {"type": "string", "pattern": "^\\d+$", "description": "The other audience."},
    "fields": {"type": "string", "description": "Columns, separated by commas."},
    "from": {
        "type": "integer",
        "minimum": 0,
        "description": "Arrived from then on, UTC ms; a day ago.",
    },
    "to": {
        "type": "integer",
        "minimum": 0,
        "description": "Arrived before, UTC ms; now.",
    },
    "compress": {"type": "string", "enum": list(CODECS), "description": "A compressed file."},
    "spreadsheet": {"type": "boolean", "default": False, "description": "No free text is a formula."},
    "op": {"type": "string", "enum": ["add", "remove"], "description": "With since: one half of it."},
}
REFUSALS = {
    "400": "A parameter or the body is wrong; the message names the field and the remedy.",
    "401": "No key, or not one that is known here.",
    "403": "The key is of another ad account, or lacks the scope.",
    "404": "Not found.",
    "413": "The body is too large.",
    "429": "Too many requests this minute.",
    "503": "Overloaded; Retry-After says when to come back.",
}
TABLES = {"exports/create": FORMATS, "events/export": EVENT_FORMATS}
PACKED: dict[str, Any] = {codec.media_type: {} for codec in CODECS.values()}
STREAMS: dict[str, dict[str, Any]] = {
    name: {one.media_type.partition(";")[0]: {} for one in table.values()} | PACKED
    for name, table in TABLES.items()
}
"""What is answered that is no JSON: media types by operation."""
LATER = {
    "206": "A range of a finished export.",
    "304": "If-None-Match names these bytes.",
    "406": "The compression that is asked for is not installed here.",
    "410": "Too old, or somebody in it was erased or opted out since: take a full export.",
    "416": "The range is beyond the end.",
}
UNLIKE = {"409": "The audience is not of the type that this is for, or not yet ready for it."}
FULL = {"409": "There are as many as there may be, or another writes the same file."}
FURTHER = {"/webhooks": FULL, "/export_schedules": FULL, "/export": LATER, "/audiences": UNLIKE}
"""More refusals, by what the path holds; the first that fits."""
PATTERNS = {
    "visitor": {"type": "string", "minLength": 1, "maxLength": 512},
    "export_id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
}
DIGITS = {"type": "string", "pattern": "^\\d+$", "maxLength": 18}
ERROR = {
    "title": "Error",
    "type": "object",
    "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
    "required": ["code", "message"],
}


class Document:
    """The document, encoded once; an endpoint that serves it."""

    def __init__(self, rows: list[Row]) -> None:
        self.body = msgspec.json.format(msgspec.json.encode(document(rows)), indent=1)

    async def answer(self, _: Request) -> Response:
        """GET /openapi.json, no key needed."""
        return Response(self.body, media_type="application/json", headers={"cache-control": "max-age=60"})


def document(rows: list[Row]) -> dict[str, Any]:
    """OpenAPI 3.1 (whose schemas are JSON Schema, as msgspec writes them)."""
    types = list({kind: None for row in rows for kind in (row.takes, row.gives) if kind is not None})
    refs, schemas = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    known = dict(zip(types, refs, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for row in rows:
        paths.setdefault(without_host(row.path), {})[row.method.lower()] = operation(row, known)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Retag", "version": __version__, "license": {"name": "See the project's README"}},
        "servers": [{"url": "/v5"}],
        "security": [{"bearer": []}, {"basic": []}],
        "paths": paths,
        "components": {
            "schemas": {"Error": ERROR} | schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
            },
        },
    }


def without_host(path: str) -> str:
    return path.removeprefix("/v5")


def operation(row: Row, known: dict[Any, Any]) -> dict[str, Any]:
    """One operation object."""
    content = STREAMS.get(row.operation) or _json(known.get(row.gives, {}))
    refusals = REFUSALS | next((more for part, more in FURTHER.items() if part in row.path), {})
    given: dict[str, Any] = {
        "operationId": row.operation,
        "summary": row.summary,
        "parameters": [*map(_in_path, re.findall(r"{(\w+)", row.path)), *_in_query(row)],
        "responses": {"200": {"description": "Success", "content": content}}
        | {status: _refusal(why) for status, why in refusals.items()},
        "x-retag-scope": row.scope,
        "x-ratelimit-category": row.category,
    }
    if row.takes is not None:
        given["requestBody"] = {"required": True, "content": _json(known[row.takes])}
    return given


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": PATTERNS.get(name, DIGITS)}


def _in_query(row: Row) -> list[dict[str, Any]]:
    """The query's parameters; formats are the operation's own."""
    own = {"format": QUERY["format"] | {"enum": list(TABLES.get(row.operation, FORMATS))}}
    schemas = QUERY | own
    return [{"name": name, "in": "query", "required": False, "schema": schemas[name]} for name in row.query]


def _json(schema: Any) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _refusal(why: str) -> dict[str, Any]:
    return {"description": why, "content": _json({"$ref": "#/components/schemas/Error"})}
