"""Functions of many variables, with all parameters written down, and how far off others are."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from tdecomp._xp import namespace
from tdecomp.chebyshev._points import points
from tdecomp.chebyshev._series import polynomials
from tdecomp.chebyshev._transform import coefficients

# Points at which errors are measured, relative to the largest magnitude there.
JUDGED = 10_000


class Function(NamedTuple):
    """A function that takes one array for each variable, and its box."""

    f: Callable[..., Any]
    box: list[tuple[float, float]]


def weights(d: int, total: float) -> np.ndarray:
    """Return weights in the proportions 1, 2, ..., d, of a given sum."""
    k = np.arange(1, d + 1)
    return total * k / k.sum()


def centres(d: int) -> np.ndarray:
    """Return 1 / (d + 1), ..., d / (d + 1)."""
    return np.arange(1, d + 1) / (d + 1)


def oscillatory(d: int) -> Function:
    """Genz: cos(2 pi 0.3 + c x), the sum of c is 9."""
    c = weights(d, 9.0)
    return Function(
        lambda *x: np.cos(0.6 * np.pi + sum(a * t for a, t in zip(c, x, strict=True))),
        [(0, 1)] * d,
    )


def product_peak(d: int) -> Function:
    """Genz: a product of 1 / (c^-2 + (x - w)^2), the sum of c is 7.25."""
    c, w = weights(d, 7.25), centres(d)
    return Function(
        lambda *x: math.prod(1 / (a**-2 + (t - b) ** 2) for a, b, t in zip(c, w, x, strict=True)),
        [(0, 1)] * d,
    )


def corner_peak(d: int) -> Function:
    """Genz: (1 + c x)^-(d + 1), the sum of c is 1.85."""
    c = weights(d, 1.85)
    return Function(
        lambda *x: (1 + sum(a * t for a, t in zip(c, x, strict=True))) ** -(d + 1.0),
        [(0, 1)] * d,
    )


def gaussian(d: int) -> Function:
    """Genz: exp(-sum c^2 (x - w)^2), the sum of c is 7.03."""
    c, w = weights(d, 7.03), centres(d)
    return Function(
        lambda *x: np.exp(-sum((a * (t - b)) ** 2 for a, b, t in zip(c, w, x, strict=True))),
        [(0, 1)] * d,
    )


def ackley(d: int, under: float = 0.0, box: tuple[float, float] = (1, 3)) -> Function:
    """Ackley, on a box away from the kink at zero."""

    def f(*x: np.ndarray) -> np.ndarray:
        r = np.sqrt(under + sum(t * t for t in x) / d)
        waves = sum(np.cos(2 * np.pi * t) for t in x) / d
        return -20 * np.exp(-0.2 * r) - np.exp(waves) + 20 + np.e

    return Function(f, [box] * d)


def smooth_ackley(d: int) -> Function:
    """Ackley around zero, with 0.1 under the root."""
    return ackley(d, 0.1, (-1, 1))


def rosenbrock(d: int) -> Function:
    """A polynomial of neighbours."""
    return Function(
        lambda *x: sum(100 * (b - a * a) ** 2 + (1 - a) ** 2 for a, b in pairwise(x)),
        [(-2, 2)] * d,
    )


def rastrigin(d: int) -> Function:
    """A sum of functions of one variable."""
    return Function(
        lambda *x: sum(t * t - 10 * np.cos(2 * np.pi * t) + 10 for t in x), [(-2, 2)] * d
    )


def griewank(d: int) -> Function:
    """A sum of squares less a product of cosines."""

    def f(*x: np.ndarray) -> np.ndarray:
        waves = math.prod(np.cos(t / np.sqrt(k)) for k, t in enumerate(x, 1))
        return 1 + sum(t * t for t in x) / 4000 - waves

    return Function(f, [(-5, 5)] * d)


def pole(d: int) -> Function:
    """1 / (1 + sum of x)."""
    return Function(lambda *x: 1 / (1 + sum(x)), [(0, 1)] * d)


def runge(d: int) -> Function:
    """1 / (1 + sum of squares)."""
    return Function(lambda *x: 1 / (1 + sum(t * t for t in x)), [(-1, 1)] * d)


def root(d: int) -> Function:
    """The root of one and a sum of squares."""
    return Function(lambda *x: np.sqrt(1 + sum(t * t for t in x)), [(-1, 1)] * d)


def sine(d: int) -> Function:
    """The sine of a sum."""
    return Function(lambda *x: np.sin(sum(x)), [(0, 1)] * d)


def chain(d: int) -> Function:
    """The exponential of a sum of products of neighbours."""
    return Function(lambda *x: np.exp(-sum(a * b for a, b in pairwise(x))), [(-1, 1)] * d)


# rw, r, Tu, Hu, Tl, Hl, L, Kw, and the order of those that are left when others are in the middle.
BOREHOLE = (
    *((0.05, 0.15), (100, 50_000), (63_070, 115_600), (990, 1110)),
    *((63.1, 116), (700, 820), (1120, 1680), (9855, 12_045)),
)
ORDER = (0, 3, 5, 6, 7, 1, 2, 4)


def borehole(d: int) -> Function:
    """The flow through a borehole; of less than 8 variables, the others in the middle."""
    middle = [(a + b) / 2 for a, b in BOREHOLE]

    def f(*x: np.ndarray) -> np.ndarray:
        v: list[Any] = list(middle)
        for k, t in zip(ORDER, x, strict=False):
            v[k] = t
        rw, r, tu, hu, tl, hl, length, kw = v
        log = np.log(r / rw)
        resistance = 1 + 2 * length * tu / (log * rw**2 * kw) + tu / tl
        return 2 * np.pi * tu * (hu - hl) / (log * resistance)

    return Function(f, [BOREHOLE[k] for k in ORDER[:d]])


def circuit() -> Function:
    """The voltage of a push-pull circuit without an output transformer, of 6 variables."""

    def f(*x: np.ndarray) -> np.ndarray:
        rb1, rb2, rf, rc1, rc2, beta = x
        vb1 = 12 * rb2 / (rb1 + rb2)
        g = beta * (rc2 + 9)
        return ((vb1 + 0.74) * g + 11.35 * rf + 0.74 * rf * g / rc1) / (g + rf)

    return Function(f, [(50, 150), (25, 70), (0.5, 3), (1.2, 2.5), (0.25, 1.2), (50, 300)])


FAMILIES: tuple[Callable[[int], Function], ...] = (
    *(oscillatory, product_peak, corner_peak, gaussian, borehole, ackley, smooth_ackley),
    *(rosenbrock, rastrigin, griewank, pole, runge, root, sine, chain),
)


def problems(dimensions: Sequence[int], names: Sequence[str] = ()) -> dict[str, Function]:
    """Return families, by default all, in so many variables each, and the circuit of six."""
    chosen = [family for family in FAMILIES if not names or family.__name__ in names]
    found = {f"{family.__name__} {d}": family(d) for family in chosen for d in dimensions}
    return found | ({"circuit 6": circuit()} if 6 in dimensions and not names else {})


class Judge:
    """Errors of a function, and of trains of its values on a grid of Chebyshev points."""

    def __init__(self, problem: Function, sizes: Sequence[int] = ()) -> None:
        low, high = np.asarray(problem.box, float).T
        unit = np.random.default_rng(5).uniform(size=(JUDGED, len(low)))
        self.x = low + (high - low) * unit
        self.values = np.broadcast_to(problem.f(*self.x.T), JUDGED)
        self.top = float(np.max(np.abs(self.values)))
        xp = namespace(unit)
        self.rows = [
            polynomials(2 * unit[:, k] - 1, n, xp) @ coefficients(np.eye(n), xp)
            for k, n in enumerate(sizes)
        ]

    def error(self, found: np.ndarray) -> float:
        """Return the error of values."""
        return float(np.max(np.abs(found - self.values))) / self.top

    def error_of_train(self, cores: Sequence[np.ndarray]) -> float:
        """Return the error of the polynomial through the values of a train."""
        left = np.ones((JUDGED, 1))
        for core, row in zip(cores, self.rows, strict=True):
            r, n, q = core.shape
            outer = (left[:, :, None] * row[:, None, :]).reshape(-1, r * n)
            left = outer @ np.asarray(core).reshape(r * n, q)
        return self.error(left[:, 0])


class Table:
    """A function on a grid of Chebyshev points, which counts what it is asked and what is new."""

    def __init__(self, problem: Function, sizes: Sequence[int]) -> None:
        self.problem = problem
        self.sizes = tuple(sizes)
        self.nodes = [points(n) for n in sizes]
        self.known: dict[int, float] = {}
        self.asked = 0

    def __call__(self, index: np.ndarray) -> np.ndarray:
        """Return the values at rows of indices."""
        keys = np.ravel_multi_index(np.asarray(index, int).T, self.sizes).tolist()
        self.asked += len(keys)
        new = {key: row for row, key in enumerate(keys) if key not in self.known}
        if new:
            rows = np.asarray(index, int)[list(new.values())]
            t = np.stack([self.nodes[k][i] for k, i in enumerate(rows.T)], axis=1)
            low, high = np.asarray(self.problem.box, float).T
            x = (low * (1 - t) + high * (1 + t)) / 2
            values = np.broadcast_to(self.problem.f(*x.T), len(rows))
            self.known.update(zip(new, values.tolist(), strict=True))
        return np.array([self.known[key] for key in keys])
