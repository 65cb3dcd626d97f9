"""The journal: nothing is acknowledged before it is on disk, nothing is lost in silence."""

import asyncio
import contextlib
import itertools
import sqlite3
import threading
import time

import pytest

from beds import ACCOUNT, NOW, Bed, event, visitor
from retag import errors, upkeep
from retag.journal import Journal
from retag.store import engine, erasing, sqlite, wal
from retag.store.engine import SqliteStore
from retag.writer import Submission


@contextlib.asynccontextmanager
async def running(path, **options):
    """A started journal on the file, with an account; closed at the end."""
    one = Journal(SqliteStore(path), now=lambda: NOW, **options)
    one.start()
    try:
        await one.write(lambda cn: cn.execute("INSERT OR IGNORE INTO account VALUES (?, 'S', 0)", (ACCOUNT,)))
        yield one
    finally:
        await one.close()


def stored(path, sql="SELECT event_id FROM log ORDER BY seq"):
    with contextlib.closing(sqlite.connect(path, readonly=True)) as cn:
        return [row[0] for row in cn.execute(sql)]


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 (it looks at another thread)
            await asyncio.sleep(0.005)


async def test_append_returns_when_the_event_is_in_the_file(tmp_path):
    """Another connection sees it at once."""
    async with running(tmp_path / "a.db") as one:
        await one.append([event(event_id="1"), event(event_id="2")])
        assert stored(tmp_path / "a.db") == ["1", "2"]


async def test_what_waits_is_one_transaction(tmp_path):
    """Group commit: a hundred requests, few commits, all answered."""
    async with running(tmp_path / "a.db") as one:
        gate = threading.Event()
        blocked = asyncio.ensure_future(one.write(lambda cn: gate.wait(30)))
        commits = []
        inner = one.store.append
        one.store.append = lambda events, apart: (commits.append(len(events)), inner(events, apart))
        waiting = [asyncio.ensure_future(one.append([event(event_id=str(n))])) for n in range(100)]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(*waiting, blocked)
        assert sum(commits) == 100
        assert len(commits) <= 3


async def test_nobody_waits_for_a_slice_and_a_checkpoint_together(tmp_path, monkeypatch):
    """What came while a slice was written is on disk before the file is held up again."""
    monkeypatch.setattr(engine, "WAL_DUE", 0)
    monkeypatch.setattr(engine, "LOOK_S", 0.0)
    late, left = [], []
    async with running(tmp_path / "a.db") as one:
        writer, fold, whole = one._writer, one.store.fold, sqlite.checkpoint

        def slow(*given):
            folded = fold(*given)
            if not late:
                late.append(event(event_id="late"))
                writer.queue.append(Submission(late, (), lambda error: None, time.monotonic()))
            return folded

        def checkpoint(cn, mode):
            if late:
                left.append((len(writer.queue), stored(tmp_path / "a.db")[-1]))
            return whole(cn, mode)

        one.store.fold = slow
        monkeypatch.setattr(sqlite, "checkpoint", checkpoint)
        await one.append([event(event_id="early")])
        await until(lambda: left)
    assert left[0] == (0, "late")


async def test_poison_row_is_refused_and_the_rest_kept(tmp_path):
    """A number too large for the file, a lone surrogate: only their own requests fail."""
    async with running(tmp_path / "a.db") as one:
        gate = threading.Event()
        blocked = asyncio.ensure_future(one.write(lambda cn: gate.wait(30)))
        bad = {7: event(time=1 << 70), 13: event(url="\ud800")}
        events = [bad.get(n, event(event_id=str(n))) for n in range(20)]
        waiting = [asyncio.ensure_future(one.append([e])) for e in events]
        await asyncio.sleep(0)
        gate.set()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        await blocked
        assert {n for n, answer in enumerate(answers) if isinstance(answer, errors.Poison)} == {7, 13}
        assert [answer for n, answer in enumerate(answers) if n not in bad] == [None] * 18
        assert len(stored(tmp_path / "a.db")) == 18


async def test_full_queue_refuses_at_once(tmp_path):
    """503, counted, and nothing of the request is stored."""
    async with running(tmp_path / "a.db", limit=3) as one:
        gate = threading.Event()
        blocked = asyncio.ensure_future(one.write(lambda cn: gate.wait(30)))
        waiting = [asyncio.ensure_future(one.append([event()])) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(errors.Overloaded):
            await one.append([event()])
        gate.set()
        await asyncio.gather(blocked, *waiting)
        await one.append([event()])
        assert len(stored(tmp_path / "a.db")) == 4


async def test_close_drains_and_folds(tmp_path):
    """What was queued is stored, what was stored is folded, and no WAL is left."""
    async with running(tmp_path / "a.db") as one:
        waiting = [asyncio.ensure_future(one.append([event()])) for _ in range(50)]
        await asyncio.sleep(0)
    await asyncio.gather(*waiting)
    assert not (tmp_path / "a.db-wal").exists()
    assert stored(tmp_path / "a.db", "SELECT value FROM progress WHERE name = 'folded'") == [50]
    with pytest.raises(errors.Overloaded):
        await one.append([event()])


async def test_what_is_handed_over_while_it_closes_is_stored(tmp_path):
    """The writer has found nothing to do; before it looks whether to end, an event and the end arrive."""
    async with running(tmp_path / "a.db") as one:
        looked, go_on = threading.Event(), threading.Event()
        inner = one._writer._fold_due

        def late():
            looked.set()
            return inner() or (go_on.wait(30) and False)

        one._writer._fold_due = late
        one._writer._bell.set()
        await asyncio.to_thread(looked.wait, 30)
        waiting = asyncio.ensure_future(one.append([event(event_id="late")]))
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(one.close())
        await asyncio.sleep(0)
        go_on.set()
        async with asyncio.timeout(30):
            await asyncio.gather(waiting, closing)
    assert stored(tmp_path / "a.db") == ["late"]


async def test_fold_follows_without_being_asked(tmp_path):
    """Within a second of the acknowledgement, and the counts are told."""
    told = []
    async with running(tmp_path / "a.db", on_folded=told.append) as one:
        await one.append([event(event_id="x"), event(event_id="x")])
        await until(lambda: one.store.waiting()[0] == 0 and told)
        assert told[0].counts == {"counted": 1, "duplicate": 1}
        assert one.lag()[1:] == (0, 0)


async def test_what_was_acknowledged_is_counted_when_it_is_settled(tmp_path, monkeypatch):
    """The file knows before the loop is told: whoever asks for the figures waits for both."""
    told = []
    async with running(tmp_path / "a.db", on_folded=lambda folded: told.append(folded.events)) as one:
        pace = one._writer._slices._pace
        learn = pace.folded
        monkeypatch.setattr(pace, "folded", lambda *took: (time.sleep(0.1), learn(*took)))
        await one.append([event(event_id="1")])
        await one.settled(30)
        assert sum(told) == 1


async def test_places_are_never_given_twice(tmp_path):
    """Even when the newest row was deleted, and the process started again."""
    async with running(tmp_path / "a.db") as one:
        await one.append([event(), event()])
        await until(lambda: one.store.waiting()[0] == 0)
        await one.write(lambda cn: cn.execute("DELETE FROM log WHERE seq = 2"))
    async with running(tmp_path / "a.db") as one:
        await one.append([event()])
    assert stored(tmp_path / "a.db", "SELECT seq FROM log") == [1, 3]


async def test_another_process_may_write_too(tmp_path):
    """An import beside the server: neither overwrites the other's places."""
    async with running(tmp_path / "a.db") as one, running(tmp_path / "a.db") as two:
        for n in range(20):
            await (one if n % 2 else two).append([event(event_id=str(n))])
    assert sorted(stored(tmp_path / "a.db"), key=int) == [str(n) for n in range(20)]
    assert stored(tmp_path / "a.db", "SELECT count(*) FROM trail") == [20]


def test_a_draft_does_not_outlive_what_it_was_made_of(tmp_path):
    """An audience that another process makes between draft and fold gets the events that were drafted."""
    store = SqliteStore(tmp_path / "a.db")
    store.open()
    bed = Bed(tmp_path / "a.db")
    store.append([event(), event(visitor=visitor(2))], ())
    for _ in store.draft(NOW, 10):
        pass
    audience = bed.audience({"event": "pagevisit"})
    assert store.fold(NOW, 10).counts == {"counted": 2}
    assert bed.members(audience) == {visitor(1), visitor(2)}
    store.close()


def test_events_that_come_while_a_fold_is_drafted_wait_for_the_next(tmp_path):
    """Each is folded once."""
    bed = Bed(tmp_path / "a.db")
    often = bed.audience({"event": "pagevisit", "min_count": 3})
    store = SqliteStore(tmp_path / "a.db")
    store.open()
    store.append([event(time=NOW + n) for n in range(2)], ())
    steps = 0
    for _ in store.draft(NOW, 10):
        store.append([event(time=NOW + 10 + steps)], ())
        steps += 1
    assert steps > 0
    assert store.fold(NOW, 10).events == 2
    assert bed.members(often, NOW + 20) == set()
    assert (store.waiting()[0], store.fold(NOW, 10).events) == (steps, steps)
    assert bed.members(often, NOW + 20) == {visitor(1)}
    store.close()


def test_events_that_come_while_nothing_is_drafted_are_not_passed_over(tmp_path):
    """The watermark moves to where the draft ended, though the log is longer by then."""
    store = SqliteStore(tmp_path / "a.db")
    store.open()
    store.append([event(visitor=visitor(1))], ())
    store.write(lambda cn: erasing.erase(cn, ACCOUNT, visitor(1), NOW))
    for _ in store.draft(NOW, 10):
        pass
    store.append([event(visitor=visitor(2))], ())
    assert store.fold(NOW, 10).waiting == 1
    assert store.fold(NOW, 10).events == 1
    assert store.write(lambda cn: cn.execute("SELECT visitor FROM trail").fetchall()) == [(visitor(2),)]
    store.close()


def test_a_fold_is_written_in_portions_and_a_job_finds_none_of_them_alone(tmp_path):
    """What was settled and two visitors at a time, the last two with the watermark; broken off in between, it
    is gone on with before anybody else writes."""
    store = SqliteStore(tmp_path / "a.db")
    store.open()
    audience = Bed(tmp_path / "a.db").audience({"event": "pagevisit"})

    def count(cn):
        sql = "SELECT (SELECT count(*) FROM member), (SELECT value FROM progress WHERE name = 'folded')"
        return cn.execute(sql).fetchone()

    def drafted(first):
        store.append([event(visitor=visitor(n)) for n in range(first, first + 10)], ())
        for _ in store.draft(NOW, 10, 2):
            pass

    drafted(0)
    assert [count(store._cn) for _ in store.portions()] == [(n, None) for n in (0, 2, 4, 6, 8)]
    assert (store.fold(NOW, 10).events, count(store._cn)) == (10, (10, 10))
    drafted(10)
    portions = store.portions()
    assert list(itertools.islice(portions, 3)) == [None] * 3
    assert count(store._cn) == (14, 10)
    assert store.write(count) == (20, 20)
    assert Bed(tmp_path / "a.db").members(audience) == {visitor(n) for n in range(20)}
    store.close()


@pytest.mark.parametrize(("commit", "between"), [(20.0, 2), (0.5, 49)])
def test_a_disk_that_takes_its_time_leaves_the_fold_its_turn(tmp_path, monkeypatch, commit, between):
    """Events wait at each of fifty steps of a draft: it goes on for as long as the commit before it took."""
    clock, commits = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    store = SqliteStore(tmp_path / "a.db")
    store.open()
    inner = store.append

    def append(events, apart):
        inner(events, apart)
        clock[0] += commit
        commits.append(len(events))

    monkeypatch.setattr(store, "append", append)
    one = Journal(store)._writer
    one._loop = asyncio.new_event_loop()
    for step in range(50):
        one.queue.append(Submission([event()], (), lambda error: None, clock[0]))
        if step:
            one._slices._between()
        else:
            one._commit_waiting()
        clock[0] += 1
    assert len(commits) == 1 + between
    one._loop.close()
    store.close()


@pytest.mark.parametrize("failing", ["_data_version", "advance"])
def test_a_fold_that_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch, failing):
    """Neither an open transaction, nor commits that are not on disk; and it is folded again, once."""
    store = SqliteStore(tmp_path / "a.db")
    store.open()
    store.append([event(event_id="1")], ())
    for _ in store.draft(NOW, 10):
        pass

    def fail(*_):
        raise sqlite3.OperationalError("out of memory")

    with monkeypatch.context() as broken:
        broken.setattr(engine.fold if failing == "advance" else store, failing, fail)
        with pytest.raises(sqlite3.OperationalError, match="out of memory"):
            store.fold(NOW, 10)
    assert not store._cn.in_transaction
    assert store._cn.execute("PRAGMA synchronous").fetchone() == (2,)
    store.append([event(event_id="2")], ())
    assert store.fold(NOW, 10).counts == {"counted": 2}
    store.close()


def test_what_was_committed_is_not_folded_again(tmp_path, monkeypatch):
    """Though something fails just behind the commit: every event would be its own duplicate."""
    store = SqliteStore(tmp_path / "a.db")
    store.open()
    store.append([event(event_id="1")], ())

    @contextlib.contextmanager
    def failing():
        yield
        raise sqlite3.OperationalError("out of memory")

    with monkeypatch.context() as broken:
        broken.setattr(store, "_lightly", failing)
        with pytest.raises(sqlite3.OperationalError, match="out of memory"):
            store.fold(NOW, 10)
    store.append([event(event_id="2")], ())
    assert store.fold(NOW, 10).counts == {"counted": 1}
    store.close()
    assert stored(tmp_path / "a.db", "SELECT standing FROM log ORDER BY seq") == [0, 0]


async def test_failed_write_is_rolled_back(tmp_path):
    """The caller gets the error; nothing of it stays."""

    def job(cn):
        cn.execute("INSERT INTO account VALUES (1, 'x', 0)")
        raise KeyError("no")

    async with running(tmp_path / "a.db") as one:
        with pytest.raises(KeyError):
            await one.write(job)
        await one.append([event()])
    assert stored(tmp_path / "a.db", "SELECT id FROM account") == [ACCOUNT]


class Broken(sqlite3.OperationalError):
    def __init__(self, code):
        super().__init__("disk")
        self.sqlite_errorcode = code


@pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR, sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_CORRUPT])
async def test_disk_error_fails_the_batch_and_ends_the_process(tmp_path, code):
    """After a failed fsync the page cache lies, so the process must recover from disk."""
    fatal = []
    async with running(tmp_path / "a.db", on_fatal=fatal.append) as one:

        def append(events, apart):
            raise Broken(code)

        one.store.append = append
        with pytest.raises(errors.Overloaded):
            await one.append([event()])
        assert len(fatal) == 1
        assert one.failed
        with pytest.raises(errors.Overloaded):
            await one.append([event()])


async def test_full_disk_is_overload_and_passes(tmp_path):
    """503 while it lasts; the next commit after it succeeds."""
    fatal = []
    async with running(tmp_path / "a.db", on_fatal=fatal.append) as one:
        await one.write(lambda cn: cn.execute("CREATE TABLE ballast (b BLOB)"))
        pages = await one.write(lambda cn: cn.execute("PRAGMA page_count").fetchone()[0])
        await one.write(lambda cn: cn.execute(f"PRAGMA max_page_count = {pages + 2}").fetchone())
        big = event(url="https://shop.example/" + "x" * 60_000)
        with pytest.raises(errors.Overloaded):
            await one.append([big])
        await one.write(lambda cn: cn.execute("PRAGMA max_page_count = 1000000").fetchone())
        await one.append([big])
        assert fatal == []
    assert len(stored(tmp_path / "a.db")) == 1


@pytest.mark.parametrize("count", [3, 700])
async def test_event_that_breaks_a_rule_does_not_stop_the_fold(tmp_path, monkeypatch, count):
    """It is filed without its rules, and all others with theirs, those of the same draft too."""
    from retag import draft

    audience = Bed(tmp_path / "a.db").audience({"event": "pagevisit"})

    inner = draft.touches_of

    def touches(desk, counted):
        if any(e.event_id == "bad" for e, _ in counted):
            raise ValueError("a rule broke")
        return inner(desk, counted)

    monkeypatch.setattr(draft, "touches_of", touches)
    async with running(tmp_path / "a.db") as one:
        bad = count // 2
        await one.append(
            [event(event_id="bad" if n == bad else str(n), visitor=visitor(n)) for n in range(count)]
        )
        await until(lambda: one.store.waiting()[0] == 0)
    assert stored(tmp_path / "a.db", "SELECT count(*) FROM trail") == [count]
    assert Bed(tmp_path / "a.db").members(audience) == {visitor(n) for n in range(count)} - {visitor(bad)}


async def test_damage_found_later_shuts_the_door(tmp_path):
    """A large file is checked behind the open door; what is found then closes it."""
    async with running(tmp_path / "a.db") as one:
        one.store.unsound = "row 7 missing from index"
        with pytest.raises(errors.Overloaded):
            await one.append([event()])
        assert "row 7" in one.failed
        one.store.unsound = None


def test_large_file_is_checked_in_the_background(tmp_path, monkeypatch):
    """Damage does not keep it from starting, and is found."""
    bed = Bed(tmp_path / "a.db")
    bed.append(*(event(url="https://shop.example/" + "x" * 1000) for _ in range(200)))
    bed.cn.close()
    raw = bytearray((tmp_path / "a.db").read_bytes())
    raw[60 * 4096 : 64 * 4096] = b"\xa5" * (4 * 4096)
    (tmp_path / "a.db").write_bytes(raw)
    monkeypatch.setattr(engine, "CHECKED_FIRST", 1000)
    store = SqliteStore(tmp_path / "a.db")
    store.open()
    deadline = time.monotonic() + 30
    while store.checking and time.monotonic() < deadline:
        time.sleep(0.01)
    assert store.unsound
    store.close()


@pytest.mark.parametrize("name", ["a.db", "link.db"])
def test_wal_stays_small(tmp_path, monkeypatch, name):
    """However much flows through; and while a long read pins it, not every slice tries again.

    It lies beside the file itself, whatever link leads there.
    """
    (tmp_path / "link.db").symlink_to("a.db")
    monkeypatch.setattr(engine, "WAL_DUE", 200_000)
    monkeypatch.setattr(engine, "LOOK_S", 0.0)
    monkeypatch.setattr(sqlite, "WAL_KEPT", 50_000)
    store = SqliteStore(tmp_path / name)
    store.open()
    sizes = []
    for n in range(60):
        store.append(
            [event(event_id=f"{n}-{i}", url="https://shop.example/" + "x" * 500) for i in range(50)], ()
        )
        store.fold(NOW, 1000)
        store.checkpoint(idle=False)
        sizes.append((tmp_path / "a.db-wal").stat().st_size)
    assert max(sizes) < (engine.BUSY + 2) * 200_000
    with contextlib.closing(sqlite.connect(tmp_path / "a.db", readonly=True)) as cn:
        cn.execute("BEGIN")
        cn.execute("SELECT count(*) FROM log").fetchone()
        tries = []
        monkeypatch.setattr(sqlite, "checkpoint", lambda cn, mode: tries.append(mode))
        for _ in range(60):
            store.append([event(url="https://shop.example/" + "x" * 500) for i in range(50)], ())
            store.checkpoint(idle=False)
    assert len(tries) < 5
    store.close()


def test_wal_is_written_over_and_not_made_anew(tmp_path, monkeypatch):
    """It keeps its size, which then does not say that a checkpoint is due: how far it is in use does."""
    monkeypatch.setattr(engine, "WAL_DUE", 200_000)
    monkeypatch.setattr(engine, "LOOK_S", 0.0)
    store, file = SqliteStore(tmp_path / "a.db"), tmp_path / "a.db-wal"
    store.open()
    whole = sqlite.checkpoint
    done = []
    monkeypatch.setattr(sqlite, "checkpoint", lambda cn, mode: done.append(whole(cn, mode)) or done[-1])
    sizes = []
    for n in range(100):
        store.append(
            [event(event_id=f"{n}-{i}", url=f"https://shop.example/{'x' * 500}") for i in range(20)], ()
        )
        store.checkpoint(idle=False)
        sizes.append(file.stat().st_size)
    assert sizes == sorted(sizes)
    assert 400_000 < sizes[-1] < 800_000
    assert all(done)
    assert 2 <= len(done) < 20
    assert not wal.reaches(str(file), sizes[-1])
    assert not wal.reaches(str(tmp_path / "none"), 0)
    store.close()


async def test_erasure_waits_for_a_reader_and_then_wipes(tmp_path):
    """A reader in the middle of a page pins the WAL; the next idle moment empties it."""
    async with running(tmp_path / "a.db") as one:
        await one.append([event()])
        with contextlib.closing(sqlite.connect(tmp_path / "a.db", readonly=True)) as cn:
            cn.execute("BEGIN")
            cn.execute("SELECT count(*) FROM log").fetchone()
            await one.write(lambda cn: upkeep.erase(cn, ACCOUNT, visitor(1), NOW))
            assert visitor(1) in (tmp_path / "a.db-wal").read_bytes()
        await until(lambda: visitor(1) not in (tmp_path / "a.db-wal").read_bytes())


async def test_close_does_not_wait_for_a_long_fold(tmp_path, monkeypatch):
    """After an import the rest is folded at the next start; no event is lost by that."""
    monkeypatch.setattr("retag.writer.CLOSE_S", 0.0)
    async with running(tmp_path / "a.db") as one:
        await one.append([event(event_id=str(n)) for n in range(100)])
    assert stored(tmp_path / "a.db", "SELECT count(*) FROM log") == [100]
    async with running(tmp_path / "a.db") as one:
        await until(lambda: one.store.waiting()[0] == 0)
    assert stored(tmp_path / "a.db", "SELECT count(*) FROM trail") == [100]


async def test_door_knows_who_is_gone_at_once(tmp_path):
    """From the commit of the erasure or objection on, and after a restart."""
    async with running(tmp_path / "a.db") as one:
        await one.write(lambda cn: upkeep.erase(cn, ACCOUNT, visitor(1), NOW))
        await one.write(lambda cn: upkeep.opt_out(cn, visitor(2), NOW))
        assert [one.store.banned(visitor(n)) for n in (1, 2, 3)] == ["erased", "opted_out", None]
    async with running(tmp_path / "a.db") as one:
        assert [one.store.banned(visitor(n)) for n in (1, 2, 3)] == ["erased", "opted_out", None]
