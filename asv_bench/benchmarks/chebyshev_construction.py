"""Functions of three variables from callables: time, values, errors, and the time of others.

The others approximate values on a grid of 129 Chebyshev points in each variable, as they are told.
"""

from __future__ import annotations

import contextlib
import io
from importlib.util import find_spec

import numpy as np

from tdecomp.chebyshev import chebyshev_tucker, evaluate
from tdecomp.chebyshev._points import points
from tdecomp.testing import functions

from ._contenders import OURS, available_threads, clock_for, medians, pinned
from ._problems import FULL

BOX = [(-1, 1)] * 3
SIDE, TARGET = (129, 1e-10) if FULL else (33, 1e-4)
# Truncation errors of whole grids are those of L2: a part of the target, which is for the largest.
PART = 0.1
SMOOTH = {
    "1/sqrt(r2 + 0.1)": lambda x, y, z: 1 / np.sqrt(x * x + y * y + z * z + 0.1),
    "1/(1 + 25 r2)": lambda x, y, z: 1 / (1 + 25 * (x * x + y * y + z * z)),
    "exp and sin": lambda x, y, z: (
        np.exp(-x * y + 0.3 * z) * np.sin(3 * x + 2 * y * z) + np.cos(5 * (x + y + z))
    ),
}
NAMES = tuple(SMOOTH) if FULL else tuple(SMOOTH)[:1]
CATALOGUE = {str(row.number): row for row in functions() if row.number not in {40, 58}}
NUMBERS = tuple(CATALOGUE) if FULL else ("36",)


def adaptive(f):
    """Return the function by fibres."""
    return chebyshev_tucker(f, BOX, rtol=TARGET)


def whole(f):
    """Return the function by all values on the grid."""
    return chebyshev_tucker(f, BOX, rtol=50 * PART * TARGET, size=SIDE)


def by_tntorch(f):
    """Return a cross approximation of the values on the grid."""
    import tntorch
    import torch

    grid = torch.from_numpy(points(SIDE).copy())
    return tntorch.cross(
        function=lambda m: torch.from_numpy(f(*m.numpy().T)),
        domain=[grid] * 3,
        function_arg="matrix",
        eps=TARGET,
        rmax=60,
        kickrank=6,
        verbose=False,
        suppress_warnings=True,
    )


def by_teneva(f):
    """Return the coefficients of a cross approximation of the values on the grid."""
    import teneva

    grid = points(SIDE)[::-1]
    start = teneva.rand([SIDE] * 3, 5, seed=1)
    train = teneva.cross(
        lambda i: f(*grid[i].T), start, e=TARGET, nswp=12, dr_min=2, dr_max=6, info={}
    )
    return teneva.func_int([np.ascontiguousarray(core) for core in teneva.truncate(train, 1e-11)])


ROUTES = {"adaptive": adaptive, "whole": whole}
PEERS = {"tntorch.cross": by_tntorch, "teneva.cross": by_teneva}


class Construction:
    """Functions by either route, to an error of 1e-10 of the largest value."""

    params = (NAMES, tuple(ROUTES))
    param_names = ("function", "route")

    def time_construction(self, name: str, route: str) -> None:
        ROUTES[route](SMOOTH[name])

    def peakmem_construction(self, name: str, route: str) -> None:
        ROUTES[route](SMOOTH[name])

    def track_error(self, name: str, route: str) -> float:
        x = np.random.default_rng(0).uniform(-1, 1, (20_000, 3))
        exact = SMOOTH[name](*x.T)
        found = evaluate(ROUTES[route](SMOOTH[name]).tensor, x)
        return float(np.max(np.abs(found - exact)) / np.max(np.abs(exact)))


class ConstructionRatio:
    """The time of others over that of ours."""

    params = (NAMES, tuple(ROUTES) if FULL else ("adaptive",), tuple(PEERS))
    param_names = ("function", "route", "peer")
    timeout = 600
    repeats = 5 if FULL else 1

    def setup(self, name: str, route: str, peer: str) -> None:
        if find_spec(peer.partition(".")[0]) is None:
            raise NotImplementedError(f"{peer} is not installed")

    def track_ratio(self, name: str, route: str, peer: str) -> float:
        f, threads = SMOOTH[name], available_threads()
        runs = {OURS: lambda: ROUTES[route](f), peer: lambda: PEERS[peer](f)}
        with pinned(threads, ("torch",)), contextlib.redirect_stdout(io.StringIO()):
            times = medians(runs, self.repeats, clock_for(threads))
        return times[peer] / times[OURS]

    track_ratio.unit = "times as long"


class Values:
    """Values that the functions of Chebfun3F take at the default tolerance."""

    params = NUMBERS
    param_names = ("function",)

    def setup(self, number: str) -> None:
        self.row, self.asked = CATALOGUE[number], 0

        def counted(*x: np.ndarray) -> np.ndarray:
            self.asked += x[0].size
            return self.row.f(*x)

        self.fit = chebyshev_tucker(counted, BOX)

    def track_values(self, number: str) -> int:
        return self.asked

    track_values.unit = "values"

    def track_ratio_to_chebfun3f(self, number: str) -> float:
        return self.row.chebfun3f / self.asked

    track_ratio_to_chebfun3f.unit = "times as many"

    def track_error(self, number: str) -> float:
        x = np.random.default_rng(5).uniform(-1, 1, (1000, 3))
        exact = self.row.f(*x.T)
        found = evaluate(self.fit.tensor, x)
        return float(np.max(np.abs(found - exact)) / np.max(np.abs(exact)))
