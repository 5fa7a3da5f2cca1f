"""Print how tensor decompositions compare with the peers and with what the machine allows.

Every figure comes from this run: both take turns in one process with as many threads each, from
the same start and for as many sweeps, where there are any. One thread is timed by its CPU, two
by the clock on the wall. The floor of a row is the time for its bytes at the bandwidth, or for
its flops at the speed of a large matrix product, whichever is longer, both measured here.

    python asv_bench/tensors.py                  # the sizes that the documentation quotes
    python asv_bench/tensors.py --row Tucker     # rows whose name has this in it
    python asv_bench/tensors.py --quick          # a quick look, at small sizes
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

if "--quick" not in sys.argv:
    os.environ["TDECOMP_BENCH"] = "full"

import numpy as np
from benchmarks import cp, kronecker, sparse, tucker
from benchmarks._contenders import Clock, medians
from benchmarks._table import Limits, Measure, Row, environment, tell

import tdecomp as td


def _rows() -> list[tuple[str, int, str, Measure]]:
    """Return name, threads, peer and measurement of every row."""
    rows: list[tuple[str, int, str, Measure]] = []
    for name, threads in (("200^3 r16", 2), ("60^4 r16", 2), ("400^3 r32", 1)):
        rows += [
            (f"CP-ALS {name}, a sweep", threads, peer, _sweeps(name, peer)) for peer in cp.PEERS
        ]
    rows.append(("CP 200^3 r16 to convergence", 2, "pyttb", _convergence))
    rows.append(("sparse CP-ALS r16, a sweep", 1, "pygenten", _sparse))
    for name in tucker.CASES:
        rows += [
            (f"Tucker {name}", 1, "pyttb", _tucker(name, "auto")),
            (f"Tucker {name}, first call", 1, "pyttb", _first_call(name)),
        ]
    rows.append(("Tucker rtol 1e-10 by QR", 1, "pyttb", _tucker("rtol 1e-10", "qr")))
    rows += [
        (f"Kronecker SVD 4096^2, {rank} terms", 2, peer, _kronecker(rank, peer))
        for rank in kronecker.RANKS
        for peer in kronecker.PEERS
    ]
    return rows


def _sweeps(name: str, peer: str) -> Measure:
    """Compare sweeps from one start."""

    def measure(limit: Limits, repeats: int, clock: Clock) -> Row:
        case = cp.CASES[name]
        x = case.tensor()
        theirs = cp.PEERS[peer](x, case)
        times = medians({"ours": lambda: cp.ours(x, case), "theirs": theirs}, repeats, clock)
        fits = [1 - float(td.relative_error(x, found)) for found in (cp.ours(x, case), theirs())]
        floor = max(2 * x.nbytes / limit.bandwidth, 4 * x.size * case.rank / limit.double)
        gap = f"fits differ by {abs(fits[0] - fits[1]):.0e}"
        return Row(times["ours"] / cp.SWEEPS, times["theirs"] / cp.SWEEPS, gap, floor)

    return measure


def _convergence(limit: Limits, _: int, clock: Clock) -> Row:
    """Compare whole runs over seeds."""
    contest = cp.Convergence()
    contest.setup("pyttb")
    found = contest.race(clock)
    x, rank = contest.x, contest.case.rank
    floor = max(7 * x.nbytes / limit.bandwidth, 14 * x.size * rank / limit.double)
    fits = f"median fit {found.fit_ours:.4f}, peer {found.fit_theirs:.4f}, {cp.SEEDS} seeds"
    return Row(found.ours, found.theirs, fits, floor)


def _sparse(limit: Limits, repeats: int, clock: Clock) -> Row:
    """Compare sweeps over a sparse tensor whose layout is built."""
    contest = sparse.Ratio()
    contest.setup("uniform", "pygenten")
    times = medians(contest.runs("pygenten"), repeats, clock)
    layout = medians({"build": lambda: sparse.SparseLayout(contest.x)}, 3, clock)["build"]
    sweep = times["ours"] / sparse.SWEEPS
    floor = 3 * contest.x.nnz * 16 / limit.bandwidth
    gap = contest.track_disagreement("uniform", "pygenten")
    accuracy = f"distances differ by {gap:.0e}; layout {layout / sweep:.1f} sweeps"
    return Row(sweep, times["theirs"] / sparse.SWEEPS, accuracy, floor)


def _tucker(name: str, method: str) -> Measure:
    """Compare with the Gram matrices of pyttb."""

    def measure(limit: Limits, repeats: int, clock: Clock) -> Row:
        contest = tucker.Ratio()
        contest.setup(name, method)
        times = medians(contest.runs(name, method), repeats, clock)
        ours, theirs = contest.errors(name, method)
        errors = f"error {ours:.6e}, peer {theirs:.6e}"
        return Row(times["ours"], times["theirs"], errors, _least(contest.x, limit))

    return measure


def _first_call(name: str) -> Measure:
    """Compare the first calls in processes of their own."""

    def measure(limit: Limits, repeats: int, _: Clock) -> Row:
        code = f"from benchmarks import tucker; print(*tucker.first_calls({name!r}).values())"
        command = [sys.executable, "-W", "ignore", "-c", code]
        where = {"cwd": Path(__file__).parent, "env": environment(1)}
        found = [
            subprocess.run(command, capture_output=True, check=True, **where).stdout.split()
            for _ in range(repeats)
        ]
        ours, theirs = (statistics.median(map(float, side)) for side in zip(*found, strict=True))
        note = "memory new to the process included"
        return Row(ours, theirs, note, _least(tucker.CASES[name].make(), limit))

    return measure


def _kronecker(rank: int, peer: str) -> Measure:
    """Compare with a copy of the rearrangement and a solver for its singular vectors."""

    def measure(limit: Limits, repeats: int, clock: Clock) -> Row:
        contest = kronecker.Ratio()
        contest.setup(rank, peer)
        times = medians(contest.runs(rank, peer), repeats, clock)
        excess = f"error / least - 1: {kronecker.excess(contest.a, rank):.0e}"
        floor = 3 * contest.a.nbytes / limit.bandwidth
        return Row(times["ours"], times["theirs"], excess, floor)

    return measure


def _least(x: np.ndarray, limit: Limits) -> float:
    """Return the least time of a Gram matrix and a projection."""
    rate = limit.single if x.dtype == np.float32 else limit.double
    return max(2 * x.nbytes / limit.bandwidth, x.size * min(x.shape) / rate)


if __name__ == "__main__":
    tell(_rows, __doc__)
