"""The tensor-ring decomposition of an array, by singular value decompositions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tdecomp._errors import check_rank, check_reachable, check_rtol
from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import eps, equilibrate, prepare, traced
from tdecomp.tt._formats import TensorRing
from tdecomp.tt._ranks import (
    Budget,
    doubled,
    floor_of,
    largest_ranks,
    number,
    stored_floor,
)
from tdecomp.tt._svd import basis


@full_precision
def tr_svd(
    x: Any, /, *, rank: int | Sequence[int] | None = None, rtol: float | None = None
) -> TensorRing:
    r"""Decompose a tensor into a ring within a guaranteed error.

    The first unfolding is split by its leading singular vectors, whose number
    :math:`R = r_0 r_1` is factored as evenly as it can be: one factor joins the core of the next
    mode, the other goes round to the last. What is left is split off mode by mode like a train.
    All steps use orthonormal bases, so that with the tails :math:`\tau_k` they leave out
    :math:`\|X - \hat X\|_F^2 = \sum_k \tau_k^2`.

    Parameters
    ----------
    x : array, shape (n_0, ..., n_{d-1})
        The tensor, of one mode or more.
    rank : int or tuple of int, optional
        The largest rank of every bond, or one for each of the `d` bonds, :math:`r_k` before mode
        `k`; :math:`r_0 r_1` may not exceed :math:`n_0`.
    rtol : float, optional
        Guarantee :math:`\|X - \hat X\|_F \le \mathtt{rtol}\, \|X\|_F`. With `rank` too, the
        smaller ranks win.

    Returns
    -------
    TensorRing
        Left-orthonormal cores but for the last one. Where `R` is prime the ring is a train.

    Raises
    ------
    TypeError, ValueError
        If neither `rank` nor `rtol` is given, one is out of range, or `x` is empty, not finite or
        a number.
    ToleranceError
        If `rtol` is below what rounding allows in this precision.

    See Also
    --------
    tr_als : smaller errors at given ranks; starts from here.
    tt_svd : a train, usually of fewer numbers at the same error.

    Notes
    -----
    As `tt_svd` from the first mode on. The ranks depend on which mode comes first.

    References
    ----------
    .. [1] Q. Zhao, G. Zhou, S. Xie, L. Zhang, A. Cichocki, "Tensor ring decomposition", 2016,
       Algorithm 1. arXiv:1606.05535

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import tt
    >>> i, j, k = np.ogrid[:4, :5, :6]
    >>> tt.tr_svd(np.sin(i + j) * np.cos(j - k), rtol=1e-12).rank
    (1, 2, 2)
    """
    xp, x = prepare(x, ndim=1, batch=True, name="x")
    shape = tuple(map(int, x.shape))
    if rank is None and rtol is None:
        raise ValueError("pass rank= (an int, or one for each mode) or rtol=, or both")
    ranks = None if rank is None else check_ring_ranks(rank, shape)
    rtol = None if rtol is None else check_rtol(rtol)
    if rtol is not None and traced(x):
        raise ValueError("under tracing (jit, vmap) the rank must be fixed: pass rank= alone")
    if ranks is not None and len(shape) > 1 and ranks[0] * ranks[1] > shape[0]:
        raise ValueError(
            f"rank[0] * rank[1] must be at most {shape[0]}, the size of the first mode, got "
            f"{ranks[0]} * {ranks[1]}; put a longer mode first, or use tr_als"
        )
    x, scale = equilibrate(x, xp, axis=tuple(range(x.ndim)))
    dtype, budget = x.dtype, None
    if rtol is not None:
        sides = _sides(shape)
        floor = floor_of(sides, eps(dtype, xp))
        wide = doubled([x], xp) if rtol < floor else None
        if wide is not None:
            stored = stored_floor(len(shape), dtype, xp)
            floor = min(floor, stored + floor_of(sides, eps(wide[0].dtype, xp)))
            x = wide[0]
        check_reachable(rtol, floor, dtype=dtype)
        budget = Budget((rtol - floor / 4) * number(xp.linalg.vector_norm(x)), len(sides))
    cores = [xp.astype(core, dtype, copy=False) for core in _tr_svd(x, ranks, budget, xp=xp)]
    cores[-1] = cores[-1] * xp.reshape(scale, (1, 1, 1))
    return TensorRing(tuple(cores))


def _tr_svd(
    x: Array, ranks: Sequence[int] | None, budget: Budget | None, *, xp: Namespace
) -> list[Array]:
    """Split off mode after mode from the left, the rank of the first in two."""
    shape = tuple(map(int, x.shape))
    d = len(shape)
    if d == 1:
        return [xp.reshape(x, (1, shape[0], 1))]
    others = math.prod(shape[1:])
    u, rest = basis(x, 0, None if ranks is None else ranks[0] * ranks[1], budget, xp)
    ends = _even(int(u.shape[1]))
    if ranks is not None:
        ends = _within(int(u.shape[1]), min(shape[0], others), ranks)
        if math.prod(ends) != u.shape[1]:
            u, rest = basis(x, 0, math.prod(ends), None, xp)
    cores = [xp.permute_dims(xp.reshape(u, (shape[0], *ends)), (1, 0, 2))]
    rest = xp.reshape(rest, (*ends, others))
    # The first factor goes round: it ends up behind the last mode.
    rest = xp.permute_dims(rest, (1, 2, 0))
    before = ends[1]
    for k in range(1, d - 1):
        rows = before * shape[k]
        rest = xp.reshape(rest, (rows, *shape[k + 1 : -1], shape[-1] * ends[0]))
        u, rest = basis(rest, 0, None if ranks is None else ranks[k + 1], budget, xp)
        cores.append(xp.reshape(u, (before, shape[k], u.shape[1])))
        before = int(u.shape[1])
    return [*cores, xp.reshape(rest, (before, shape[-1], ends[0]))]


def _even(total: int) -> tuple[int, int]:
    """Factor a number as evenly as it can be, the smaller factor first."""
    small = next(r for r in range(math.isqrt(total), 0, -1) if total % r == 0)
    return small, total // small


def _within(total: int, available: int, limits: Sequence[int]) -> tuple[int, int]:
    """Return two factors within `limits` whose product covers `total`, or comes closest to it."""
    pairs = [
        (r, s)
        for r in range(1, limits[0] + 1)
        for s in range(1, limits[1] + 1)
        if r * s <= available
    ]
    enough = [pair for pair in pairs if math.prod(pair) >= total]
    if enough:
        return min(enough, key=lambda pair: (math.prod(pair), abs(pair[0] - pair[1])))
    return max(pairs, key=lambda pair: (math.prod(pair), -abs(pair[0] - pair[1])))


def _sides(shape: Sequence[int]) -> list[int]:
    """Return the shorter sides of the matrices of all steps, at full rank."""
    sides, before, rest = [], 1, math.prod(shape)
    for n in shape[:-1]:
        rows = before * n
        sides.append(min(rows, rest // rows))
        rest = rest // rows * sides[-1]
        before = sides[-1]
    return sides


def check_ring_ranks(rank: object, shape: Sequence[int]) -> tuple[int, ...]:
    """Validate the ranks of a ring: an int for all bonds, or one for each mode."""
    most = max(largest_ranks(shape), default=1)
    if not isinstance(rank, tuple | list):
        return (check_rank(rank, most),) * len(shape)
    if len(rank) != len(shape):
        raise ValueError(
            f"rank must be an int or have one entry for each of {len(shape)} modes, got "
            f"{tuple(rank)}"
        )
    return tuple(check_rank(r, most, name=f"rank[{k}]") for k, r in enumerate(rank))
