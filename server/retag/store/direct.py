"""Direct: what a Reader does, without threads, for a process that has nothing else to do.

A query holds up the loop for its milliseconds; going to another thread and back would cost a third on top.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from retag.store import sqlite

Row = tuple[Any, ...]


class Direct:
    """One read-only connection to the file at `path`. After each read the loop has a turn; within a snapshot
    it has none, so nothing but queries may be awaited there."""

    def __init__(self, path: str | Path) -> None:
        self._cn = sqlite.connect(path, readonly=True)

    async def all(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        """Every row of one query."""
        rows = self._cn.execute(sql, params).fetchall()
        if not self._cn.in_transaction:
            await asyncio.sleep(0)
        return rows

    async def one(self, sql: str, params: Sequence[Any] = ()) -> Row | None:
        """The first row, or None."""
        rows = await self.all(sql, params)
        return rows[0] if rows else None

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Direct]:
        """Several queries on one state; keep it short, for it pins the WAL."""
        self._cn.execute("BEGIN")
        try:
            yield self
        finally:
            self._cn.execute("ROLLBACK")
        await asyncio.sleep(0)

    def close(self) -> None:
        self._cn.close()
