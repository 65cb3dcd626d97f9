"""Quality: does the model find seed members whom it has not seen, and what does it go by?

A third of the seed and a third of the others are held out, the model is fitted on the rest, and the held-out
are ranked. Others who would fit the seed count as misses, so the figures are lower bounds.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from retag.likeness.model import LEAST_SEED, MOST_TRAINED, Likeness, Unlearnable, active, fit, sample
from retag.likeness.views import RANDOM, Floats, Mask, Table

HELD_OUT = 1 / 3
MOST_HELD_OUT = 100_000
USEFUL = 0.55
"""An AUC below this is of no use, however certain."""


class Quality(msgspec.Struct, frozen=True):
    """`auc` with its 95 % interval; `lift` and `lift_of_active` are precision over base rate in the top
    `share` of the ranking by the model, and by sheer activity. `seeds` and `others` were held out."""

    auc: float
    low: float
    high: float
    share: float
    lift: float
    lift_of_active: float
    seeds: int
    others: int

    @property
    def worthless(self) -> bool:
        """Whether it may as well have been drawn by lot."""
        return self.low <= 0.5 or self.auc < USEFUL

    def words(self) -> str:
        """The verdict for a reader who knows no statistics."""
        if self.worthless:
            return (
                "The model cannot tell this seed from other visitors: an audience made from it would be"
                " as good as one drawn by lot. Choose a seed that has something in common, or a larger one."
            )
        return (
            f"Given a seed member and another visitor, the model picks the seed member {self.auc:.0%} of the"
            f" time (50% is a coin). Its best {self.share:.0%} hold {self.lift:.1f} times as many of them as"
            " chance;"
            f" the most active {self.share:.0%} of visitors hold {self.lift_of_active:.1f} times as many."
        )


class Weight(msgspec.Struct, frozen=True):
    """One feature that weighs: how many of the seed and of the others have it, 0 to 1; `points` to the seed
    or away from it."""

    feature: str
    of_seed: float
    of_others: float
    points: bool

    def words(self) -> str:
        return (
            f"{self.feature}: {self.of_seed:.1%} of the seed, {self.of_others:.1%} of other visitors;"
            f" speaks {'for' if self.points else 'against'} likeness"
        )


def held_out(counts: Table, is_seed: Mask, profile: Floats | None = None, share: float = 0.05) -> Quality:
    """The quality of a model fitted on `HELD_OUT` less. Raises Unlearnable when the seed, or the rest, is
    too small."""
    alive = np.flatnonzero(active(counts))
    for who, there in (("in the seed", is_seed[alive]), ("beside the seed", ~is_seed[alive])):
        if there.sum() < LEAST_SEED:
            raise Unlearnable(
                f"there are {there.sum()} visitors with activity {who}; at least {LEAST_SEED} are needed"
            )
    tested = _draw(alive, is_seed)
    known = np.setdiff1d(alive, tested, assume_unique=True)
    model = fit(counts, is_seed, profile, known, int(MOST_TRAINED * (1 - HELD_OUT)))
    rows = counts[tested]
    scores = model.score(rows, None if profile is None else profile[tested])
    done = np.asarray(rows.sum(1)).ravel()
    return _measure(scores, done, is_seed[tested], share)


def telling(
    model: Likeness, counts: Table, is_seed: Mask, features: list[str], most: int = 10
) -> list[Weight]:
    """The features that move the scores most, the heaviest first: of those that speak as the crowd does. One
    whose weight only corrects for another's would mislead the reader."""
    rows = sample(np.flatnonzero(active(counts)), is_seed)
    held, of = counts[rows][:, model.kept], is_seed[rows]
    n_seed, n_others = int(of.sum()), int((~of).sum())
    of_seed = np.bincount(held[of].indices, minlength=len(model.kept)) / max(1, n_seed)
    of_others = np.bincount(held[~of].indices, minlength=len(model.kept)) / max(1, n_others)
    share = (of_seed * n_seed + of_others * n_others) / max(1, n_seed + n_others)
    weights = model.weights()
    impact = np.abs(weights) * np.sqrt(share * (1 - share)) * (weights * (of_seed - of_others) > 0)
    best = np.argsort(-impact, kind="stable")[:most]
    return [
        Weight(features[model.kept[i]], float(of_seed[i]), float(of_others[i]), bool(weights[i] > 0))
        for i in best
        if impact[i] > 0
    ]


def choose(scores: Floats, eligible: Mask, share: float) -> NDArray[np.int64]:
    """The rows of the best `share` (0 to 1) of the eligible, best first; ties go to the earlier row."""
    rows = np.flatnonzero(eligible)
    best = np.argsort(-scores[rows], kind="stable")[: int(len(rows) * share)]
    return rows[best]


def auc(scores: Floats, relevant: Mask) -> float:
    """The chance that a relevant row outscores another; ties count half."""
    hits, misses = int(relevant.sum()), int((~relevant).sum())
    if not hits or not misses:
        return 0.5
    return float((rankdata(scores)[relevant].sum() - hits * (hits + 1) / 2) / (hits * misses))


def lift(scores: Floats, relevant: Mask, share: float) -> float:
    """Precision in the best `share` over the base rate. Of those who tie for the last places each has the
    same chance: by activity there are many, and the order of rows (who came first) must not tell."""
    if not relevant.any():
        return 0.0
    most = max(1, int(len(scores) * share))
    last = np.partition(scores, -most)[-most]
    better, tied = scores > last, scores == last
    hits = relevant[better].sum() + relevant[tied].mean() * (most - better.sum())
    return float(hits / most / relevant.mean())


def _draw(alive: NDArray[np.int64], is_seed: Mask) -> NDArray[np.int64]:
    rng = np.random.default_rng(RANDOM + 1)
    shuffled = [rng.permutation(rows) for rows in (alive[is_seed[alive]], alive[~is_seed[alive]])]
    parts = [rows[: min(int(len(rows) * HELD_OUT), MOST_HELD_OUT)] for rows in shuffled]
    return np.sort(np.concatenate(parts))


def _measure(scores: Floats, active: Floats, relevant: Mask, share: float) -> Quality:
    area = auc(scores, relevant)
    hits, misses = int(relevant.sum()), int((~relevant).sum())
    error = 1.96 * _standard_error(area, hits, misses)
    return Quality(
        auc=area,
        low=max(0.0, area - error),
        high=min(1.0, area + error),
        share=share,
        lift=lift(scores, relevant, share),
        lift_of_active=lift(active, relevant, share),
        seeds=hits,
        others=misses,
    )


def _standard_error(area: float, hits: int, misses: int) -> float:
    """Hanley and McNeil 1982, https://doi.org/10.1148/radiology.143.1.7063747, with one more hit, of which
    half came out on top: that ten of ten came out on top does not make the eleventh certain."""
    area = (area * hits + 0.5) / (hits + 1)
    one, two = area / (2 - area), 2 * area * area / (1 + area)
    spread = area * (1 - area) + (hits - 1) * (one - area * area) + (misses - 1) * (two - area * area)
    return math.sqrt(max(spread, 0.0) / (hits * misses))
