"""Folding: the SQL of the fold. Everything is looked up and stored in bulk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from retag.events import Event
from retag.store import bulk, log
from retag.store.settle import NEWEST, Entry, Ledger, Move, Seen, halves, orders, probes, searches
from retag.store.showing import CUSTOMER, TOO_MANY, Identifier, Showings

unhex = bytes.fromhex


def load_ledger(cn: sqlite3.Connection, entries: Sequence[Entry]) -> Ledger:
    """The ids met that settling these events may ask for."""
    ids = sorted({key for one in entries for key in (one.key, one.order) if key})
    met = "k WHERE EXISTS (SELECT 1 FROM seen s WHERE s.key = k.key)"
    known = {row[0] for row in bulk.lookup(cn, [(key,) for key in ids], "key", "key", met)}
    # Most are new, and of these there is no more to ask.
    asked = [one for one in entries if one.key in known or one.order in known]
    columns = "s.key, hex(s.who), s.seq, s.time, s.pair, hex(s.visitor), s.met"
    keys = sorted({key for one in asked for key in probes(one)})
    rows = bulk.lookup(cn, keys, "key, who", columns, "k CROSS JOIN seen s USING (key, who)")
    # A constant event id may have countless rows. Enough to pair with are a server's rows, whose `who` is a
    # tag and so begins with two zero bytes, and those of the newest visitors.
    newest = f"SELECT who FROM seen WHERE key = k.key ORDER BY who DESC LIMIT {NEWEST}"
    for wanted, condition in (
        (halves, "s.who < x'0001'"),
        (searches, f"s.who >= max(x'0001', (SELECT min(who) FROM ({newest})))"),
        (orders, "true"),
    ):
        names = sorted({name for one in asked if (name := wanted(one))})
        source = f"k CROSS JOIN seen s ON s.key = k.key AND {condition}"
        rows += bulk.lookup(cn, [(name,) for name in names], "key", columns, source)
    return Ledger(
        Seen(key, unhex(who), seq, time, pair, unhex(visitor), met)
        for key, who, seq, time, pair, visitor, met in rows
    )


def save_ledger(cn: sqlite3.Connection, ledger: Ledger) -> None:
    rows = [(r.key, r.who, r.seq, r.time, r.pair, r.visitor, r.met) for r in ledger.changed()]
    bulk.insert(cn, "INSERT OR REPLACE INTO seen", sorted(rows))


def load_showings(cn: sqlite3.Connection, shown: set[Identifier], ranks: Mapping[int, int]) -> Showings:
    """Who showed these identifiers, the latest TOO_MANY of each and one more."""
    keys = sorted(shown)
    names = "account, kind, value"
    caught = bulk.lookup(
        cn, keys, names, "account, kind, hex(value)", "k CROSS JOIN quarantine q USING (account, kind, value)"
    )
    showings = Showings(ranks, [(account, kind, unhex(value)) for account, kind, value in caught])
    newest = (
        "SELECT visitor FROM identifier WHERE account = k.account AND kind = k.kind AND value = k.value"
        f" ORDER BY visitor DESC LIMIT {TOO_MANY + 1}"
    )
    source = (
        "k CROSS JOIN identifier i USING (account, kind, value)"
        f" WHERE i.visitor >= (SELECT min(visitor) FROM ({newest}))"
    )
    rows = bulk.lookup(cn, keys, names, "account, kind, hex(value), hex(visitor), seen", source)
    for account, kind, value, visitor, seen in rows:
        showings.load((account, kind, unhex(value)), unhex(visitor), seen)
    return showings


def load_shown(cn: sqlite3.Connection, showings: Showings, visitors: Iterable[bytes]) -> None:
    """How many identifiers these have shown, and whoever the loaded identifiers may belong to."""
    asked = {*visitors, *(visitor for known in showings.known.values() for visitor in known)}
    own = "FROM identifier i WHERE i.visitor = k.visitor"
    columns = f"hex(visitor), (SELECT count(*) {own}), EXISTS (SELECT 1 {own} AND i.kind = {CUSTOMER})"
    rows = bulk.lookup(cn, [(v,) for v in sorted(asked)], "visitor", columns, "k")
    showings.shown = {unhex(visitor): shown for visitor, shown, _ in rows}
    showings.customers = {unhex(visitor) for visitor, _, numbered in rows if numbered}


def save_showings(cn: sqlite3.Connection, showings: Showings) -> None:
    rows = [(*one, visitor, seen) for (one, visitor), seen in showings.changed.items()]
    tail = "ON CONFLICT DO UPDATE SET seen = max(seen, excluded.seen)"
    bulk.insert(cn, "INSERT INTO identifier", sorted(rows), tail)
    caught = [(*one, since) for one, since in showings.caught.items()]
    bulk.insert(cn, "INSERT OR IGNORE INTO quarantine", caught)


def known_visitors(cn: sqlite3.Connection, visitors: set[bytes]) -> set[bytes]:
    """Those of `visitors` who have an event already."""
    source = "k WHERE EXISTS (SELECT 1 FROM trail t WHERE t.visitor = k.visitor)"
    rows = bulk.lookup(cn, [(v,) for v in sorted(visitors)], "visitor", "hex(visitor)", source)
    return {unhex(row[0]) for row in rows}


def save_standings(cn: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    """Correct the log where an event does not count or changed hands."""
    fixed = [(one.visitor, one.standing, one.seq) for one in entries if one.moved]
    cn.executemany("UPDATE log SET visitor = ?, standing = ? WHERE seq = ?", fixed)
    refused: dict[int, list[int]] = {}
    for one in entries:
        if one.standing and not one.moved:
            refused.setdefault(one.standing, []).append(one.seq)
    for standing, places in refused.items():
        for some in bulk.blocks(places):
            sql = f"UPDATE log SET standing = {standing} WHERE seq IN ({','.join('?' * len(some))})"
            cn.execute(sql, some)


def file(cn: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    """Put every event, in order of their visitors, into its visitor's file."""
    rows = [(one.visitor, one.seq, None) for one in entries]
    bulk.insert(cn, "INSERT OR IGNORE INTO visitor_file", rows)


def load_settled(cn: sqlite3.Connection, after: int, upto: int, most: int) -> list[Entry]:
    """Up to `most` events behind place `after`, up to `upto`, that are decided, and in nobody's file."""
    filed = "SELECT 1 FROM visitor_file f WHERE f.visitor = log.visitor AND f.place = log.seq"
    sql = (
        f"SELECT seq, standing, {log.COLUMNS} FROM log"
        f" WHERE seq > ? AND seq <= ? AND NOT EXISTS ({filed}) ORDER BY seq LIMIT ?"
    )
    found = [(seq, standing, Event(*row)) for seq, standing, *row in cn.execute(sql, (after, upto, most))]
    return [Entry(seq, event, event.visitor, standing) for seq, standing, event in found]


def save_moves(cn: sqlite3.Connection, moves: Sequence[Move]) -> None:
    """Give earlier events to the visitor that their browser's half named."""
    cn.executemany("UPDATE log SET visitor = ? WHERE seq = ?", [(m.taker, m.seq) for m in moves])
    gone = "DELETE FROM visitor_file WHERE visitor = ? AND place = ?"
    cn.executemany(gone, [(m.giver, m.seq) for m in moves])
    bulk.insert(cn, "INSERT OR IGNORE INTO visitor_file", [(m.taker, m.seq, None) for m in moves])


def drop(cn: sqlite3.Connection, places: list[int]) -> None:
    """Delete events of the erased; the WAL, which still holds them, is emptied when there is time."""
    cn.executemany("DELETE FROM log WHERE seq = ?", [(seq,) for seq in places])
    if places:
        log.set_progress(cn, "wipe", 1)
