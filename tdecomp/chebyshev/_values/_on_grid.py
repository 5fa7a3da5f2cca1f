"""Values of a Chebyshev-Tucker function on a grid of coordinates."""

from __future__ import annotations

from typing import Any

from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import prepare
from tdecomp.chebyshev._core import expanded
from tdecomp.chebyshev._domain import to_unit
from tdecomp.chebyshev._format import as_function
from tdecomp.chebyshev._series import polynomials


@full_precision
def evaluate_grid(f: Any, /, *axes: Any) -> Array:
    r"""Return the values of a function at all combinations of coordinates.

    .. math:: F_{i_0 \ldots i_{d-1}} = f(x_{0 i_0}, \ldots, x_{d-1, i_{d-1}})

    Parameters
    ----------
    f : ChebyshevTucker
        The function, of `d` variables.
    *axes : array, shape (n_k,)
        Real coordinates for each variable, in any order, inside of the domain.

    Returns
    -------
    array, shape (n_0, ..., n_{d-1})
        The values.

    Raises
    ------
    TypeError, ValueError
        If `f` is something else, there are not as many axes as variables, one is not real, not
        finite or empty, or a coordinate lies outside of the domain; under tracing all values
        that it takes part in are NaN.

    See Also
    --------
    evaluate : values at scattered points.
    ChebyshevTucker.to_array : values on the grid of Chebyshev points, by fast transforms.

    Notes
    -----
    :math:`2 \sum_k n_k m_k r_k` flops for the series, and those of one product along each mode of
    the core, in the order that needs the fewest: about :math:`2 r n^d` on large grids, for ranks
    :math:`r`, and memory for little more than the values. Derivatives with respect to the
    coordinates are those of the series.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.chebyshev import ChebyshevTucker, evaluate_grid
    >>> t = np.array([[0.0], [1.0]])  # the function t itself
    >>> f = ChebyshevTucker(np.ones((1, 1)), (t, t), np.array([[-1.0, 1.0], [-1.0, 1.0]]))
    >>> evaluate_grid(f, [0.5, 1.0], [-1.0, 0.0, 1.0])
    array([[-0.5,  0. ,  0.5],
           [-1. ,  0. ,  1. ]])
    """
    xp, core, factors, domain = as_function(f, trains=True)
    if len(axes) != len(factors):
        raise ValueError(f"f has {len(factors)} variables, got {len(axes)} axes")
    matrices = [
        _sampled(factor, axis, domain[k, :], xp, name=f"axes[{k}]")
        for k, (factor, axis) in enumerate(zip(factors, axes, strict=True))
    ]
    return expanded(core, matrices, xp)


def _sampled(factor: Array, axis: Any, interval: Array, xp: Namespace, *, name: str) -> Array:
    """Return the values (n, r) of the series of one variable at coordinates."""
    _, x = prepare(axis, ndim=1, like=factor, name=name)
    if xp.isdtype(x.dtype, "complex floating"):
        raise TypeError(f"{name} must be real, got {x.dtype}")
    t = to_unit(xp.astype(x, interval.dtype, copy=False), interval, xp, name=name)
    basis = polynomials(t, int(factor.shape[0]), xp)
    return xp.astype(basis, factor.dtype, copy=False) @ factor
