r"""Products of Chebyshev-Tucker functions, without a core of all pairs of ranks.

A product of functions has as factors all products of a factor of the one with one of the other,
:math:`r_f r_g` in each variable, most of which are tiny or nearly combinations of others. Weighted
by their parts of the two functions, a singular value decomposition leaves a basis of few columns
for each variable. The product has coefficients in these bases that follow from its values, which
are products of values, on a grid of twice as many points as there are columns:

.. math:: h \approx \sum_j H_j \prod_k u_{k j_k} , \qquad
          H = (F \circ G) \times_k U_k[I_k]^+ .

The points :math:`I_k` contain those at which pivoting interpolates the columns, so that least
squares magnify rounding little; and what they leave of the values tells whether columns are
missing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tdecomp._errors import ToleranceError
from tdecomp._precision import full_precision
from tdecomp._shim import host, solve_triangular
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, device, differentiated, eps
from tdecomp.chebyshev._algebra._isometric import (
    Isometric,
    as_series,
    isometric,
    padded,
)
from tdecomp.chebyshev._algebra._simplify import allowance, rounding, shortened
from tdecomp.chebyshev._algebra._together import together
from tdecomp.chebyshev._format import ChebyshevTucker
from tdecomp.chebyshev._legendre import to_chebyshev, to_legendre
from tdecomp.chebyshev._transform import coefficients, values
from tdecomp.linalg._left_triangle import left_singular
from tdecomp.linalg._truncation import truncation_rank
from tdecomp.linalg._unfolded import slabs
from tdecomp.ops._mode_products import _mode_product
from tdecomp.tucker._format import expand

# The grid has twice as many points as there are columns, unless it gets larger than this; then it
# has few more. One of all values is at most so large.
_LARGE, _HUGE, _FEW = 1 << 22, 1 << 26, 2
# In units of eps: which pairs of columns are too small to count, all together; which of their
# singular values are noise, where one was measured; and how much values may miss, of the largest
# products of values, where a hundred was measured.
_TINY, _NOISE, _MISSED = 0.1, 4.0, 1e3


@full_precision
def multiply(f: Any, g: Any, /, *, rtol: float | None = None) -> ChebyshevTucker:
    r"""Return the product of two functions, of least ranks and shortest series.

    Parameters
    ----------
    f, g : ChebyshevTucker
        Functions of one box. Their cores must be arrays; `compose` multiplies values of others.
    rtol : float, optional
        Guarantee an error of at most `rtol` times the norm of the product. By default a few
        units of rounding of :math:`\max |f| \max |g|`.

    Returns
    -------
    ChebyshevTucker
        The product, of at most :math:`m_f + m_g - 1` coefficients in each variable, with factors
        that are orthonormal on the unit box. Where it is compiled or differentiated, ranks cannot
        depend on values: it is exact, and ranks are multiplied.

    Raises
    ------
    TypeError, ValueError
        If one is something else, or boxes differ.
    ToleranceError
        If `rtol` is below what rounding allows, as where one function is small wherever the other
        is large.

    Notes
    -----
    With :math:`m = m_f + m_g` and `r` columns in each variable, between the rank of the product
    and :math:`\min(m, r_f r_g)`: :math:`O(m^2 r_f r_g + (2 r)^d\, r)` flops. What the grid leaves
    over is measured; if that is more than rounding, the product is found from all its values.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.chebyshev import chebyshev_tucker, evaluate, multiply
    >>> f = chebyshev_tucker(lambda x, y: np.exp(x * y), [(-1, 1)] * 2).tensor
    >>> g = multiply(f, f)
    >>> round(float(evaluate(g, [0.5, 0.5])), 12), round(float(np.exp(0.5)), 12)
    (1.648721270700, 1.648721270700)
    """
    xp, domain, pairs = together((f, g), names=("f", "g"))
    if any(differentiated(x) for core, factors in pairs for x in (core, *factors)):
        if rtol is not None:
            raise ValueError("under tracing or grad ranks must be fixed: leave rtol out")
        return ChebyshevTucker(*_of_all_pairs(pairs, xp), domain)
    terms = [isometric(core, factors, xp) for core, factors in pairs]
    found = _product(terms, xp)
    core, size = found.core, float(xp.linalg.vector_norm(found.core))
    atol = allowance(rtol, size, rounding(core, xp) * found.scale)
    core, bases = shortened(core, found.factors, atol, xp)
    exponent = terms[0].exponent + terms[1].exponent
    return as_series(Isometric(core, bases, exponent), domain, xp)


class _Found(NamedTuple):
    """A product in orthonormal columns, and the norm of a constant as large as its factors are."""

    core: Array
    factors: tuple[Array, ...]
    scale: float


class _Side(NamedTuple):
    """One of two functions: its core, and values of its factors at the points of the product.

    The ``weights`` (r_k, r_k) turn columns into combinations that are as large as their parts of
    the function.
    """

    core: Array
    values: list[Array]
    weights: list[Array]

    def on(self, rows: Sequence[Array | None], xp: Namespace) -> Array:
        """Return values on a grid of some of the points, or all."""
        at = [_taken(v, row, xp) for v, row in zip(self.values, rows, strict=True)]
        return expand(self.core, list(at), xp)

    def top(self, xp: Namespace) -> float:
        """Return about the largest magnitude: at points where columns are far from each other."""
        return float(xp.max(xp.abs(self.on([_points(v, 1, xp) for v in self.values], xp))))


def _product(terms: Sequence[Isometric], xp: Namespace) -> _Found:
    """Multiply in bases of few columns, or in all polynomials if something is missing there."""
    factors = zip(terms[0].factors, terms[1].factors, strict=True)
    counts = [int(v.shape[0] + w.shape[0] - 1) for v, w in factors]
    sides = [_side(x, counts, xp) for x in terms]
    bases = [
        _basis([side.values[k] @ side.weights[k] for side in sides], xp)
        for k in range(len(counts))
    ]
    found, missed = _projected(sides, bases, xp)
    if missed <= _MISSED * eps(found.core.dtype, xp):
        return found
    if math.prod(counts) > _HUGE:
        raise ToleranceError(
            f"f g is off by {missed:.1e} of the largest values on a grid; lower the degrees and "
            "ranks of f and g first, by simplify",
            reachable=missed,
        )
    like = found.core
    everything = [xp.eye(n, dtype=like.dtype, device=device(like)) for n in counts]
    return _projected(sides, everything, xp)[0]


def _side(x: Isometric, counts: Sequence[int], xp: Namespace) -> _Side:
    """Return values at points, and weights from the singular values of the core."""
    at = [
        values(padded(to_chebyshev(z, xp), n, xp), xp)
        for z, n in zip(x.factors, counts, strict=True)
    ]
    weights = []
    for k in range(x.core.ndim):
        u, s = left_singular(slabs(x.core, k, xp), xp)
        weights.append(u * xp.astype(s, u.dtype)[None, :])
    return _Side(x.core, at, weights)


def _basis(pair: Sequence[Array], xp: Namespace) -> Array:
    """Return orthonormal columns that span all products of two columns of values, up to noise."""
    f, g = pair
    unit = eps(f.dtype, xp)
    pairs = xp.reshape(f[:, :, None] * g[:, None, :], (f.shape[0], -1))
    sizes = host(xp.linalg.vector_norm(pairs, axis=0))
    order = np.argsort(-sizes, kind="stable")
    count = truncation_rank(sizes[order], atol=_TINY * unit * float(sizes[order[0]]))
    pairs = xp.take(pairs, xp.asarray(order[:count], device=device(pairs)), axis=1)
    u, s = left_singular(to_legendre(coefficients(pairs, xp), xp)[None, :, :], xp)
    # Values that are noise are many, and all of one size: each is judged by itself.
    found = host(s)
    return u[:, : max(1, int(np.sum(found > _NOISE * unit * found[0])))]


def _projected(
    sides: Sequence[_Side], bases: Sequence[Array], xp: Namespace
) -> tuple[_Found, float]:
    """Return coefficients in bases, and what values miss, of the largest that they may have."""
    columns = [values(to_chebyshev(basis, xp), xp) for basis in bases]
    large = math.prod(2 * c.shape[1] for c in columns) > _LARGE
    rows = [_points(c, _FEW if large else c.shape[1], xp) for c in columns]
    one, other = (side.on(rows, xp) for side in sides)
    at = [_taken(c, row, xp) for c, row in zip(columns, rows, strict=True)]
    core = one * other
    for k, c in enumerate(at):
        q, r = xp.linalg.qr(c)
        core = _mode_product(core, solve_triangular(r, adjoint(q, xp), xp, lower=False), k, xp=xp)
    top = sides[0].top(xp) * sides[1].top(xp)
    missed = float(xp.max(xp.abs(one * other - expand(core, list(at), xp))))
    scale = top * 2 ** (len(bases) / 2)
    return _Found(core, tuple(bases), scale), missed / top if top > 0 else 0.0


def _points(columns: Array, spare: int, xp: Namespace) -> Array | None:
    """Return the rows of points to interpolate at, and of others that are spread; None for all."""
    from scipy.linalg import qr

    n, r = columns.shape
    if r + spare >= n:
        return None
    _, order = qr(np.conj(host(columns).T), mode="r", pivoting=True, check_finite=False)
    spread = np.linspace(0, n - 1, spare).round().astype(int)
    return xp.asarray(np.union1d(order[:r], spread), device=device(columns))


def _taken(x: Array, rows: Array | None, xp: Namespace) -> Array:
    """Return some rows, or all."""
    return x if rows is None else xp.take(x, rows, axis=0)


def _of_all_pairs(
    pairs: Sequence[tuple[Array, list[Array]]], xp: Namespace
) -> tuple[Array, tuple[Array, ...]]:
    """Return the exact product, with ranks that are multiplied."""
    (core, left), (other, right) = pairs
    shape = [(int(a), int(b)) for a, b in zip(core.shape, other.shape, strict=True)]
    core = xp.reshape(core, tuple(n for a, _ in shape for n in (a, 1)))
    other = xp.reshape(other, tuple(n for _, b in shape for n in (1, b)))
    core = xp.reshape(core * other, tuple(a * b for a, b in shape))
    factors = []
    for v, w in zip(left, right, strict=True):
        n = v.shape[0] + w.shape[0] - 1
        f, g = (values(padded(c, n, xp), xp) for c in (v, w))
        products = xp.reshape(f[:, :, None] * g[:, None, :], (n, -1))
        factors.append(coefficients(products, xp))
    return core, tuple(factors)
