"""Chebyshev-Tucker functions from data: time and error; how much longer plain routes take."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from tdecomp._xp import namespace
from tdecomp.chebyshev import evaluate, from_cp, from_grid, from_samples
from tdecomp.chebyshev._points import points
from tdecomp.chebyshev._transform import coefficients
from tdecomp.tucker import sthosvd

from ._problems import FULL

SIDE = 129 if FULL else 65
TERMS = 20_000 if FULL else 2_000
SAMPLES = 3_000 if FULL else 500
RTOL = 1e-10

FUNCTIONS = {
    "inverse distance": lambda x, y, z: 1 / np.sqrt(x * x + y * y + z * z + 0.1),
    "Runge": lambda x, y, z: 1 / (1 + 25 * (x * x + y * y + z * z)),
    "waves": lambda x, y, z: np.exp(np.sin(x + 2 * y + 3 * z)) + y * z,
}
NAMES = tuple(FUNCTIONS) if FULL else ("Runge",)


def values(name, t):
    """Return the values of a function on a grid."""
    return FUNCTIONS[name](t[:, None, None], t[:, None], t)


def missed(name, f):
    """Return the largest error at random points, over the largest value."""
    at = np.random.default_rng(0).uniform(-1, 1, (2000, 3))
    known = FUNCTIONS[name](*at.T)
    return float(np.max(np.abs(evaluate(f, at) - known)) / np.max(np.abs(known)))


class FromGrid:
    """Values on a grid: at Chebyshev points, and at equispaced ones."""

    params = (NAMES, ("Chebyshev", "uniform"))
    param_names = ("function", "points")

    def setup(self, name, where):
        t = points(SIDE) if where == "Chebyshev" else np.linspace(-1, 1, SIDE)
        self.values = values(name, t)
        self.options = {"rtol": RTOL} if where == "Chebyshev" else {"points": "uniform"}

    def time_from_grid(self, name, where):
        from_grid(self.values, **self.options)

    def track_error(self, name, where):
        return missed(name, from_grid(self.values, **self.options))

    def track_transforms_of_all(self, name, where):
        """How much longer it takes to transform all values and compress what comes out."""
        if where == "uniform":
            return float("nan")

        def plain():
            c, xp = self.values, namespace(self.values)
            for k in range(3):
                c = np.moveaxis(coefficients(np.moveaxis(c, k, 0), xp), 0, k)
            return sthosvd(c, rtol=RTOL, method="qr")

        return least(plain) / least(lambda: from_grid(self.values, rtol=RTOL))


class FromProducts:
    """A sum of products of Gaussians, some thousands of them."""

    def setup(self):
        rng = np.random.default_rng(0)
        t = points(129)[:, None]
        widths = rng.uniform(0.3, 10, TERMS)
        centres = rng.uniform(-0.9, 0.9, (3, TERMS))
        factors = tuple(np.exp(-((widths * (t - c)) ** 2)) for c in centres)
        self.cp = (rng.choice([-1.0, 1.0], TERMS), factors)

    def time_from_cp(self):
        from_cp(self.cp, rtol=1e-7)


class FromSamples:
    """Scattered samples, all of them fitted, sizes and ranks found."""

    params = NAMES
    param_names = ("function",)

    def setup(self, name):
        self.x = np.random.default_rng(1).uniform(-1, 1, (SAMPLES, 3))
        self.y = FUNCTIONS[name](*self.x.T)

    def time_from_samples(self, name):
        from_samples(self.x, self.y, (-1, 1))

    def track_error(self, name):
        return missed(name, from_samples(self.x, self.y, (-1, 1)).tensor)


def least(function, repeats=3):
    """Return the shortest of a few times."""
    function()
    times = []
    for _ in range(repeats):
        start = perf_counter()
        function()
        times.append(perf_counter() - start)
    return min(times)
