"""Small systems of equations, one for each row of a factor, that may be singular."""

from __future__ import annotations

import math
from typing import NamedTuple

from tdecomp._program import one_program
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, conj, device, eps
from tdecomp.completion._dense._objective import Objective

# A matrix with a diagonal of ones that rounding has made indefinite is definite again when so many
# eps, times its size, are added to the diagonal.
_SHIFT = 64.0
# A metric outlives the factors that it is made of: where a row has less curvature than that, in
# units of its diagonal, the next factors may give it more.
_DAMPING = 2.0**-8
# Both metrics together are at most so many times as large as the data: as these and the weights.
# More columns are taken in groups, but for so few that they cost little.
_ROOM, _FEW = 2, 8

Block = tuple[slice, Array, Array]
"""Rows, the roots of what the diagonals of their matrices were, and the inverses of these."""


class Metric(NamedTuple):
    """Groups of columns of the factor in a basis, None for its own, each with blocks of rows."""

    groups: list[tuple[slice, list[Block]]]
    basis: Array | None
    xp: Namespace

    @property
    def whole(self) -> bool:
        """Tell whether all columns are in one group: else a step may overshoot."""
        return self.basis is None

    def applied(self, slopes: Array) -> Array:
        """Return the steps that minimise the quadratic models with these slopes."""
        xp, basis = self.xp, self.basis
        turned = slopes if basis is None else slopes @ conj(basis, xp)
        parts = [
            _joined([_applied(*parts, turned[rows, columns], xp) for rows, *parts in blocks], xp)
            for columns, blocks in self.groups
        ]
        return parts[0] if basis is None else xp.concat(parts, axis=1) @ xp.matrix_transpose(basis)


def metric(objective: Objective, right: Array) -> Metric:
    """Return nearly the inverse of the curvature of the objective by rows of the left factor.

    Where the inverses would take more memory than data and weights, curvature between groups of
    columns is left out, in a basis where the mean over all rows has none.
    """
    xp, (m, n) = objective.xp, objective.values.shape
    columns = _groups(m, n, right.shape[1])
    basis = None if len(columns) == 1 else _eigenvectors(objective.weights, right, xp)
    right = right if basis is None else right @ basis
    groups = []
    for group in columns:
        curvatures = objective.curvatures(right[:, group])
        groups.append((group, [(rows, *_inverted(h, xp)) for rows, h in curvatures]))
    return Metric(groups, basis, xp)


def _groups(m: int, n: int, k: int) -> list[slice]:
    """Cut columns into as few groups of about one size as there is room for."""
    # At least one, since (m + n) k is at most 2 m n.
    widest = k if k <= _FEW else _ROOM * m * n // ((m + n) * k)
    width = math.ceil(k / math.ceil(k / widest))
    return [slice(start, min(start + width, k)) for start in range(0, k, width)]


@one_program
def _eigenvectors(weights: Array, right: Array, xp: Namespace) -> Array:
    """Return those of the mean curvature of rows."""
    heavy = xp.astype(xp.mean(weights, axis=0), right.dtype)[:, None] * right
    return xp.linalg.eigh(adjoint(right, xp) @ heavy)[1]


def solved(objective: Objective, right: Array, slopes: Array) -> Array:
    """Return the step to the left factor that fits best, as far as the curvature can tell."""
    xp, blocks = objective.xp, objective.curvatures(right)
    return _joined([_solved(h, slopes[rows, :], xp) for rows, h in blocks], xp)


def _joined(parts: list[Array], xp: Namespace) -> Array:
    """Put blocks of rows together."""
    return parts[0] if len(parts) == 1 else xp.concat(parts)


@one_program
def _applied(roots: Array, inverses: Array, slopes: Array, xp: Namespace) -> Array:  # noqa: ARG001
    return (inverses @ (slopes / roots)[..., None])[..., 0] / roots


@one_program
def _inverted(h: Array, xp: Namespace) -> tuple[Array, Array]:
    unit, roots = _unit(h, xp)
    eye = xp.eye(h.shape[-1], dtype=h.dtype, device=device(h))
    return roots, xp.linalg.inv(unit + _DAMPING * eye)


@one_program
def _solved(h: Array, slopes: Array, xp: Namespace) -> Array:
    unit, roots = _unit(h, xp)
    return xp.linalg.solve(unit, (slopes / roots)[..., None])[..., 0] / roots


def _unit(h: Array, xp: Namespace) -> tuple[Array, Array]:
    """Scale matrices to a diagonal of ones, a little more than that, and return the scales.

    What is added damps steps where the matrix is singular to rounding, and no others; a damped
    step lowers the objective too.
    """
    k = h.shape[-1]
    diagonal = xp.linalg.diagonal(h)
    diagonal = xp.real(diagonal) if xp.isdtype(h.dtype, "complex floating") else diagonal
    found = diagonal > float(xp.finfo(diagonal.dtype).smallest_normal)
    roots = xp.astype(xp.sqrt(xp.where(found, diagonal, xp.ones_like(diagonal))), h.dtype)
    scaled = h / roots[..., :, None] / roots[..., None, :]
    ones = xp.ones_like(diagonal)
    shift = xp.where(found, ones * (_SHIFT * k * eps(diagonal.dtype, xp)), ones)
    eye = xp.eye(k, dtype=h.dtype, device=device(h))
    return scaled + eye * xp.astype(shift, h.dtype)[..., None, :], roots
