"""Since when: late events and backfill tell it as if everything had come in order."""

import pytest

from beds import DAY, HOUR, NOW, Bed, event
from retag.store import builds, replay

VIEWERS = {"event": "pagevisit", "retention_days": 1}
LEFT = {
    "all": [{"event": "addtocart", "retention_days": 1}],
    "none": [{"event": "checkout", "retention_days": 1}],
}
OFTEN = {"event": "pagevisit", "retention_days": 2, "min_count": 2}


@pytest.fixture
def bed(tmp_path):
    return Bed(tmp_path / "a.db")


def opened(bed, audience):
    return bed.rows("SELECT opens FROM audience a JOIN member m USING (build) WHERE a.id = ?", audience)[0][0]


def happen(bed, name, *hours, now=NOW):
    """Events so many hours ago, which arrive in this order."""
    for hour in hours:
        bed.take(event(name=name, time=NOW - hour * HOUR, received=now), now=now)


def test_a_late_event_joins_a_stretch_that_was_over(bed):
    """60 hours ago until now without a break, of which the middle came last."""
    audience = bed.audience(VIEWERS)
    happen(bed, "pagevisit", 60, 40, 1)
    assert opened(bed, audience) == NOW - HOUR
    happen(bed, "pagevisit", 20)
    assert opened(bed, audience) == NOW - 60 * HOUR


def test_a_late_purchase_ends_a_stretch(bed):
    """Whoever bought was out, however late that was heard."""
    audience = bed.audience(LEFT)
    happen(bed, "addtocart", 70, 50, 30, 10)
    assert opened(bed, audience) == NOW - 70 * HOUR
    happen(bed, "checkout", 60)
    assert opened(bed, audience) == NOW - 36 * HOUR


def test_a_late_visit_makes_the_second_of_two(bed):
    """The rule held from the second visit on, whichever of the three was heard of last."""
    audience = bed.audience(OFTEN)
    happen(bed, "pagevisit", 50, 2, 30)
    assert opened(bed, audience) == NOW - 30 * HOUR


@pytest.mark.parametrize("rule", [VIEWERS, OFTEN])
def test_backfill_behind_live_events_dates_back(bed, rule):
    """A rule made today says the same as one that was always there."""
    early = bed.audience(rule)
    happen(bed, "pagevisit", 100, 90, 70, 50, 30)
    late = bed.audience(rule)
    happen(bed, "pagevisit", 10)
    build = bed.rows("SELECT max(id) FROM build")[0][0]
    while not builds.backfill(bed.cn, build, 1, NOW):
        pass
    builds.finish(bed.cn, build, NOW)
    assert opened(bed, late) == opened(bed, early) == NOW - 100 * HOUR + (10 * HOUR if rule is OFTEN else 0)


def test_what_was_purged_is_not_forgotten(bed):
    """A membership older than the log is dated no later because of a late event."""
    audience = bed.audience(VIEWERS | {"retention_days": 10})
    happen(bed, "pagevisit", 200, 20)
    bed.cn.execute("DELETE FROM log WHERE seq = 1")
    bed.cn.execute("UPDATE member SET opens = opens - ?", (DAY,))
    happen(bed, "pagevisit", 230)
    assert opened(bed, audience) == NOW - 230 * HOUR
    happen(bed, "pagevisit", 100)
    assert opened(bed, audience) == NOW - 230 * HOUR


def test_a_visitor_of_countless_events_costs_no_more_than_the_newest(bed, monkeypatch):
    """The membership is then only found to be older, never younger."""
    monkeypatch.setattr(replay, "MOST", 3)
    audience = bed.audience(VIEWERS | {"retention_days": 2})
    happen(bed, "pagevisit", 120, 110, 100, 70, 40, 10)
    assert opened(bed, audience) == NOW - 120 * HOUR
    happen(bed, "pagevisit", 130)
    assert opened(bed, audience) == NOW - 130 * HOUR


def test_an_exclusion_that_is_forgotten_still_was(bed):
    """Its memory is gone with the next match, and who was out until then was not in."""
    spent = {"min_value": 5, "retention_days": 1}
    audience = bed.audience({"any": [{"event": "pagevisit"}], "none": [spent]})
    happen(bed, "pagevisit", 40)
    happen(bed, "addtocart", 10)
    bed.take(event(name="search", time=NOW - 36 * HOUR, received=NOW, data={"value": 5}))
    assert opened(bed, audience) == NOW - 12 * HOUR


@pytest.mark.parametrize("second", ["pagevisit", "search"])
def test_a_membership_goes_on_in_the_instant_in_which_it_lapses(bed, second):
    """One clause lapses as its next match comes, in one event with the other clause's or in two."""
    audience = bed.audience({"all": [{"event": "pagevisit"}, {"retention_days": 1}]})
    happen(bed, "pagevisit", 25)
    happen(bed, second, 1)
    happen(bed, "pagevisit", 1)
    assert opened(bed, audience) == NOW - 25 * HOUR
