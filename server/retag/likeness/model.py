"""Model: fit on a seed, score everybody.

Four views of the same activity (`views`), each on a log scale of counts, averaged after standardising. A
visitor who is not in the seed is unlabelled, not negative; regularisation is strong on purpose, so that
look-alikes among them are not learnt by heart as strangers.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from retag.likeness.views import RANDOM, Floats, Logistic, Mask, Table, View, views

LEAST_SEED = 30
"""Seed members with any activity, and others with any; fewer cannot be learnt from."""

MOST_FEATURES = 2000
RAREST = 3
"""A feature that fewer visitors have says nothing about the next one."""

MOST_TRAINED = 90_000
"""Twice as many take twice as long, and find a fiftieth more seed members in the best 1 %."""
ENOUGH = 10_000
"""Rows that say where a view's scores lie."""
CHUNK = 100_000
GIVEAWAY = 0.9


class Unlearnable(ValueError):
    """Nothing can be learnt from this seed beside these others; the message says why, for the reader."""


class Likeness(msgspec.Struct, frozen=True):
    """A fitted model: `kept` are the columns that it looks at, `shares` what each view's scores, less their
    centre, are multiplied by."""

    kept: NDArray[np.int64]
    views: list[View]
    centres: list[float]
    shares: list[float]

    def score(self, counts: Table, profile: Floats | None = None) -> Floats:
        """How alike each row (n, m) is; n floats of no unit, higher is more alike."""
        chunks = [
            self._score(_rows(counts[at : at + CHUNK], self.kept, _part(profile, at)))
            for at in range(0, counts.shape[0], CHUNK)
        ]
        return np.concatenate(chunks) if chunks else np.zeros(0)

    def weights(self) -> Floats:
        """What each of the `kept` columns weighs in the logistic view."""
        return next(view.weights() for view in self.views if isinstance(view, Logistic))

    def _score(self, rows: Table) -> Floats:
        parts = zip(self.views, self.centres, self.shares, strict=True)
        standard = [share * (view.score(rows) - centre) for view, centre, share in parts]
        return np.asarray(np.sum(standard, axis=0))


def fit(
    counts: Table,
    is_seed: Mask,
    profile: Floats | None = None,
    known: NDArray[np.int64] | None = None,
    most: int = MOST_TRAINED,
) -> Likeness:
    """Fit on `counts` (n, m) and the seed (n,). `profile` (n, p) are dense columns beside the counts; `known`
    are the rows to learn from, all that have activity when None; of more than `most` a sample.

    Raises Unlearnable when the seed or the rest is empty, or when they have nothing in common to go by.
    """
    trained = sample(np.flatnonzero(active(counts)) if known is None else known, is_seed, most)
    y = is_seed[trained]
    if y.all() or not y.any():
        raise Unlearnable("a seed and others beside it are needed, both with activity")
    table = counts[trained]
    kept = _telling(table, y)
    if not len(kept):
        raise Unlearnable(f"there is nothing that {RAREST} visitors did, but for what makes the seed")
    rows = _rows(table, kept, None if profile is None else profile[trained])
    del table
    looks, centres, shares = views(len(kept)), [], []
    for view in looks:
        view.fit(rows, y)
        scores = view.score(rows[:: 1 + len(y) // ENOUGH])
        centres.append(float(scores.mean()))
        shares.append(view.weight(int(y.sum())) / (float(scores.std()) or 1.0))
    return Likeness(kept, looks, centres, shares)


def score(counts: Table, is_seed: Mask) -> Floats:
    """Fit on the seed and score every row: higher means more alike."""
    counts = sparse.csr_matrix(counts)
    return fit(counts, np.asarray(is_seed, bool)).score(counts)


def mask(visitors: list[bytes], chosen: Collection[bytes]) -> Mask:
    """Which of the rows are among the chosen."""
    return np.fromiter((visitor in chosen for visitor in visitors), bool, len(visitors))


def active(counts: Table) -> Mask:
    """Which rows have any activity."""
    return np.asarray(counts.getnnz(axis=1) > 0 if sparse.issparse(counts) else counts.active())


def sample(alive: NDArray[np.int64], is_seed: Mask, most: int = MOST_TRAINED) -> NDArray[np.int64]:
    """All rows when they are few, else an even share of the seed and of the others."""
    seed, rest = alive[is_seed[alive]], alive[~is_seed[alive]]
    rng = np.random.default_rng(RANDOM)
    most_seed = most // 5
    if len(seed) > most_seed:
        seed = rng.choice(seed, most_seed, replace=False)
    if len(rest) > most - len(seed):
        rest = rng.choice(rest, most - len(seed), replace=False)
    return np.sort(np.concatenate([seed, rest]))


def _telling(counts: Table, is_seed: Mask) -> NDArray[np.int64]:
    """The columns worth a look: half the most common, half the most unlike the others, and no giveaways.

    A feature whose holders are nearly all in the seed already points at nobody else: it is the seed's own
    definition under another name (the thank-you page of buyers), and would drown the features that do.
    """
    held = np.bincount(counts.indices, minlength=counts.shape[1])
    of_seed = np.bincount(counts[is_seed].indices, minlength=counts.shape[1])
    giveaway = (of_seed >= GIVEAWAY * held) & (of_seed >= 0.2 * is_seed.sum()) & (is_seed.mean() < 0.5)
    common = np.flatnonzero((held >= RAREST) & ~giveaway)
    if len(common) <= MOST_FEATURES:
        return common
    expected = held[common] * is_seed.mean()
    unlike = np.abs(of_seed[common] - expected) / np.sqrt(expected)
    half = MOST_FEATURES // 2
    best = [np.argsort(-worth, kind="stable")[:half] for worth in (held[common], unlike)]
    return common[np.union1d(*best)]


def _rows(counts: Table, kept: NDArray[np.int64], profile: Floats | None) -> Table:
    """The kept columns on a log scale (one visit is 1), then how much was done, then the profile."""
    logs = counts[:, kept].astype(np.float32)
    logs.data = np.log2(1 + logs.data)
    amount = np.asarray(logs.sum(1), np.float32)
    columns = [logs, np.log1p(amount), *([] if profile is None else [profile])]
    return sparse.hstack([sparse.csr_matrix(column) for column in columns], format="csr", dtype=np.float32)


def _part(profile: Floats | None, at: int) -> Floats | None:
    return None if profile is None else profile[at : at + CHUNK]
