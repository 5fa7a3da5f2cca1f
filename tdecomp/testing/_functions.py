"""Functions of three variables, and how many of their values others ask for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

# Arrays of NumPy, and numbers.
Values = Any


class Function(NamedTuple):
    """A function on the cube :math:`[-1, 1]^3`.

    Attributes
    ----------
    number : int
        Its number in the source.
    formula : str
        In LaTeX, where :math:`r^2 = x^2 + y^2 + z^2` and :math:`s = x + y + z`.
    f : callable
        Of three arrays of NumPy.
    chebfun3f : int
        For how many values Chebfun3F asks.
    """

    number: int
    formula: str
    f: Callable[[Values, Values, Values], Values]
    chebfun3f: int


def functions() -> tuple[Function, ...]:
    """Return the test functions of Chebfun3F that are given by a formula, each of them once.

    The counts are those that were published, or that its published code gives.

    Returns
    -------
    tuple of Function
        By their numbers.

    References
    ----------
    .. [1] S. Dolgov, D. Kressner, C. Stroessner, "Functional Tucker approximation using Chebyshev
       interpolation", SIAM J. Sci. Comput. 43, 2021. doi:10.1137/20M1356944
    .. [2] B. Hashemi, L. N. Trefethen, "Chebfun in three dimensions", SIAM J. Sci. Comput. 39,
       2017. doi:10.1137/16M1083803

    Examples
    --------
    >>> from tdecomp.testing import functions
    >>> first = functions()[0]
    >>> first.formula, float(first.f(0.0, 0.0, 0.2)), first.chebfun3f
    ('1/(1+25r^2)', 0.5, 222546)
    """
    return _FUNCTIONS


def _square(x: Values, y: Values, z: Values) -> Values:
    return x**2 + y**2 + z**2


def _peaks(x: Values, y: Values, z: Values) -> Values:
    high = 3 * (1 - x) ** 2 * np.exp(-(x**2) - (y + 1) ** 2)
    middle = 10 * (x / 5 - x**3 - y**5) * np.exp(-(x**2) - y**2)
    return high - middle - np.exp(-((x + 1) ** 2) - y**2) / 3 + 0 * z


def _barth(x: Values, y: Values, z: Values) -> Values:
    golden = (np.sqrt(5) + 1) / 2
    planes = (x**2 - golden**4 * y**2) * (y**2 - golden**4 * z**2) * (z**2 - golden**4 * x**2)
    quartic = x**4 + y**4 + z**4 - 2 * (x**2 * y**2 + x**2 * z**2 + y**2 * z**2)
    sphere = _square(x, y, z)
    return 8 * planes * quartic + (3 + 5 * golden) * (sphere * (sphere - (2 - golden))) ** 2


def _bessel(x: Values, y: Values, z: Values) -> Values:
    from scipy.special import j0

    return j0(10 * np.sqrt(_square(x, y, z)))


def _cassini(x: Values, y: Values, z: Values) -> Values:
    return ((x - 0.4) ** 2 + y**2) * ((x + 0.4) ** 2 + y**2) - z**4


def _clebsch(x: Values, y: Values, z: Values) -> Values:
    mixed = x**2 * (y + z) + y**2 * (x + z) + z**2 * (x + y)
    cubic = 81 * (x**3 + y**3 + z**3) - 189 * mixed + 54 * x * y * z
    return cubic + 126 * (x * y + x * z + y * z) - 9 * _square(x, y, z) - 9 * (x + y + z) + 1


def _helix(x: Values, y: Values, z: Values) -> Values:
    return np.abs(((x + 1j * y) * np.exp(1j * z)) ** 2 - 1) ** 2


def _griewank(x: Values, y: Values, z: Values) -> Values:
    waves = np.cos(x) * np.cos(y / np.sqrt(2)) * np.cos(z / np.sqrt(3))
    return _square(x, y, z) / 4000 - waves + 1


def _kummer(x: Values, y: Values, z: Values) -> Values:
    mixed = x**2 * y**2 + x**2 * z**2 + y**2 * z**2
    return (x**4 + y**4 + z**4) - 0.1 * _square(x, y, z) - 0.5 * mixed + 0.1 * x * y * z - 1


def _levy(x: Values, y: Values, z: Values) -> Values:
    u, v, w = (1 + (t - 1) / 4 for t in (x, y, z))
    wave = 1 + 10 * np.sin(np.pi * u + 1) ** 2
    last = (w - 1) ** 2 * (1 + np.sin(2 * np.pi * (w - 1)) ** 2)
    return np.sin(np.pi * u) ** 2 + last + ((u - 1) ** 2 + (v - 1) ** 2) * wave


def _rastrigin(x: Values, y: Values, z: Values) -> Values:
    return 30 + sum(t**2 - 10 * np.cos(2 * np.pi * t) for t in (x, y, z))


def _rosenbrock(x: Values, y: Values, z: Values) -> Values:
    valley = (y - x**2) ** 2 + (z - y**2) ** 2
    return 100 * valley + (x - 1) ** 2 + (y - 1) ** 2


def _shubert(x: Values, y: Values, z: Values) -> Values:
    terms = ((1, 2, 1), (2, 3, 2), (3, 4, 3), (4, 5, 4), (5, 4, 5))
    u, v, w = (sum(a * np.cos(b * t + c) for a, b, c in terms) for t in (x, y, z))
    return u * v * w


def _ridge(x: Values, y: Values, z: Values) -> Values:
    return 1 / np.cosh(3 * (x + y + z)) ** 2


def _hoop(x: Values, y: Values, z: Values) -> Values:
    return z**2 + (x**2 + y**2 - 0.5) ** 2 / 2


def _wave(x: Values, y: Values, z: Values) -> Values:
    return np.exp(np.sin(x + 2 * y + 3 * z)) + y * z


def _wagon(x: Values, y: Values, z: Values) -> Values:
    fast = np.exp(np.sin(50 * x)) + np.sin(60 * np.exp(y)) * np.sin(60 * z)
    slow = np.sin(70 * np.sin(x)) * np.cos(10 * z) + np.sin(np.sin(80 * y))
    return fast + slow - np.sin(10 * (x + z)) + _square(x, y, z) / 4


def _nested(x: Values, y: Values, z: Values) -> Values:
    e = np.exp(x * y * z)
    return np.log(x + y * z + e + np.cos(np.sin(e)))


def _cone(x: Values, y: Values, z: Values) -> Values:
    return np.exp(-np.sqrt(_square(x - 1, y - 1, z - 1)))


def _steps(x: Values, y: Values, z: Values) -> Values:
    return np.sin((0.04 + y**2) * (0.04 + z**2) / (0.04 + x**2))


def _septic(x: Values, y: Values, z: Values) -> Values:
    return 3 * x**7 * z + y * z + y * z**2 + np.log(2 + y) * z**3 - 2 * z**5


_FUNCTIONS = tuple(
    Function(*row)
    for row in (
        (1, r"1/(1+25r^2)", lambda x, y, z: 1 / (1 + 25 * _square(x, y, z)), 222_546),
        (2, r"e^{xyz}", lambda x, y, z: np.exp(x * y * z), 63_480),
        (4, r"\text{peaks}(x,y)", _peaks, 1_398),
        (5, r"-\cos(50\pi s)", lambda x, y, z: -np.cos(50 * np.pi * (x + y + z)), 4_102),
        (6, r"e^{y-x}", lambda x, y, z: np.exp(y - x) + 0 * z, 794),
        (
            7,
            r"\operatorname{sech}^2(3s)",
            lambda x, y, z: np.cosh(3 * (x + y + z)) ** -2,
            3_842_596,
        ),
        (8, r"\tanh(5(x+z))\,e^y", lambda x, y, z: np.tanh(5 * (x + z)) * np.exp(y), 1_674_615),
        (9, r"x^2-y^3+1/8", lambda x, y, z: x**2 - y**3 + 1 / 8 + 0 * z, 918),
        (10, r"(xyz)^{10}", lambda x, y, z: (x * y * z) ** 10, 810),
        (11, r"1", lambda x, y, z: 1 + 0 * (x + y + z), 762),
        (13, r"xy+\cos(xy)", lambda x, y, z: x * y + np.cos(x * y) + 0 * z, 4_611),
        (15, r"-1000+xyz^{100}", lambda x, y, z: -1000 + x * y * z**100, 1_350),
        (18, r"\text{decic of Barth}", _barth, 3_217),
        (19, r"J_0(10r)", _bessel, 23_740),
        (20, r"\text{surface of Cassini}", _cassini, 1_476),
        (21, r"\text{cubic of Clebsch}", _clebsch, 2_202),
        (22, r"\lvert((x+iy)e^{iz})^2-1\rvert^2", _helix, 2_098),
        (23, r"\cos(\pi+5s)", lambda x, y, z: np.cos(np.pi + 5 * (x + y + z)), 1_414),
        (24, r"1/(16+5s)", lambda x, y, z: 1 / (16 + 5 * (x + y + z)), 74_642),
        (25, r"e^{-25r^2}", lambda x, y, z: np.exp(-25 * _square(x, y, z)), 1_098),
        (
            26,
            r"\prod_t (0.04+t^2)^{-1}",
            lambda x, y, z: 1 / ((0.04 + x**2) * (0.04 + y**2) * (0.04 + z**2)),
            1_482,
        ),
        (27, r"\text{Griewank}", _griewank, 1_731),
        (
            28,
            r"z^2+(x^2+y^2-1/2)^2/2",
            lambda x, y, z: z**2 + (x**2 + y**2 - 0.5) ** 2 / 2,
            1_476,
        ),
        (29, r"\text{quartic of Kummer}", _kummer, 2_202),
        (
            30,
            r"\sum_t \cos^2(2\pi t)",
            lambda x, y, z: sum(np.cos(2 * np.pi * t) ** 2 for t in (x, y, z)),
            1_414,
        ),
        (31, r"\text{Levy}", _levy, 1_222),
        (32, r"\text{Rastrigin}", _rastrigin, 1_414),
        (33, r"\text{Rosenbrock}", _rosenbrock, 1_749),
        (34, r"1/(1+r^2)", lambda x, y, z: 1 / (1 + _square(x, y, z)), 23_740),
        (35, r"\text{Shubert}", _shubert, 906),
        (36, r"3x^7z+yz+yz^2+z^3\log(2+y)-2z^5", _septic, 1_558),
        (37, r"e^{\sin 50x}+\sin(60e^y)\sin(60z)+\dots", _wagon, 12_801),
        (38, r"\log(1+r^2)", lambda x, y, z: np.log(1 + _square(x, y, z)), 20_568),
        (40, r"10^4/(1+10^4r^2)", lambda x, y, z: 1e4 / (1 + 1e4 * _square(x, y, z)), 1_603_693),
        (41, r"\log(x+yz+e^{xyz}+\cos(\sin(e^{xyz})))", _nested, 785_009),
        (44, r"xz+x^2y", lambda x, y, z: x * z + x**2 * y, 1_126),
        (45, r"\sin((0.04+y^2)(0.04+z^2)/(0.04+x^2))", _steps, 1_794_126),
        (
            48,
            r"e^{\sin(x+2y+3z)}+yz",
            lambda x, y, z: np.exp(np.sin(x + 2 * y + 3 * z)) + y * z,
            374_383,
        ),
        (49, r"e^{i\pi xy}", lambda x, y, z: np.exp(1j * np.pi * x * y) + 0 * z, 86_350),
        (50, r"e^{i\pi xyz}", lambda x, y, z: np.exp(1j * np.pi * x * y * z), 105_049),
        (51, r"1/(s+3.3)", lambda x, y, z: 1 / (x + y + z + 3.3), 69_204),
        (58, r"\exp(-\lvert(x,y,z)-(1,1,1)\rvert)", _cone, 2_170_334),
    )
)
