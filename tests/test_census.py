"""Running counts: the size without counting, equal to counting at every instant that it answers for."""

import random

import pytest

from beds import ACCOUNT, DAY, HOUR, MINUTE, NOW, Bed, event, visitor
from retag import fold, upkeep
from retag.store import builds, census, sqlite
from retag.store.engine import SqliteStore

RULES = [
    {"event": "pagevisit", "retention_days": 2},
    {"event": "pagevisit", "retention_minutes": 30, "min_count": 2},
    {"all": [{"event": "addtocart"}], "none": [{"event": "checkout", "retention_minutes": 20}]},
    {"any": [{"event": "checkout", "min_value": 50}, {"event": "addtocart", "retention_minutes": 45}]},
]


@pytest.fixture
def store(tmp_path):
    bed = Bed(tmp_path / "a.db")
    for rule in RULES:
        bed.audience(rule)
    bed.cn.close()
    one = SqliteStore(tmp_path / "a.db")
    one.open()
    yield one
    one.close()


def chance_event(chance, now):
    return event(
        visitor=chance.randrange(12),
        name=chance.choice(["pagevisit", "pagevisit", "addtocart", "checkout"]),
        data={"value": chance.randrange(1, 60)},
        time=now - chance.choice([0, 0, MINUTE, 25 * MINUTE, 3 * HOUR, DAY]),
        received=now,
    )


def take(store, now, *some):
    store.append(some, ())
    while store.waiting()[0]:
        store.fold(now, 7)


def count(store, now, pages=1000, most=3):
    """So many pages of the passes that are due."""
    for build in store.write(lambda cn: store.census.begin(cn, now)):
        while pages and store.write(lambda cn, b=build: store.census.learn(cn, b, most)):
            pages -= 1


def counted(store, build, at):
    sql = "SELECT count(*) FROM member WHERE build = ? AND opens <= ? AND closes > ?"
    return store.write(lambda cn: cn.execute(sql, (build, at, at)).fetchone()[0])


def upset(store, chance, now):
    """Whatever else changes windows: refolds, objections, erasures, edits of a rule."""
    who, kind = visitor(chance.randrange(12)), chance.randrange(5)
    jobs = [
        lambda cn: fold.refold(cn, [who], now),
        lambda cn: upkeep.opt_out(cn, who, now),
        lambda cn: upkeep.opt_in(cn, who, now),
        lambda cn: upkeep.erase(cn, ACCOUNT, who, now),
        lambda cn: edit(cn, chance, now),
    ]
    store.write(jobs[kind])


def edit(cn, chance, now):
    audience, rule = 2_542_000_000_001 + chance.randrange(4), chance.choice(RULES)
    build = fold.start_build(cn, audience, rule, now, True)
    while not builds.backfill(cn, build, 1, now):
        pass
    builds.finish(cn, build, now)


@pytest.mark.parametrize("seed", range(8))
def test_size_is_what_counting_gives_at_every_instant(store, seed):
    """Through late events, expiry, exclusion, refolds, erasure and rebuilds, half-way through a pass too."""
    chance, now, answers = random.Random(seed), NOW, 0
    for _ in range(60):
        now += chance.choice([1, 999, MINUTE, 7 * MINUTE, 20 * MINUTE])
        take(store, now, *(chance_event(chance, now) for _ in range(chance.randrange(6))))
        if chance.random() < 0.3:
            upset(store, chance, now)
        count(store, now, pages=chance.choice([0, 1, 3, 1000]))
        for (build,) in store.write(lambda cn: cn.execute("SELECT build FROM audience").fetchall()):
            for at in (now, now + 1, now + chance.randrange(HOUR), now - chance.randrange(MINUTE)):
                size = store.census.size(build, at)
                answers += size is not None
                assert size in (None, counted(store, build, at)), (build, at - now)
    assert answers > 200


def test_an_hour_ahead_is_known_without_another_look(store):
    """Members leave by time alone."""
    take(store, NOW, *(event(visitor=n, time=NOW - n * MINUTE) for n in range(20) for _ in "ab"))
    count(store, NOW)
    build = 2
    sizes = [store.census.size(build, NOW + n * MINUTE) for n in (0, 10, 11, 29, 30, 58)]
    assert sizes == [20, 20, 19, 1, 0, 0]
    assert store.census.size(build, NOW + HOUR) is None


def test_a_write_of_another_process_is_counted_anew(store):
    """An import beside the server: what was known is forgotten, not served."""
    take(store, NOW, event())
    count(store, NOW)
    assert store.census.size(1, NOW) == 1
    other = Bed(store.path)
    other.take(event(visitor=2))
    store.write(lambda cn: None)
    assert store.census.size(1, NOW) is None
    count(store, NOW)
    assert store.census.size(1, NOW) == 2


def test_a_fold_that_is_rolled_back_changes_no_size(store, monkeypatch):
    """The count moves with the commit."""
    take(store, NOW, event())
    count(store, NOW)
    store.append([event(visitor=2)], ())
    with monkeypatch.context() as patch:
        patch.setattr(fold.log, "set_progress", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.fold(NOW, 10)
    assert store.census.size(1, NOW) == 1
    store.fold(NOW, 10)
    assert store.census.size(1, NOW) == 2


def test_a_clock_put_back_is_not_believed(store):
    """What the fold did not tell, because it lay too far ahead, must not be answered for."""
    take(store, NOW, event())
    count(store, NOW)
    count(store, NOW - DAY, pages=0)
    assert store.census.size(1, NOW) is None


def test_the_ends_of_the_hour(tmp_path):
    """Half open, as windows are."""
    one = census.Count(1000)
    one.upto = census.END
    one.add(0, 2000)
    one.add(1000, one.until)
    one.add(one.until - 1, one.until + 1)
    assert [one.size(at) for at in (999, 1000, 1999, 2000, one.until - 1, one.until)] == [
        None, 2, 2, 1, 2, None,
    ]  # fmt: skip
    assert sqlite.connect(tmp_path / "b.db").shifts is None
