"""A table of what was measured beside peers, row by row, in processes born with their threads."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from ._contenders import Clock, clock_for, pinned

_POOLS = ("OMP", "OPENBLAS", "MKL", "NUMBA")


class Row(NamedTuple):
    """What one line of the table says."""

    ours: float
    theirs: float
    accuracy: str
    floor: float


class Limits(NamedTuple):
    """Bytes and flops in a second, of double and of single precision."""

    bandwidth: float
    double: float
    single: float


Measure = Callable[[Limits, int, Clock], Row]
Rows = Iterable[tuple[str, int, str, Measure]]


def tell(rows: Callable[[], Rows], about: str) -> None:
    """Print rows of one thread, and then of two: name, threads, peer and measurement of each."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument(
        "--row", default="", help="part of the names, or peers, of the wanted rows"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--threads", type=int, choices=(1, 2), help="only rows with as many")
    options = parser.parse_args()
    if options.threads:
        _report(rows, options)
        return
    print("| work | threads | peer | peer, s | tdecomp, s | ratio | floor, s | accuracy |")
    print("|---" * 8 + "|", flush=True)
    for threads in sorted({wanted for _, wanted, *_ in rows()}):
        command = [sys.executable, *sys.argv, "--threads", str(threads)]
        subprocess.run(command, env=environment(threads), check=True)


def environment(threads: int) -> dict[str, str]:
    """Return the environment of a process that is born with so many threads."""
    return os.environ | {f"{pool}_NUM_THREADS": str(threads) for pool in _POOLS}


def _report(rows: Callable[[], Rows], options: argparse.Namespace) -> None:
    """Print every row as soon as it is complete, and the limits of the machine."""
    warnings.simplefilter("ignore")
    threads = options.threads
    with pinned(threads, ("scipy",)):
        limit = limits()
        for name, wanted, peer, measure in rows():
            if options.row in f"{name}, {peer}" and wanted == threads:
                row = measure(limit, options.repeats, clock_for(threads))
                print(
                    f"| {name} | {threads} | {peer} | {row.theirs:.4g} | {row.ours:.4g} | "
                    f"**{row.theirs / row.ours:.1f}x** | {row.floor:.2g} | {row.accuracy} |",
                    flush=True,
                )
    rates = ", ".join(f"{value / 1e9:.0f}" for value in limit)
    print(f"<!-- {threads} threads: GB/s, GF/s in double and single precision: {rates} -->")


def limits() -> Limits:
    """Measure the machine, as the present pools of threads see it."""
    rng, best = np.random.default_rng(0), []
    x = rng.standard_normal(1 << 25)
    vectors = x[: 1 << 24], x[1 << 24 :]
    products = [rng.standard_normal((1500, 1500)).astype(t) for t in (np.float64, np.float32)]
    for work, run in (
        (x.nbytes, lambda: np.dot(*vectors)),
        *((2 * 1500**3, lambda a=a: a @ a) for a in products),
    ):
        seconds = []
        for _ in range(7):
            begun = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - begun)
        best.append(work / min(seconds))
    return Limits(*best)
