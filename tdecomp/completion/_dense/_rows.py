"""Small systems of equations, one for each row of a factor, that may be singular."""

from __future__ import annotations

from typing import NamedTuple

from tdecomp._program import one_program
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, eps
from tdecomp.completion._dense._objective import Objective

# A matrix with a diagonal of ones that rounding has made indefinite is definite again when so many
# eps, times its size, are added to the diagonal.
_SHIFT = 64.0
# A metric outlives the factors that it is made of: where a row has less curvature than that, in
# units of its diagonal, the next factors may give it more.
_DAMPING = 2.0**-8


class Metric(NamedTuple):
    """Blocks of rows: the inverses of matrices, and the roots of what their diagonals were."""

    blocks: list[tuple[slice, Array, Array]]
    xp: Namespace

    def applied(self, slopes: Array) -> Array:
        """Return the steps that minimise the quadratic models with these slopes."""
        xp = self.xp
        return _joined([_applied(*parts, slopes[rows, :], xp) for rows, *parts in self.blocks], xp)


def metric(objective: Objective, right: Array) -> Metric:
    """Return nearly the inverse of the curvature of the objective by rows of the left factor."""
    xp = objective.xp
    return Metric([(rows, *_inverted(h, xp)) for rows, h in objective.curvatures(right)], xp)


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
