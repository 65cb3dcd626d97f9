"""A bed of its own for each test: a file with one account, events with valid defaults, what is in it."""

from __future__ import annotations

import contextlib
import itertools
import json
import sqlite3
from typing import Any

import msgspec

from retag import fold
from retag.draft import whole
from retag.events import SOURCES, Event
from retag.store import log, settle, sqlite
from retag.store.desk import Desk

NOW = 1_795_478_400_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
ACCOUNT, TAG = 549_755_885_175, 2_612_345_678_901


def visitor(number: int) -> bytes:
    return (0x0190_0000_0000_7000_8000 << 48).to_bytes(16, "big")[:12] + number.to_bytes(4, "big")


def event(**changes: Any) -> Event:
    """One page visit by visitor 1, now."""
    people = [[kind, value] for kind, value in changes.pop("people", [])]
    data = changes.pop("data", None)
    fields: dict[str, Any] = {
        "account": ACCOUNT,
        "tag": TAG,
        "visitor": visitor(1),
        "name": "pagevisit",
        "time": NOW,
        "received": NOW,
        "event_id": "",
        "source": SOURCES["tag"],
        "platform": 1,
        "url": "https://shop.example/",
        "data": json.dumps(data).encode() if data else b"",
        "people": json.dumps(people).encode() if people else b"",
        "context": b"",
    }
    if isinstance(changes.get("visitor"), int):
        changes["visitor"] = visitor(changes["visitor"])
    fields |= changes
    if "time" in changes and "received" not in changes:
        fields["received"] = fields["time"]
    return Event(**fields)


class Bed:
    """A migrated file; `append` and `fold` as the engine does, `audience` makes one."""

    def __init__(self, path: Any) -> None:
        self.path = path
        self.cn = sqlite.connect(path)
        sqlite.migrate(self.cn)
        self.desk = Desk()
        self.ids = itertools.count(2_542_000_000_001)
        with contextlib.suppress(sqlite3.IntegrityError):
            self.cn.execute("INSERT INTO account VALUES (?, 'Shop', 0)", (ACCOUNT,))

    def append(self, *events: Event) -> None:
        log.append(self.cn, "log", log.next_place(self.cn), events)

    def fold(self, now: int = NOW, most: int = 10_000) -> dict[str, int]:
        self.cn.execute("BEGIN IMMEDIATE")
        entries = log.read(self.cn, log.progress(self.cn, "folded"), most)
        self.desk.stale = True
        counts = {}
        if entries:
            self.desk.refresh(self.cn)
            batch = [settle.entry(*one) for one in entries]
            draft = whole(self.cn, self.desk, batch, entries[-1][0], now)
            counts, _ = fold.advance(self.cn, self.desk, draft, batch[len(draft.batch) :], now)
        self.cn.execute("COMMIT")
        return counts

    def take(self, *events: Event, now: int = NOW) -> dict[str, int]:
        """Append and fold: the counts by standing."""
        self.append(*events)
        return self.fold(now)

    def audience(self, rule: dict[str, Any], kind: str = "VISITOR", now: int = NOW) -> int:
        """A new audience; its id."""
        id_ = next(self.ids)
        sql = "INSERT INTO audience VALUES (?, ?, 'A', NULL, ?, ?, 0, ?, ?, NULL)"
        self.cn.execute("BEGIN IMMEDIATE")
        self.cn.execute(sql, (id_, ACCOUNT, kind, json.dumps(rule), now, now))
        build = fold.start_build(self.cn, id_, rule, now, rule.get("prefill", True))
        self.cn.execute("UPDATE audience SET build = ? WHERE id = ? AND build = 0", (build, id_))
        self.cn.execute("COMMIT")
        return id_

    def members(self, audience: int, at: int = NOW) -> set[bytes]:
        sql = (
            "SELECT visitor FROM audience a JOIN member m USING (build)"
            " WHERE a.id = ? AND m.opens <= ? AND m.closes > ?"
        )
        return {row[0] for row in self.cn.execute(sql, (audience, at, at))}

    def rows(self, sql: str, *params: Any) -> list[Any]:
        return self.cn.execute(sql, params).fetchall()

    def standings(self) -> list[int]:
        return [row[0] for row in self.rows("SELECT standing FROM log ORDER BY seq")]

    def everything(self) -> bytes:
        """All derived state, to compare one history with another."""
        tables = ("member", "memory", "trail", "identifier", "seen", "quarantine", "customer_match")
        state = [self.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables if table != "trail"]
        state.append(self.rows("SELECT visitor, seq FROM trail ORDER BY 1, 2"))
        state.append(self.rows("SELECT seq, visitor, standing FROM log ORDER BY seq"))
        return msgspec.msgpack.encode(state)
