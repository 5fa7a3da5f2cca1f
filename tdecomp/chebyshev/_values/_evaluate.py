"""Values of a Chebyshev-Tucker function at scattered points."""

from __future__ import annotations

from typing import Any

from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device
from tdecomp.chebyshev._core import contracted, width
from tdecomp.chebyshev._domain import as_points, to_unit
from tdecomp.chebyshev._format import as_function
from tdecomp.chebyshev._series import polynomials
from tdecomp.chebyshev._values._compiled import compiled

# Entries of what is gathered for a block of points: they stay in the cache.
_BLOCK_ENTRIES = 1 << 18


@full_precision
def evaluate(f: Any, points: Any, /) -> Array:
    r"""Return the values of a function at scattered points.

    Parameters
    ----------
    f : ChebyshevTucker
        The function, of `d` variables.
    points : array, shape (..., d)
        Real points of the domain.

    Returns
    -------
    array, shape (...)
        The values.

    Raises
    ------
    TypeError, ValueError
        If `f` is something else, `points` have another number of coordinates or are not finite,
        or one lies outside of the domain; under tracing its value is NaN.

    See Also
    --------
    evaluate_grid : values at all combinations of coordinates.

    Notes
    -----
    :math:`2 N (\sum_k m_k r_k + r_0 r_1 \cdots r_{d-1})` flops for :math:`N` points, and what is
    left of the core after each variable, in blocks of bounded memory; with a train of ranks
    :math:`s_k` for a core, :math:`2 N \sum_k r_k (m_k + s_k s_{k+1})`. Derivatives with respect to
    the points are those of the series.

    Many points are evaluated by a compiled loop, for arrays of NumPy, on all threads of numba: in
    three variables with ranks of 12 and 128 coefficients each, 7 million points a second on two
    cores, where products of arrays make half a million. Long series are then looked up in tables
    of short ones, from 64 points for each coefficient on. Its rounding errors grow with the
    degree, those of products of arrays with its square towards the ends of an interval, where
    slopes do. The first call loads it, which takes half a second, or compiles it, once, which
    takes ten.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.chebyshev import ChebyshevTucker, evaluate
    >>> x = np.array([[0.0], [1.0]])  # the function t itself, on [0, 2] it is x - 1
    >>> f = ChebyshevTucker(np.ones((1, 1)), (x, x), np.array([[0.0, 2.0], [0.0, 2.0]]))
    >>> evaluate(f, [[0.0, 0.5], [2.0, 2.0]])
    array([0.5, 1. ])
    """
    xp, core, factors, domain = as_function(f, trains=True)
    x = as_points(points, domain, xp)
    if 0 in x.shape:
        return xp.zeros(x.shape[:-1], dtype=core.dtype, device=device(domain))
    flat = xp.reshape(x, (-1, len(factors)))
    found = compiled(core, factors, domain, flat)
    if found is not None:
        return xp.reshape(found, x.shape[:-1])
    t = to_unit(flat, domain, xp)
    entries = max(width(core), *(int(factor.shape[0]) for factor in factors))
    step = max(1, _BLOCK_ENTRIES // entries)
    parts = [
        _values(core, factors, t[i : min(i + step, t.shape[0]), :], xp)
        for i in range(0, t.shape[0], step)
    ]
    found = parts[0] if len(parts) == 1 else xp.concat(parts)
    return xp.reshape(found, x.shape[:-1])


def _values(core: Any, factors: list[Array], t: Array, xp: Namespace) -> Array:
    """Return the values (N,) at points (N, d) of the unit box."""
    rows = []
    for k, factor in enumerate(factors):
        basis = polynomials(t[:, k], factor.shape[0], xp)
        rows.append(xp.astype(basis, factor.dtype, copy=False) @ factor)
    return contracted(core, rows, xp)
