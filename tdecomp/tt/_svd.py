"""The tensor-train decomposition of an array, by singular value decompositions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tdecomp._errors import check_reachable
from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import differentiated, eps, equilibrate, prepare, traced
from tdecomp.linalg._left_basis import left_basis
from tdecomp.linalg._signs import canonical_signs
from tdecomp.linalg._smooth import leading_svd
from tdecomp.linalg._truncation import tail_norms, truncation_rank
from tdecomp.tt._formats import TensorTrain
from tdecomp.tt._ranks import Budget, check_ranks, doubled, floor_of, number, stored_floor


@full_precision
def tt_svd(
    x: Any, /, *, rank: int | Sequence[int] | None = None, rtol: float | None = None
) -> TensorTrain:
    r"""Decompose a tensor into a train within a guaranteed error.

    Modes are split off one by one, each with the orthonormal basis of leading singular vectors of
    what is left, always at the end of the tensor where that is cheaper. With the tails
    :math:`\tau_k` of singular values that the ``d - 1`` steps leave out,

    .. math:: \|X - \hat X\|_F^2 = \sum_k \tau_k^2 \le (d - 1)
              \min_{\operatorname{rank} Y \le r} \|X - Y\|_F^2 .

    Parameters
    ----------
    x : array, shape (n_0, ..., n_{d-1})
        The tensor, of one mode or more.
    rank : int or tuple of int, optional
        The largest rank of every bond, or one for each of the ``d - 1`` bonds. A single int may
        exceed what the bonds near the ends allow.
    rtol : float, optional
        Guarantee :math:`\|X - \hat X\|_F \le \mathtt{rtol}\, \|X\|_F`. What one step does not
        use of it is left to the later ones. With `rank` too, the smaller ranks win.

    Returns
    -------
    TensorTrain
        Left-orthonormal cores, one free one, right-orthonormal ones; `orthogonalise` moves the
        free one.

    Raises
    ------
    TypeError, ValueError
        If neither `rank` nor `rtol` is given, one is out of range, or `x` is empty, not finite or
        a number.
    ToleranceError
        If `rtol` is below what rounding allows in this precision.

    See Also
    --------
    tt_cross : from a function, without an array.
    round : from a train.

    Notes
    -----
    The first step costs at most :math:`2 n \prod_k n_k` flops with the smaller of the first and
    the last size, and far less where a sketch of few columns is proved to do; the later ones are
    cheaper where ranks are small. Gram matrices are used where they keep the digits that are
    asked for, else QR decompositions. Besides the tensor there is never more than one projection
    of it. A tolerance that single precision cannot guarantee is met by computing
    in double and rounding the cores, if the library has doubles. Under tracing (``jit``,
    ``vmap``) `rank` is required.

    References
    ----------
    .. [1] I. V. Oseledets, "Tensor-train decomposition", SIAM J. Sci. Comput. 33, 2011,
       Algorithm 1 and Theorem 2.2. doi:10.1137/090752286

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import tt
    >>> i, j, k = np.ogrid[:4, :5, :6]
    >>> tt.tt_svd(1.0 * i + j + k, rtol=1e-12).rank
    (2, 2)
    """
    xp, x = prepare(x, ndim=1, batch=True, name="x")
    shape = tuple(map(int, x.shape))
    ranks, rtol = check_ranks(rank, rtol, shape)
    if rtol is not None and traced(x):
        raise ValueError("under tracing (jit, vmap) the rank must be fixed: pass rank= alone")
    x, scale = equilibrate(x, xp, axis=tuple(range(x.ndim)))
    unit = xp.reshape(scale, (1, 1, 1))
    if rtol is None:
        return TensorTrain(_tt_svd(x, ranks, unit, xp=xp))
    dtype, sides = x.dtype, _sides(shape)
    floor = floor_of(sides, eps(dtype, xp))
    if rtol < floor:
        wide = doubled([x], xp)
        if wide is not None:
            stored = stored_floor(len(shape), dtype, xp)
            floor = min(floor, stored + floor_of(sides, eps(wide[0].dtype, xp)))
            x = wide[0]
        check_reachable(rtol, floor, dtype=dtype)
    budget = Budget((rtol - floor / 4) * number(xp.linalg.vector_norm(x)), len(sides))
    left, core, right = _peeled(x, ranks, budget, xp)
    cores = [xp.astype(core, dtype, copy=False) for core in (*left, core, *right)]
    cores[len(left)] = cores[len(left)] * unit
    return TensorTrain(tuple(cores))


def _tt_svd(
    x: Array, ranks: Sequence[int] | None, scale: Array | float = 1.0, *, xp: Namespace
) -> tuple[Array, ...]:
    """Decompose at fixed ranks, and multiply the free core by `scale`."""
    left, core, right = _peeled(x, ranks, None, xp)
    return (*left, core * scale, *right)


def _peeled(
    x: Array, ranks: Sequence[int] | None, budget: Budget | None, xp: Namespace
) -> tuple[list[Array], Array, list[Array]]:
    """Split off mode after mode from either end; return what is left between the two."""
    shape = tuple(map(int, x.shape))
    left: list[Array] = []
    right: list[Array] = []
    first, last, before, behind = 0, len(shape) - 1, 1, 1
    while first < last:
        rows, columns = before * shape[first], shape[last] * behind
        x = xp.reshape(x, (rows, *shape[first + 1 : last], columns))
        if rows <= columns:
            u, x = basis(x, 0, None if ranks is None else ranks[first], budget, xp)
            left.append(xp.reshape(u, (before, shape[first], u.shape[1])))
            before, first = int(u.shape[1]), first + 1
        else:
            u, x = basis(x, x.ndim - 1, None if ranks is None else ranks[last - 1], budget, xp)
            core = xp.reshape(xp.matrix_transpose(u), (u.shape[1], shape[last], behind))
            right.insert(0, core)
            behind, last = int(u.shape[1]), last - 1
    return left, xp.reshape(x, (before, shape[first], behind)), right


def basis(
    x: Array, mode: int, rank: int | None, budget: Budget | None, xp: Namespace
) -> tuple[Array, Array]:
    """Return leading left singular vectors of an unfolding and the tensor in that basis."""
    if differentiated(x):
        return _plain(x, mode, rank, budget, xp)
    atol = None if budget is None else budget.atol
    found = left_basis(x, mode, rank=rank, atol=atol, xp=xp)
    if budget is not None:
        budget.spend(found.error)
    return found.U, found.core


def _plain(
    x: Array, mode: int, rank: int | None, budget: Budget | None, xp: Namespace
) -> tuple[Array, Array]:
    """Do it by one SVD, through which gradients flow, for the first mode or the last one."""
    rest = math.prod(x.shape) // x.shape[mode]
    if mode > 0:
        turned = xp.matrix_transpose(xp.reshape(x, (rest, x.shape[mode])))
        u, core = _plain(turned, 0, rank, budget, xp)
        return u, xp.reshape(xp.matrix_transpose(core), (*x.shape[:-1], core.shape[0]))
    matrix = xp.reshape(x, (x.shape[0], rest))
    if budget is not None:
        s = xp.linalg.svdvals(matrix)
        rank = truncation_rank(s, rank=rank, atol=budget.atol)
        budget.spend(number(tail_norms(s)[rank]))
    u, s, vh = leading_svd(matrix, rank, xp)
    u, vh = canonical_signs(u, vh, xp)
    core = xp.astype(s, vh.dtype)[:, None] * vh
    return u, xp.reshape(core, (core.shape[0], *x.shape[1:]))


def _sides(shape: Sequence[int]) -> list[int]:
    """Return the shorter sides of the matrices of all steps, at full rank."""
    sides = []
    first, last, before, behind = 0, len(shape) - 1, 1, 1
    rest = math.prod(shape)
    while first < last:
        rows, columns = before * shape[first], shape[last] * behind
        side = min(rows, columns)
        sides.append(min(side, rest // side))
        rest = rest // side * sides[-1]
        if rows <= columns:
            before, first = sides[-1], first + 1
        else:
            behind, last = sides[-1], last - 1
    return sides
