"""Marks: what rules remember is kept whole, in few rows, and is carried over from older files."""

import msgspec
import pytest

from beds import HOUR, NOW, Bed, event, visitor
from retag.events import SOURCES
from retag.store import builds, marking, purging, sqlite
from retag.store.desk import live_builds
from retag.store.remembered import PART, unpack

LEFT = {"all": [{"event": "addtocart"}], "none": [{"event": "checkout"}]}
OFTEN = {"event": "pagevisit", "min_count": 3}
VIEWERS = {"event": "pagevisit"}
BEFORE = """
ALTER TABLE member ADD COLUMN memory BLOB;
CREATE TABLE places (visitor BLOB, seq INTEGER, PRIMARY KEY (visitor, seq)) WITHOUT ROWID;
INSERT INTO places SELECT visitor, seq FROM trail;
DROP VIEW memory;
DROP VIEW trail;
DROP TABLE visitor_file;
ALTER TABLE places RENAME TO trail;
PRAGMA user_version = 6;
"""


@pytest.fixture
def bed(tmp_path):
    return Bed(tmp_path / "a.db")


def shop(bed):
    """Visitors in, out and halfway in."""
    names = {
        1: ["addtocart"],
        2: ["addtocart", "checkout"],
        3: ["checkout"],
        4: ["pagevisit"] * 3,
        5: ["pagevisit"],
    }
    hours = range(20, 0, -1)
    bed.take(
        *(event(visitor=who, name=name, time=NOW - hour * HOUR, received=NOW)
          for who, some in names.items() for name, hour in zip(some, hours, strict=False))
    )  # fmt: skip


def rows_of(bed):
    return marking.load_rows(bed.cn, bed.rows("SELECT visitor, part FROM memory"))


def marks_of(bed):
    """Every mark that is stored, with what the traces say."""
    builds = live_builds(bed.cn)
    return {
        (build, who): unpack(mark, builds[build].rule, builds[build].traced, row.traces)
        for (who, _), row in rows_of(bed).items()
        for build, mark in row.marks.items()
    }


def known(bed):
    """The mark of each rule for each visitor, whether stored by itself or made of traces."""
    builds = live_builds(bed.cn)
    pairs = [(build, visitor(n)) for build in builds for n in range(1, 6)]
    marks = marking.load(bed.cn, [(who, build) for build, who in pairs], builds)
    return {pair: (*(one := marks[pair]).was, one.memories) for pair in pairs}


def traces_of(bed):
    return {who: set(row.traces.values()) for (who, _), row in rows_of(bed).items() if row.traces}


def test_a_window_is_a_row_only_where_there_is_one(bed):
    """Who is not in, and will not be by time alone, costs no row; what they did is remembered."""
    left, often = bed.audience(LEFT), bed.audience(OFTEN)
    shop(bed)
    assert bed.rows("SELECT build, visitor FROM member ORDER BY 1") == [(1, visitor(1)), (2, visitor(4))]
    assert {(build, who) for build, who in marks_of(bed)} == {
        *((1, visitor(n)) for n in (1, 2)),
        *((2, visitor(n)) for n in (4, 5)),
    }
    assert traces_of(bed) == {visitor(2): {NOW - 19 * HOUR}, visitor(3): {NOW - 20 * HOUR}}
    assert bed.members(left) == {visitor(1)}
    assert bed.members(often) == {visitor(4)}


def test_a_row_has_the_marks_of_so_many_builds_and_no_more(bed):
    """So a change of one rule's mark does not write those of hundreds."""
    for _ in range(PART + 3):
        bed.audience(LEFT)
    bed.take(event(name="addtocart"))
    assert bed.rows("SELECT part FROM memory ORDER BY 1") == [(0,), (1,)]
    assert bed.rows("SELECT count(*) FROM member") == [(PART + 3,)]


def test_what_is_not_asked_for_stays_as_it_was(bed):
    """One rule's matches leave the other rules' marks alone."""
    bed.audience(LEFT)
    bed.audience(OFTEN)
    shop(bed)
    before = marks_of(bed)
    bed.take(event(visitor=1, name="pagevisit"))
    after = marks_of(bed)
    assert after[1, visitor(1)] == before[1, visitor(1)]
    assert after.keys() - before.keys() == {(2, visitor(1))}


def test_an_older_file_keeps_what_its_rules_remember(bed):
    """Members, memories and windows are the same after the migration, and what comes next counts alike."""
    for rule in (LEFT, OFTEN, VIEWERS):
        bed.audience(rule)
    shop(bed)
    before, members = known(bed), bed.rows("SELECT * FROM member ORDER BY 1, 2")
    trail = bed.rows("SELECT visitor, seq FROM trail ORDER BY 1, 2")
    as_before(bed)
    assert sqlite.migrate(bed.cn) == max(sqlite.migrations())
    assert traces_of(bed) == {}
    assert known(bed) == before
    assert bed.rows("SELECT * FROM member ORDER BY 1, 2") == members
    assert bed.rows("SELECT visitor, seq FROM trail ORDER BY 1, 2") == trail
    bed.take(
        event(visitor=5, name="pagevisit", time=NOW - 1, received=NOW),
        event(visitor=5),
        event(visitor=1, name="checkout"),
    )
    assert bed.members(2_542_000_000_001) == set()
    assert bed.members(2_542_000_000_002) == {visitor(4), visitor(5)}


def as_before(bed):
    """The file as schema 6 had it: a row for every mark, with its memory."""
    builds, marks = live_builds(bed.cn), known(bed)
    for statement in sqlite._statements(BEFORE):
        bed.cn.execute(statement)
    for (build, who), (*window, memories) in marks.items():
        if not builds[build].rule.plain and any(memories):
            row = (build, who, *window, msgspec.msgpack.encode(memories))
            bed.cn.execute("INSERT OR REPLACE INTO member VALUES (?, ?, ?, ?, ?, ?)", row)


BOUGHT = {"event": "checkout"}


def left(days, **more):
    return {"all": [{"event": "addtocart"}], "none": [BOUGHT | {"retention_days": days}], **more}


def test_a_purchase_is_noted_once_however_many_rules_exclude_by_it(bed):
    """Each within its own time; a visitor of whom the rules know nothing else has no mark of any."""
    audiences = {days: bed.audience(left(days)) for days in (1, 7, 30)}
    bed.take(event(name="checkout", time=NOW - 5 * 24 * HOUR, received=NOW))
    assert marks_of(bed) == {}
    assert traces_of(bed) == {visitor(1): {NOW - 5 * 24 * HOUR}}
    bed.take(event(name="addtocart"))
    held = {days for days, audience in audiences.items() if bed.members(audience)}
    assert held == {1}
    later = NOW + 2 * 24 * HOUR + 1
    assert {days for days, audience in audiences.items() if bed.members(audience, later)} == {1, 7}


def test_a_trace_that_is_filled_in_for_one_rule_shuts_out_by_the_other_too(bed):
    """A rule still being filled in may hear of a purchase by another's backfill before its own."""
    bed.take(event(name="checkout", time=NOW - HOUR, received=NOW), now=NOW)
    one, other = bed.audience(left(1)), bed.audience(left(2))
    bed.take(event(name="addtocart"))
    assert bed.members(one) == bed.members(other) == {visitor(1)}
    for audience in (one, other):
        (build,) = bed.rows("SELECT id FROM build WHERE audience = ?", audience)[0]
        while not builds.backfill(bed.cn, build, 1, NOW):
            pass
        assert bed.members(one) == bed.members(other) == set()


def test_a_rule_that_is_not_to_know_what_was_before_it_shares_no_trace(bed):
    """`prefill: false` beside the same rule filled in: who bought before is no buyer to it."""
    bed.audience(left(30))
    bed.take(event(name="checkout", time=NOW - HOUR, received=NOW))
    audience = bed.audience(left(30, prefill=False))
    bed.take(event(name="addtocart"))
    assert bed.members(audience) == {visitor(1)}
    bed.take(event(name="checkout"))
    assert bed.members(audience) == set()


def test_a_purchase_that_was_somebody_elses_excludes_its_old_owner_no_more(bed):
    """A server's purchase goes to the visitor whom the browser's half names, and with it its trace."""
    audience = bed.audience(left(30))
    server = SOURCES["conversions_api"]
    bed.take(event(visitor=1, name="addtocart", people=[(1, "a" * 64)]))
    bed.take(event(visitor=9, name="checkout", event_id="x", source=server, people=[(1, "a" * 64)]))
    assert bed.members(audience) == set()
    bed.take(event(visitor=2, name="checkout", event_id="x"))
    assert bed.members(audience) == {visitor(1)}
    assert traces_of(bed) == {visitor(2): {NOW}}


def test_traces_go_when_no_rule_asks_for_them_any_more(bed):
    """As long as the rule that looks back furthest does, they stay."""
    bed.audience(left(1))
    audience = bed.audience(left(30))
    bed.take(event(name="checkout"))
    for days, kept in ((59, {visitor(1): {NOW}}), (61, {})):
        purging.forgotten(bed.cn, (b"", 0), NOW + days * 24 * HOUR)
        assert traces_of(bed) == kept
    bed.take(event(name="checkout"))
    bed.cn.execute("UPDATE build SET retired = ? WHERE audience = ?", (NOW, audience))
    purging.forgotten(bed.cn, (b"", 0), NOW + 32 * 24 * HOUR)
    assert bed.rows("SELECT count(*) FROM memory") == [(0,)]
