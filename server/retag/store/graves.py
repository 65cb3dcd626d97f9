"""Graves: who was erased, by a keyed hash alone, and who objected."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from hashlib import blake2b

import msgspec

from retag.store import log
from retag.windows import EVER

SPARED = " AND visitor NOT IN (SELECT visitor FROM opt_out)"
"""A condition on rows with a visitor: those of objectors are left alone."""


class Graves(msgspec.Struct):
    """Erased visitors by hash; objectors by id, since when, UTC ms."""

    key: bytes = b""
    change: int = -1
    hashes: set[bytes] = msgspec.field(default_factory=set)
    opted_out: dict[bytes, int] = msgspec.field(default_factory=dict)

    @property
    def any(self) -> bool:
        return bool(self.hashes or self.opted_out)

    def objected(self, visitor: bytes, received: int) -> bool:
        """Whether an event arrived after its visitor had objected."""
        return received >= self.opted_out.get(visitor, EVER)

    def erased(self, visitor: bytes) -> bool:
        return bool(self.hashes) and bury(self.key, visitor) in self.hashes


def bury(key: bytes, visitor: bytes) -> bytes:
    """What is left of an erased visitor."""
    return blake2b(visitor, key=key, digest_size=16).digest()


def buried(cn: sqlite3.Connection, visitor: bytes) -> bool:
    """Whether this visitor was erased."""
    key = cn.execute("SELECT value FROM secret WHERE name = 'tombstone'").fetchone()[0]
    sql = "SELECT 1 FROM tombstone WHERE hash = ?"
    return cn.execute(sql, (bury(key, visitor),)).fetchone() is not None


def gone(cn: sqlite3.Connection, visitors: Iterable[bytes]) -> set[bytes]:
    """Those who were erased or who objected."""
    key = cn.execute("SELECT value FROM secret WHERE name = 'tombstone'").fetchone()[0]
    sql = (
        "SELECT EXISTS (SELECT 1 FROM opt_out WHERE visitor = ?)"
        " OR EXISTS (SELECT 1 FROM tombstone WHERE hash = ?)"
    )
    return {one for one in visitors if cn.execute(sql, (one, bury(key, one))).fetchone()[0]}


def load(cn: sqlite3.Connection, known: Graves) -> Graves:
    """Everybody; 16 bytes each in memory, and a set's overhead. `known` again if nothing was dug since."""
    change = log.progress(cn, "graves")
    if change == known.change:
        return known
    key = cn.execute("SELECT value FROM secret WHERE name = 'tombstone'").fetchone()[0]
    hashes = {row[0] for row in cn.execute("SELECT hash FROM tombstone").fetchall()}
    opted_out = dict(cn.execute("SELECT visitor, since FROM opt_out").fetchall())
    return Graves(key, change, hashes, opted_out)


def dig(cn: sqlite3.Connection) -> None:
    """Graves changed: whoever keeps them in memory reads them again."""
    log.set_progress(cn, "graves", log.progress(cn, "graves") + 1)
