"""Rate limits: generous, refilled by time, and bounded in memory."""

from __future__ import annotations

from retag.web.rates import BY_ADDRESS, BY_VISITOR, Buckets, Rate

NOW = 1_795_478_400_000


def test_a_burst_passes_and_then_the_rate_holds() -> None:
    """`burst` at once, then `per_second`."""
    buckets = Buckets(Rate(burst=5, per_second=2))
    assert [buckets.take("a", 1, NOW) for _ in range(6)] == [True] * 5 + [False]
    assert [buckets.take("a", 1, NOW + 1000) for _ in range(3)] == [True, True, False]


def test_names_do_not_share() -> None:
    """One flooder costs nobody else anything."""
    buckets = Buckets(Rate(burst=1, per_second=1))
    assert buckets.take("a", 1, NOW)
    assert not buckets.take("a", 1, NOW)
    assert buckets.take("b", 1, NOW)


def test_a_refusal_spends_nothing() -> None:
    """One that keeps knocking gets in as soon as one that waited."""
    buckets = Buckets(Rate(burst=1, per_second=1))
    buckets.take("a", 1, NOW)
    for ms in range(0, 999, 10):
        assert not buckets.take("a", 1, NOW + ms)
    assert buckets.take("a", 1, NOW + 1000)


def test_a_clock_that_goes_back_refills_nothing() -> None:
    """Nor does it lock anybody out."""
    buckets = Buckets(Rate(burst=1, per_second=1))
    assert buckets.take("a", 1, NOW)
    assert not buckets.take("a", 1, NOW - 60_000)
    assert buckets.take("a", 1, NOW - 59_000)


def test_a_flood_of_names_is_bounded() -> None:
    """A million names hold a table's worth of memory."""
    buckets = Buckets(Rate(burst=10, per_second=1, most=1000))
    for name in range(10_000):
        assert buckets.take(name, 1, NOW)
    assert len(buckets._levels) <= 1000


def test_the_limits_are_generous() -> None:
    """A page that fires twenty events a second for a minute is within both."""
    for rate in (BY_ADDRESS, BY_VISITOR):
        buckets = Buckets(rate)
        assert all(buckets.take("a", 1, NOW + ms) for ms in range(0, 15_000, 50))
