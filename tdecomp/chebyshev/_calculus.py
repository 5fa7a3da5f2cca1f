"""Derivatives and integrals of Chebyshev-Tucker functions: only factors change."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from tdecomp._errors import check_count
from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp.chebyshev._core import dropped, mode_product
from tdecomp.chebyshev._format import ChebyshevTucker, as_function
from tdecomp.chebyshev._series import antiderivative, derivative, integrals


@full_precision
def diff(f: Any, variable: int, /, order: int = 1) -> ChebyshevTucker:
    r"""Return a partial derivative.

    Parameters
    ----------
    f : ChebyshevTucker
        The function, of `d` variables.
    variable : int
        The variable; negative ones count from the last.
    order : int, optional
        How many times.

    Returns
    -------
    ChebyshevTucker
        The derivative, of the same rank, with `order` fewer coefficients in that variable.

    Raises
    ------
    TypeError, ValueError
        If `f` is something else, there is no such variable, or `order` is negative.

    Notes
    -----
    Exact for the polynomial that `f` is. What `f` misses of another function grows by as much as
    the square of the number of coefficients.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.chebyshev import ChebyshevTucker, diff
    >>> square = np.array([[0.0], [0.0], [1.0]])  # T_2 = 2 x^2 - 1
    >>> f = ChebyshevTucker(np.ones((1,)), (square,), np.array([[-1.0, 1.0]]))
    >>> diff(f, 0).factors[0].ravel()
    array([0., 4.])
    """
    order = check_count(order, name="order", least=0)

    def once(factor: Array, half: Array, xp: Namespace) -> Array:
        return derivative(factor, xp) / half

    found = _changed(f, variable, lambda factor, half, xp: factor)  # noqa: ARG005
    for _ in range(order):
        found = _changed(found, variable, once)
    return found


@full_precision
def cumulative_integral(f: Any, variable: int, /) -> ChebyshevTucker:
    r"""Return the integral over one variable, from the start of its interval on.

    Parameters
    ----------
    f : ChebyshevTucker
        The function, of `d` variables.
    variable : int
        The variable; negative ones count from the last.

    Returns
    -------
    ChebyshevTucker
        A function of the same variables, with one more coefficient in that one, which vanishes at
        the start of the interval, and whose derivative is `f`.

    Raises
    ------
    TypeError, ValueError
        If `f` is something else, or there is no such variable.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.chebyshev import ChebyshevTucker, cumulative_integral
    >>> f = ChebyshevTucker(np.ones((1,)), (np.array([[1.0]]),), np.array([[0.0, 4.0]]))
    >>> cumulative_integral(f, 0).factors[0].ravel()  # x = 2 + 2 t
    array([2., 2.])
    """
    return _changed(f, variable, lambda factor, half, xp: antiderivative(factor, xp) * half)


@full_precision
def integrate(f: Any, /, variables: Any = None) -> ChebyshevTucker | Array:
    r"""Integrate over some variables, or all of them.

    Parameters
    ----------
    f : ChebyshevTucker
        The function, of `d` variables.
    variables : int or sequence of int, optional
        Over which ones; by default all.

    Returns
    -------
    ChebyshevTucker or array
        A function of the others, in their order; without others the integral, an array of no
        axes.

    Raises
    ------
    TypeError, ValueError
        If `f` is something else, there is no such variable, or one comes twice.

    Notes
    -----
    Exact for the polynomial that `f` is, to rounding.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.chebyshev import ChebyshevTucker, integrate
    >>> one = np.array([[1.0]])
    >>> f = ChebyshevTucker(np.ones((1, 1)), (one, one), np.array([[0.0, 2.0], [0.0, 3.0]]))
    >>> float(integrate(f))
    6.0
    """
    xp, core, factors, domain = as_function(f, trains=True)
    d = len(factors)
    chosen = [_index(v, d) for v in _listed(variables, d)]
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"variables must differ, got {variables}")
    for k in chosen:
        weights = integrals(int(factors[k].shape[0]), domain.dtype, domain, xp)
        weights = xp.astype(weights * _half(domain, k), core.dtype, copy=False)
        core = mode_product(core, (weights @ factors[k])[None, :], k, xp)
    kept = [k for k in range(d) if k not in chosen]
    core = dropped(core, chosen, xp)
    if not kept:
        return core
    rows = xp.stack([domain[k, :] for k in kept])
    return ChebyshevTucker(core, tuple(factors[k] for k in kept), rows)


def _changed(
    f: Any, variable: int, change: Callable[[Array, Array, Namespace], Array]
) -> ChebyshevTucker:
    """Return a function with another factor for one variable, made of it and of half a length."""
    xp, core, factors, domain = as_function(f, trains=True)
    k = _index(variable, len(factors))
    half = xp.astype(_half(domain, k), core.dtype, copy=False)
    factors[k] = change(factors[k], half, xp)
    return ChebyshevTucker(core, tuple(factors), domain)


def _half(domain: Array, k: int) -> Array:
    """Return half the length of an interval."""
    return (domain[k, 1] - domain[k, 0]) / 2


def _listed(variables: Any, d: int) -> list[Any]:
    if variables is None:
        return list(range(d))
    return list(variables) if isinstance(variables, list | tuple | range) else [variables]


def _index(variable: Any, d: int) -> int:
    """Return the number of a variable."""
    try:
        k = operator.index(variable)
    except TypeError:
        k = None
    if k is None or isinstance(variable, bool):
        raise TypeError(f"a variable is an int, got {type(variable).__name__}")
    if not -d <= k < d:
        raise ValueError(f"variable {k} is outside of {-d} ... {d - 1}")
    return k % d
