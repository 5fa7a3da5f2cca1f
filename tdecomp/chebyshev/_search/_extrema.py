"""Extrema of Chebyshev-Tucker functions, with proven bounds."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tdecomp._errors import check_count, check_rtol
from tdecomp._precision import full_precision
from tdecomp._shim import host
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device
from tdecomp.chebyshev._core import arrays, of_arrays
from tdecomp.chebyshev._domain import from_unit
from tdecomp.chebyshev._search._hosted import on_host
from tdecomp.chebyshev._search._lowest import Lowest, Search


class Extremum(NamedTuple):
    """The most extreme value that was found, and a bound that no value passes.

    Attributes
    ----------
    value : array, shape ()
        The value.
    point : array, shape (d,)
        Where it is taken.
    bound : array, shape ()
        What no value of the function is beyond: of a minimum below it, of a maximum above.
    """

    value: Array
    point: Array
    bound: Array


@full_precision
def minimum(f: Any, /, *, tol: float = 1e-6, max_points: int = 100_000_000) -> Extremum:
    r"""Return the global minimum of a real function in its box, with a bound from below.

    Parameters
    ----------
    f : ChebyshevTucker
        The function, real.
    tol : float, optional
        The search ends when value and bound are as near as this part of the spread of values.
    max_points : int, optional
        How much work may be done, in coefficients of pieces, each of which costs as much as a
        value on a grid. When that is used up, the bound is what is proven so far.

    Returns
    -------
    Extremum
        The lowest value that was found, its point, and a number that the function is proven to be
        nowhere below.

    Raises
    ------
    TypeError, ValueError
        If `f` is something else, complex, traced or differentiated, or an option is out of range.

    Notes
    -----
    Branch and bound: on pieces of the box the function is a short series, the magnitudes of whose
    coefficients bound it. Pieces that are proven to be nowhere lower than the best value, but for
    the tolerance, are dropped, and all others halved; values are found by Newton's method from
    the most promising points, faces of the box included. The bound takes into account what
    coefficients that were left out, and rounding, may amount to. It is proven for the polynomial
    that `f` is: of another function it is so up to the distance of the two.

    Most functions take fractions of a second. Where minima fill a curve or a surface, pieces that
    cover it are many, and `max_points` ends the search with a gap; compare `value` and `bound`.
    Of a function whose core is a train, values are sought at points and along lines, and the
    bound, from the sizes of all terms, is far away.

    All is done on the host, in double precision. The derivative of a minimum with respect to `f`
    is that of ``evaluate(f, point)`` with the point held fixed.

    References
    ----------
    .. [1] H. Ehlich, K. Zeller, "Schwankung von Polynomen zwischen Gitterpunkten", Math. Z. 86,
       1964. doi:10.1007/BF01111276

    Examples
    --------
    >>> from tdecomp.chebyshev import chebyshev_tucker, minimum
    >>> rosenbrock = lambda x, y: 100 * (y - x**2) ** 2 + (1 - x) ** 2
    >>> f = chebyshev_tucker(rosenbrock, [(-2, 2), (-2, 2)]).tensor
    >>> found = minimum(f)
    >>> found.point.round(6), bool(-0.01 < found.bound <= found.value < 1e-9)
    (array([1., 1.]), True)
    """
    return _sought(f, 1.0, tol, max_points)


@full_precision
def maximum(f: Any, /, *, tol: float = 1e-6, max_points: int = 100_000_000) -> Extremum:
    r"""Return the global maximum of a real function in its box, with a bound from above.

    Parameters
    ----------
    f : ChebyshevTucker
        The function, real.
    tol : float, optional
        The search ends when value and bound are as near as this part of the spread of values.
    max_points : int, optional
        How much work may be done, as for `minimum`.

    Returns
    -------
    Extremum
        The highest value that was found, its point, and a number that the function is proven to
        be nowhere above.

    Raises
    ------
    TypeError, ValueError
        If `f` is something else, complex, traced or differentiated, or an option is out of range.

    See Also
    --------
    minimum : how it is done.

    Examples
    --------
    >>> from tdecomp.chebyshev import chebyshev_tucker, maximum
    >>> f = chebyshev_tucker(lambda x, y: 1 / (1 + (x - y) ** 2) + x, [(-1, 1)] * 2).tensor
    >>> found = maximum(f)
    >>> round(float(found.value), 9), found.point.round(6), bool(found.bound < 2.00001)
    (2.0, array([1., 1.]), True)
    """
    return _sought(f, -1.0, tol, max_points)


@full_precision
def sup_norm(f: Any, /, *, tol: float = 1e-6, max_points: int = 100_000_000) -> Extremum:
    r"""Return the largest magnitude of a function in its box, with a bound from above.

    Parameters
    ----------
    f : ChebyshevTucker
        The function, real or complex.
    tol : float, optional
        The search ends when value and bound are as near as this part of the spread of magnitudes.
    max_points : int, optional
        How much work may be done, as for `minimum`.

    Returns
    -------
    Extremum
        The largest magnitude that was found, its point, and a bound: the norm lies between
        `value` and `bound`.

    Raises
    ------
    TypeError, ValueError
        If `f` is something else, traced or differentiated, or an option is out of range.

    See Also
    --------
    minimum : how it is done.

    Notes
    -----
    Magnitudes that are nearly the same everywhere, as those of :math:`e^{i x y}`, end the search
    by `max_points`, with a bound that is off by some thousandths.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.chebyshev import chebyshev_tucker, sup_norm
    >>> f = chebyshev_tucker(lambda x, y: (x - 2j * y) * np.exp(1j * x), [(-1, 1)] * 2).tensor
    >>> value, point, bound = sup_norm(f)
    >>> round(float(value**2), 9), bool(value <= bound < 1.0001 * value)
    (5.0, True)
    """
    tol, limit = _options(tol, max_points)
    xp, g, exponent, domain = on_host(f)
    return _returned(Search(g, sizes=True)(tol, limit), -1.0, exponent, domain, xp)


def _sought(f: Any, sign: float, tol: float, max_points: int) -> Extremum:
    """Return the minimum of a real function times a sign."""
    tol, limit = _options(tol, max_points)
    xp, g, exponent, domain = on_host(f)
    if np.iscomplexobj(arrays(g.core)[0]):
        raise TypeError(f"f must be real, got {f.dtype}; sup_norm takes complex functions")
    first, *others = arrays(g.core)
    g = g._replace(core=of_arrays(g.core, [sign * first, *others]))
    return _returned(Search(g, sizes=False)(tol, limit), sign, exponent, domain, xp)


def _options(tol: float, max_points: int) -> tuple[float, int]:
    return check_rtol(tol, name="tol"), check_count(max_points, name="max_points", least=1)


def _returned(found: Lowest, sign: float, exponent: int, domain: Array, xp: Namespace) -> Extremum:
    """Return what was found in the library, dtype and device of a box, bounds rounded outward."""
    t = xp.asarray(found.t[None, :], dtype=domain.dtype, device=device(domain))
    dtype = host(domain).dtype.type
    with np.errstate(over="ignore"):
        value, bound = dtype(np.ldexp([found.value, found.bound], exponent))
        if np.ldexp(np.float64(bound), -exponent) > found.bound:
            bound = np.nextafter(bound, dtype(-np.inf))

    def back(number: float) -> Array:
        return xp.asarray(float(number), dtype=domain.dtype, device=device(domain))

    return Extremum(
        back(sign * value + 0.0), from_unit(t, domain, xp)[0, :], back(sign * bound + 0.0)
    )
