"""Erasing: a visitor leaves every table; a keyed hash stays, so that a late event does not bring them back.

For 30 days the bare id also stays in the removals of the audiences they were in (table transition), because
whoever has downloaded those must learn whom to remove.
"""

from __future__ import annotations

import sqlite3

from retag import fold
from retag.store import graves, log, marking
from retag.store.settle import digest, key_of, tag_bytes
from retag.windows import EVER

OBJECTED, ERASED = 1, 2
"""Causes of a transition."""


def erase(cn: sqlite3.Connection, account: int, visitor: bytes, now: int) -> None:
    """Erase the visitor everywhere; the journal then empties the WAL, which still holds old pages."""
    key = cn.execute("SELECT value FROM secret WHERE name = 'tombstone'").fetchone()[0]
    cn.execute("INSERT OR IGNORE INTO tombstone VALUES (?, ?)", (graves.bury(key, visitor), now))
    graves.dig(cn)
    _leave(cn, visitor, now, ERASED)
    places = [row[0] for row in cn.execute("SELECT seq FROM trail WHERE visitor = ?", (visitor,))]
    waiting = "SELECT seq FROM log WHERE seq > ? AND visitor = ?"
    places += [row[0] for row in cn.execute(waiting, (log.progress(cn, "folded"), visitor))]
    for place in places:
        _forget_ids(cn, place, visitor)
    cn.executemany("DELETE FROM log WHERE seq = ?", [(place,) for place in places])
    for table in ("visitor_file", "identifier", "bot_log", "opt_out", "withheld", "consent_log"):
        cn.execute(f"DELETE FROM {table} WHERE visitor = ?", (visitor,))
    lists = cn.execute("SELECT id FROM customer_list WHERE account = ?", (account,)).fetchall()
    gone = [(row[0], visitor) for row in lists]
    cn.executemany("DELETE FROM customer_match WHERE list = ? AND visitor = ?", gone)
    log.set_progress(cn, "wipe", now)


def opt_out(cn: sqlite3.Connection, visitor: bytes, now: int) -> None:
    """The visitor objected: out of every audience now, and in none until `opt_in`."""
    cn.execute("INSERT OR IGNORE INTO opt_out VALUES (?, ?)", (visitor, now))
    graves.dig(cn)
    _leave(cn, visitor, now, OBJECTED)


def opt_in(cn: sqlite3.Connection, visitor: bytes, now: int) -> None:
    """The visitor agreed again: what they did before the objection counts again."""
    cn.execute("DELETE FROM opt_out WHERE visitor = ?", (visitor,))
    graves.dig(cn)
    fold.refold(cn, [visitor], now)
    on = (
        "SELECT l.account, l.id FROM customer_list l JOIN customer_match m ON m.list = l.id AND m.visitor = ?"
    )
    for account, list_id in cn.execute(on, (visitor,)).fetchall():
        fold.mark_list(cn, account, list_id, [visitor], [], now)


def withhold(cn: sqlite3.Connection, visitor: bytes, now: int) -> None:
    """The visitor stays in audiences, and their identifiers in no file for others, until `share`."""
    cn.execute("INSERT OR IGNORE INTO withheld VALUES (?, ?, ?)", (visitor, now, log.next_step(cn)))
    graves.dig(cn)


def share(cn: sqlite3.Connection, visitor: bytes, now: int) -> None:
    """The visitor agreed that their identifiers are given to others."""
    cn.execute("DELETE FROM withheld WHERE visitor = ?", (visitor,))


def _leave(cn: sqlite3.Connection, visitor: bytes, now: int, cause: int) -> None:
    """Every build loses the visitor, retired ones too; exports of those they were in are told."""
    sql = (
        "SELECT b.id, b.ready IS NOT NULL, m.opens, m.closes, m.last FROM build b"
        " JOIN member m ON m.build = b.id AND m.visitor = ?"
    )
    rows = cn.execute(sql, (visitor,)).fetchall()
    cn.execute("DELETE FROM likeness_member WHERE visitor = ?", (visitor,))
    cn.execute("DELETE FROM visitor_file WHERE visitor = ? AND place <= 0", (visitor,))
    cn.executemany("DELETE FROM member WHERE build = ? AND visitor = ?", [(r[0], visitor) for r in rows])
    for build, _, opens, closes, _ in rows:
        marking.shifts_of(cn).append((build, visitor, (opens, closes), (EVER, EVER)))
    was = {row[0]: tuple(row[2:]) for row in rows if row[1] and row[2] <= now}
    step = log.next_step(cn)
    into = "INSERT INTO transition (step, build, visitor, opens, closes, last, at, cause)"
    known = "SELECT DISTINCT build FROM transition WHERE build = ? AND visitor = ?"
    for (build,) in cn.execute("SELECT id FROM build WHERE ready IS NOT NULL").fetchall():
        before = was.get(build)
        if before is None and cn.execute(known, (build, visitor)).fetchone():
            before = (1 << 62, 1 << 62, 0)
        if before is not None:
            cn.execute(f"{into} VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (step, build, visitor, *before, now, cause))


def _forget_ids(cn: sqlite3.Connection, place: int, visitor: bytes) -> None:
    """The ids met in one event of the visitor."""
    sql = "SELECT account, tag, name, event_id, source FROM log WHERE seq = ?"
    row = cn.execute(sql, (place,)).fetchone()
    if row is None or not row[3]:
        return
    account, tag, name, event_id, source = row
    for key in {key_of(account, name, event_id, source), digest(account, name, event_id)}:
        cn.execute("DELETE FROM seen WHERE key = ? AND who = ?", (key, visitor + tag_bytes(tag)))
        cn.execute("DELETE FROM seen WHERE key = ? AND visitor = ?", (key, visitor))
