"""Purging: what has served its time leaves in small slices, and the file gives the space back.

Each function does one slice and says whether there is more.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from retag.rules import Rule
from retag.store import log, marking
from retag.store.desk import Builds, live_builds
from retag.store.remembered import Place, Row, unpack
from retag.windows import DAY, EVER, after

REMEMBERED = 9 * DAY
"""How long event ids are remembered: 7 days of lateness and 48 h between halves."""
TRANSITIONS = 30 * DAY
SLICE = 500
WALK = 5000
"""Rows of visitors' files that a slice passes: most are places of events, which cost next to nothing."""
PAGES = 128
FREE = 0.2
"""The file is shrunk when more than this share of it is free."""
Filed = tuple[bytes, int]
"""`(visitor, place in their file)`."""
LAST: Filed = (b"\xff" * 17, 0)
"""Behind every visitor."""


def events(cn: sqlite3.Connection, before: int, table: str = "log") -> bool:
    """Delete the oldest events, received before `before`; those not yet folded or backfilled stay."""
    sql = f"SELECT seq, visitor, received FROM {table} ORDER BY seq LIMIT {SLICE}"
    limit = _purgeable(cn) if table == "log" else EVER
    rows = [row for row in cn.execute(sql).fetchall() if row[2] < before and row[0] <= limit]
    if not rows:
        return False
    cn.executemany(f"DELETE FROM {table} WHERE seq = ?", [(seq,) for seq, _, _ in rows])
    if table == "log":
        gone = [(visitor, seq) for seq, visitor, _ in rows]
        cn.executemany("DELETE FROM visitor_file WHERE visitor = ? AND place = ?", gone)
    else:
        log.set_progress(cn, "apart", max(log.progress(cn, "apart"), rows[-1][0]))
    return len(rows) == SLICE


def _purgeable(cn: sqlite3.Connection) -> int:
    sql = "SELECT min(backfilled) FROM build WHERE ready IS NULL AND retired IS NULL"
    waiting = cn.execute(sql).fetchone()[0]
    folded = log.progress(cn, "folded")
    return folded if waiting is None else min(folded, waiting)


def transitions(cn: sqlite3.Connection, now: int) -> bool:
    """Delete transitions after 30 days: no as_of reaches back further."""
    sql = f"SELECT id, at FROM transition ORDER BY id LIMIT {SLICE}"
    rows = [(id_,) for id_, at in cn.execute(sql).fetchall() if at < now - TRANSITIONS]
    cn.executemany("DELETE FROM transition WHERE id = ?", rows)
    return len(rows) == SLICE


def retired(cn: sqlite3.Connection, now: int) -> bool:
    """Delete members of builds that no as_of can name: 30 days after they retired, or never answered."""
    sql = (
        "SELECT id FROM build b WHERE retired IS NOT NULL AND (retired < ? OR ready IS NULL)"
        " AND EXISTS (SELECT 1 FROM member WHERE build = b.id) LIMIT 1"
    )
    row = cn.execute(sql, (now - TRANSITIONS,)).fetchone()
    if row is None:
        return False
    some = f"SELECT visitor FROM member WHERE build = ?1 LIMIT {SLICE}"
    cn.execute(f"DELETE FROM member WHERE build = ?1 AND visitor IN ({some})", (row[0],))
    return True


def ids(cn: sqlite3.Connection, after: int, now: int) -> int:
    """Sweep the ids met behind key `after`; the key to go on from, 0 at the end."""
    rows = f"SELECT key FROM seen WHERE key > ? ORDER BY key LIMIT {SLICE}"
    last = cn.execute(f"SELECT max(key) FROM ({rows})", (after,)).fetchone()[0]
    if last is None:
        return 0
    sql = "DELETE FROM seen WHERE key > ? AND key <= ? AND met < ? AND length(who) <> 9"
    cn.execute(sql, (after, last, now - REMEMBERED))
    return int(last)


def lapsed(cn: sqlite3.Connection, after: tuple[int, bytes], now: int) -> tuple[int, bytes] | None:
    """Sweep windows that closed so long ago that no as_of can name them, behind `after`.

    Where to go on from, None at the end.
    """
    sql = (
        "SELECT build, visitor, closes FROM member WHERE (build, visitor) > (?, ?)"
        f" ORDER BY build, visitor LIMIT {SLICE}"
    )
    rows = cn.execute(sql, after).fetchall()
    gone = [(build, visitor) for build, visitor, closes in rows if closes < now - TRANSITIONS]
    cn.executemany("DELETE FROM member WHERE build = ? AND visitor = ?", gone)
    return (rows[-1][0], rows[-1][1]) if len(rows) == SLICE else None


def forgotten(cn: sqlite3.Connection, behind: Filed, now: int) -> Filed | None:
    """Sweep what rules remember, behind `behind`, where it cannot matter again or the rule is gone.

    Where to go on from, None at the end.
    """
    upto = _walk(cn, behind)
    sql = (
        "SELECT visitor, -place FROM visitor_file WHERE (visitor, place) > (?, ?)"
        f" AND (visitor, place) <= (?, ?) AND place <= 0 ORDER BY visitor, place LIMIT {SLICE}"
    )
    places: list[Place] = cn.execute(sql, (*behind, *(upto or LAST))).fetchall()
    builds, changed, at = live_builds(cn), {}, now - TRANSITIONS
    for place, row in marking.load_rows(cn, places).items():
        marks = {
            build: mark
            for build, mark in row.marks.items()
            if build in builds and not _worthless(builds[build].rule, mark, at)
        }
        spans = _spans(builds, place[1])
        traces = {trace: time for trace, time in row.traces.items() if after(time, spans.get(trace, 0)) >= at}
        if len(marks) < len(row.marks) or len(traces) < len(row.traces):
            changed[place] = Row(marks, traces)
    marking.save_rows(cn, changed)
    return (places[-1][0], -places[-1][1]) if len(places) == SLICE else upto


def _walk(cn: sqlite3.Connection, behind: Filed) -> Filed | None:
    """WALK places further, None beyond the end. A visitor's marks come before their events, which are passed
    over however many they are."""
    sql = (
        "SELECT visitor, place FROM visitor_file WHERE (visitor, place) > (?, ?)"
        f" ORDER BY visitor, place LIMIT 1 OFFSET {WALK - 1}"
    )
    row: Filed | None = cn.execute(sql, behind).fetchone()
    return row if row is None or row[1] <= 0 else (row[0], EVER)


def _spans(builds: Builds, part: int) -> dict[int, int]:
    """For how long each trace of a part matters to the rule that looks back furthest, ms."""
    return {
        trace: max(builds[one].rule.clauses[i].retention for one, some in parts[part].items() for i in some)
        for trace, parts in builds.sharing.items()
        if part in parts
    }


def _worthless(rule: Rule, kept: Any, at: int) -> bool:
    """Whether a mark told nothing any more at instant `at`: every match had served its time."""
    mark = unpack(kept, rule, {}, {})
    told = any(clause.list_id is not None or clause.seeds for clause in rule.clauses)
    over = mark.closes < at or mark.opens >= mark.closes
    memories = zip(rule.clauses, mark.memories or (), strict=False)
    return over and not told and all(after(int(m[0][0]), c.retention) < at for c, m in memories if m)


def shrink(cn: sqlite3.Connection) -> bool:
    """Give some free pages back to the disk while more than FREE of the file is free."""
    free = cn.execute("PRAGMA freelist_count").fetchone()[0]
    pages = cn.execute("PRAGMA page_count").fetchone()[0]
    if free <= max(pages * FREE, PAGES):
        return False
    cn.execute(f"PRAGMA incremental_vacuum({PAGES})").fetchall()
    return True
