"""Model: fit on a seed, score everybody.

Three views of the same activity, each on a log scale of counts, averaged after standardising:

- boosted trees (LightGBM) for interactions,
- logistic regression for single telling features, with how much a visitor did beside what they did,
- logistic regression on a low-rank embedding of the weighted, length-normalised rows, which lets rare
  features borrow from those that they occur with: most of what there is when seeds are few.

A visitor who is not in the seed is unlabelled, not negative; regularisation is strong on purpose, so that
look-alikes among them are not learnt by heart as strangers.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

import lightgbm
import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.utils.extmath import randomized_svd

Table = Any
Floats = NDArray[Any]
Mask = NDArray[np.bool_]

LEAST_SEED = 30
"""Seed members with any activity; fewer cannot be learnt from."""

MOST_FEATURES = 2000
RAREST = 3
"""A feature that fewer visitors have says nothing about the next one."""

MOST_TRAINED = 120_000
CHUNK = 100_000
GIVEAWAY = 0.9
RANDOM = 20260101

TREES = {
    "objective": "binary",
    "num_leaves": 15,
    "learning_rate": 0.06,
    "min_data_in_leaf": 20,
    "feature_fraction": 0.3,
    "lambda_l2": 5.0,
    "max_bin": 63,
    "verbose": -1,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "seed": RANDOM,
}
ROUNDS = 120
RANK = 48


class View(Protocol):
    """One way of looking at the rows (n, m) of activity; higher scores are more alike."""

    def weight(self, seeds: int) -> float: ...

    def fit(self, rows: Table, is_seed: Mask) -> None: ...

    def score(self, rows: Table) -> Floats: ...


class Trees:
    def weight(self, seeds: int) -> float:
        """Interactions take many examples: half a say at 60 seed members, nearly a whole at 1,000."""
        return seeds / (seeds + 60)

    def fit(self, rows: Table, is_seed: Mask) -> None:
        data = lightgbm.Dataset(rows, is_seed.astype(np.float32), free_raw_data=True)
        self._model = lightgbm.train(TREES, data, ROUNDS)

    def score(self, rows: Table) -> Floats:
        return np.asarray(self._model.predict(rows, raw_score=True, num_threads=1))


class Logistic:
    def weight(self, seeds: int) -> float:
        return 0.3

    def fit(self, rows: Table, is_seed: Mask) -> None:
        self.model = LogisticRegression(C=0.1, max_iter=200).fit(rows, is_seed)

    def score(self, rows: Table) -> Floats:
        return np.asarray(self.model.decision_function(rows))


class Embedded:
    def weight(self, seeds: int) -> float:
        return 0.5

    def fit(self, rows: Table, is_seed: Mask) -> None:
        held = np.asarray((rows > 0).sum(0)).ravel()
        self._weights = sparse.diags(np.sqrt(np.log((rows.shape[0] + 1) / (held + 1))).astype(np.float32))
        rank = max(1, min(RANK, rows.shape[1] - 1))
        _, _, self._basis = randomized_svd(self._normal(rows), rank, n_iter=3, random_state=RANDOM)
        self._model = LogisticRegression(C=1.0, max_iter=200).fit(self._embed(rows), is_seed)

    def score(self, rows: Table) -> Floats:
        return np.asarray(self._model.decision_function(self._embed(rows)))

    def _normal(self, rows: Table) -> Table:
        weighted = rows @ self._weights
        length = np.sqrt(np.asarray(weighted.multiply(weighted).sum(1)).ravel())
        return sparse.diags(1 / (length + 1e-9)) @ weighted

    def _embed(self, rows: Table) -> Floats:
        amount = np.log1p(np.asarray(rows.sum(1)))
        return np.asarray(np.hstack([self._normal(rows) @ self._basis.T, amount]))


class Likeness(msgspec.Struct, frozen=True):
    """A fitted model: `kept` are the columns that it looks at, `shares` what each view's scores, less their
    centre, are multiplied by."""

    kept: NDArray[np.int64]
    views: list[Any]
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
        """The logistic view's weight for each of the `kept` columns."""
        logistic = next(view for view in self.views if isinstance(view, Logistic))
        return np.asarray(logistic.model.coef_).ravel()[: len(self.kept)]

    def _score(self, rows: Table) -> Floats:
        parts = zip(self.views, self.centres, self.shares, strict=True)
        standard = [share * (view.score(rows) - centre) for view, centre, share in parts]
        return np.asarray(np.sum(standard, axis=0))


def fit(counts: Table, is_seed: Mask, profile: Floats | None = None) -> Likeness:
    """Fit on `counts` (n, m) and the seed (n,). `profile` (n, p) are dense columns beside the counts.

    Rows without activity are left out. Raises ValueError when the seed or the rest is empty.
    """
    alive = np.flatnonzero(np.diff(counts.indptr) > 0)
    trained = _sample(alive, is_seed)
    y = is_seed[trained]
    if y.all() or not y.any():
        raise ValueError("a seed and others beside it are needed, both with activity")
    kept = _telling(counts[trained], y)
    rows = _rows(counts[trained], kept, None if profile is None else profile[trained])
    views: list[View] = [Trees(), Logistic(), Embedded()]
    centres, shares = [], []
    for view in views:
        view.fit(rows, y)
        scores = view.score(rows)
        centres.append(float(scores.mean()))
        shares.append(view.weight(int(y.sum())) / (float(scores.std()) or 1.0))
    return Likeness(kept, views, centres, shares)


def score(counts: Table, is_seed: Mask) -> Floats:
    """Fit on the seed and score every row: higher means more alike."""
    counts = sparse.csr_matrix(counts)
    return fit(counts, np.asarray(is_seed, bool)).score(counts)


def mask(visitors: list[bytes], chosen: Collection[bytes]) -> Mask:
    """Which of the rows are among the chosen."""
    return np.fromiter((visitor in chosen for visitor in visitors), bool, len(visitors))


def active(counts: Table) -> Mask:
    """Which rows have any activity."""
    return np.asarray(np.diff(counts.indptr) > 0)


def _sample(alive: NDArray[np.int64], is_seed: Mask) -> NDArray[np.int64]:
    """All rows when they are few, else an even share of the seed and of the others."""
    seed, rest = alive[is_seed[alive]], alive[~is_seed[alive]]
    rng = np.random.default_rng(RANDOM)
    most_seed = MOST_TRAINED // 5
    if len(seed) > most_seed:
        seed = rng.choice(seed, most_seed, replace=False)
    if len(rest) > MOST_TRAINED - len(seed):
        rest = rng.choice(rest, MOST_TRAINED - len(seed), replace=False)
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
