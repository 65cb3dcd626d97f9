"""The whole app on a file of its own, with its lifespan, and a browser's requests with valid defaults."""

from __future__ import annotations

import contextlib
import json
import pathlib
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx

from retag import app as retag_app
from retag.settings import Settings
from retag.store import registry, sqlite

CHROME = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36"
)


class Doorstep:
    """A running app: `beacon` posts events as the tag does, `pixel` asks as an image does."""

    def __init__(self, app: Any, client: httpx.AsyncClient, made: registry.Made) -> None:
        self.app, self.client, self.made = app, client, made
        self.tag, self.account, self.key = made.tag_id, int(made.ad_account_id), made.api_key

    @property
    def state(self) -> Any:
        return self.app.state

    async def beacon(self, *events: dict[str, Any], headers: dict[str, str] | None = None) -> httpx.Response:
        """POST /v3/ of JSON as text/plain; one event is an object, several are an array."""
        self.client.cookies.clear()
        bodies = [{"tid": self.tag, "event": "pagevisit", **event} for event in events or ({},)]
        body = json.dumps(bodies[0] if len(bodies) == 1 else bodies)
        return await self.post(body, headers)

    async def post(self, body: str | bytes, headers: dict[str, str] | None = None) -> httpx.Response:
        given = {"user-agent": CHROME, "content-type": "text/plain"} | (headers or {})
        return await self.client.post("/v3/", content=body, headers=given)

    async def pixel(self, headers: dict[str, str] | None = None, **params: str) -> httpx.Response:
        """GET /v3/."""
        self.client.cookies.clear()
        query = {"tid": self.tag, "event": "pagevisit", **params}
        return await self.client.get("/v3/", params=query, headers={"user-agent": CHROME} | (headers or {}))

    async def api(self, method: str, path: str, **given: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.key}"}
        return await self.client.request(
            method, f"/v5/ad_accounts/{self.account}{path}", headers=headers, **given
        )

    async def configure(self, **config: Any) -> None:
        """PATCH the tag."""
        answer = await self.api("PATCH", f"/conversion_tags/{self.tag}", json=config)
        assert answer.status_code == 200, answer.text

    async def rows(self, table: str = "log") -> int:
        row = await self.state.reader.one(f"SELECT count(*) FROM {table}")
        return int(row[0])


def prepared(folder: pathlib.Path) -> tuple[str, registry.Made]:
    """A new database file and what `retag init` gives."""
    path = str(folder / "retag.db")
    with contextlib.closing(sqlite.connect(path)) as cn:
        sqlite.migrate(cn)
        return path, registry.init(cn, time.time_ns() // 1_000_000, secrets.token_bytes(96))


@contextlib.asynccontextmanager
async def standing(folder: pathlib.Path, peer: str = "127.0.0.1", **settings: str) -> AsyncIterator[Doorstep]:
    """The app, started and stopped by its own lifespan; requests come from `peer`."""
    path, made = prepared(folder)
    app = retag_app.create(Settings.load({}, database=f"sqlite:///{path}", **settings))
    transport = httpx.ASGITransport(app, client=(peer, 4711))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
    ):
        yield Doorstep(app, client, made)
