"""The composition root: settings become a Starlette app and a server. The one place that knows everything."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import secrets
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from retag import errors
from retag.clock import time_ms
from retag.ingest import Door
from retag.journal import Journal
from retag.keyring import Keyring
from retag.screen import Policy, Tag
from retag.server_side import nowhere
from retag.settings import Settings
from retag.store import registry
from retag.store.engine import SqliteStore
from retag.store.reader import Reader
from retag.store.sole import sole
from retag.upkeep import Upkeep
from retag.web import api, serving, shop, tagfile
from retag.web.answers import Answers
from retag.web.api import export_links, exports, raw_events
from retag.web.arrivals import Arrivals
from retag.web.collect import Collect, paths
from retag.web.console import Console
from retag.web.countries import Countries
from retag.web.gate import Gate
from retag.web.health import Health
from retag.web.letters import Letters
from retag.web.metrics import Metrics
from retag.web.mine import Personal
from retag.web.peers import Peers
from retag.web.privacy import Privacy
from retag.web.tally import Tally

log = logging.getLogger("retag")


class Retag(Starlette):
    """Starlette, with the door before everything: a beacon passes no middleware and no router.

    Behind our own protocol it does not even come here: `door` is what takes it there.
    """

    @property
    def door(self) -> Collect | None:
        """The door, once it is open."""
        found: Collect | None = getattr(self.state, "collect", None)
        return found

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = self.state.doors.get(scope["path"]) if scope["type"] == "http" else None
        if path is not None:
            scope["path"] = path
            await self.state.collect(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create(settings: Settings) -> Starlette:
    """The app. Its lifespan opens the database and closes it; app.state holds the parts by name.

    The lifespan raises errors.RetagError, in one line, when the database or the keys are not fit to serve.
    """
    arrivals = Arrivals()
    store = SqliteStore(settings.path)
    journal = Journal(store, limit=settings.queue, on_folded=arrivals.folded)
    gate = Gate(settings.rate_limits)
    health = Health(journal, gate, settings.file, settings.min_free_mb, settings.max_lag_ms)
    file, tally = tagfile.TagFile(settings.path_name), Tally()
    app = Retag(routes=routes(arrivals, health, file, tally), lifespan=lifespan)
    state = app.state
    state.tag_file, state.tally = file, tally
    state.doors = paths(settings.path_name)
    state.settings, state.arrivals, state.health, state.gate = settings, arrivals, health, gate
    state.store, state.journal, state.reader = store, journal, Reader(settings.path)
    state.stopping, state.made, state.fault = False, None, None
    return app


def routes(arrivals: Arrivals, health: Health, file: tagfile.TagFile, tally: Tally) -> list[BaseRoute]:
    """Every address but the door's, which `Retag` answers first."""
    console = Console(arrivals)
    return [
        *tagfile.routes(file),
        *shop.routes(),
        Route("/healthz", health.alive),
        Route("/readyz", health.ready),
        Route("/metrics", Metrics(arrivals, health, tally).answer),
        Route("/console", console.show),
        Route("/console/", console.show),
        Route("/console/feed", console.feed),
        *Privacy().routes(),
        *Personal().routes(),
        *export_links.Links().routes(),
        *api.routes(*exports.ROWS, *export_links.ROWS, *raw_events.ROWS),
    ]


@contextlib.asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    """Open everything in the order of the river, close it in the other."""
    async with contextlib.AsyncExitStack() as stack:
        try:
            await opened(app.state, stack)
        except Exception as error:
            app.state.fault = error
            raise
        yield


async def opened(state: Any, stack: contextlib.AsyncExitStack) -> None:
    """Everything that runs, each with its end pushed on the stack."""
    settings: Settings = state.settings
    state.country_of = Countries(settings.countries).of if settings.countries else nowhere
    stack.enter_context(sole(str(settings.file)))
    state.journal.start()
    stack.push_async_callback(state.journal.close)
    stack.push_async_callback(state.reader.close)
    entropy = secrets.token_bytes(96)
    state.made = await state.journal.write(lambda cn: registry.begin(cn, time_ms(), entropy))
    compose_door(state, *await state.journal.write(registry_of))
    stack.push_async_callback(state.collect.close)
    await state.tag_file.keep(state)
    upkeep = Upkeep(state.journal, days=settings.retention_days)
    upkeep.start()
    stack.push_async_callback(upkeep.close)
    api.start(state)
    stack.push_async_callback(api.stop, state)
    await state.kept.press.start()
    watch = asyncio.create_task(state.health.watch())
    stack.callback(watch.cancel)


def registry_of(cn: sqlite3.Connection) -> tuple[dict[int, Tag], list[bytes]]:
    """Tags and signing keys, oldest first."""
    return registry.load_tags(cn), registry.signing_keys(cn)


def compose_door(state: Any, tags: dict[int, Tag], keys: list[bytes]) -> None:
    """The door; the API tells it of changed tags by setting `state.door.tags`."""
    settings: Settings = state.settings
    ring = Keyring(keys)
    policy = Policy(dnt=settings.dnt, internal=settings.internal)
    door = state.door = Door(tags, ring, policy, state.store.banned)
    answers = Answers(door, Letters(ring))
    peers = state.peers = Peers(settings.trusted_proxies, state.country_of)
    word = settings.path_name
    state.collect = Collect(door, state.journal, state.gate, peers, answers, state.arrivals, word)


def serve(settings: Settings, on_start: Callable[[str, Any], None] = lambda _, __: None) -> None:
    """Serve until SIGTERM or SIGINT. `on_start` is told the address and the app's state.

    Raises what keeps it from starting, before anything was answered.
    """
    serving.log_to(sys.stderr, settings.log_level)
    serving.allow_open_files()
    app = create(settings)

    def start(address: str) -> None:
        log.info("serving on %s", address)
        on_start(address, app.state)

    def stop() -> None:
        log.info("stopping")
        app.state.stopping = True

    gc.set_threshold(20_000, 20, 50)  # requests make no cycles: look for some now and then
    with listening(settings) as socket:
        try:
            serving.Server(serving.config(app), start, stop).run([socket])
        except SystemExit:
            raise app.state.fault or CannotServe("It could not start: the log says why.") from None
    log.info("stopped")


class CannotServe(errors.RetagError):
    """The cause and the remedy, in one line."""


def listening(settings: Settings) -> socket.socket:
    """A socket on the settings' address. Raises CannotServe."""
    try:
        return serving.bound(settings.host, settings.port)
    except OSError as error:
        where = f"{settings.host} port {settings.port}"
        raise CannotServe(f"{where}: {error.strerror}. {serving.remedy(error)}") from None
