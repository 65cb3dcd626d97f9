"""Two clocks: whoever was told (instant, step) finds the same members there later, by undoing transitions."""

import random

import pytest

from beds import DAY, HOUR, NOW, Bed, event, visitor
from retag import fold, upkeep
from retag.store import builds

RULES = [
    {"event": "pagevisit", "retention_days": 2},
    {"event": "pagevisit", "retention_days": 3, "min_count": 3},
    {
        "all": [{"event": "addtocart", "retention_days": 3}],
        "none": [{"event": "checkout", "retention_days": 1}],
    },
    {"any": [{"event": "checkout", "min_value": 50}, {"event": "addtocart", "retention_days": 1}]},
]


def at(bed, build, instant, step):
    """Members of a build at an as_of: the row, or the window before the first later transition."""
    windows = {
        v: (o, c) for v, o, c in bed.rows("SELECT visitor, opens, closes FROM member WHERE build = ?", build)
    }
    later = bed.rows(
        "SELECT visitor, opens, closes FROM transition WHERE build = ? AND step > ? ORDER BY id DESC",
        build,
        step,
    )
    windows |= {v: (o, c) for v, o, c in later}
    return {v for v, (opens, closes) in windows.items() if opens <= instant < closes}


def chance_event(chance, now):
    late = chance.choice([0, 0, 0, HOUR, DAY, 5 * DAY])
    name = chance.choice(["pagevisit", "pagevisit", "addtocart", "checkout"])
    value = {"value": chance.randrange(1, 60)}
    return event(
        visitor=chance.randrange(6),
        name=name,
        data=value,
        time=now - late,
        received=now,
        event_id=str(chance.random()),
    )


@pytest.mark.parametrize("seed", range(12))
def test_an_as_of_is_the_same_set_for_ever(tmp_path, seed):
    """Through joins, lapses, exclusions, late events, refolds and objections."""
    bed, chance, now = Bed(tmp_path / "a.db"), random.Random(seed), NOW
    numbers = [
        bed.rows("SELECT build FROM audience WHERE id = ?", bed.audience(rule))[0][0] for rule in RULES
    ]
    told = []
    for _ in range(40):
        now += chance.choice([1, 1000, HOUR, 6 * HOUR, DAY])
        bed.take(*(chance_event(chance, now) for _ in range(chance.randrange(4))), now=now)
        if chance.random() < 0.1:
            fold.refold(bed.cn, [visitor(n) for n in range(6)], now)
        if chance.random() < 0.05:
            upkeep.opt_out(bed.cn, visitor(chance.randrange(6)), now)
        if chance.random() < 0.05:
            upkeep.opt_in(bed.cn, visitor(chance.randrange(6)), now)
        step = bed.rows("SELECT coalesce(max(value), 0) FROM progress WHERE name = 'step'")[0][0]
        told += [(b, now, step, at(bed, b, now, step)) for b in numbers]
    assert any(members for *_, members in told)
    for build, instant, step, members in told:
        assert at(bed, build, instant, step) == members


def test_an_unfinished_build_writes_none(tmp_path):
    """Nobody can name it; from its first step on everybody in it is new."""
    bed = Bed(tmp_path / "a.db")
    bed.take(event())
    audience = bed.audience({"event": "pagevisit"})
    bed.take(event(visitor=2))
    assert bed.rows("SELECT count(*) FROM transition") == [(0,)]
    build = bed.rows("SELECT build FROM audience WHERE id = ?", audience)[0][0]
    while not builds.backfill(bed.cn, build, 1, NOW):
        pass
    builds.finish(bed.cn, build, NOW)
    bed.take(event(visitor=3))
    assert len(bed.members(audience)) == 3
    assert bed.rows("SELECT step > (SELECT ready_step FROM build) FROM transition") == [(1,)]
