"""Matching: customer lists meet identifiers that visitors have just shown.

The lists' own changes are store.lists' to apply; here the visitor is what is new.
"""

from __future__ import annotations

import sqlite3

import msgspec

from retag.store import bulk, showing
from retag.store.desk import Desk
from retag.store.membership import Touch

Link = tuple[showing.Identifier, bytes]


class Match(msgspec.Struct, frozen=True):
    """A customer list and a visitor whom it matches, or no longer matches."""

    account: int
    list: int
    visitor: bytes


def find(cn: sqlite3.Connection, links: list[Link]) -> list[Match]:
    """The lists that these identifiers are on."""
    if not links:
        return []
    accounts = {identifier[0] for identifier, _ in links}
    lists = {id_: a for id_, a in cn.execute("SELECT id, account FROM customer_list") if a in accounts}
    keys = [(one, i[2], visitor) for one, account in lists.items() for i, visitor in links if i[0] == account]
    source = "k CROSS JOIN customer_record r USING (list, value)"
    found = bulk.lookup(cn, keys, "list, value, visitor", "list, hex(visitor)", source)
    rows = sorted({(one, bytes.fromhex(visitor)) for one, visitor in found})
    return [Match(lists[one], one, visitor) for one, visitor in rows]


def owed(cn: sqlite3.Connection, after: int, upto: int) -> list[Match]:
    """The lists that match who showed an identifier at these places of the log, and are not noted yet."""
    sql = "SELECT visitor, account, people FROM log WHERE seq > ? AND seq <= ? AND people <> x''"
    known = "SELECT 1 FROM identifier WHERE account = ? AND kind = ? AND value = ? AND visitor = ?"
    noted = "SELECT 1 FROM customer_match WHERE list = ? AND visitor = ?"
    links = {
        ((account, kind, showing.value_of(kind, text)), visitor)
        for visitor, account, people in cn.execute(sql, (after, upto)).fetchall()
        for kind, text in showing.decode(people)
    }
    shown = [
        (one, visitor) for one, visitor in sorted(links) if cn.execute(known, (*one, visitor)).fetchone()
    ]
    return [one for one in find(cn, shown) if not cn.execute(noted, (one.list, one.visitor)).fetchone()]


def note(cn: sqlite3.Connection, matches: list[Match], since: int) -> None:
    """Visitors who showed an identifier that is on a list match that list from then on."""
    rows = [(one.list, one.visitor, since) for one in matches]
    bulk.insert(cn, "INSERT OR IGNORE INTO customer_match", rows)


def touches(desk: Desk, matches: list[Match], now: int) -> list[Touch]:
    """The clauses that name these lists."""
    return [
        (one.visitor, build.id, place, now, 0.0)
        for one in matches
        for build in desk.builds.values()
        if build.account == one.account
        for place, clause in enumerate(build.rule.clauses)
        if clause.list_id == one.list
    ]


def retell(cn: sqlite3.Connection, visitor: bytes, now: int) -> tuple[list[Match], list[Match]]:
    """After events changed hands, a visitor's identifiers are those that their events show.

    Returns the lists that match them, and those that no longer do.
    """
    sql = "SELECT l.account, l.people, l.time FROM trail t JOIN log l USING (seq) WHERE t.visitor = ?"
    shown: dict[showing.Identifier, int] = {}
    for account, people, time in cn.execute(sql, (visitor,)).fetchall():
        for kind, text in showing.decode(people) if people else ():
            one = (account, kind, showing.value_of(kind, text))
            shown[one] = max(time, shown.get(one, time))
    cn.execute("DELETE FROM identifier WHERE visitor = ?", (visitor,))
    bulk.insert(cn, "INSERT INTO identifier", [(*one, visitor, seen) for one, seen in sorted(shown.items())])
    gained = find(cn, [(one, visitor) for one in shown])
    note(cn, gained, now)
    return gained, _lost(cn, visitor, {one[2] for one in shown})


def _lost(cn: sqlite3.Connection, visitor: bytes, values: set[bytes]) -> list[Match]:
    lists = cn.execute("SELECT id, account FROM customer_list").fetchall()
    on = "SELECT 1 FROM customer_match WHERE list = ? AND visitor = ?"
    record = "SELECT 1 FROM customer_record WHERE list = ? AND value = ?"
    lost = [
        Match(account, id_, visitor)
        for id_, account in lists
        if cn.execute(on, (id_, visitor)).fetchone()
        and not any(cn.execute(record, (id_, value)).fetchone() for value in values)
    ]
    off = "DELETE FROM customer_match WHERE list = ? AND visitor = ?"
    cn.executemany(off, [(one.list, visitor) for one in lost])
    return lost
