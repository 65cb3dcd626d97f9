"""Lift: planted ratios are found, intervals hold as often as they say, activity does not pass for effect."""

import random

import pytest

from retag.stats import DAY, Group, Lift, difference, lift, matched, ratio, stratum


def draw(rng, size, share):
    return Group(size, sum(rng.random() < share for _ in range(size)))


@pytest.mark.parametrize(("size", "share", "planted"), [(200, 0.1, 1.0), (150, 0.05, 3.0), (60, 0.3, 2.0)])
def test_the_interval_covers_the_truth_as_often_as_it_says(size, share, planted):
    """In 2,000 draws with a known ratio, a 95 % interval holds it in 93 % to 97 %, small counts included."""
    rng = random.Random(20)
    held = 0
    for _ in range(2000):
        found = ratio(draw(rng, size, share * planted), draw(rng, size * 3, share))
        held += found.low <= planted <= (found.high if found.high is not None else float("inf"))
    assert 0.93 <= held / 2000 <= 0.975


def test_the_matched_interval_covers_as_well():
    """Strata of different sizes and base rates: the pooled interval holds the planted ratio in about 95 %."""
    rng = random.Random(21)
    held = 0
    for _ in range(1000):
        strata = [(draw(rng, n, 2 * p), draw(rng, 4 * n, p)) for n, p in ((100, 0.05), (60, 0.15), (30, 0.3))]
        found = matched(strata)
        held += found.low <= 2 <= found.high
    assert 0.93 <= held / 1000 <= 0.975


def test_activity_alone_is_no_matched_lift():
    """Members are only more active: the raw ratio is large, the matched one is 1."""
    idle = (Group(100, 2), Group(9000, 180))
    busy = (Group(900, 180), Group(1000, 200))
    found = lift([idle, busy])
    assert found.raw.value == pytest.approx(4.79, abs=0.01)
    assert found.raw.sure
    assert found.matched.value == pytest.approx(1.0)
    assert not found.matched.sure
    assert "may be chance" in found.words()


def test_a_textbook_interval():
    """Koopman 1984: 36 of 40 beside 16 of 80 is 4.5 with 2.94 to 7.15."""
    found = ratio(Group(40, 36), Group(80, 16))
    assert (round(found.value, 2), round(found.low, 2), round(found.high, 2)) == (4.5, 2.94, 7.15)


@pytest.mark.parametrize(
    ("members", "others", "expected"),
    [
        (Group(0, 0), Group(10, 1), (None, 0.0, None)),
        (Group(10, 0), Group(10, 0), (None, 0.0, None)),
        (Group(100, 0), Group(100, 10), (0.0, 0.0, "finite")),
        (Group(100, 10), Group(100, 0), (None, "positive", None)),
    ],
)
def test_zeros_are_said_honestly(members, others, expected):
    """What cannot be known is None, never infinity or a crash; a zero still has the bound that it has."""
    found = ratio(members, others)
    assert found.value == expected[0]
    assert found.low > 0 if expected[1] == "positive" else found.low == expected[1]
    assert 0 < found.high < 1 if expected[2] == "finite" else found.high is None


def test_small_numbers_are_called_small():
    """Three buyers are no finding, and nobody to compare is none either."""
    assert lift([(Group(0, 0), Group(9, 9))]).words().startswith("Nobody was a member")
    assert lift([(Group(9, 9), Group(0, 0))]).words().startswith("Every visitor was a member")
    assert lift([(Group(50, 3), Group(1000, 10))]).words().startswith("Too few to say")


def test_an_unknown_past_is_told_from_one_without_members():
    """Where nothing had been received, others are as unknown as members, and an import does not help."""
    assert "imported past" in lift([]).words()
    assert "imported past" not in lift([(Group(0, 0), Group(9, 9))]).words()


def test_matched_with_those_who_did_nothing_is_not_unmatched():
    """Members who have others as active as they are, of whom none acted, are not said to have none."""
    nobody_acted = lift([(Group(50, 20), Group(50, 0)), (Group(0, 0), Group(50, 20))])
    assert (nobody_acted.matched.value, nobody_acted.matched_members) == (None, 50)
    assert "too few acted" in nobody_acted.words()
    assert (
        "None of them could be matched"
        in lift([(Group(50, 20), Group(0, 0)), (Group(0, 0), Group(50, 20))]).words()
    )


@pytest.mark.parametrize("acted", [5, 50])
def test_strata_with_hardly_a_match_bound_nothing(acted):
    """A million members beside a single other, and the reverse: an open interval, not one of 170 digits."""
    crowd, one = Group(1_000_000, acted), Group(1, 0)
    found = lift([(crowd, one), (one, crowd)])
    assert (found.matched.low, found.matched.high, found.matched.sure) == (0.0, None, False)
    assert "(95% sure: 0.0 to more); that may be chance." in found.words()


def test_revenue_has_an_interval():
    """A planted difference of 2 per visitor lies inside its interval in about 95 % of draws."""
    rng = random.Random(22)
    held = 0
    for _ in range(400):
        groups = []
        for mean in (5.0, 3.0):
            spent = [rng.expovariate(1 / mean) for _ in range(300)]
            groups.append(Group(300, 300, sum(spent), sum(one * one for one in spent)))
        _, low, high = difference(*groups)
        held += low <= 2 <= high
    assert 0.92 <= held / 400 <= 0.98


def test_revenue_of_one_or_none_is_not_certain():
    """No figure beside nobody, no interval around one visitor: one has no spread."""
    many = Group(100, 50, 500.0, 9000.0)
    assert difference(many, Group(0, 0)) == difference(Group(0, 0), many) == (None, None, None)
    assert difference(Group(1, 1, 8.0, 64.0), many) == (3.0, None, None)
    assert None not in difference(Group(2, 1, 8.0, 64.0), many)


def test_strata_have_sharp_edges():
    """Recency and frequency classes are half open: a day is the first of the second class."""
    assert stratum(DAY - 1, 1) == (0, 0)
    assert stratum(DAY, 2) == (1, 1)
    assert stratum(400 * DAY, 10_000) == (6, 5)


def test_groups_add_up():
    """The strata's totals are the raw groups, whichever stratum they came from."""
    found = lift([(Group(1, 1, 5.0, 25.0), Group(2, 0)), (Group(3, 0), Group(4, 4))])
    assert isinstance(found, Lift)
    assert (found.members, found.others) == (Group(4, 1, 5.0, 25.0), Group(6, 4))
    assert found.matched_members == 4
