"""Views: four ways of looking at the same rows, for `model` to average.

- boosted trees (LightGBM) for interactions, and for how much, how lately and how often,
- a forest of trees with splits drawn by lot (LightGBM), each on a part of the rows: steadier than boosting
  where rows are long,
- logistic regression on weighted, length-normalised rows: what somebody does for the most part, so that heavy
  users do not drown the others, and rare features tell more than common ones,
- logistic regression on a low-rank embedding of these rows, which lets rare features borrow from those that
  they occur with: most of what there is when seeds are few.

Compared on four shops' visits and planted crowds, by `benchmarks/actalike.py` and `benchmarks/robustness.py`.
"""

from __future__ import annotations

import warnings
from typing import Any, Protocol

import lightgbm
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.utils.extmath import randomized_svd

Table = Any
Floats = NDArray[Any]
Mask = NDArray[np.bool_]

RANDOM = 20260101
COMMON = {
    "objective": "binary",
    "max_bin": 63,
    "verbose": -1,
    "num_threads": 1,
    "deterministic": True,
    "force_col_wise": True,
    "seed": RANDOM,
}
BOOSTED = COMMON | {
    "num_leaves": 15,
    "learning_rate": 0.09,
    "min_data_in_leaf": 20,
    "feature_fraction": 0.3,
    "lambda_l2": 5.0,
}
FOREST = COMMON | {
    "boosting": "rf",
    "extra_trees": True,
    "num_leaves": 31,
    "min_data_in_leaf": 5,
    "min_sum_hessian_in_leaf": 1e-6,
    "feature_fraction_bynode": 0.15,
    "bagging_fraction": 0.6,
    "bagging_freq": 1,
    "lambda_l2": 1.0,
}
BOOSTED_ROUNDS, FOREST_ROUNDS = 80, 60
LEAST_SHARE = 0.002
"""Below this, shares in the leaves of a forest are all the same."""
RANK = 48
BESIDE = 0.3
"""How much the columns beside the features count, next to rows of length 1."""


class View(Protocol):
    """One way of looking at rows (n, m) of activity, of whose columns the first `features` are features and
    the others say how much was done, how lately and how often; higher scores are more alike."""

    def weight(self, seeds: int) -> float: ...

    def fit(self, rows: Table, is_seed: Mask) -> None: ...

    def score(self, rows: Table) -> Floats: ...


class Boosted:
    def weight(self, seeds: int) -> float:
        """Interactions take many examples: half a say at 60 seed members, nearly a whole at 1,000."""
        return seeds / (seeds + 60)

    def fit(self, rows: Table, is_seed: Mask) -> None:
        self._model = lightgbm.train(BOOSTED, _dataset(rows, is_seed), BOOSTED_ROUNDS)

    def score(self, rows: Table) -> Floats:
        return np.asarray(self._model.predict(rows, raw_score=True, num_threads=1))


class Forest:
    def weight(self, seeds: int) -> float:
        return 0.25

    def fit(self, rows: Table, is_seed: Mask) -> None:
        self._model = lightgbm.train(FOREST, _dataset(rows, is_seed), FOREST_ROUNDS)

    def score(self, rows: Table) -> Floats:
        shares = np.asarray(self._model.predict(rows, num_threads=1))
        return np.asarray(np.log(shares + LEAST_SHARE))


class Normal:
    """Rows whose features are weighted by how rare they are and brought to length 1."""

    def __init__(self, features: int) -> None:
        self._features = features

    def learn(self, rows: Table) -> None:
        held = np.asarray((rows[:, : self._features] > 0).sum(0)).ravel()
        self.weights = np.sqrt(np.log((rows.shape[0] + 1) / (held + 1))).astype(np.float32)

    def split(self, rows: Table) -> tuple[Table, Table]:
        """The features of each row so, and the columns beside them."""
        weighted = rows[:, : self._features] @ sparse.diags(self.weights)
        length = np.sqrt(np.asarray(weighted.multiply(weighted).sum(1)).ravel())
        return sparse.diags(1 / (length + 1e-9)) @ weighted, rows[:, self._features :] * BESIDE


class Logistic:
    def __init__(self, features: int) -> None:
        self._normal = Normal(features)

    def weight(self, seeds: int) -> float:
        return 0.5

    def fit(self, rows: Table, is_seed: Mask) -> None:
        self._normal.learn(rows)
        self._model = _logistic(2.0, self._join(rows), is_seed)

    def score(self, rows: Table) -> Floats:
        return np.asarray(self._model.decision_function(self._join(rows)))

    def weights(self) -> Floats:
        """What each feature weighs."""
        coefficients = np.asarray(self._model.coef_).ravel()[: len(self._normal.weights)]
        return np.asarray(coefficients * self._normal.weights)

    def _join(self, rows: Table) -> Table:
        return sparse.hstack(self._normal.split(rows), format="csr")


class Embedded:
    def __init__(self, features: int) -> None:
        self._normal = Normal(features)

    def weight(self, seeds: int) -> float:
        return 0.3

    def fit(self, rows: Table, is_seed: Mask) -> None:
        self._normal.learn(rows)
        features, _ = self._normal.split(rows)
        rank = max(1, min(RANK, features.shape[1] - 1))
        _, _, self._basis = randomized_svd(features, rank, n_iter=3, random_state=RANDOM)
        self._model = _logistic(1.0, self._embed(rows), is_seed)

    def score(self, rows: Table) -> Floats:
        return np.asarray(self._model.decision_function(self._embed(rows)))

    def _embed(self, rows: Table) -> Floats:
        features, beside = self._normal.split(rows)
        return np.asarray(np.hstack([features @ self._basis.T, beside.toarray()]), np.float32)


def views(features: int) -> list[View]:
    """All of them, unfitted."""
    return [Boosted(), Forest(), Logistic(features), Embedded(features)]


def _dataset(rows: Table, is_seed: Mask) -> Any:
    return lightgbm.Dataset(rows, is_seed.astype(np.float32), free_raw_data=True)


def _logistic(strength: float, rows: Any, is_seed: Mask) -> Any:
    """Regularised, so that a fit which has not quite converged is as good."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=strength, max_iter=200).fit(rows, is_seed)
