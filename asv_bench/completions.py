"""Print how the completion of matrices compares with the peers and with what the machine allows.

Every figure comes from this run, in one process with as many threads for both. The floor of a row
is the time for its flops at the speed of a large matrix product, which is measured here.

    python asv_bench/completions.py                 # the sizes that the documentation quotes
    python asv_bench/completions.py --row soft      # rows whose name has this in it
    python asv_bench/completions.py --quick         # a quick look, at small sizes
"""

from __future__ import annotations

import os
import statistics
import sys

if "--quick" not in sys.argv:
    os.environ["TDECOMP_BENCH"] = "full"

import numpy as np
from benchmarks import completion, completion_methods, completion_users, robust
from benchmarks._contenders import Clock, medians
from benchmarks._table import Limits, Measure, Row, tell

from tdecomp.completion.robust import principal_component_pursuit

_PACKAGES = {"double": "cmfrec", "single": "lenskit"}


def _rows() -> list[tuple[str, int, str, Measure]]:
    """Return name, threads, peer and measurement of every row."""
    return [
        *(
            (f"exact ALS, {precision} precision, a sweep", 2, peer, _sweep(precision))
            for precision, peer in _PACKAGES.items()
        ),
        ("implicit feedback, a sweep", 2, "implicit", _implicit),
        ("soft-impute", 2, "fancyimpute", _impute(None)),
        ("soft-impute", 2, "fancyimpute, max_rank=30", _impute(completion_methods.RANK)),
        ("pursuit", 2, "IALM", _pursuit),
    ]


def _sweep(precision: str) -> Measure:
    """Compare exact sweeps of alternating least squares."""

    def measure(limit: Limits, repeats: int, _: Clock) -> Row:
        contest, peer = completion.Peers(), _PACKAGES[precision]
        contest.setup(peer)
        x, rank = contest.x, contest.rank
        runs = contest.ours, contest.fit
        for run in runs:
            run(1)
        ours, theirs = zip(
            *([completion.between(run) for run in runs] for _ in range(repeats)), strict=True
        )
        flops = 2 * x.nnz * (rank**2 + 5 * rank) + sum(x.shape) * rank**3 / 3
        shape = f"{x.shape[0]}^2, {x.nnz / 1e6:.1f} M entries, rank {rank}"
        floor = flops / getattr(limit, precision)
        return Row(statistics.median(ours), statistics.median(theirs), shape, floor)

    return measure


def _implicit(limit: Limits, repeats: int, _: Clock) -> Row:
    """Compare exact sweeps over ones and all zeros."""
    x, rank = completion_users.plays(), completion_users.RANK
    completion_users.sweep(x)
    ours, theirs = zip(
        *((completion_users.sweep(x), completion_users.peer_sweep(x)) for _ in range(repeats)),
        strict=True,
    )
    flops = 2 * x.nnz * (rank**2 + 3 * rank) + sum(x.shape) * (rank**3 / 3 + 6 * rank**2)
    shape = f"{x.shape[0]} x {x.shape[1]}, {x.nnz / 1e6:.1f} M entries, rank {rank}"
    floor = flops / limit.single
    return Row(statistics.median(ours), statistics.median(theirs), shape, floor)


def _impute(rank: int | None) -> Measure:
    """Compare the time to one objective."""

    def measure(limit: Limits, repeats: int, _: Clock) -> Row:
        contest = completion_methods.Impute()
        contest.setup("soft_impute")
        runs = [(contest.ours("soft_impute"), contest.theirs(rank)) for _ in range(repeats)]
        ours = statistics.median(seconds for (seconds, _), _ in runs)
        nnz, steps = int(np.sum(~np.isnan(contest.x))), runs[0][0][1]
        floor = 6 * steps * nnz * completion_methods.RANK / limit.double
        accuracy = "objective within 1e-6 of the least, both"
        return Row(ours, statistics.median(theirs for _, theirs in runs), accuracy, floor)

    return measure


def _pursuit(limit: Limits, repeats: int, clock: Clock) -> Row:
    """Compare with augmented Lagrange multipliers and whole SVDs, as the method is distributed."""
    n, rank, share = max(robust.CASES)
    low, x = robust.spoiled(n, rank, share)
    runs = {"ours": lambda: principal_component_pursuit(x), "theirs": lambda: robust.published(x)}
    times = medians(runs, repeats, clock)
    fit = runs["ours"]()
    errors = [
        float(np.linalg.norm(found - low) / np.linalg.norm(low))
        for found in (fit.tensor.low_rank.to_array(), runs["theirs"]())
    ]
    accuracy = f"{n}^2, rank {rank}: error {errors[0]:.0e}, peer {errors[1]:.0e}"
    return Row(
        times["ours"], times["theirs"], accuracy, 6 * fit.n_iter * x.size * rank / limit.double
    )


if __name__ == "__main__":
    tell(_rows, __doc__)
