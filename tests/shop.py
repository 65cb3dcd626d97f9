"""The v5 routes on a database of their own, and a client with a key: what the API's tests talk to."""

from __future__ import annotations

import contextlib
import pathlib
import secrets
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpx
from starlette.applications import Starlette

from retag import ingest
from retag.journal import Journal
from retag.keyring import Keyring
from retag.server_side import nowhere
from retag.settings import Settings
from retag.store import registry, sqlite
from retag.store.engine import SqliteStore
from retag.store.reader import Reader
from retag.upkeep import Upkeep
from retag.web import api, tagfile
from retag.web.api import export_links, exports, raw_events
from retag.web.arrivals import Arrivals
from retag.web.gate import Gate
from retag.web.mine import Personal
from retag.web.peers import Peers
from retag.web.tally import Tally


class Shop:
    """`client` sends the key, `v5` is the account's address, `state` the app's own."""

    def __init__(self, state: Any, client: httpx.AsyncClient, made: registry.Made, key: str) -> None:
        self.state = state
        self.client = client
        self.account, self.tag = int(made.ad_account_id), int(made.tag_id)
        self.key = key
        self.v5 = f"/v5/ad_accounts/{self.account}"

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


def prepared(path: pathlib.Path, scopes: Iterable[str]) -> tuple[registry.Made, str, list[bytes]]:
    """A new database with an account, a tag, and a key of these scopes."""
    with contextlib.closing(sqlite.connect(path)) as cn:
        sqlite.migrate(cn)
        now = time.time_ns() // 1_000_000
        made = registry.init(cn, now, secrets.token_bytes(96))
        account = int(made.ad_account_id)
        key = registry.create_key(cn, account, "test", scopes, now, secrets.token_bytes(40))
        return made, key, registry.signing_keys(cn)


@contextlib.asynccontextmanager
async def running(
    folder: pathlib.Path, scopes: Iterable[str] = registry.SCOPES, **settings: str
) -> AsyncIterator[Shop]:
    """The routes with real storage behind them; everything is closed in the end."""
    path = folder / "retag.db"
    made, key, keys = prepared(path, scopes)
    app = Starlette(
        routes=[
            *Personal().routes(),
            *export_links.Links().routes(),
            *api.routes(*exports.ROWS, *export_links.ROWS, *raw_events.ROWS),
        ]
    )
    state = app.state
    state.settings = Settings.load({}, database=f"sqlite:///{path}", **settings)
    state.arrivals, state.country_of, state.gate = Arrivals(), nowhere, Gate(rate_limits=False)
    state.journal = Journal(SqliteStore(path), on_folded=state.arrivals.folded)
    state.reader = Reader(path)
    state.journal.start()
    state.door, state.peers = ingest.Door({}, Keyring(keys)), Peers(())
    state.tag_file, state.tally = tagfile.TagFile(), Tally()
    upkeep = Upkeep(state.journal)
    upkeep.start()
    api.start(state)
    transport, headers = httpx.ASGITransport(app), {"authorization": f"Bearer {key}"}
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://shop", headers=headers) as client:
            yield Shop(state, client, made, key)
    finally:
        await api.stop(state)
        await upkeep.close()
        await state.journal.close()
        await state.reader.close()
