"""Lift: how much likelier members are to act than other visitors, and how sure that is. Pure arithmetic.

Shares are compared by their ratio. Its 95 % interval is Koopman's score interval, which keeps its coverage
with small counts and zeros (https://doi.org/10.2307/2531405). The matched ratio compares members with others
of the same recency and frequency, stratum by stratum (Mantel and Haenszel, with the variance of Greenland and
Robins, https://doi.org/10.2307/2530610): active people do more of everything, and raw lift says just that.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from typing import TypeAlias

import msgspec

from retag.windows import DAY

CHI_SQUARE = 3.841458820694124
"""The 95 % point with one degree of freedom; its square root is Z."""
Z = math.sqrt(CHI_SQUARE)

WIDEST = math.log(1000)
"""A ratio that may as well be a thousand times smaller or larger is not bounded by anything."""

FEW = 5
"""Fewer actors than this on either side are too few to lean on."""

RECENCIES = tuple(days * DAY for days in (1, 3, 7, 14, 30, 90))
FREQUENCIES = (2, 4, 8, 16, 32)


class Group(msgspec.Struct, frozen=True):
    """`size` visitors, of whom `acted` did it; `revenue`, and the sum of the squares of each one's."""

    size: int
    acted: int
    revenue: float = 0.0
    squares: float = 0.0

    @property
    def share(self) -> float:
        return self.acted / self.size if self.size else 0.0

    @property
    def per_visitor(self) -> float:
        return self.revenue / self.size if self.size else 0.0

    @property
    def spread(self) -> float:
        """The variance of one visitor's revenue."""
        if self.size < 2:
            return 0.0
        return max(0.0, (self.squares - self.revenue**2 / self.size) / (self.size - 1))

    def __add__(self, other: Group) -> Group:
        return Group(
            self.size + other.size,
            self.acted + other.acted,
            self.revenue + other.revenue,
            self.squares + other.squares,
        )


Stratum: TypeAlias = tuple[int, int]
"""The recency and the frequency class."""


class Ratio(msgspec.Struct, frozen=True):
    """A ratio with its 95 % interval. `value` and `high` are None where they are not finite."""

    value: float | None
    low: float
    high: float | None

    @property
    def sure(self) -> bool:
        """Whether it differs from 1 beyond chance."""
        return self.low > 1 or (self.high is not None and self.high < 1)


UNKNOWN = Ratio(None, 0.0, None)


class Lift(msgspec.Struct, frozen=True):
    """Members beside others: the raw ratio, the matched one, and revenue per visitor in difference."""

    members: Group
    others: Group
    raw: Ratio
    matched: Ratio
    matched_members: int
    """Members with someone to be compared with in their stratum."""

    @property
    def few(self) -> bool:
        return min(self.members.acted, self.others.acted) < FEW

    def words(self) -> str:
        """The finding for a reader who knows no statistics."""
        if not self.members.size and not self.others.size:
            return (
                "Nobody was a member at that moment, nor was anybody else known: what was received since, an"
                " imported past too, says nothing of who was in. Ask for fewer days, or again in some days."
            )
        if not self.members.size:
            return "Nobody was a member at that moment, so there is nothing to compare. Ask for fewer days."
        if not self.others.size:
            return "Every visitor was a member at that moment, so there is nobody to compare with."
        if self.few:
            return (
                f"Too few to say: {self.members.acted} of {self.members.size} members and"
                f" {self.others.acted} of {self.others.size} other visitors acted. Ask again over more days."
            )
        raw, matched = self.raw, self.matched
        said = f"Members were {_times(raw)} as likely to act as other visitors{_chance(raw)}."
        if not self.matched_members:
            return said + " None of them could be matched with visitors as active as they are."
        if matched.value is None:
            return said + " Among visitors just as recent and active too few acted to compare them."
        return f"{said} Beside visitors just as recent and active: {_times(matched)}{_chance(matched)}."


def lift(strata: Iterable[tuple[Group, Group]]) -> Lift:
    """The lift over strata of (members, others)."""
    pairs = list(strata)
    members = sum((pair[0] for pair in pairs), Group(0, 0))
    others = sum((pair[1] for pair in pairs), Group(0, 0))
    return Lift(
        members,
        others,
        ratio(members, others),
        matched(pairs),
        sum(one.size for one, other in pairs if other.size),
    )


def ratio(members: Group, others: Group) -> Ratio:
    """The ratio of the two shares, with Koopman's interval."""
    if not members.size or not others.size or not (members.acted or others.acted):
        return UNKNOWN
    value = members.share / others.share if others.acted else None
    low = _edge(members, others, value, down=True) if members.acted else 0.0
    return Ratio(value, low, _edge(members, others, value, down=False) if others.acted else None)


def matched(strata: Iterable[tuple[Group, Group]]) -> Ratio:
    """The ratio within strata, pooled; strata with one side empty say nothing."""
    top = bottom = spread = 0.0
    for one, other in strata:
        size = one.size + other.size
        if not one.size or not other.size:
            continue
        top += one.acted * other.size / size
        bottom += other.acted * one.size / size
        together = one.acted + other.acted
        spread += (one.size * other.size * together - one.acted * other.acted * size) / size**2
    if not top or not bottom:
        return UNKNOWN
    value, error = top / bottom, Z * math.sqrt(spread / (top * bottom))
    if error > WIDEST:
        return Ratio(value, 0.0, None)
    return Ratio(value, value * math.exp(-error), value * math.exp(error))


def difference(members: Group, others: Group) -> tuple[float | None, float | None, float | None]:
    """Revenue per visitor, members minus others, with its 95 % interval (Welch, large samples).

    None beside an empty side; a single visitor has a figure and no interval, for one has no spread.
    """
    fewest = min(members.size, others.size)
    if not fewest:
        return None, None, None
    gap = members.per_visitor - others.per_visitor
    if fewest < 2:
        return gap, None, None
    error = Z * math.sqrt(members.spread / members.size + others.spread / others.size)
    return gap, gap - error, gap + error


def stratum(recency: int, frequency: int) -> Stratum:
    """The class of a visitor who was last seen `recency` ms before, with `frequency` counted events."""
    return bisect_right(RECENCIES, recency), bisect_right(FREQUENCIES, frequency)


def _edge(members: Group, others: Group, value: float | None, *, down: bool) -> float:
    """The ratio at which the score statistic reaches the 95 % point, by bisection on a log scale."""
    inside = math.log(value) if value else (30.0 if down else -30.0)
    outside = inside - 40.0 if down else inside + 40.0
    for _ in range(80):
        middle = (inside + outside) / 2
        if _statistic(members, others, math.exp(middle)) > CHI_SQUARE:
            outside = middle
        else:
            inside = middle
    return math.exp(inside)


def _statistic(members: Group, others: Group, wanted: float) -> float:
    """The score statistic of the hypothesis that the ratio is `wanted`."""
    size, acted = members.size + others.size, members.acted + others.acted
    a = size * wanted
    b = -(members.size * wanted + members.acted + others.size + others.acted * wanted)
    # The smaller root, written so that it does not cancel.
    base = 2 * acted / (-b + math.sqrt(max(0.0, b * b - 4 * a * acted)))
    other = min(max(base, 1e-300), 1 - 1e-15)
    own = min(max(base * wanted, 1e-300), 1 - 1e-15)
    return (members.acted - members.size * own) ** 2 / (members.size * own * (1 - own)) + (
        others.acted - others.size * other
    ) ** 2 / (others.size * other * (1 - other))


def _times(found: Ratio) -> str:
    value = "many" if found.value is None else f"{found.value:.1f}"
    high = "more" if found.high is None else f"{found.high:.1f}"
    return f"{value} times (95% sure: {found.low:.1f} to {high})"


def _chance(found: Ratio) -> str:
    return "" if found.sure else "; that may be chance"
