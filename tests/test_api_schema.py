"""The API keeps the word of its own document: schemathesis asks, a running server answers."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from retag.web.api import TABLE, export_links, exports, raw_events
from server import Server, serving

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ROWS = [*TABLE, *exports.ROWS, *export_links.ROWS, *raw_events.ROWS]
EXAMPLES = 20


class Desk:
    """A server with one of everything, its document, and the ids that exist."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.key = {"Authorization": f"Bearer {server.key}"}
        self.schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
        audience = self._made("audiences", name="a", audience_type="VISITOR", rule={"event": "checkout"})
        alike = self._made("audiences", name="b", audience_type="ACTALIKE", rule={"seed_id": [audience]})
        customers = self._made("customer_lists", name="c", records="ann@mail.example")
        hook = self._made("webhooks", url="https://hooks.invalid/", events=["export.ready"])
        folder = {"audience_id": audience, "destination": "ads", "every_minutes": 1440}
        schedule = self._made("export_schedules", **folder)
        self.known = {
            "schedule_id": [schedule],
            "webhook_id": [hook],
            "audience_id": [audience, alike],
            "customer_list_id": [customers],
            "conversion_tag_id": [str(server.tag)],
            "visitor": ["ann@mail.example"],
        }

    def _made(self, what: str, **body: Any) -> str:
        address = f"{self.server.url}/v5/ad_accounts/{self.server.account}/{what}"
        answer = httpx.post(address, json=body, headers=self.key)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def ask(self, case: Any, existing: dict[str, str]) -> None:
        """One call of ours, with ids that exist where `existing` says so; it must be as documented."""
        for name in case.path_parameters:
            case.path_parameters[name] = existing.get(name, case.path_parameters[name])
        case.path_parameters["ad_account_id"] = str(self.server.account)
        case.headers.update(self.key)
        answer = case.call(base_url=f"{self.server.url}/v5", timeout=30)
        case.validate_response(answer, checks=CHECKS)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    out = str(tmp_path_factory.mktemp("out"))
    folder = tmp_path_factory.mktemp("schema")
    with serving(folder, rate_limits="off", too_small="0", export_folder=out) as server:
        yield Desk(server)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.operation)
def test_every_answer_is_as_the_document_says(desk: Desk, row: Any) -> None:
    """No 5xx, no undocumented status, type or shape, whatever is asked."""
    operation = desk.schema[row.path.removeprefix("/v5")][row.method]
    existing = st.fixed_dictionaries({}, optional={k: st.sampled_from(v) for k, v in desk.known.items()})

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(), existing)
    def asked(case: Any, existing: dict[str, str]) -> None:
        desk.ask(case, existing)

    asked()
    with urllib.request.urlopen(f"{desk.server.url}/readyz", timeout=5) as answer:
        assert answer.status == 200
