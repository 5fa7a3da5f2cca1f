"""Conjugate gradients for all rows of a factor at once, over the known entries of a matrix."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tdecomp._typing import Array, Namespace
from tdecomp._xp import conj, eps
from tdecomp.completion._masked import compiled, entries, laid_out, residual_times, times
from tdecomp.completion._observed import Side


class Effort(NamedTuple):
    """How far rows are solved.

    Attributes
    ----------
    steps : int
        The most steps, of which each costs what `residual_times` does.
    shrink : float
        A row is done when its energy has shrunk by the square of this,
    floor : float
        or is below the square of this times the weighted squares of its known entries.
    """

    steps: int
    shrink: float
    floor: float


def improve_rows(
    side: Side, left: Array, right: Array, penalty: Array, *, effort: Effort, xp: Namespace
) -> Array:
    r"""Lower the ridge regressions of `solve_rows` by conjugate gradients, from `left` on.

    With the diagonal `D` of the normal equations of a row as preconditioner and its slope `g`,
    the energy :math:`g^* D^{-1} g` is about what its objective can still fall by. A row without
    entries becomes zero, no objective rises, and no matrix of normal equations is formed.

    Parameters
    ----------
    side : Side
        The known entries, grouped by the rows of `left`.
    left, right : array, shape (m, k) and (n, k)
        The rows to improve, and those they are multiplied with.
    penalty : array, shape (m, k)
        The ridge of each number.
    effort : Effort
        How far.
    xp : namespace
        Their library.
    """
    if compiled(side, left, right, penalty):
        from tdecomp._kernels._observed import improve_rows as kernel

        out = np.empty_like(left)
        kernel(*laid_out(side), left, right, penalty, *effort, out)
        return out
    return _improved(side, (left, right), penalty, effort, xp)


def _improved(
    side: Side, factors: tuple[Array, Array], penalty: Array, effort: Effort, xp: Namespace
) -> Array:
    """Do so for all rows at once; those that are done stay."""
    left, right = factors
    weights = xp.ones_like(xp.abs(side.values)) if side.weights is None else side.weights
    none = xp.zeros_like(penalty[:, 0])
    _, slope = residual_times(side, left, right, xp)
    slope = slope - penalty * left
    squares = times(side, weights, xp.abs(right) ** 2, xp) + penalty
    squares = xp.where(squares > 0, squares, xp.ones_like(squares))
    rounding = 4 * left.shape[1] * eps(squares.dtype, xp)
    ones = xp.ones_like(xp.abs(right[:, :1]))
    sizes = times(side, weights * xp.abs(side.rest(xp)) ** 2, ones, xp)
    direction = slope / squares
    energy = _inner(slope, direction, xp)
    enough = xp.maximum(effort.shrink**2 * energy, effort.floor**2 * sizes[:, 0])
    for _ in range(effort.steps):
        seen = weights * entries(side, direction, right, xp)
        curved = times(side, seen, conj(right, xp), xp) + penalty * direction
        bend = _inner(direction, curved, xp)
        live = (energy > enough) & (bend > rounding * _inner(direction, squares * direction, xp))
        step = xp.where(live, energy / xp.where(live, bend, 1.0), none)[:, None]
        left, slope = left + step * direction, slope - step * curved
        after = _inner(slope, slope / squares, xp)
        ratio = xp.where(live, after / xp.where(live, energy, 1.0), none)[:, None]
        direction = slope / squares + ratio * direction
        energy = xp.where(live, after, none)
    return xp.where(side.counts()[:, None] > 0, left, xp.zeros_like(left))


def _inner(a: Array, b: Array, xp: Namespace) -> Array:
    """Return the real inner products of rows."""
    products = conj(a, xp) * b
    if xp.isdtype(products.dtype, "complex floating"):
        products = xp.real(products)
    return xp.sum(products, axis=1)
