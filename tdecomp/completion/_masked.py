"""Products with what is known of a matrix: of its entries, of residuals, of normal equations.

A model is ``left @ right.T`` with `left` of shape (m, k) and `right` of shape (n, k), and a `Side`
holds the known entries grouped by the rows of `left`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from tdecomp._kernels import accepts
from tdecomp._shim import index_add
from tdecomp._typing import Array, Namespace
from tdecomp._xp import conj, device, eps, squared_norm
from tdecomp.completion._observed import Side

# How many numbers a pass over entries may hold at a time.
_ROOM = 1 << 22

# Starts, indices, values, weights and offsets.
_Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def entries(side: Side, left: Array, right: Array, xp: Namespace) -> Array:
    """Return the entries of a model where the matrix is known, in the order of `side`."""
    if compiled(side, left, right):
        from tdecomp._kernels._observed import entries as kernel

        out = np.empty_like(side.values)
        kernel(side.starts, side.indices, left, right, out)
        return out
    owners = side.owners(xp)
    found = [
        xp.sum(
            xp.take(left, owners[run], axis=0) * xp.take(right, side.indices[run], axis=0), axis=1
        )
        for run in _runs(side, left.shape[1])
    ]
    return xp.concat(found)


def less(side: Side, left: Array, right: Array, xp: Namespace) -> Side:
    """Return what a model leaves of known entries; besides that, nothing of their size is made."""
    rest = entries(side, -left, right, xp)
    rest += side.rest(xp)
    return side._replace(values=rest, offsets=None)


def times(side: Side, values: Array, factor: Array, xp: Namespace) -> Array:
    """Return ``S @ factor`` for the sparse matrix `S` with `values` in the places of `side`."""
    if compiled(side, values, factor):
        from tdecomp._kernels._observed import times as kernel

        out = np.empty((side.starts.shape[0] - 1, factor.shape[1]), factor.dtype)
        kernel(side.starts, side.indices, values, factor, out)
        return out
    owners = side.owners(xp)
    out = _zeros((side.starts.shape[0] - 1, factor.shape[1]), factor, xp)
    for run in _runs(side, factor.shape[1]):
        rows = xp.take(factor, side.indices[run], axis=0)
        out = index_add(out, owners[run], values[run][:, None] * rows, xp)
    return out


def residual_times(side: Side, left: Array, right: Array, xp: Namespace) -> tuple[float, Array]:
    r"""Return :math:`\sum w |r|^2` and :math:`(W \circ R) \bar V`, `R` the data less the model.

    The second is the direction in which `left` lowers the first fastest, halved.
    """
    if compiled(side, left, right):
        from tdecomp._kernels._observed import residual_times as kernel

        out, losses = np.empty_like(left), np.empty(left.shape[0])
        kernel(*laid_out(side), left, right, out, losses)
        return float(np.sum(losses)), out
    residual = side.rest(xp) - entries(side, left, right, xp)
    weighted = residual if side.weights is None else side.weights * residual
    return weighted_squares(residual, side, xp), times(side, weighted, conj(right, xp), xp)


def misfit(side: Side, left: Array, right: Array, xp: Namespace) -> float:
    r"""Return :math:`\sum w |r|^2`, with `r` the known entries less the model."""
    if compiled(side, left, right):
        from tdecomp._kernels._observed import loss

        return loss(*laid_out(side), left, right)
    return weighted_squares(side.rest(xp) - entries(side, left, right, xp), side, xp)


def weighted_squares(residual: Array, side: Side, xp: Namespace) -> float:
    r"""Return :math:`\sum w |r|^2`."""
    if side.weights is None:
        return squared_norm(residual, xp)
    return squared_norm(xp.sqrt(side.weights) * residual, xp)


def solve_rows(side: Side, left: Array, right: Array, penalty: Array, xp: Namespace) -> Array:
    r"""Minimise over the rows of `left`, `right` fixed: each is a ridge regression of its own.

    .. math:: \min_{u_i} \sum_{j \in \Omega_i} w_{ij} |x_{ij} - u_i \cdot v_j|^2
              + \sum_r \lambda_{ir} |u_{ir}|^2

    The normal equations are solved for the change of each row, with a diagonal enlarged by a few
    eps of their trace, ridges not counted: these cover the rounding that they bring. Rows that
    their entries do not determine change as little as need be, and no objective rises. Rows
    without entries become zero.

    Parameters
    ----------
    side : Side
        The known entries, grouped by the rows of `left`.
    left : array, shape (m, k)
        The rows to improve.
    right : array, shape (n, k)
        The rows they are multiplied with.
    penalty : array, shape (m, k)
        The ridge :math:`\lambda_{ir}` of each number.
    xp : namespace
        Their library.
    """
    if compiled(side, left, right, penalty):
        return _solved(side, left, right, penalty)[0]
    k = left.shape[1]
    _, slope = residual_times(side, left, right, xp)
    gram = grams(side, right, xp)
    trace = xp.real(xp.sum(gram * xp.eye(k, dtype=gram.dtype, device=device(gram)), axis=(1, 2)))
    safe = 4 * k * eps(left.dtype, xp) * (trace + xp.min(penalty, axis=1))
    shift = penalty + xp.where(safe > 0, safe, xp.ones_like(safe))[:, None]
    identity = xp.eye(k, dtype=left.dtype, device=device(left))
    change = xp.linalg.solve(
        gram + shift[:, None, :] * identity, (slope - penalty * left)[..., None]
    )
    return xp.where(side.counts()[:, None] > 0, left + change[..., 0], xp.zeros_like(left))


def solve_and_judge(
    side: Side, left: Array, right: Array, penalty: Array, xp: Namespace
) -> tuple[Array, float]:
    r"""Do what `solve_rows` does, and return the :math:`\sum w |r|^2` that is left, too.

    The kernel has it from the losses of the old rows, the normal equations and the changes that
    solve them: no further pass over the entries is made where that leaves half of the digits, as
    it does unless a step has taken away all but some :math:`k \sqrt\epsilon` of what there was.
    """
    if compiled(side, left, right, penalty):
        out, loss, doubt = _solved(side, left, right, penalty)
        # In Python's numbers: single precision would take the smallest for zeros.
        if doubt <= math.sqrt(eps(out.dtype, xp)) * loss:
            return out, loss
    else:
        out = solve_rows(side, left, right, penalty, xp)
    return out, misfit(side, out, right, xp)


def _solved(
    side: Side, left: np.ndarray, right: np.ndarray, penalty: np.ndarray
) -> tuple[np.ndarray, float, float]:
    """Return the rows of the kernel, the loss that they leave, and a bound on its rounding."""
    from tdecomp._kernels._observed import solve_rows as kernel

    out = np.empty_like(left)
    return out, *kernel(*laid_out(side), left, right, penalty, out)


def grams(side: Side, right: Array, xp: Namespace) -> Array:
    """Return the weighted Gram matrix of the rows that meet each row of the other factor."""
    owners, k = side.owners(xp), right.shape[1]
    out = _zeros((side.starts.shape[0] - 1, k, k), right, xp)
    for run in _runs(side, k * k):
        rows = xp.take(right, side.indices[run], axis=0)
        heavy = rows if side.weights is None else side.weights[run][:, None] * rows
        out = index_add(out, owners[run], conj(heavy, xp)[:, :, None] * rows[:, None, :], xp)
    return out


def _runs(side: Side, width: int) -> Iterator[slice]:
    """Cut the entries into runs whose rows of that width fit into the room."""
    length = max(1, _ROOM // max(1, width))
    total = side.indices.shape[0]
    yield from (slice(at, min(at + length, total)) for at in range(0, total, length))


def compiled(side: Side, *arrays: Array) -> bool:
    """Tell whether kernels take these: real arrays of NumPy, of one dtype."""
    dtype = side.values.dtype
    arrays = arrays if side.offsets is None else (*arrays, side.offsets)
    alike = all(x.dtype == dtype for x in arrays)
    return alike and accepts(side.values, *arrays) and dtype.kind == "f"


def listed(side: Side) -> np.ndarray:
    """Return the weights, none where all are 1."""
    return np.empty(0, side.values.dtype) if side.weights is None else side.weights


def laid_out(side: Side) -> _Arrays:
    """Return a side as kernels take it, with no weights where all are 1, and no offsets."""
    offsets = np.empty(0, side.values.dtype) if side.offsets is None else side.offsets
    return side.starts, side.indices, side.values, listed(side), offsets


def _zeros(shape: tuple[int, ...], like: Array, xp: Namespace) -> Array:
    return xp.zeros(shape, dtype=like.dtype, device=device(like))
