"""Norms, inner products and sums of Chebyshev-Tucker functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from tdecomp._errors import check_count
from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, differentiated, equilibrate, times_power
from tdecomp.chebyshev._algebra._isometric import Isometric, as_series, isometric, padded, summed
from tdecomp.chebyshev._algebra._product import multiply
from tdecomp.chebyshev._algebra._simplify import allowance, rounding, shortened
from tdecomp.chebyshev._algebra._together import together
from tdecomp.chebyshev._algebra._train_algebra import train_inner, train_norm, train_sum
from tdecomp.chebyshev._core import arrays, of_arrays
from tdecomp.chebyshev._format import ChebyshevTucker, as_function
from tdecomp.ops._mode_products import _mode_product
from tdecomp.ops._operands import with_number
from tdecomp.tt import TensorTrain
from tdecomp.tucker._algebra import _sum


@full_precision
def norm(f: Any, /, ord: int = 2) -> Array:
    r"""Return a norm of a function: that of L2, or of another even order.

    .. math:: \|f\|_p = \Bigl( \int |f|^p \Bigr)^{1/p} , \qquad
              \|f\|_2 = \|G \times_k L_k^T V_k\|_F \prod_k (b_k - a_k)^{1/2} \, 2^{-d/2} .

    Nothing is subtracted after squaring, and powers of two are set aside: the norm is true to
    rounding at any scale.

    Parameters
    ----------
    f : ChebyshevTucker
        The function.
    ord : int, optional
        The order `p`, an even number. That of order :math:`2 q` is found from the power
        :math:`f^q`.

    Returns
    -------
    array, shape ()
        The norm, real.

    Raises
    ------
    TypeError, ValueError
        If `f` is something else, or `ord` is no positive even number.

    See Also
    --------
    inner : the inner product.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.chebyshev import ChebyshevTucker, norm
    >>> one, x = np.array([[1.0]]), np.array([[0.0], [1.0]])
    >>> f = ChebyshevTucker(np.ones((1, 1, 1)), (x, one, one), np.array([[-1.0, 1.0]] * 3))
    >>> round(float(norm(f)), 12)  # of x on a cube, 2 sqrt(2 / 3)
    1.632993161855
    """
    power = _half_order(ord)
    xp, core, factors, domain = as_function(f, trains=power == 1)
    if power > 1:
        return _powered_norm(ChebyshevTucker(core, tuple(factors), domain), power, xp)
    if isinstance(core, TensorTrain):
        return train_norm(core, weighted(factors, domain, xp), xp)
    x = isometric(core, weighted(factors, domain, xp), xp)
    return times_power(xp.linalg.vector_norm(x.core), x.exponent, xp)


@full_precision
def inner(f: Any, g: Any, /) -> Array:
    r"""Return the inner product :math:`\langle f, g \rangle = \int \overline{f}\, g`.

    Both are brought to orthonormal factors first, so that the error is about
    :math:`\epsilon\, \|f\| \|g\|` however ill-conditioned the factors are.

    Parameters
    ----------
    f, g : ChebyshevTucker
        Functions of one box; the first is conjugated.

    Returns
    -------
    array, shape ()
        The inner product.

    Raises
    ------
    TypeError, ValueError
        If one is something else, or boxes differ.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.chebyshev import ChebyshevTucker, inner
    >>> one, x = np.array([[1.0]]), np.array([[0.0], [1.0]])
    >>> f = ChebyshevTucker(np.ones((1, 1)), (x, one), np.array([[-1.0, 1.0]] * 2))
    >>> round(float(inner(f, f)), 14)  # the integral of x^2
    1.33333333333333
    """
    xp, domain, (one, other) = together((f, g), names=("f", "g"), trains=True)
    if any(isinstance(core, TensorTrain) for core, _ in (one, other)):
        first, second = ((core, weighted(v, domain, xp)) for core, v in (one, other))
        return train_inner(first, second, xp)
    left, right = (isometric(core, weighted(v, domain, xp), xp) for core, v in (one, other))
    core = right.core
    for k, (p, q) in enumerate(zip(left.factors, right.factors, strict=True)):
        rows = min(p.shape[0], q.shape[0])
        core = _mode_product(core, adjoint(p[:rows, :], xp) @ q[:rows, :], k, xp=xp)
    value = xp.vecdot(xp.reshape(left.core, (-1,)), xp.reshape(core, (-1,)))
    return times_power(value, left.exponent + right.exponent, xp)


@full_precision
def scale(f: Any, factor: Any, /) -> ChebyshevTucker:
    """Return a function times a number, multiplied into its core.

    Parameters
    ----------
    f : ChebyshevTucker
        The function.
    factor : number or array of shape ()
        A real or complex number.

    Returns
    -------
    ChebyshevTucker
        The product; complex where one of the two is.

    Raises
    ------
    TypeError, ValueError
        If `f` is something else, or `factor` not one finite number.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.chebyshev import ChebyshevTucker, scale
    >>> f = ChebyshevTucker(np.ones((1,)), (np.array([[1.0]]),), np.array([[0.0, 4.0]]))
    >>> scale(f, -2).core
    array([-2.])
    """
    xp, core, factors, domain = as_function(f, trains=True)
    number, (first, *rest) = with_number(factor, [*arrays(core), *factors], xp)
    others = len(arrays(core)) - 1
    core = of_arrays(core, [first * number, *rest[:others]])
    return ChebyshevTucker(core, tuple(rest[others:]), domain)


@full_precision
def add(*functions: Any, rtol: float | None = None) -> ChebyshevTucker:
    r"""Return the sum of functions, of least ranks and shortest series.

    Factors stand side by side and are made orthonormal; what is then below the rounding of the
    terms is cut off. A function minus itself has rank one, and a norm of about
    :math:`\epsilon\, \|f\|`.

    Parameters
    ----------
    *functions : ChebyshevTucker
        Functions of one box; at least one.
    rtol : float, optional
        Guarantee an error of at most `rtol` times the norm of the sum. By default that is
        :math:`c\, \epsilon \sum_i \|f_i\|`, with the root of the ranks in `c`.

    Returns
    -------
    ChebyshevTucker
        The sum, with factors that are orthonormal on the unit box. Where it is compiled or
        differentiated, ranks cannot depend on values: it is exact, and ranks add up.

    Raises
    ------
    TypeError, ValueError
        If there are none, one is something else, or boxes differ.
    ToleranceError
        If `rtol` is below what rounding of the terms allows, as where they cancel.

    Notes
    -----
    :math:`2 \sum_k m_k r_k^2 + 4 d\, r^{d+1}` flops with the ranks `r` of all together.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.chebyshev import add, chebyshev_tucker, norm, scale
    >>> f = chebyshev_tucker(lambda x, y: np.exp(x * y), [(-1, 1)] * 2).tensor
    >>> nothing = add(f, scale(f, -1))
    >>> nothing.rank, float(norm(nothing)) < 1e-14
    ((1, 1), True)
    """
    if not functions:
        raise ValueError("functions is empty: give at least one")
    names = [f"functions[{k}]" for k in range(len(functions))]
    xp, domain, pairs = together(functions, names=names, trains=True)
    counts = [max(v[k].shape[0] for _, v in pairs) for k in range(domain.shape[0])]
    pairs = [
        (core, [padded(v, n, xp) for v, n in zip(factors, counts, strict=True)])
        for core, factors in pairs
    ]
    fixed = any(differentiated(x) for core, v in pairs for x in (*arrays(core), *v))
    if fixed and rtol is not None:
        raise ValueError("under tracing or grad ranks must be fixed: leave rtol out")
    if any(isinstance(core, TensorTrain) for core, _ in pairs):
        return train_sum(pairs, domain, rtol, xp)
    if fixed:
        core, exact = _sum([(core, list(v)) for core, v in pairs], xp)
        return ChebyshevTucker(core, exact, domain)
    return combined([isometric(core, factors, xp) for core, factors in pairs], domain, rtol, xp)


def combined(
    terms: Sequence[Isometric], domain: Array, rtol: float | None, xp: Namespace
) -> ChebyshevTucker:
    """Return the sum of functions of equal numbers of coefficients, truncated."""
    cores, exponent = _aligned(terms, xp)
    noise = sum(float(xp.linalg.vector_norm(core)) for core in cores)
    stacks = [
        xp.concat(columns, axis=1) for columns in zip(*(x.factors for x in terms), strict=True)
    ]
    core, bases = summed(list(zip(cores, _spans(cores), strict=True)), stacks, xp)
    size = float(xp.linalg.vector_norm(core))
    core, bases = shortened(core, bases, allowance(rtol, size, rounding(core, xp) * noise), xp)
    return as_series(Isometric(core, bases, exponent), domain, xp)


def _aligned(terms: Sequence[Isometric], xp: Namespace) -> tuple[list[Array], Array]:
    """Return cores that are multiples of one power of two, and its exponent."""
    nonzero = [x.exponent for x in terms if float(xp.linalg.vector_norm(x.core)) > 0]
    top = xp.max(xp.stack(nonzero or [terms[0].exponent]))
    return [times_power(x.core, xp.minimum(x.exponent - top, 0 * top), xp) for x in terms], top


def _spans(cores: Sequence[Array]) -> list[list[slice]]:
    """Return which columns of a stack belong to each core, for each variable."""
    ends = [list(accumulate(int(core.shape[k]) for core in cores)) for k in range(cores[0].ndim)]
    return [
        [slice(end[i] - int(n), end[i]) for end, n in zip(ends, core.shape, strict=True)]
        for i, core in enumerate(cores)
    ]


def weighted(factors: Sequence[Array], domain: Array, xp: Namespace) -> list[Array]:
    """Return factors times the roots of half the lengths: of the same norm on the unit box."""
    roots = xp.sqrt(domain[:, 1] / 2 - domain[:, 0] / 2)
    return [v * xp.astype(roots[k], v.dtype, copy=False) for k, v in enumerate(factors)]


def _half_order(ord: Any) -> int:
    """Return half the order of a norm."""
    if isinstance(ord, float) and ord == math.inf:
        raise ValueError("the norm of order inf is the largest magnitude: see sup_norm")
    order = check_count(ord, name="ord", least=2)
    if order % 2:
        raise ValueError(f"ord must be even: magnitudes are no polynomials, got {order}")
    return order // 2


def _powered_norm(f: ChebyshevTucker, power: int, xp: Namespace) -> Array:
    """Return the root of the norm of a power, of a function brought to a safe scale."""
    x = isometric(f.core, f.factors, xp)
    core, scale = equilibrate(x.core, xp, axis=tuple(range(x.core.ndim)), always=True)
    safe = as_series(Isometric(core, x.factors, 0 * x.exponent), f.domain, xp)
    powered = safe
    for _ in range(power - 1):
        powered = multiply(powered, safe)
    exponent = x.exponent + xp.log2(xp.reshape(xp.abs(scale), ()))
    return times_power(norm(powered) ** (1 / power), exponent, xp)
