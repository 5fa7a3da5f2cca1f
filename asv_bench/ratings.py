"""Print what completion makes of the ratings of MovieLens-100k, which the package neighbors holds.

``python asv_bench/ratings.py [--splits 90/10 5-fold] [--seeds 0 1 2]``: root mean square errors on
ratings that were left out, predictions clipped to the range of ratings, seconds of all fits.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import NamedTuple

import numpy as np
import scipy.sparse

import tdecomp as td

RANGE = (1.0, 5.0)


class Ratings(NamedTuple):
    """Who rates what how."""

    users: np.ndarray
    items: np.ndarray
    values: np.ndarray

    def take(self, chosen: np.ndarray) -> Ratings:
        """Return some of them."""
        return Ratings(*(part[chosen] for part in self))

    def matrix(self, shape: tuple[int, int]) -> scipy.sparse.coo_array:
        """Return them as a sparse matrix."""
        return scipy.sparse.coo_array((self.values, (self.users, self.items)), shape=shape)


def read() -> Ratings:
    """Read all ratings."""
    path = files("neighbors") / "data" / "movielens100k.csv"
    with path.open() as file:
        rows = [row[:3] for row in csv.reader(file)][1:]
    table = np.asarray(rows, float)
    users, items = (np.unique(table[:, k], return_inverse=True)[1] for k in (0, 1))
    return Ratings(users, items, table[:, 2])


def splits(total: int, kind: str, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield which ratings are fitted and which are told, at random and without regard to rows."""
    order = np.random.default_rng(seed).permutation(total)
    parts = 10 if kind == "90/10" else 5
    for part in range(1 if kind == "90/10" else parts):
        left_out = order[part::parts]
        yield np.setdiff1d(order, left_out), left_out


def biases(known: scipy.sparse.coo_array) -> td.Completion:
    """Return offsets alone."""
    return td.complete(known, rank=1, regularization=1e9, biases=True, max_iter=2, rng=0).tensor


def als(rank: int, penalty: float) -> Callable[[scipy.sparse.coo_array], td.Completion]:
    """Return alternating least squares with weighted penalties and biases."""
    return lambda known: (
        td.complete(
            known,
            rank=rank,
            regularization=penalty,
            by_count=True,
            biases=True,
            max_iter=30,
            rng=0,
        ).tensor
    )


def validated(known: scipy.sparse.coo_array) -> td.Completion:
    """Return what cross-validation within the known ratings chooses."""
    return td.completion.cross_validate(
        known,
        ranks=[10, 20, 40],
        regularizations=[0.1, 0.12, 0.14, 0.17],
        by_count=True,
        biases=True,
        clip=RANGE,
        rng=0,
    ).fit.tensor


def variational(rank: int) -> Callable[[scipy.sparse.coo_array], td.Completion]:
    """Return variational Bayes, which is told no penalty."""
    return lambda known: (
        td.completion.variational_als(known, rank=rank, biases=True, init="random", rng=0).tensor
    )


METHODS = {
    "offsets alone": biases,
    "ALS, rank 10, penalty 0.10 by count": als(10, 0.10),
    "ALS, rank 20, penalty 0.12 by count": als(20, 0.12),
    "ALS, rank 50, penalty 0.14 by count": als(50, 0.14),
    "ALS, rank and penalty by cross-validation": validated,
    "variational, rank 5": variational(5),
    "variational, rank 10": variational(10),
    "variational, rank 20": variational(20),
}


def error(model: td.Completion, ratings: Ratings) -> float:
    """Return the root mean square error."""
    told = td.completion.predict(model, ratings.users, ratings.items, clip=RANGE)
    return float(np.sqrt(np.mean((told - ratings.values) ** 2)))


def main() -> None:
    """Print one row for each method and split."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", nargs="+", default=["90/10", "5-fold"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    options = parser.parse_args()
    ratings = read()
    shape = (int(ratings.users.max()) + 1, int(ratings.items.max()) + 1)
    print("| method | split | seed 0, 1, ... | mean | seconds |\n|---|---|---|---|---|")
    for name in options.methods:
        for kind in options.splits:
            start, found = time.perf_counter(), []
            for seed in options.seeds:
                errors = [
                    error(METHODS[name](ratings.take(fitted).matrix(shape)), ratings.take(told))
                    for fitted, told in splits(ratings.values.size, kind, seed)
                ]
                found.append(float(np.mean(errors)))
            seconds = time.perf_counter() - start
            each = " ".join(f"{value:.4f}" for value in found)
            row = f"| {name} | {kind} | {each} | {np.mean(found):.4f} | {seconds:.1f} |"
            print(row, flush=True)


if __name__ == "__main__":
    main()
