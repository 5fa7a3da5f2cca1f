r"""What local series prove: how low a function is on boxes, and how large.

With magnitudes of Chebyshev polynomials at most one, a function is nowhere below :math:`c_0` less
the magnitudes of all its other coefficients. The terms of degrees one and two in one variable
alone are lowest together at a point that is known, so that of a minimum inside of a box, with a
Hessian that is nearly diagonal, little is given away.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tdecomp._xp import namespace
from tdecomp.chebyshev._search._pieces import Host, Points
from tdecomp.chebyshev._series import polynomials


def lower_bounds(c: Host, rest: Points) -> tuple[Points, Points]:
    """Return numbers that real functions are above on their boxes, and points where to look.

    Of the coefficients (N, p_0, ..., p_{d-1}); `rest` is what is missing.
    """
    below, t = _below(c)
    return constant(c) + below - rest, t


def upper_bounds(c: Host, rest: Points) -> tuple[Points, Points]:
    r"""Return numbers that magnitudes are below on their boxes, and points where to look.

    In the direction of the constant coefficient the function lies in an interval around it, and
    across within a distance: so that where magnitudes turn, but do not change, bounds are near.
    """
    middle = constant(c)
    size = np.abs(middle)
    if np.iscomplexobj(c):
        turn = np.where(size > 0, np.conj(middle) / np.where(size > 0, size, 1), 1)
    else:
        turn = np.where(middle < 0, -1.0, 1.0)
    turned = c * turn.reshape(-1, *(1 for _ in c.shape[1:]))
    along = np.real(turned)
    more, t = _below(-along)
    less, _ = _below(along)
    across = np.sum(np.abs(np.imag(turned)), axis=tuple(range(1, c.ndim)))
    most = np.maximum(size - more, -less - size)
    return np.hypot(most, across) + rest, t


def spread(c: Host, exact: int) -> npt.NDArray[np.float64]:
    """Return for each variable the magnitudes of all terms with it.

    Terms of that variable alone do not count up to a degree where bounds are exact.
    """
    sizes = np.sum(np.abs(c), axis=0)
    found = []
    for k in range(sizes.ndim):
        others = tuple(j for j in range(sizes.ndim) if j != k)
        alone = sizes[tuple(slice(None) if j == k else 0 for j in range(sizes.ndim))]
        found.append(np.sum(sizes, axis=others)[1:].sum() - alone[1 : exact + 1].sum())
    return np.asarray(found)


def widest(wide: Points, radii: list[float], deepest: int) -> int | None:
    """Return the variable along which to halve: the longest of those that would gain most."""
    legal = [k for k, r in enumerate(radii) if r > 2.0**-deepest]
    if not legal:
        return None
    top = max(wide[k] for k in legal)
    return max((k for k in legal if wide[k] >= top / 2), key=lambda k: radii[k])


def local_values(c: Host, t: Points) -> Host:
    """Return the values (N,) at local points (N, d), one for each box."""
    for k in range(t.shape[1]):
        basis = polynomials(t[:, k], c.shape[1], namespace(t))
        c = (basis[:, None, :] @ c.reshape(*c.shape[:2], -1)).reshape(c.shape[0], *c.shape[2:])
    return c


def constant(c: Host) -> Host:
    """Return the coefficients (N,) of the constant."""
    return c.reshape(c.shape[0], -1)[:, 0]


def _below(c: Host) -> tuple[Points, Points]:
    """Return what real functions less their constants are above, and where to look."""
    axes = tuple(range(1, c.ndim))
    below = np.abs(constant(c)) - np.sum(np.abs(c), axis=axes)
    places = []
    for k in range(c.ndim - 1):
        terms = np.moveaxis(c, k + 1, 1).reshape(c.shape[0], c.shape[k + 1], -1)[:, 1:3, 0]
        one, two = np.pad(terms, ((0, 0), (0, 2 - terms.shape[1]))).T
        inside = 4 * two > np.abs(one)
        t = np.where(inside, -one / np.where(inside, 4 * two, 1), np.where(one > 0, -1.0, 1.0))
        below = below + np.abs(one) + np.abs(two) + one * t + two * (2 * t * t - 1)
        places.append(t)
    return below, np.stack(places, axis=1)
