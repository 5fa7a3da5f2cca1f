"""Factors and offsets of one matrix that share it as their penalties like it best."""

from __future__ import annotations

from tdecomp._program import one_program
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, conj, device, eps
from tdecomp.completion._inner import inner
from tdecomp.completion._problem import Problem
from tdecomp.linalg._thin import inner_product, mixed_columns


def balanced(problem: Problem, left: Array, right: Array) -> tuple[Array, Array]:
    r"""Return factors, and offsets behind them, of the same matrix and less penalty.

    .. math:: \min_{U V^T = Z} \sum_i \lambda_i |u_i|^2 + \sum_j \lambda'_j |v_j|^2
              = 2 \bigl\| \Lambda^{1/2} Z \Lambda'^{1/2} \bigr\|_*

    is attained where both factors, each times the roots of its penalties, have the singular
    values of that matrix for their Gram matrix. Then what offsets and factors can tell alike goes
    where it costs least. Half steps do all this slowly where the penalty is small: sweeps that
    begin from balanced factors are a tenth as many, or fewer. Of all factors that are balanced
    these are the nearest, in that they come by a positive definite change of columns: what is
    balanced stays, and small changes remain small. Without a penalty all factors of a
    matrix are alike, and these stay as they are, but for what they take over from offsets, which
    have a ridge of their own.
    """
    if problem.regularization:
        penalties = problem.row_penalty[:, :1], problem.column_penalty[:, :1]
        if problem.nonnegative:
            return _scaled(left, right, penalties, problem.xp)
        left, right = evened(left, right, penalties, problem.rank, problem.xp)
    if problem.offsets:
        left, right = _sheared(problem, left, right)
        right, left = _sheared(problem.mT, right, left)
    return left, right


def evened(
    left: Array, right: Array, penalties: tuple[Array, Array], rank: int, xp: Namespace
) -> tuple[Array, Array]:
    """Mix the first `rank` columns of two factors so that their penalties are least and alike.

    Parameters
    ----------
    left, right : array, shape (m, k) and (n, k)
        The factors, and columns behind them that stay.
    penalties : pair of array, shape (m, 1) and (n, 1), or (1, 1)
        What the squares of their rows are multiplied with.
    rank : int
        How many columns there are.
    xp : namespace
        Their library.
    """
    heavy = (
        xp.sqrt(penalty) * factor[:, :rank]
        for penalty, factor in zip(penalties, (left, right), strict=True)
    )
    a, b = (inner_product(part, part, xp) for part in heavy)
    g, h, gain = _change(a, b, xp)
    if not float(gain) > 0:
        return left, right
    return _mixed(left, g, xp), _mixed(right, h, xp)


@one_program
def _change(a: Array, b: Array, xp: Namespace) -> tuple[Array, Array, Array]:
    r"""Return `G` and :math:`H = G^{-T}` that make Gram matrices alike, and what is gained.

    :math:`G^* A G` is then the conjugate of :math:`H^* B H`. Of all such matrices `G` is the
    positive definite one, whose square is the geometric mean of :math:`A^{-1}` and the conjugate
    of `B`. The gain is the sum of both traces, before less after. Directions of little weight are
    changed less, so that nothing of the product is lost to rounding, and may gain nothing.
    """
    values, axes = xp.linalg.eigh(a)
    root = xp.astype(xp.sqrt(_above(values, xp)), a.dtype)
    middle = root[:, None] * (adjoint(axes, xp) @ conj(b, xp) @ axes) * root
    squares, turn = xp.linalg.eigh(middle)
    fourth = xp.astype(_above(squares, xp) ** 0.25, a.dtype)
    g = (axes / root) @ turn * fourth
    h = conj((axes * root) @ turn, xp) / fourth
    u, _, vh = xp.linalg.svd(g, full_matrices=False)
    back = adjoint(u @ vh, xp)  # any turn serves; this one makes `g` positive definite
    g, h = g @ back, h @ conj(back, xp)
    before = _trace(a, xp) + _trace(b, xp)
    after = _trace(adjoint(g, xp) @ a @ g, xp) + _trace(adjoint(h, xp) @ b @ h, xp)
    return g, h, before - after


def _trace(square: Array, xp: Namespace) -> Array:
    trace = xp.linalg.trace(square)
    return xp.real(trace) if xp.isdtype(square.dtype, "complex floating") else trace


def _above(values: Array, xp: Namespace) -> Array:
    """Return eigenvalues, none of them too small beside the largest."""
    least = float(xp.finfo(values.dtype).eps) ** 0.75 * values[-1]
    return xp.clip(values, xp.where(least > 0, least, xp.ones_like(least)))


def _mixed(factor: Array, change: Array, xp: Namespace) -> Array:
    """Mix the columns of a factor, but for its offsets."""
    rank = change.shape[0]
    mixed = mixed_columns(factor[:, :rank], change)
    return mixed if factor.shape[1] == rank else xp.concat([mixed, factor[:, rank:]], axis=1)


def _scaled(
    left: Array, right: Array, penalties: tuple[Array, Array], xp: Namespace
) -> tuple[Array, Array]:
    """Share the size of each pair of columns, of which no entry is negative."""
    a, b = (
        xp.sum(penalty * factor**2, axis=0)
        for penalty, factor in zip(penalties, (left, right), strict=True)
    )
    some = (a > 0) & (b > 0)
    scale = xp.where(some, b / xp.where(some, a, 1.0), 1.0) ** 0.25
    return left * scale, right / scale


def _sheared(problem: Problem, left: Array, right: Array) -> tuple[Array, Array]:
    r"""Add the same row to all rows of `left`, and take what that tells from offsets of `right`.

    .. math:: \min_a \sum_{ir} \lambda_{ir} |u_{ir} + a_r|^2
              + \lambda_b \sum_j |c_j - a \cdot (v_j, 1)|^2

    Rows and columns without entries are zero and stay so.
    """
    xp, dtype = problem.xp, right.dtype
    penalty = xp.astype(problem.row_penalty, dtype, copy=False)
    known, other = (
        xp.astype(side.counts() > 0, dtype)[:, None]
        for side in (problem.observed.rows, problem.observed.columns)
    )
    ridge = problem.column_penalty[0, -1]
    # Only the ratios of ridges count, and the smallest numbers have none.
    most = xp.maximum(ridge, xp.max(problem.row_penalty))
    if not float(most) > 0:
        return left, right
    # Of rows of which nothing is known, factors have none.
    weight = inner_product(known, penalty, xp)[0, :] / most
    pulled = xp.matrix_transpose(inner_product(known, penalty * left, xp)) / most
    ridge = ridge / most
    square, slope = _with_ones(right, other, xp)
    square = ridge * square + weight * xp.eye(left.shape[1], dtype=dtype, device=device(left))
    slope = ridge * slope - pulled
    row = _damped_solution(square, slope, xp)
    if not inner(row, 2 * slope - square @ row, xp) > 0:
        return left, right
    told = mixed_columns(right[:, :-1], row[:-1, :]) + other * row[-1, 0]
    left = left + known * xp.matrix_transpose(row)
    return left, xp.concat([right[:, :-1], right[:, -1:] - told], axis=1)


def _with_ones(right: Array, other: Array, xp: Namespace) -> tuple[Array, Array]:
    """Return the Gram matrix of rows :math:`(v_j, 1)`, and their products with the offsets.

    Those stand behind the numbers of `right`, and `other` holds the ones: no such row is made.
    """
    gram, sums = inner_product(right, right, xp), inner_product(other, right, xp)
    side = adjoint(sums[:, :-1], xp)
    upper = xp.concat([gram[:-1, :-1], side], axis=1)
    lower = xp.concat([sums[:, :-1], inner_product(other, other, xp)], axis=1)
    slope = xp.concat([gram[:-1, -1:], sums[:, -1:]], axis=0)
    return xp.concat([upper, lower], axis=0), slope


def _damped_solution(square: Array, slope: Array, xp: Namespace) -> Array:
    """Solve a positive semidefinite system, each unknown in its own unit and damped by rounding.

    What the system leaves open stays small in these units, in which columns of any size are one.
    """
    k = square.shape[0]
    size = xp.sqrt(xp.abs(xp.linalg.diagonal(square)))[:, None]
    size = xp.where(size > 0, size, xp.ones_like(size))
    damp = k * eps(square.dtype, xp) * xp.eye(k, dtype=square.dtype, device=device(square))
    square = square / size / xp.matrix_transpose(size) + damp
    return xp.linalg.solve(square, slope / size) / size
