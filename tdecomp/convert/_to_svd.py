"""Matrices in any format: to singular values by the triangles of their factors."""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

from tdecomp._errors import check_rank, check_reachable, check_rtol
from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, eps, equilibrate
from tdecomp.convert._read import as_format, filled, opened
from tdecomp.linalg import SVD, tail_norms, truncation_rank
from tdecomp.linalg._robust import robust_svd
from tdecomp.linalg._signs import canonical_signs
from tdecomp.linalg._truncation import reachable_rtol
from tdecomp.ops import COO
from tdecomp.ops._operands import promoted
from tdecomp.tt import TensorRing, TensorTrain
from tdecomp.tucker import Tucker


@full_precision
def to_svd(x: Any, /, *, rank: int | None = None, rtol: float | None = None) -> SVD:
    r"""Return the singular value decomposition of the matrix that another format stands for.

    Of :math:`A = L R`, by QR decompositions :math:`L = Q_1 T_1`, :math:`R^* = Q_2 T_2` and the SVD
    of :math:`T_1 T_2^*`.

    Parameters
    ----------
    x : LowRank, SVD, CP, Tucker, TensorTrain or TensorRing
        The matrix, a tensor of two modes; TensorLy's objects are read as well.
    rank : int, optional
        How many triplets to keep, at most those that the format has.
    rtol : float, optional
        Guarantee :math:`\|A - \hat A\|_F \le \mathtt{rtol}\, \|A\|_F` with the fewest triplets.

    Returns
    -------
    SVD
        With canonical signs, of rank ``min(m, n, r)`` unless `rank` or `rtol` lower it.

    Raises
    ------
    TypeError, ValueError
        If `x` is no format of a matrix, or not valid, or an option is out of range.
    ToleranceError
        If `rtol` is below what rounding allows in this precision, where terms cancel as well.

    Notes
    -----
    About :math:`6 (m + n) r^2` flops. Columns of any scale are safe.

    Examples
    --------
    >>> import numpy as np
    >>> import tdecomp as td
    >>> from tdecomp import convert
    >>> convert.to_svd(td.LowRank(np.ones((4, 2)), np.ones((2, 9))), rtol=1e-12).S
    array([12.])
    """
    xp, fmt = as_format(x, "truncated_svd(x, rank=...)")
    if isinstance(fmt, COO):
        raise TypeError(
            "x is a COO, whose singular values have to be found: "
            "randomized_svd(td.ops.to_scipy(x), rank=...)"
        )
    if len(fmt.shape) != 2:
        raise ValueError(f"x must be a matrix, got a tensor of shape {fmt.shape}")
    if isinstance(fmt, TensorTrain | TensorRing):
        train = fmt if isinstance(fmt, TensorTrain) else opened(fmt, xp)
        left, right = train.cores[0][0, :, :], train.cores[1][:, :, 0]
    elif isinstance(fmt, Tucker):
        left, right = filled(fmt, xp)
        left, right = left @ fmt.core, xp.matrix_transpose(right)
    else:
        left = fmt.factors[0] * xp.astype(fmt.weights, fmt.dtype)
        right = xp.matrix_transpose(fmt.factors[1])
    return _svd(left, right, rank, rtol, xp)


def _svd(left: Array, right: Array, rank: Any, rtol: Any, xp: Namespace) -> SVD:
    """Decompose a product of two thin factors through their triangles."""
    left, right = promoted([left, right], xp)
    m, n, most = left.shape[0], right.shape[1], min(*left.shape, right.shape[1])
    rank = None if rank is None else check_rank(rank, most)
    columns, rows = (
        equilibrate(a, xp, axis=axis, always=True) for a, axis in ((left, 0), (right, 1))
    )
    exponents = xp.log2(columns[1][0, :]) + xp.log2(rows[1][:, 0])
    top = xp.max(exponents)
    (q, t), (p, s) = xp.linalg.qr(columns[0]), xp.linalg.qr(adjoint(rows[0], xp))
    floor = -math.log2(float(xp.finfo(top.dtype).max))
    sizes = xp.pow(xp.full_like(exponents, 2.0), xp.clip(exponents - top, floor, 0.0))
    u, values, vh = robust_svd((t * xp.astype(sizes, t.dtype)) @ adjoint(s, xp), xp)
    keep = most if rank is None else rank
    if rtol is not None:
        total = float(xp.linalg.vector_norm(values))
        lengths = (xp.linalg.vector_norm(a, axis=0) for a in (t, s))
        terms = float(xp.sum(reduce(lambda a, b: a * b, lengths, sizes)))
        unit = reachable_rtol(m, n, eps(left.dtype, xp)) * (terms / total if total else 1.0)
        check_reachable(check_rtol(rtol), unit, dtype=left.dtype)
        keep = truncation_rank(values, rank=keep, atol=(rtol - unit / 4) * float(
            tail_norms(values)[0]))  # fmt: skip
    u, vh = canonical_signs(q @ u[:, :keep], vh[:keep, :] @ adjoint(p, xp), xp)
    half = xp.floor(top / 2)
    for part in (half, top - half):
        values = values * xp.pow(xp.full_like(part, 2.0), part)
    return SVD(u, values[:keep], vh)
