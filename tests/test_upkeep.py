"""Upkeep: backfill, erasure, objection, purge; and what must survive them."""

import asyncio
import contextlib

import pytest

from beds import ACCOUNT, DAY, HOUR, NOW, Bed, event, visitor
from retag import fold, people, rules, upkeep
from retag.events import SOURCES
from retag.journal import Journal
from retag.store import builds, estimate, lists, log, lookup, marking, purging, records, sqlite
from retag.store.engine import SqliteStore
from retag.web import mine

EMAIL = (1, "ab" * 32)


@pytest.fixture
def bed(tmp_path):
    return Bed(tmp_path / "bed.db")


def fill(bed, build, now=NOW):
    while not builds.backfill(bed.cn, build, 0.0001, now):
        pass
    for place in builds.list_places(bed.cn, build):
        while builds.fill_list(bed.cn, builds.Page(build, place), now):
            pass
    builds.finish(bed.cn, build, now)


def newest(bed):
    return bed.rows("SELECT max(id) FROM build")[0][0]


def test_new_rule_sees_the_log_behind_it(bed, monkeypatch):
    """Prefill: as if the rule had always been there; live events in between count exactly once."""
    monkeypatch.setattr(builds, "PART", 7)
    rule = {"event": "pagevisit", "min_count": 3}
    early = bed.audience(rule)
    bed.take(*(event(visitor=n % 10, time=NOW - n * HOUR) for n in range(25)))
    late = bed.audience(rule)
    build = newest(bed)
    assert bed.members(late) == set()
    builds.backfill(bed.cn, build, 0, NOW)
    bed.take(*(event(visitor=n % 10, time=NOW - HOUR) for n in range(4)))
    builds.backfill(bed.cn, build, 0.00001, NOW)
    fill(bed, build)
    assert bed.members(late) == bed.members(early) == {visitor(n) for n in range(5)}


def test_without_prefill_only_later_events_count(bed):
    """And the audience answers at once."""
    bed.take(event())
    audience = bed.audience({"event": "pagevisit", "prefill": False})
    assert newest(bed) == bed.rows("SELECT build FROM audience")[0][0]
    build = bed.rows("SELECT ready FROM build")
    bed.take(event(visitor=2))
    assert (bed.members(audience), build) == ({visitor(2)}, [(NOW,)])
    fold.refold(bed.cn, [visitor(1), visitor(2)], NOW)
    assert bed.members(audience) == {visitor(2)}


def test_no_visitor_is_told_of_an_audience_that_is_still_being_filled_in(bed):
    """Whoever bought before would be taken for somebody who did not."""
    bed.take(event(name="checkout"))
    bed.audience({"all": [{"event": "pagevisit"}], "none": [{"event": "checkout"}]})
    bed.audience({"event": "pagevisit"})
    bed.take(event())
    asked = ((visitor(1), ACCOUNT, NOW, NOW), (ACCOUNT, visitor(1), NOW))
    assert (bed.rows(mine.HELD, *asked[0]), lookup.held(bed.cn, *asked[1])) == ([], [])
    fill_all(bed)
    second = 2_542_000_000_002
    assert [row[0] for row in bed.rows(mine.HELD, *asked[0])] == [second]
    assert [one.id for one in lookup.held(bed.cn, *asked[1])] == [second]


def test_without_prefill_a_rule_with_a_list_counts_only_later_events_too(bed):
    """Who is on the list is filled in; what was done before the rule is not."""
    address = "ann@mail.example"
    shown = [(people.KINDS["em"], people.sha256(address))]
    list_id = customers(bed, address)
    bed.take(event(visitor=2))
    audience = bed.audience(
        {"event": "pagevisit", "any": [{"customer_list_id": str(list_id)}], "prefill": False}
    )
    everybody = bed.audience(
        {"any": [{"event": "pagevisit"}, {"customer_list_id": str(list_id)}], "prefill": False}
    )
    fill_all(bed)
    assert (bed.members(audience), bed.members(everybody)) == (set(), {visitor(1)})
    bed.take(event(people=shown), event(visitor=2))
    assert (bed.members(audience), bed.members(everybody)) == ({visitor(1)}, {visitor(1), visitor(2)})


def test_refold_in_the_middle_of_a_backfill_counts_nothing_twice(bed, monkeypatch):
    """What the backfill has not reached is left to it."""
    monkeypatch.setattr(builds, "PART", 5)
    bed.take(*(event(time=NOW - n * HOUR) for n in range(10)))
    audience = bed.audience({"event": "pagevisit", "min_count": 11})
    build = newest(bed)
    builds.backfill(bed.cn, build, 0, NOW)
    fold.refold(bed.cn, [visitor(1)], NOW)
    fill(bed, build)
    assert bed.members(audience) == set()
    bed.take(event())
    assert bed.members(audience) == {visitor(1)}


def test_edited_rule_answers_without_a_gap(bed):
    """The old build answers until the new one is whole, then is frozen, and the step says when."""
    bed.take(event(), event(name="checkout", visitor=2))
    audience = bed.audience({"event": "pagevisit"})
    fill(bed, newest(bed))
    first = newest(bed)
    bed.cn.execute("UPDATE audience SET rule = '{}'")
    fold.start_build(bed.cn, audience, {"event": "checkout"}, NOW, True)
    assert bed.members(audience) == {visitor(1)}
    fill(bed, newest(bed))
    assert bed.members(audience) == {visitor(2)}
    old, new = bed.rows("SELECT ready_step, retired_step FROM build ORDER BY id")
    assert old[0] < old[1] == new[0]
    bed.take(event(visitor=3))
    assert bed.rows("SELECT visitor FROM member WHERE build = ?", first) == [(visitor(1),)]


def test_list_fills_a_new_audience(bed, monkeypatch):
    """Everybody whom the list matches is in, page by page."""
    monkeypatch.setattr(builds, "PAGE", 3)
    bed.take(event())
    bed.cn.executemany(
        "INSERT INTO customer_match VALUES (7, ?, ?)", [(visitor(n), NOW - DAY) for n in range(8)]
    )
    audience = bed.audience({"customer_list_id": "7"}, kind="CUSTOMER_LIST")
    build = newest(bed)
    page = builds.Page(build, 0)
    while not builds.backfill(bed.cn, build, 1, NOW):
        pass
    while builds.fill_list(bed.cn, page, NOW):
        pass
    builds.finish(bed.cn, build, NOW)
    assert bed.members(audience) == {visitor(n) for n in range(8)}


async def test_upkeep_fills_by_itself(tmp_path):
    """A build begun by an API write is whole soon after, without being asked for."""
    bed = Bed(tmp_path / "a.db")
    bed.take(*(event(visitor=n) for n in range(50)))
    audience = bed.audience({"event": "pagevisit"})
    bed.cn.close()
    journal = Journal(SqliteStore(bed.path), now=lambda: NOW)
    journal.start()
    work = upkeep.Upkeep(journal, now=lambda: NOW)
    work.start()
    async with asyncio.timeout(30):
        while await journal.write(builds.unfinished):  # noqa: ASYNC110 (it looks at another thread)
            await asyncio.sleep(0.01)
    await work.close()
    await journal.close()
    assert len(Bed(bed.path).members(audience)) == 50


def everything_about(bed):
    """A visitor with a trace in every table."""
    bed.cn.execute(
        "INSERT INTO customer_list (id, account, name, list_type, created, updated)"
        " VALUES (7, ?, 'L', 'EMAIL', 0, 0)",
        (ACCOUNT,),
    )
    bed.cn.execute("INSERT INTO customer_record VALUES (7, ?, NULL)", (bytes.fromhex("ab" * 32),))
    audiences = [bed.audience({"event": "pagevisit"}), bed.audience({"event": "checkout"})]
    audiences.append(bed.audience({"customer_list_id": "7"}, kind="CUSTOMER_LIST"))
    fill(bed, newest(bed))
    bed.take(event(people=[EMAIL], event_id="x"), event(visitor=2, people=[EMAIL]))
    bed.take(event(source=SOURCES["conversions_api"], tag=0, event_id="y"))
    log.append(bed.cn, "bot_log", 1, [event()])
    bed.append(event(event_id="not yet folded"))
    return audiences


def test_erasure_leaves_no_byte(tmp_path):
    """Neither in the file nor in the WAL, but in the removals of the audiences they were in."""
    bed = Bed(tmp_path / "a.db")
    everything_about(bed)
    sqlite.checkpoint(bed.cn)

    async def erase():
        journal = Journal(SqliteStore(bed.path), now=lambda: NOW)
        journal.start()
        await journal.write(lambda cn: upkeep.erase(cn, ACCOUNT, visitor(1), NOW))
        rows = await journal.write(lambda cn: cn.execute("SELECT build, cause FROM transition").fetchall())
        await journal.write(lambda cn: cn.execute("DELETE FROM transition"))
        await journal.write(lambda cn: log.set_progress(cn, "wipe", 1))
        raw = bed.path.read_bytes() + bed.path.with_name("a.db-wal").read_bytes()
        await journal.close()
        return rows, raw

    bed.cn.close()
    rows, raw = asyncio.run(erase())
    assert [build for build, cause in rows if cause == 2] == [1, 3]
    assert visitor(1) not in raw
    assert visitor(2) in raw


def test_late_event_of_the_erased_is_dropped(bed):
    """It does not bring them back, not even into the log."""
    first, *_ = everything_about(bed)
    upkeep.erase(bed.cn, ACCOUNT, visitor(1), NOW)
    assert bed.members(first) == {visitor(2)}
    assert bed.take(event(), event(visitor=3)) == {"erased": 1, "counted": 1}
    assert bed.members(first) == {visitor(2), visitor(3)}
    assert visitor(1) not in {row[0] for row in bed.rows("SELECT visitor FROM log")}


def test_erasure_of_a_stranger_buries_the_id(bed):
    """So that what is still on its way is dropped."""
    upkeep.erase(bed.cn, ACCOUNT, visitor(1), NOW)
    assert bed.take(event()) == {"erased": 1}


def test_objection_empties_and_consent_restores(bed):
    """Out of every audience by a transition; later events do not count; consent brings back the past."""
    audience = bed.audience({"event": "pagevisit"})
    bed.take(event())
    upkeep.opt_out(bed.cn, visitor(1), NOW)
    assert bed.members(audience) == set()
    assert bed.rows("SELECT opens, cause FROM transition WHERE cause > 0") == [(NOW, 1)]
    assert bed.take(event(time=NOW + 1)) == {"opted_out": 1}
    upkeep.opt_in(bed.cn, visitor(1), NOW)
    assert bed.members(audience) == {visitor(1)}


def test_an_objector_is_in_no_audience_made_since(bed):
    """Neither by the log behind it nor by a list; and no estimate of one counts them."""
    list_id = customers(bed, "ann@mail.example")
    upkeep.opt_out(bed.cn, visitor(1), NOW)
    everybody, listed = bed.audience({}), bed.audience({"customer_list_id": str(list_id)}, "CUSTOMER_LIST")
    fill_all(bed)
    assert bed.members(everybody) == bed.members(listed) == set()
    rule = rules.parse("VISITOR", {"event": "pagevisit"})
    assert estimate.Sampler(bed.cn, ACCOUNT, rule, NOW).estimate(1).size == 0


def test_consent_restores_what_lists_say(bed):
    """Who is on a list is in its audience again, and in none of those without them."""
    list_id = customers(bed, "ann@mail.example")
    listed = bed.audience({"customer_list_id": str(list_id)}, "CUSTOMER_LIST")
    strangers = bed.audience({"none": [{"customer_list_id": str(list_id)}]})
    fill_all(bed)
    assert (bed.members(listed), bed.members(strangers)) == ({visitor(1)}, set())
    upkeep.opt_out(bed.cn, visitor(1), NOW)
    assert (bed.members(listed), bed.members(strangers)) == (set(), set())
    upkeep.opt_in(bed.cn, visitor(1), NOW)
    assert (bed.members(listed), bed.members(strangers)) == ({visitor(1)}, set())


def customers(bed, address):
    """A list of one e-mail address, which visitor 1 has shown."""
    batch = records.digest([address], "EMAIL")
    bed.take(event(people=[(people.KINDS["em"], people.sha256(address))]))
    list_id = lists.create(bed.cn, ACCOUNT, "Customers", "EMAIL", NOW)
    lists.enqueue(bed.cn, list_id, lists.ADD, batch.slices)
    assert lists.apply(bed.cn, NOW)
    return list_id


def fill_all(bed):
    for build in builds.unfinished(bed.cn):
        fill(bed, build)


def test_purge_leaves_audiences_alone(bed):
    """The raw events go; who is in stays while the window holds; no place is given again."""
    audience = bed.audience({"event": "pagevisit", "retention_days": 400})
    bed.take(*(event(visitor=n, time=NOW - 300 * DAY) for n in range(700)), event(visitor=9000))
    while purging.events(bed.cn, NOW - 90 * DAY):
        pass
    assert bed.rows("SELECT count(*) FROM log") == [(1,)]
    assert bed.rows("SELECT count(*) FROM trail") == [(1,)]
    assert len(bed.members(audience)) == 701
    assert log.next_place(bed.cn) == 702


@contextlib.asynccontextmanager
async def journaled(bed):
    bed.cn.close()
    journal = Journal(SqliteStore(bed.path), now=lambda: NOW)
    journal.start()
    try:
        yield journal
    finally:
        await journal.close()


async def test_a_sweep_purges_what_is_due_unless_the_clock_has_just_leapt(bed):
    """A clock that is a year ahead for a moment must not cost a year of events."""
    bed.take(event(time=NOW - 600 * DAY), event(time=NOW - 300 * DAY), event())
    clock = [NOW]
    async with journaled(bed) as journal:
        work = upkeep.Upkeep(journal, now=lambda: clock[0])
        left = []
        for now in (NOW, NOW + 365 * DAY, NOW):
            clock[0] = now
            await work.sweep()
            left.append(await journal.write(lambda cn: cn.execute("SELECT count(*) FROM log").fetchone()[0]))
        assert left == [2, 2, 2]


def test_refold_after_a_purge_keeps_what_the_purged_events_meant(bed):
    """Who bought once stays excluded for ever, though the purchase itself is gone from the log."""
    audience = bed.audience({"all": [{"event": "pagevisit"}], "none": [{"event": "checkout"}]})
    often = bed.audience({"event": "pagevisit", "min_count": 3, "retention_days": 500})
    plain = bed.audience({"event": "checkout", "retention_days": 500})
    bed.take(event(name="checkout", time=NOW - 300 * DAY), event(time=NOW - 299 * DAY))
    bed.take(event(time=NOW - 2 * DAY), event(time=NOW - 400 * DAY, received=NOW), event())
    while purging.events(bed.cn, NOW - 90 * DAY):
        pass
    before = bed.rows("SELECT * FROM member")
    assert bed.rows("SELECT count(*) FROM log") == [(3,)]
    fold.refold(bed.cn, [visitor(1)], NOW)
    assert bed.rows("SELECT * FROM member") == before
    assert [bed.members(one) for one in (audience, often, plain)] == [set(), {visitor(1)}, {visitor(1)}]


def test_purge_waits_for_fold_and_backfill(bed):
    """What has not reached an audience yet stays, however old."""
    bed.append(event(time=NOW - 300 * DAY))
    assert not purging.events(bed.cn, NOW)
    bed.fold()
    bed.audience({"event": "pagevisit"})
    assert not purging.events(bed.cn, NOW)
    assert bed.rows("SELECT count(*) FROM log") == [(1,)]


def test_ids_are_forgotten_after_nine_days_but_for_files_and_orders(bed):
    """A sweep over the whole table, slice by slice."""
    bed.take(
        *(event(event_id=f"{n}", visitor=n) for n in range(1200)),
        event(event_id="line", source=SOURCES["file_upload"]),
        event(name="checkout", data={"order_id": "A1"}),
    )
    for now, left in ((NOW + 9 * DAY, 1202), (NOW + 9 * DAY + 1, 2)):
        after = purging.ids(bed.cn, 0, now)
        while after:
            after = purging.ids(bed.cn, after, now)
        assert bed.rows("SELECT count(*) FROM seen") == [(left,)]


def test_transitions_and_frozen_builds_go_after_thirty_days(bed):
    """Then no as_of can name them."""
    audience = bed.audience({"event": "pagevisit"})
    bed.take(event())
    fold.start_build(bed.cn, audience, {"event": "checkout"}, NOW, True)
    fill(bed, newest(bed))
    purging.transitions(bed.cn, NOW + 30 * DAY)
    assert not purging.retired(bed.cn, NOW + 30 * DAY)
    assert bed.rows("SELECT count(*) FROM transition") == [(1,)]
    purging.transitions(bed.cn, NOW + 30 * DAY + 1)
    assert purging.retired(bed.cn, NOW + 30 * DAY + 1)
    assert bed.rows("SELECT (SELECT count(*) FROM transition) + (SELECT count(*) FROM member)") == [(0,)]


def test_what_lapsed_long_ago_goes_where_nothing_of_it_matters(bed):
    """Windows when no as_of reaches them; exclusions are remembered for as long as they exclude."""
    bed.audience({"event": "pagevisit", "retention_days": 1})
    bed.audience({"all": [{"event": "pagevisit", "retention_days": 1}], "none": [{"event": "checkout"}]})
    bed.take(event(), event(visitor=2), event(visitor=2, name="checkout"))
    for days, members, remembered in ((31, 3, 2), (40, 0, 1)):
        assert purging.lapsed(bed.cn, (0, b""), NOW + days * DAY) is None
        assert purging.forgotten(bed.cn, (b"", 0), NOW + days * DAY) is None
        assert bed.rows("SELECT count(*) FROM member") == [(members,)]
        assert bed.rows("SELECT count(*) FROM memory") == [(remembered,)]
    bed.take(event(visitor=2, time=NOW + 41 * DAY), now=NOW + 41 * DAY)
    assert bed.members(2_542_000_000_002, NOW + 41 * DAY) == set()


@pytest.mark.parametrize("crowd", [1, 500])
def test_a_slice_of_the_sweep_passes_few_events(bed, monkeypatch, crowd):
    """However many there are between what rules remember; of one visitor's it passes all over at once."""
    bed.audience({"all": [{"event": "pagevisit", "retention_days": 1}], "none": [{"event": "addtocart"}]})
    bed.take(event(visitor=999))
    filed = ((visitor(1 + place % crowd), place) for place in range(2, 1002))
    bed.cn.executemany("INSERT INTO visitor_file VALUES (?, ?, NULL)", filed)
    monkeypatch.setattr(purging, "WALK", 100)
    behind, slices = (b"", 0), 0
    while behind is not None:
        assert bed.rows("SELECT count(*) FROM memory") == [(1,)]
        behind, slices = purging.forgotten(bed.cn, behind, NOW + 40 * DAY), slices + 1
    assert slices == (2 if crowd == 1 else 11)
    assert bed.rows("SELECT count(*) FROM memory") == [(0,)]


def test_a_slice_of_the_sweep_goes_on_where_it_ended(bed, monkeypatch):
    """Between two parts of one visitor, or two visitors."""
    for _ in range(60):
        bed.audience({"all": [{"event": "pagevisit", "retention_days": 1}], "none": [{"event": "addtocart"}]})
    bed.take(*(event(visitor=number) for number in range(7)))
    left = bed.rows("SELECT count(*) FROM memory")[0][0]
    assert left > 7, "rules of several parts"
    monkeypatch.setattr(purging, "SLICE", 1)
    behind = (b"", 0)
    while left:
        behind, left = purging.forgotten(bed.cn, behind or (b"", 0), NOW + 40 * DAY), left - 1
        assert bed.rows("SELECT count(*) FROM memory") == [(left,)]


def test_what_a_rule_remembered_goes_with_it(bed):
    """A build that was replaced is forgotten by the sweep, the others are not."""
    left = {"all": [{"event": "pagevisit"}], "none": [{"event": "checkout"}]}
    audience = bed.audience(left)
    bed.audience(left)
    bed.take(event(), event(visitor=2))
    bed.cn.execute("UPDATE build SET retired = ? WHERE audience = ?", (NOW, audience))
    places = [(visitor(1), 0), (visitor(2), 0)]
    assert [len(one.marks) for one in marking.load_rows(bed.cn, places).values()] == [2, 2]
    purging.forgotten(bed.cn, (b"", 0), NOW)
    assert [len(one.marks) for one in marking.load_rows(bed.cn, places).values()] == [1, 1]


def test_file_shrinks_beyond_a_fifth_of_free_pages(bed):
    """In slices; below that, pages are kept for reuse."""
    bed.append(*(event(url="https://shop.example/" + "x" * 1000) for _ in range(4000)))
    bed.fold()
    bed.cn.execute("DELETE FROM log")
    pages = "PRAGMA page_count"
    before = bed.rows(pages)[0][0]
    slices = 0
    while purging.shrink(bed.cn):
        slices += 1
    free = bed.rows("PRAGMA freelist_count")[0][0]
    assert slices > 3
    assert bed.rows(pages)[0][0] < before / 2
    assert free <= max(0.2 * bed.rows(pages)[0][0], 128)


def test_newer_schema_is_refused_in_one_line(tmp_path):
    """And the file is left as it is."""
    Bed(tmp_path / "a.db").cn.execute("PRAGMA user_version = 99")
    with pytest.raises(sqlite.Unusable, match=r"newer Retag \(schema 99.*Upgrade"):
        SqliteStore(tmp_path / "a.db").open()


def test_foreign_and_damaged_files_are_refused(tmp_path):
    """Never recreated, never served."""
    with contextlib.closing(sqlite.connect(tmp_path / "other.db")) as cn:
        cn.execute("CREATE TABLE recipes (name TEXT)")
    with pytest.raises(sqlite.Unusable, match="another application"):
        SqliteStore(tmp_path / "other.db").open()
    (tmp_path / "text.db").write_text("This is no database at all. " * 100)
    with pytest.raises(sqlite.Unusable):
        SqliteStore(tmp_path / "text.db").open()
    bed = Bed(tmp_path / "a.db")
    bed.append(*(event(url="https://shop.example/" + "x" * 1000) for _ in range(200)))
    sqlite.checkpoint(bed.cn, "TRUNCATE")
    bed.cn.close()
    raw = bytearray((tmp_path / "a.db").read_bytes())
    raw[40 * 4096 : 48 * 4096] = b"\xa5" * (8 * 4096)
    (tmp_path / "a.db").write_bytes(raw)
    with pytest.raises(sqlite.Unusable, match="damaged"):
        SqliteStore(tmp_path / "a.db").open()


def test_pragmas_hold(bed):
    """The ones that promises rest on."""
    wanted = {
        "journal_mode": "wal",
        "synchronous": 2,
        "secure_delete": 1,
        "auto_vacuum": 2,
        "busy_timeout": 5000,
        "mmap_size": 0,
        "wal_autocheckpoint": 0,
        "trusted_schema": 0,
        "foreign_keys": 1,
    }
    assert {name: bed.rows(f"PRAGMA {name}")[0][0] for name in wanted} == wanted
