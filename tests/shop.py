"""A whole app on a file of its own, and a client with a key: what the API's tests talk to."""

from __future__ import annotations

from typing import Any

import httpx


class Shop:
    """A running app: `client` sends the key, `v5` is the account's address, `state` the app's own."""

    def __init__(self, app: Any, client: httpx.AsyncClient, account: int, tag: int) -> None:
        self.app = app
        self.client = client
        self.account = account
        self.tag = tag
        self.v5 = f"/v5/ad_accounts/{account}"

    @property
    def state(self) -> Any:
        return self.app.state

    async def ask(self, method: str, path: str, status: int = 200, **given: Any) -> Any:
        """The JSON answer, which must have this status."""
        response = await self.client.request(method, self.v5 + path, **given)
        assert response.status_code == status, response.text
        return response.json()

    async def audience(self, rule: dict[str, Any] | None = None, **changes: Any) -> Any:
        body = {"name": "Buyers", "audience_type": "VISITOR", "rule": rule or {"event": "checkout"}}
        return await self.ask("POST", "/audiences", json=body | changes)

    async def customer_list(self, records: str, **changes: Any) -> Any:
        return await self.ask("POST", "/customer_lists", json={"name": "Leads", "records": records} | changes)

    async def send(self, *events: dict[str, Any], test: bool = False) -> Any:
        return await self.ask("POST", f"/events?test={test}", json={"data": list(events)})
