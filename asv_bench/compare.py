"""Print how this library compares with its peers, as a table for the README.

Every figure comes from this run: the contenders take turns in one process, each at its cheapest
setting that reaches the accuracy named in the first column, all thread pools pinned.

    python asv_bench/compare.py                     # the sizes that the README quotes
    python asv_bench/compare.py --shape 1500x1500   # a quick look
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path

from benchmarks._contenders import (
    OURS,
    WIDTHS,
    Clock,
    Contender,
    available_threads,
    calibrate,
    clock_for,
    contenders,
    medians,
    pinned,
)
from benchmarks._problems import RANK, Problem, problems
from threadpoolctl import threadpool_info

SHAPES = ((5000, 5000), (20000, 1000))
SPECTRA = {"fast": "fast decay", "slow": "1/i", "floor": "noise floor"}
_ROUNDING = 1e-15


def main() -> None:
    """Measure, and print as soon as a row is complete."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", type=_shape, action="append", help="such as 5000x5000")
    parser.add_argument("--spectrum", choices=tuple(SPECTRA), action="append")
    parser.add_argument("--threads", type=int, default=available_threads())
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--width", type=int, action="append", help="block widths of the peers")
    parser.add_argument("--peer", action="append", help="part of a name; all by default")
    options = parser.parse_args()
    entrants = {name: c for name, c in contenders(0.0).items() if c.installed}
    wanted = (OURS, *options.peer) if options.peer else ("",)
    entrants = {n: c for n, c in entrants.items() if any(part in n for part in wanted)}
    widths = tuple(options.width or WIDTHS)
    packages = tuple(c.package for c in entrants.values())
    with pinned(options.threads, packages):
        clock = clock_for(options.threads)
        what = "CPU time, one thread" if options.threads == 1 else "wall time"
        print(f"Rank {RANK}, double precision. Median of {options.repeats} ({what}),")
        print("how many times ours, excess over the least error.\n")
        print("| matrix, target | " + " | ".join(entrants) + " |")
        print("|---" * (1 + len(entrants)) + "|", flush=True)
        notes = []
        for problem in problems(tuple(options.shape or SHAPES)).values():
            if problem.kind in (options.spectrum or SPECTRA):
                cells, note = _row(problem, tuple(entrants), widths, options.repeats, clock)
                notes.append(note)
                print("| " + " | ".join([_label(problem), *cells]) + " |", flush=True)
        print("\n" + "\n".join(notes))
        print("\n" + _machine(entrants))


def _shape(text: str) -> tuple[int, int]:
    """Read a shape with at least as many rows as columns."""
    m, n = (int(size) for size in text.split("x"))
    if m < n or n < 2 * RANK:
        raise argparse.ArgumentTypeError(f"needs m >= n >= {2 * RANK}")
    return m, n


def _row(
    problem: Problem, names: tuple[str, ...], widths: tuple[int, ...], repeats: int, clock: Clock
) -> tuple[list[str], str]:
    """Return the cells of one problem, and a line with the settings that were used."""
    a = problem.matrix()
    known = contenders(problem.target, widths)
    choices = {name: calibrate(problem, a, known[name], clock) for name in names}
    runs = {name: choice.run for name, choice in choices.items() if choice is not None}
    times = medians(runs, repeats, clock)
    cells = []
    for name in names:
        if name not in times:
            cells.append("misses it")
            continue
        excess = max(problem.excess(a, runs[name]()), 0.0)
        accuracy = f"{excess:.0e}" if excess > _ROUNDING else f"< {_ROUNDING:.0e}"
        ratio = "" if name == OURS or OURS not in times else f" ({times[name] / times[OURS]:.1f}x)"
        cells.append(f"{times[name]:.2f} s{ratio}, {accuracy}")
    used = "; ".join(f"{name} {choices[name].setting}" for name in times)
    return cells, f"- {_label(problem)} (load {os.getloadavg()[0]:.1f}): {used}"


def _label(problem: Problem) -> str:
    """Describe a problem in a few words."""
    return f"{problem.m} x {problem.n}, {SPECTRA[problem.kind]}, {problem.target:.0e}"


def _machine(entrants: dict[str, Contender]) -> str:
    """Describe what the figures depend on, thread pools as they were found."""
    models = (line for line in _lines("/proc/cpuinfo") if line.startswith("model name"))
    cpu = next(models, platform.processor() or platform.machine()).rpartition(":")[2].strip()
    pools = [
        f"{pool['internal_api']} {pool['version'] or ''}".strip() + f": {pool['num_threads']}"
        for pool in threadpool_info()
    ]
    if "torch.svd_lowrank" in entrants:
        import torch

        pools.append(f"PyTorch: {torch.get_num_threads()}")
    present = {"numpy", *(c.package for c in entrants.values())} - {"tdecomp"}
    names = sorted("scikit-learn" if package == "sklearn" else package for package in present)
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    return "\n".join(
        (
            f"{cpu}, {os.cpu_count()} cores, {platform.system()}, {date.today()}.",
            f"Python {platform.python_version()}, {versions}.",
            f"Threads: {', '.join(sorted(pools))}.",
            f"Load average when finished: {', '.join(f'{x:.1f}' for x in os.getloadavg())}.",
        )
    )


def _lines(path: str) -> list[str]:
    """Read a file that may be missing."""
    file = Path(path)
    return file.read_text().splitlines() if file.exists() else []


if __name__ == "__main__":
    sys.exit(main())
