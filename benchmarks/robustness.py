"""Does the act-alike model hold up on shops that it was not made for? Few seeds, heavy users, noise.

    python benchmarks/robustness.py [visits.csv ...]      # columns visitor, area; planted crowds without

For each table and each number of seed members: the crowd's hidden rest is to be found, as in actalike.py,
for several crowds. The figures are means of AUC and of lift in the best 5 %, and of the rank among the
scorers (1 is best) over all trials. A planted crowd shares a taste, has one habit in common, or knows two
halves that only together tell; heavy users do thirty times as much of everything.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from scipy import sparse
from scipy.stats import rankdata

import actalike
from retag.likeness.quality import auc, lift

VISITORS, FEATURES, CROWD = 12_000, 600, 600
SEEDS = (20, 40, 80, 300)
TRIALS = 2


def crowd(kind: str, rng: np.random.Generator) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Counts (visitors, features) and the rows of a planted crowd."""
    popularity = 1 / np.arange(3, FEATURES + 3) ** 0.9
    amount = rng.gamma(0.7, 4, (VISITORS, 1))
    if kind == "heavy users":
        amount[rng.random(VISITORS) < 0.03] *= 30
    counts = rng.poisson(popularity * amount / popularity.sum() * 3)
    rows = rng.choice(VISITORS, CROWD, replace=False)
    own = rng.choice(np.arange(20, FEATURES), 40, replace=False)
    if kind == "one habit":
        counts[rows, own[0]] += rng.random(CROWD) < 0.35
    elif kind == "two halves":
        others = rng.choice(VISITORS, (2, CROWD * 3), replace=False)
        for half, who in ((own[:20], others[0]), (own[20:], others[1])):
            counts[np.ix_(who, half)] += rng.poisson(0.12, (len(who), 20))
            counts[np.ix_(rows, half)] += rng.poisson(0.12, (CROWD, 20))
    else:
        strength = 0.03 if kind == "faint taste" else 0.06
        counts[np.ix_(rows, own)] += rng.poisson(strength, (CROWD, 40))
    return sparse.csr_matrix(counts.astype(float)), rows


PLANTED = ("taste", "faint taste", "heavy users", "one habit", "two halves")


def planted(kind: str) -> Iterator[tuple]:
    for trial in range(TRIALS):
        table, rows = crowd(kind, np.random.default_rng(trial))
        yield table, rows, np.random.default_rng(trial)


def visited(path: str) -> Iterator[tuple]:
    """Crowds are the visitors of areas along the range of popularity, down to 120 visitors."""
    table = actalike.read(path)
    popularity = actalike.total(table, 0)
    targets = np.argsort(-popularity)[: int((popularity >= 120).sum())]
    for target in targets[np.linspace(0, len(targets) - 1, min(12, len(targets))).astype(int)]:
        features = table[:, np.arange(table.shape[1]) != target].tocsr()
        rows = np.flatnonzero((table[:, [target]].toarray().ravel() > 0) & (actalike.total(features, 1) > 0))
        yield features, rows, np.random.default_rng(int(target))


def trial(table, rows, seeds: int, rng: np.random.Generator, scorers: dict) -> np.ndarray:
    """(scorers, 2): AUC and lift in the best 5 %."""
    is_seed = np.zeros(table.shape[0], bool)
    is_seed[rng.permutation(rows)[: min(seeds, len(rows) // 2)]] = True
    candidates = np.flatnonzero((actalike.total(table, 1) > 0) & ~is_seed)
    relevant = np.isin(candidates, rows)
    found = []
    for scorer in scorers.values():
        scores = np.asarray(scorer(table, is_seed), float)[candidates]
        found.append((auc(scores, relevant), lift(scores, relevant, 0.05)))
    return np.array(found)


def compare(name: str, crowds, scorers: dict, seeds: tuple[int, ...]) -> np.ndarray:
    found = {few: [] for few in seeds}
    for table, rows, rng in crowds:
        for few in seeds:
            found[few].append(trial(table, rows, few, rng, scorers))
    for few, rows in found.items():
        means = np.mean(rows, axis=0)
        said = "  ".join(f"{area:.3f} {five:5.2f}" for area, five in means)
        print(f"{name[-14:]:14} {few:4}  {said}", flush=True)
    return np.concatenate([found[few] for few in seeds])


def main(paths: list[str], seeds: tuple[int, ...] = SEEDS, scorers: dict = actalike.SCORERS) -> None:
    print(f"{'table':14} seed  " + "  ".join(f"{name[:11]:11}" for name in scorers))
    trials = [compare(path.split("/")[-1], visited(path), scorers, seeds) for path in paths]
    trials += [compare(kind, planted(kind), scorers, seeds) for kind in PLANTED]
    every = np.concatenate(trials)
    ranks = np.array([[rankdata(-column) for column in one.T] for one in every]).mean(axis=0)
    print(f"{'mean rank':20}" + "  ".join(f"{area:5.2f} {five:5.2f}" for area, five in ranks.T))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("paths", nargs="*", help="CSVs with the columns visitor, area")
    main(parser.parse_args().paths)
