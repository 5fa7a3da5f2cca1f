"""Chebyshev-Tucker functions on smaller boxes, of fewer variables, in another order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from array_api_compat import is_array_api_obj

from tdecomp._precision import full_precision
from tdecomp._shim import host
from tdecomp._typing import Array, Namespace
from tdecomp._xp import concrete, device, eps, prepare
from tdecomp.chebyshev._calculus import _index
from tdecomp.chebyshev._core import dropped, mode_product
from tdecomp.chebyshev._domain import as_domain, from_unit, to_unit
from tdecomp.chebyshev._format import ChebyshevTucker, as_function
from tdecomp.chebyshev._points import points
from tdecomp.chebyshev._series import polynomials, summed_at
from tdecomp.chebyshev._transform import coefficients

# By how many units of rounding, of half an interval, an end may lie outside.
_SLACK = 8


@full_precision
def restrict(f: Any, domain: Any, /) -> ChebyshevTucker:
    r"""Return the same function on a smaller box.

    Parameters
    ----------
    f : ChebyshevTucker
        The function, of `d` variables.
    domain : array, shape (d, 2)
        A box inside of that of `f`; one interval serves all variables.

    Returns
    -------
    ChebyshevTucker
        The function, of the same rank and numbers of coefficients.

    Raises
    ------
    TypeError, ValueError
        If `f` is something else, or `domain` is no box, or not inside.

    See Also
    --------
    fix : a function at one value of a variable.
    simplify : on a small box a function needs fewer coefficients.

    Notes
    -----
    Exact for the polynomial that `f` is, to rounding: columns are evaluated at the Chebyshev
    points of the new intervals, :math:`2 \sum_k m_k^2 r_k` flops, for some points at a time.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.chebyshev import ChebyshevTucker, restrict
    >>> square = np.array([[0.0], [0.0], [1.0]])  # T_2 = 2 x^2 - 1
    >>> f = ChebyshevTucker(np.ones((1,)), (square,), np.array([[-1.0, 1.0]]))
    >>> restrict(f, [(0, 1)]).factors[0].ravel()  # (1 + t)^2 / 2 - 1
    array([-0.25,  1.  ,  0.25])
    """
    xp, core, factors, old = as_function(f, trains=True)
    if domain is None:
        raise TypeError("domain must be a box, or an interval for all variables, got None")
    box = as_domain(host(domain) if is_array_api_obj(domain) else domain, len(factors))
    new = xp.asarray(box, dtype=old.dtype, device=device(old))
    _check_inside(new, old, xp)
    found = [_resampled(v, new[k, :], old[k, :], xp) for k, v in enumerate(factors)]
    return ChebyshevTucker(core, tuple(found), new)


@full_precision
def fix(f: Any, values: Mapping[int, Any], /) -> ChebyshevTucker | Array:
    r"""Return the function of the other variables that is left when some are held fixed.

    Parameters
    ----------
    f : ChebyshevTucker
        The function, of `d` variables.
    values : dict of int to number
        The values of variables; negative ones count from the last.

    Returns
    -------
    ChebyshevTucker or array
        A function of the others, in their order; without others the value, an array of no axes.

    Raises
    ------
    TypeError, ValueError
        If `f` is something else, there is no such variable, one comes twice, or a value is not a
        real number of its interval; under tracing the function is then NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.chebyshev import chebyshev_tucker, evaluate, fix
    >>> f = chebyshev_tucker(lambda x, y, z: np.exp(x * y) + z, [(-1, 1)] * 3).tensor
    >>> g = fix(f, {0: 0.5, 2: 1.0})  # exp(y / 2) + 1
    >>> round(float(evaluate(g, [0.0])), 12)
    2.0
    """
    xp, core, factors, domain = as_function(f, trains=True)
    if not isinstance(values, Mapping):
        raise TypeError(f"values must be a dict of variables, got {type(values).__name__}")
    d = len(factors)
    numbers = {_index(k, d): _number(x, domain, k, xp) for k, x in values.items()}
    if len(numbers) < len(values):
        raise ValueError(f"variables must differ, got {list(values)}")
    middle = domain[:, 0] / 2 + domain[:, 1] / 2
    place = xp.stack([numbers.get(k, middle[k]) for k in range(d)])
    t = to_unit(place[None, :], domain, xp, name="values")
    for k in numbers:
        row = polynomials(t[:, k], int(factors[k].shape[0]), xp)
        core = mode_product(core, xp.astype(row, factors[k].dtype) @ factors[k], k, xp)
    kept = [k for k in range(d) if k not in numbers]
    core = dropped(core, list(numbers), xp)
    if not kept:
        return core
    rows = xp.stack([domain[k, :] for k in kept])
    return ChebyshevTucker(core, tuple(factors[k] for k in kept), rows)


@full_precision
def permute(f: Any, order: Sequence[int], /) -> ChebyshevTucker:
    r"""Return a function with its variables in another order.

    Parameters
    ----------
    f : ChebyshevTucker
        The function, of `d` variables. Its core must be an array: in another order a tensor train
        has other ranks, which may be large.
    order : sequence of int
        Which variable of `f` comes at each place, as in ``permute_dims`` of arrays; negative ones
        count from the last.

    Returns
    -------
    ChebyshevTucker
        The function :math:`g` with :math:`g(x_{p_0}, x_{p_1}, \dots) = f(x_0, x_1, \dots)`.

    Raises
    ------
    TypeError, ValueError
        If `f` is something else, or `order` does not name every variable once.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.chebyshev import chebyshev_tucker, evaluate, permute
    >>> f = chebyshev_tucker(lambda x, y: x - y**2, [(0, 1), (0, 3)]).tensor
    >>> round(float(evaluate(permute(f, (1, 0)), [2.0, 0.5])), 12)
    -3.5
    """
    xp, core, factors, domain = as_function(f)
    d = len(factors)
    if not isinstance(order, Sequence | np.ndarray):
        raise TypeError(f"order must be a sequence of ints, got {type(order).__name__}")
    chosen = [_index(k, d) for k in order]
    if sorted(chosen) != list(range(d)):
        raise ValueError(f"order must name each of {d} variables once, got {tuple(order)}")
    rows = xp.stack([domain[k, :] for k in chosen])
    return ChebyshevTucker(
        xp.permute_dims(core, tuple(chosen)), tuple(factors[k] for k in chosen), rows
    )


def _check_inside(new: Array, old: Array, xp: Namespace) -> None:
    """Refuse a box that is not inside of another one, up to rounding, or is a point of it."""
    flat = new[:, 0] >= new[:, 1]
    if concrete(xp.any(flat)):
        k = int(xp.argmax(xp.astype(flat, xp.int32)))
        raise ValueError(
            f"domain[{k}] is shorter than {old.dtype} can tell: fix holds a variable at one value"
        )
    slack = _SLACK * eps(old.dtype, xp) * (old[:, 1] / 2 - old[:, 0] / 2)
    outside = (new[:, 0] < old[:, 0] - slack) | (new[:, 1] > old[:, 1] + slack)
    if concrete(xp.any(outside)):
        k = int(xp.argmax(xp.astype(outside, xp.int32)))
        (a, b), (low, high) = ([float(x[k, 0]), float(x[k, 1])] for x in (new, old))
        raise ValueError(
            f"domain[{k}] = [{a}, {b}] is not inside of [{low}, {high}], where f is known"
        )


def _resampled(factor: Array, new: Array, old: Array, xp: Namespace) -> Array:
    """Return the coefficients of series on an interval from those on a longer one."""
    m = int(factor.shape[0])
    nodes = xp.asarray(points(m)[:, None], dtype=old.dtype, device=device(old))
    t = to_unit(from_unit(nodes, new[None, :], xp), old[None, :], xp, name="domain")
    return coefficients(summed_at(t[:, 0], factor, xp), xp)


def _number(value: Any, domain: Array, k: int, xp: Namespace) -> Array:
    """Return the value of a variable as a real number of the dtype of the box."""
    name = f"values[{k}]"
    value = value.item() if isinstance(value, np.generic) else value
    _, x = prepare(value, ndim=0, like=domain, name=name)
    if xp.isdtype(x.dtype, "complex floating"):
        raise TypeError(f"{name} must be real, got {x.dtype}")
    return xp.astype(x, domain.dtype, copy=False)
