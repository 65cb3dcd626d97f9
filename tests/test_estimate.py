"""Estimates: exact on a short log, and honest about their error on a long one."""

import contextlib
import random
import sqlite3

import pytest

from retag import rules
from retag.store import estimate, sqlite
from retag.windows import DAY, EVER

NOW = 1_795_478_400_000
NAMES = ["pagevisit"] * 70 + ["search"] * 18 + ["addtocart"] * 9 + ["checkout"] * 3


@pytest.fixture
def cn():
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as cn:
        sqlite.migrate(cn)
        yield cn


def log(cn, *, events, visitors, seed=1, account=1, standing=0):
    """A log of random events over 40 days; busy visitors are busy, as in life."""
    chance = random.Random(seed)
    ids = [chance.getrandbits(128).to_bytes(16, "big") for _ in range(visitors)]
    weights = [chance.paretovariate(1.2) for _ in ids]
    first = cn.execute("SELECT coalesce(max(seq), 0) + 1 FROM log").fetchone()[0]
    step = 40 * DAY // events
    rows = [
        (first + n, account, visitor, chance.choice(NAMES), NOW - (events - n) * step, standing)
        for n, visitor in enumerate(chance.choices(ids, weights, k=events))
    ]
    cn.execute("BEGIN")
    cn.executemany("INSERT INTO log SELECT ?1, ?2, 1, ?3, ?4, ?5, ?5, '', 1, 1, '', x'', x'', x'', ?6", rows)
    cn.executemany("INSERT INTO visitor_file VALUES (?, ?, NULL)", [(row[2], row[0]) for row in rows])
    cn.execute("COMMIT")
    return rows


def buyers(rows, days):
    since = NOW - days * DAY
    return len({v for _, _, v, name, time, _ in rows if name == "checkout" and time > since})


def rule(**fields):
    return rules.parse("VISITOR", {"event": "checkout", "retention_days": 30} | fields)


def test_short_log_is_counted(cn):
    """Every visitor is asked, so the answer is exact."""
    rows = log(cn, events=3_000, visitors=400)
    found = estimate.measure(cn, 1, rule(), NOW)
    assert (found.size, found.exact, found.margin) == (buyers(rows, 30), True, 0)


def test_empty_log_has_nobody(cn):
    """No division by nothing."""
    assert estimate.measure(cn, 1, rule(), NOW) == estimate.exactly(0)


def test_other_accounts_and_uncounted_events_are_nobodys(cn):
    """Bots, duplicates and the neighbours do not size an audience."""
    log(cn, events=500, visitors=50, account=2)
    log(cn, events=500, visitors=50, standing=1, seed=2)
    assert estimate.measure(cn, 1, rule(), NOW).size == 0


def test_sample_is_within_its_margin(cn, monkeypatch):
    """At 95 %, 20 seeds of which no more than 4 may miss."""
    monkeypatch.setattr(estimate, "SHORT", 1_000)
    monkeypatch.setattr(estimate, "BUDGET_S", 60)
    monkeypatch.setattr(estimate, "MOST", 600)
    rows = log(cn, events=20_000, visitors=2_500)
    truth = buyers(rows, 30)
    found = [estimate.Sampler(cn, 1, rule(), NOW).estimate(seed) for seed in range(20)]
    assert not any(one.exact for one in found)
    assert sum(one.lower <= truth <= one.upper for one in found) >= 16
    assert abs(sum(one.size for one in found) / 20 - truth) < truth * 0.15


def test_only_the_end_of_the_log_is_sampled_when_the_rule_forgets(cn):
    """A short retention leaves fewer places, so a closer answer: here an exact one."""
    rows = log(cn, events=60_000, visitors=3_000)
    found = estimate.measure(cn, 1, rule(retention_days=3), NOW)
    assert (found.size, found.exact) == (buyers(rows, 3), True)


@pytest.mark.parametrize(
    ("raw", "reach"),
    [
        ({"event": "checkout", "retention_days": 3}, 3 * DAY),
        ({"any": [{"event": "a", "retention_days": 3}, {"event": "b", "retention_days": 9}]}, 9 * DAY),
        ({"event": "a", "retention_days": 9, "all": [{"event": "b", "retention_days": 2}]}, 2 * DAY),
        ({"any": [{"event": "a", "retention_days": 3}, {"customer_list_id": "1"}]}, EVER),
    ],
)
def test_reach_is_where_a_member_must_have_an_event(raw, reach):
    """`all` needs each, so the shortest; `any` needs one, so the longest; a list needs none."""
    assert estimate.reach_of(rules.parse("VISITOR", raw)) == reach


def test_clauses_of_lists_are_looked_up(cn):
    """Buyers on a list: the intersection."""
    rows = log(cn, events=3_000, visitors=400)
    listed = sorted({row[2] for row in rows})[::2]
    cn.executemany("INSERT INTO customer_match VALUES (7, ?, 0)", [(visitor,) for visitor in listed])
    both = rules.parse("VISITOR", {"event": "checkout", "all": [{"customer_list_id": "7"}]})
    expected = {row[2] for row in rows if row[3] == "checkout"} & set(listed)
    assert estimate.measure(cn, 1, both, NOW).size == len(expected)


def test_a_visitor_who_never_stops_does_not_take_the_time(cn, monkeypatch):
    """Of their events only the newest are looked at, and they still weigh as one visitor."""
    monkeypatch.setattr(estimate, "SHORT", 1_000)
    monkeypatch.setattr(estimate, "BUDGET_S", 60)
    monkeypatch.setattr(estimate, "MOST", 600)
    monkeypatch.setattr(estimate, "BUSY", 50)
    truth = buyers(log(cn, events=5_000, visitors=600), 30)
    busy = cn.execute("SELECT visitor FROM trail LIMIT 1").fetchone()[0]
    cn.execute("UPDATE log SET visitor = ? WHERE seq > 3000", (busy,))
    cn.execute("DELETE FROM visitor_file WHERE place > 3000")
    cn.execute("INSERT INTO visitor_file SELECT visitor, seq, NULL FROM log WHERE seq > 3000")
    sampler = estimate.Sampler(cn, 1, rule(), NOW)
    assert len(sampler._facts(busy)) == 50
    assert sampler._weight(busy, 1) in (0.0, 1 / (2000 + kept(cn, busy)))
    found = [estimate.Sampler(cn, 1, rule(), NOW).estimate(seed) for seed in range(8)]
    assert max(one.size for one in found) < 2 * truth


def kept(cn, visitor):
    return cn.execute("SELECT count(*) FROM log WHERE visitor = ? AND seq <= 3000", (visitor,)).fetchone()[0]
