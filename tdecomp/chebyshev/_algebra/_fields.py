r"""Gradients and Hessian matrices at points, Laplacians as functions.

All derivatives at a point come from one contraction of the core, in which the values of one or
two factors are replaced by those of derivatives. They share what is left of the core after the
first variables: a Taylor polynomial of second degree whose coefficients are contracted together.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement
from typing import Any

from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, differentiated, eps, floats
from tdecomp.chebyshev._algebra._isometric import (
    Isometric,
    as_series,
    isometric,
    padded,
    summed,
)
from tdecomp.chebyshev._algebra._simplify import allowance, rounding, shortened
from tdecomp.chebyshev._algebra._sums import add
from tdecomp.chebyshev._calculus import diff
from tdecomp.chebyshev._core import arrays, contracted, width
from tdecomp.chebyshev._domain import as_points, to_unit
from tdecomp.chebyshev._format import ChebyshevTucker, as_function
from tdecomp.chebyshev._legendre import to_chebyshev, to_legendre
from tdecomp.chebyshev._series import derivative, polynomials
from tdecomp.chebyshev._values._compiled import compiled
from tdecomp.ops._mode_products import _mode_product
from tdecomp.tt import TensorTrain

# Entries of what is gathered for a block of points: they stay in the cache.
_BLOCK_ENTRIES = 1 << 18

# By how much, over the fourth power of the number of coefficients, second derivatives of rounding
# errors are larger than these: 0.01 was measured, where 0.09 is the most.
_GAIN = 0.02
# As many coefficients have second derivatives of zero.
_STRAIGHT = 2

# Which variables a derivative is taken of: none, one, two.
Partial = tuple[int, ...]


@full_precision
def gradient(f: Any, points: Any, /) -> Array:
    r"""Return the gradients of a function at scattered points.

    Parameters
    ----------
    f : ChebyshevTucker
        The function, of `d` variables.
    points : array, shape (..., d)
        Real points of the domain.

    Returns
    -------
    array, shape (..., d)
        The partial derivatives.

    Raises
    ------
    TypeError, ValueError
        As in `evaluate`.

    See Also
    --------
    diff : a partial derivative as a function.

    Notes
    -----
    About twice the flops of `evaluate` for the contractions, and for the series too. Many points
    of NumPy arrays are left to the compiled loop of `evaluate`, once for each derivative: on two
    cores that was measured to be twice as fast.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.chebyshev import chebyshev_tucker, gradient
    >>> f = chebyshev_tucker(lambda x, y: x * y**2, [(-1, 1)] * 2).tensor
    >>> gradient(f, [0.5, 1.0]).round(12)
    array([1., 1.])
    """
    xp, found = _derivatives(f, points, 1)
    d = len(f.factors)
    return xp.stack([found[k,] for k in range(d)], axis=-1)


@full_precision
def hessian(f: Any, points: Any, /) -> Array:
    r"""Return the matrices of second derivatives of a function at scattered points.

    Parameters
    ----------
    f : ChebyshevTucker
        The function, of `d` variables.
    points : array, shape (..., d)
        Real points of the domain.

    Returns
    -------
    array, shape (..., d, d)
        The second partial derivatives, symmetric to the bit.

    Raises
    ------
    TypeError, ValueError
        As in `evaluate`.

    Notes
    -----
    In three variables about four times the flops of `evaluate`. See `gradient`.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.chebyshev import chebyshev_tucker, hessian
    >>> f = chebyshev_tucker(lambda x, y: x * y**2, [(-1, 1)] * 2).tensor
    >>> hessian(f, [0.5, 1.0]).round(12) + 0.0
    array([[0., 2.],
           [2., 1.]])
    """
    xp, found = _derivatives(f, points, 2)
    d = len(f.factors)
    rows = [xp.stack([found[min(i, j), max(i, j)] for j in range(d)], axis=-1) for i in range(d)]
    return xp.stack(rows, axis=-2)


@full_precision
def laplacian(f: Any, /, *, rtol: float | None = None) -> ChebyshevTucker:
    r"""Return the sum of second derivatives, :math:`\sum_k \partial_k^2 f`, as a function.

    In each variable it is made of the columns of `f` and of their second derivatives, twice the
    rank, which are then truncated.

    Parameters
    ----------
    f : ChebyshevTucker
        The function.
    rtol : float, optional
        Guarantee an error of at most `rtol` times the norm of the result. By default what second
        derivatives make of the rounding of `f`.

    Returns
    -------
    ChebyshevTucker
        The Laplacian, with factors that are orthonormal on the unit box; of a core that is a train
        the sum of its terms, by `add`. Where it is compiled or
        differentiated, ranks cannot depend on values: it is exact, of `d` times the ranks.

    Raises
    ------
    TypeError, ValueError
        If `f` is something else.
    ToleranceError
        If `rtol` is below what rounding of `f` allows.

    Notes
    -----
    Second derivatives of polynomials with `m` coefficients on an interval of half length `h` are
    up to :math:`0.09\, m^4 / h^2` times as large, in the norm of L2: so may be those of what
    rounding, or an approximation, has left in `f`.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.chebyshev import chebyshev_tucker, evaluate, laplacian
    >>> f = chebyshev_tucker(lambda x, y, z: x**2 * y + z**3, [(-1, 1)] * 3).tensor
    >>> round(float(evaluate(laplacian(f), [0.0, 0.5, 0.25])), 9)  # 2 y + 6 z
    2.5
    """
    xp, core, factors, domain = as_function(f, trains=True)
    fixed = any(map(differentiated, (*arrays(core), *factors)))
    if fixed and rtol is not None:
        raise ValueError("under tracing or grad ranks must be fixed: leave rtol out")
    if fixed or isinstance(core, TensorTrain):
        known = ChebyshevTucker(core, tuple(factors), domain)
        return add(*(diff(known, k, order=2) for k in range(len(factors))), rtol=rtol)
    x = isometric(core, factors, xp)
    halves = domain[:, 1] / 2 - domain[:, 0] / 2
    ranks = [int(z.shape[1]) for z in x.factors]
    stacks = [_with_second(z, halves[k], xp) for k, z in enumerate(x.factors)]
    terms = [
        (x.core, [slice(r, 2 * r) if j == k else slice(r) for j, r in enumerate(ranks)])
        for k in range(len(ranks))
    ]
    core, bases = summed(terms, stacks, xp)
    size = float(xp.linalg.vector_norm(core))
    noise = _noise(x, stacks, floats(halves), xp)
    core, bases = shortened(core, bases, allowance(rtol, size, noise), xp)
    return as_series(Isometric(core, bases, x.exponent), domain, xp)


def _noise(x: Isometric, stacks: Sequence[Array], halves: Sequence[float], xp: Namespace) -> float:
    """Return what rounding costs: that of the function, magnified, and that of the terms."""
    total = 0.0
    unit, size = eps(x.core.dtype, xp), float(xp.linalg.vector_norm(x.core))
    for k, (stack, half) in enumerate(zip(stacks, halves, strict=True)):
        second = stack[:, x.core.shape[k] :]
        term = float(xp.linalg.vector_norm(_mode_product(x.core, second, k, xp=xp)))
        total += rounding(x.core, xp) * term
        # Of polynomials of first degree nothing is left.
        if stack.shape[0] > _STRAIGHT:
            total += _GAIN * unit * size * stack.shape[0] ** 4 / half**2
    return total


def _with_second(z: Array, half: Array, xp: Namespace) -> Array:
    """Return columns beside their second derivatives, all in orthonormal polynomials."""
    c = to_chebyshev(z, xp)
    half = xp.astype(half, c.dtype, copy=False)
    second = derivative(derivative(c, xp) / half, xp) / half
    return xp.concat([z, padded(to_legendre(second, xp), int(z.shape[0]), xp)], axis=1)


def _derivatives(f: Any, points: Any, order: int) -> tuple[Namespace, dict[Partial, Array]]:
    """Return all partial derivatives of an order, in the shape of the points."""
    xp, core, factors, domain = as_function(f, trains=True)
    x = as_points(points, domain, xp)
    keys = list(combinations_with_replacement(range(len(factors)), order))
    if 0 in x.shape:
        nothing = xp.zeros(x.shape[:-1], dtype=core.dtype, device=device(domain))
        return xp, dict.fromkeys(keys, nothing)
    flat = xp.reshape(x, (-1, len(factors)))
    halves = domain[:, 1] / 2 - domain[:, 0] / 2
    series = [_jets(v, halves[k], order, xp) for k, v in enumerate(factors)]
    found = _compiled(core, series, domain, flat, keys) or _in_blocks(
        core, series, to_unit(flat, domain, xp), order, xp
    )
    return xp, {key: xp.reshape(found[key], x.shape[:-1]) for key in keys}


def _compiled(
    core: Any, series: Sequence[Sequence[Array]], domain: Array, x: Array, keys: Sequence[Partial]
) -> dict[Partial, Array] | None:
    """Return derivatives one by one, by the loop for values, if that is for it."""
    found = {}
    for key in keys:
        values = compiled(core, [jets[key.count(k)] for k, jets in enumerate(series)], domain, x)
        if values is None:
            return None
        found[key] = values
    return found


def _in_blocks(
    core: Any, series: Sequence[Sequence[Array]], t: Array, order: int, xp: Namespace
) -> dict[Partial, Array]:
    """Return derivatives up to an order by products of arrays, for some points at a time."""
    entries = max(width(core), *(int(jets[0].shape[0]) for jets in series))
    step = max(1, _BLOCK_ENTRIES // (entries * 2**order))
    expand = _through_train if isinstance(core, TensorTrain) else _expansion
    blocks = [
        expand(core, _rows(series, t[i : min(i + step, t.shape[0]), :], xp), xp)
        for i in range(0, t.shape[0], step)
    ]
    return {key: xp.concat([block[key] for block in blocks]) for key in blocks[0]}


def _jets(factor: Array, half: Array, order: int, xp: Namespace) -> list[Array]:
    """Return the coefficients of series and of their derivatives, with as many of each."""
    half = xp.astype(half, factor.dtype, copy=False)
    found = [factor]
    for _ in range(order):
        found.append(padded(derivative(found[-1], xp) / half, int(factor.shape[0]), xp))
    return found


def _rows(series: Sequence[Sequence[Array]], t: Array, xp: Namespace) -> list[list[Array]]:
    """Return the values of series and of their derivatives at points, for each variable."""
    found = []
    for k, jets in enumerate(series):
        basis = polynomials(t[:, k], int(jets[0].shape[0]), xp)
        basis = xp.astype(basis, jets[0].dtype, copy=False)
        found.append([basis @ jet for jet in jets])
    return found


def _expansion(
    core: Array, rows: Sequence[Sequence[Array]], xp: Namespace
) -> dict[Partial, Array]:
    """Contract one variable after the other; a derivative may be taken as often as is left."""
    order = len(rows[0]) - 1
    left: dict[Partial, Array] = {(): xp.reshape(core, (1, -1))}
    for k, values in enumerate(rows):
        left = {
            key + (k,) * times: _contracted(block, values[times], xp)
            for key, block in left.items()
            for times in range(order - len(key) + 1)
        }
    return {key: block[:, 0] for key, block in left.items()}


def _contracted(block: Array, row: Array, xp: Namespace) -> Array:
    """Contract the next variable of what is left, which is the same for all points at first."""
    pieces = xp.reshape(block, (block.shape[0], row.shape[1], -1))
    if block.shape[0] == 1:
        return row @ pieces[0, ...]
    return (row[:, None, :] @ pieces)[:, 0, :]


def _through_train(
    core: TensorTrain, rows: Sequence[Sequence[Array]], xp: Namespace
) -> dict[Partial, Array]:
    """Contract a train with the rows of each derivative."""
    keys = combinations_with_replacement(range(len(rows)), len(rows[0]) - 1)
    return {
        key: contracted(core, [values[key.count(k)] for k, values in enumerate(rows)], xp)
        for key in keys
    }
