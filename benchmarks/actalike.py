"""Act-alikes against the usual scorers: can the hidden half of a crowd be found from the other half?

    python benchmarks/actalike.py visits.csv       # columns visitor, area; five rows of figures

For each of the 25 most visited areas: those of its visitors who have been elsewhere too are the crowd, and a
random half of them the seed; the area is taken out of everyone's features; all others who have been anywhere
are ranked. The figures are medians over the areas of AUC and of lift (precision over base rate) in the best
5 % and 1 %, and the seconds of a processor for a seed. Every scorer gets one core.
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from collections.abc import Callable, Iterator

for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")

import lightgbm  # noqa: E402 (threads are counted when the libraries load)
import numpy as np  # noqa: E402
from scipy import sparse  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402

from retag.likeness.model import score  # noqa: E402
from retag.likeness.quality import auc  # noqa: E402


def read(path: str) -> sparse.csr_matrix:
    """The table (visitors, areas) of 0 and 1 in a CSV with a header line."""
    visitors, areas = {}, {}
    with open(path, newline="") as lines:
        pairs = [(row[0], row[1]) for row in csv.reader(lines)][1:]
    rows = [visitors.setdefault(visitor, len(visitors)) for visitor, _ in pairs]
    cols = [areas.setdefault(area, len(areas)) for _, area in pairs]
    table = sparse.csr_matrix((np.ones(len(rows)), (rows, cols)), shape=(len(visitors), len(areas)))
    table.data[:] = 1
    return table


def total(table, axis) -> np.ndarray:
    return np.asarray(table.sum(axis)).ravel()


def lift(scores, relevant, share: float) -> float:
    """Precision in the best `share` over the base rate; ties go to the earlier row, for every scorer."""
    top = np.argsort(-scores, kind="stable")[: max(1, int(len(scores) * share))]
    return float(relevant[top].mean() / relevant.mean())


def trials(table, targets: int, least: int) -> Iterator[tuple]:
    """`(features, is_seed, rows of the candidates, which of them are relevant)` for each target."""
    rng = np.random.default_rng(7)
    popularity, done = total(table, 0), 0
    for target in np.argsort(-popularity):
        if popularity[target] < least or done == targets:
            return
        features = table[:, np.arange(table.shape[1]) != target].tocsr()
        alive = total(features, 1) > 0
        crowd = np.flatnonzero((table[:, [target]].toarray().ravel() > 0) & alive)
        if len(crowd) < 40:
            continue
        rng.shuffle(crowd)
        seed, hidden = crowd[: len(crowd) // 2], crowd[len(crowd) // 2 :]
        is_seed = np.zeros(table.shape[0], bool)
        is_seed[seed] = True
        candidates = np.flatnonzero(alive & ~is_seed)
        done += 1
        yield features, is_seed, candidates, np.isin(candidates, hidden)


def most_active(table, is_seed):
    return total(table, 1)


def log_lift(table, is_seed):
    alive = (total(table, 1) > 0).sum()
    of_seed = np.log((total(table[is_seed], 0) + 1) / (is_seed.sum() + 2))
    return table @ (of_seed - np.log((total(table, 0) + 1) / (alive + 2)))


def logistic(table, is_seed):
    alive = total(table, 1) > 0
    model = LogisticRegression(C=0.1, max_iter=300).fit(table[alive], is_seed[alive])
    return table @ model.coef_.ravel()


def boosted(table, is_seed):
    table, alive = table.astype(np.float32), total(table, 1) > 0
    shape = {"n_estimators": 120, "num_leaves": 15, "learning_rate": 0.06, "min_child_samples": 30}
    model = lightgbm.LGBMClassifier(**shape, verbose=-1, n_jobs=1).fit(table[alive], is_seed[alive])
    return model.predict(table, raw_score=True)


SCORERS: dict[str, Callable] = {
    "most active visitors": most_active,
    "log-lift": log_lift,
    "logistic regression": logistic,
    "LightGBM": boosted,
    "Retag": score,
}


def compare(path: str, targets: int, least: int) -> None:
    table = read(path)
    print(f"{table.shape[0]:,} visitors, {table.shape[1]:,} areas, {table.nnz:,} pairs; one core")
    figures, spent = {name: [] for name in SCORERS}, dict.fromkeys(SCORERS, 0.0)
    for features, is_seed, candidates, relevant in trials(table, targets, least):
        for name, scorer in SCORERS.items():
            started = time.process_time()
            scores = np.asarray(scorer(features, is_seed), float)[candidates]
            spent[name] += time.process_time() - started
            tops = [lift(scores, relevant, share) for share in (0.05, 0.01)]
            figures[name].append((auc(scores, relevant), *tops))
    print(f"{'':22}{'AUC':>6}{'lift 5 %':>10}{'lift 1 %':>10}{'s a seed':>10}")
    for name, rows in figures.items():
        area, five, one = np.median(rows, axis=0)
        print(f"{name:22}{area:6.3f}{five:10.2f}{one:10.2f}{spent[name] / len(rows):10.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("path", help="a CSV with the columns visitor, area")
    parser.add_argument("--targets", type=int, default=25, help="areas to try (25)")
    parser.add_argument("--least", type=int, default=300, help="visitors that an area needs (300)")
    options = parser.parse_args()
    compare(options.path, options.targets, options.least)
