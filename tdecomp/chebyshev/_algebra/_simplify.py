"""Functions of short series and low ranks near others, in the norm of L2."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tdecomp._errors import ToleranceError, check_rtol
from tdecomp._precision import full_precision
from tdecomp._shim import host
from tdecomp._typing import Array, Namespace
from tdecomp._xp import differentiated
from tdecomp.chebyshev._algebra._isometric import as_series, isometric
from tdecomp.chebyshev._format import ChebyshevTucker, as_function
from tdecomp.linalg._left_triangle import triangle
from tdecomp.linalg._unfolded import slabs
from tdecomp.ops._mode_products import _mode_product
from tdecomp.tucker._hosvd import Plan, decompose
from tdecomp.tucker._targets import check_ranks, floor_of


@full_precision
def simplify(
    f: Any, /, *, rtol: float | None = None, rank: int | tuple[int, ...] | None = None
) -> ChebyshevTucker:
    r"""Return the shortest series and the least ranks near a function, in the norm of L2.

    Coefficients in orthonormal polynomials are cut off, each row of a factor weighing as much as
    its part of the function, then singular values of the core. Both are orthogonal projections,
    so that the error is known, not estimated:

    .. math:: \|f - \hat f\|^2 = \sum_k \mathrm{cut}_k^2 + \sum_k \tau_k^2 .

    Parameters
    ----------
    f : ChebyshevTucker
        The function. Its core must be an array.
    rtol : float, optional
        Guarantee :math:`\|f - \hat f\| \le \mathtt{rtol}\, \|f\|`. By default what rounding may
        cost anyway.
    rank : int or tuple of int, optional
        Limits of the ranks, which may make the error larger.

    Returns
    -------
    ChebyshevTucker
        With factors that are orthonormal on the unit box.

    Raises
    ------
    TypeError, ValueError
        If `f` is something else, an option is out of range, or gradients are to flow through `f`.
    ToleranceError
        If `rtol` is below what rounding allows in this precision.

    Notes
    -----
    About :math:`4 \sum_k r_k \prod_j r_j` flops, and :math:`2 \sum_k m_k^2 r_k` for the factors;
    of series of more than a thousand coefficients :math:`O(m_k \log^2 m_k\, r_k)`.
    One half of what is allowed, in squares, is for the series; what they leave over is for the
    ranks.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.chebyshev import chebyshev_tucker, simplify
    >>> f = chebyshev_tucker(lambda x, y: np.exp(x * y), [(-1, 1)] * 2).tensor
    >>> simplify(f, rtol=1e-3).rank, simplify(f, rtol=1e-9).rank
    ((4, 4), (8, 8))
    """
    xp, core, factors, domain = as_function(f)
    if any(map(differentiated, (core, *factors))):
        raise ValueError("simplify chooses by values: there is no program (jit) or gradient of it")
    ranks = None if rank is None else check_ranks(rank, tuple(core.shape), range(core.ndim))
    x = isometric(core, factors, xp)
    size = float(xp.linalg.vector_norm(x.core))
    atol = allowance(rtol, size, rounding(x.core, xp) * size)
    core, bases = shortened(x.core, x.factors, atol, xp, ranks=ranks)
    return as_series(x._replace(core=core, factors=bases), domain, xp)


def rounding(core: Array, xp: Namespace) -> float:
    """Return the relative error that the truncation of a core may have from rounding."""
    return floor_of(tuple(map(int, core.shape)), range(core.ndim), core.dtype, xp) / 8


def allowance(rtol: float | None, size: float, noise: float) -> float:
    """Return which error is allowed: a part of the norm `size`, or only what is noise."""
    if rtol is None:
        return noise
    rtol = check_rtol(rtol)
    if rtol * size < 4 * noise:
        reachable = 4 * noise / size if size > 0 else math.inf
        if reachable >= 1:
            raise ToleranceError(
                f"rtol={rtol:.3g} cannot be guaranteed: the result is no larger than what "
                "rounding alone may cost; leave rtol out",
                reachable=reachable,
            )
        raise ToleranceError(
            f"rtol={rtol:.3g} cannot be guaranteed: rounding alone may cost {reachable:.3g} of "
            f"the norm of the result; ask for rtol >= {reachable:.3g}, or leave it out",
            reachable=reachable,
        )
    return rtol * size - noise


def shortened(
    core: Array,
    factors: Sequence[Array],
    atol: float,
    xp: Namespace,
    *,
    ranks: tuple[int, ...] | None = None,
) -> tuple[Array, tuple[Array, ...]]:
    """Return the shortest series, and then the least ranks, with an error of at most `atol`.

    Of a core and orthonormal columns of coefficients in orthonormal polynomials.
    """
    share, spent = atol / math.sqrt(2 * len(factors)), 0.0
    bases = []
    for k, factor in enumerate(factors):
        tails = _tails(core, factor, k, xp)
        count = max(1, int(np.sum(tails > share)))
        spent += float(tails[count]) ** 2
        basis = factor
        if count < factor.shape[0]:
            basis, r = xp.linalg.qr(factor[:count, :])
            core = _mode_product(core, r, k, xp=xp)
        bases.append(basis)
    rest = math.sqrt(max(atol**2 - spent, 0.0))
    plan = Plan(tuple(range(core.ndim)), _turned(ranks, core), rest, "qr", 0, nested=True)
    found, _ = decompose(core, plan, xp)
    return found.core, tuple(q @ u for q, u in zip(bases, found.factors, strict=True))


def _turned(ranks: tuple[int, ...] | None, core: Array) -> tuple[int, ...] | None:
    """Return ranks that a core has after its series were cut."""
    return None if ranks is None else tuple(map(min, ranks, map(int, core.shape)))


def _tails(core: Array, factor: Array, k: int, xp: Namespace) -> npt.NDArray[np.float64]:
    """Return the norms of what is left out without the rows from each one on; the last is zero."""
    upper = triangle(slabs(core, k, xp), xp)
    rows = host(xp.linalg.vector_norm(factor @ xp.matrix_transpose(upper), axis=1))
    squares = np.cumsum(rows[::-1].astype(np.float64) ** 2)[::-1]
    return np.append(np.sqrt(squares), 0.0)
