"""Reader: short read-only queries from the event loop, each fetched whole.

A cursor that is left half read pins the WAL, so nothing here hands one out; long lists are read in keyset
pages. A snapshot keeps one read transaction open for a few queries that must see the same state.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiosqlite

from retag.store import sqlite

CONNECTIONS = 3
Row = tuple[Any, ...]


class Snapshot:
    """Queries that all see one state of the database."""

    def __init__(self, cn: aiosqlite.Connection) -> None:
        self._cn = cn

    async def all(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        """Every row."""
        return [tuple(row) for row in await self._cn.execute_fetchall(sql, params)]

    async def one(self, sql: str, params: Sequence[Any] = ()) -> Row | None:
        """The first row, or None."""
        rows = await self.all(sql, params)
        return rows[0] if rows else None


class Reader:
    """A small pool of read-only connections to the file at `path`; opened at first use."""

    def __init__(self, path: str | Path, connections: int = CONNECTIONS) -> None:
        self._path = path
        self._idle: asyncio.Queue[aiosqlite.Connection | None] = asyncio.Queue()
        self._open: list[aiosqlite.Connection] = []
        self._opening: set[asyncio.Task[aiosqlite.Connection]] = set()
        for _ in range(connections):
            self._idle.put_nowait(None)

    async def all(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        """Every row of one query."""
        async with self._borrow() as cn:
            return await Snapshot(cn).all(sql, params)

    async def one(self, sql: str, params: Sequence[Any] = ()) -> Row | None:
        """The first row of one query, or None."""
        async with self._borrow() as cn:
            return await Snapshot(cn).one(sql, params)

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """Several queries on one state; keep it short, for it pins the WAL."""
        async with self._borrow() as cn:
            try:
                await cn.execute("BEGIN")
                yield Snapshot(cn)
            finally:
                await asyncio.shield(cn.rollback())

    @contextlib.asynccontextmanager
    async def _borrow(self) -> AsyncIterator[aiosqlite.Connection]:
        cn = await self._idle.get() or await self._another()
        try:
            yield cn
        except asyncio.CancelledError:
            # A cancelled query still runs (omnilib/aiosqlite#259): end it, then give the connection back.
            await cn.interrupt()
            raise
        finally:
            self._idle.put_nowait(cn)

    async def _another(self) -> aiosqlite.Connection:
        """One more connection; whoever is cancelled meanwhile leaves it to the next.

        An opening cancelled halfway would go on in its thread, and then answer a loop that may be closed.
        """
        opening = asyncio.create_task(_open(self._path))
        self._opening.add(opening)
        opening.add_done_callback(self._opened)
        try:
            return await asyncio.shield(opening)
        except BaseException:
            opening.add_done_callback(self._leave)
            raise

    def _opened(self, opening: asyncio.Task[aiosqlite.Connection]) -> None:
        self._opening.discard(opening)
        if not opening.cancelled() and opening.exception() is None:
            self._open.append(opening.result())

    def _leave(self, opening: asyncio.Task[aiosqlite.Connection]) -> None:
        failed = opening.cancelled() or opening.exception() is not None
        self._idle.put_nowait(None if failed else opening.result())

    async def close(self) -> None:
        """Close every connection; an unclosed one keeps the process from exiting."""
        await asyncio.gather(*self._opening, return_exceptions=True)
        for cn in self._open:
            with contextlib.suppress(sqlite3.Error):
                await cn.close()
        self._open.clear()


async def _open(path: str | Path) -> aiosqlite.Connection:
    cn = aiosqlite.Connection(lambda: sqlite.connect(path, readonly=True), iter_chunk_size=1024)
    return await cn
