r"""Local minima of Chebyshev-Tucker functions in the unit box, from many points at once.

Newton's steps, with magnitudes of the eigenvalues of Hessians, so that each goes down; within a
radius of its own for each point, which shrinks where a step does not pay. Coordinates at an end
of their interval stay there while the slope holds them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tdecomp.chebyshev._algebra._fields import gradient, hessian
from tdecomp.chebyshev._format import ChebyshevTucker
from tdecomp.chebyshev._values._evaluate import evaluate

Points = npt.NDArray[np.float64]

_STEPS = 60
# The least radius that makes a difference, and the first.
_LEAST, _FIRST = 1e-12, 0.25
# A last step is shorter than this, and eigenvalues count as so large that none is longer than 4.
_NEAR, _LONGEST = 1e-4, 4.0


class Objective:
    """What is to be low: a real function of the unit box, or minus the square of magnitudes."""

    def __init__(self, f: ChebyshevTucker, *, squares: bool = False) -> None:
        self.f = f
        self.squares = squares

    def values(self, t: Points) -> Points:
        """Return the values (N,) at points (N, d)."""
        found = evaluate(self.f, t)
        return np.asarray(-(np.abs(found) ** 2) if self.squares else found)

    def derivatives(self, t: Points) -> tuple[Points, Points]:
        """Return the gradients (N, d) and Hessians (N, d, d)."""
        slope, curve = np.asarray(gradient(self.f, t)), np.asarray(hessian(self.f, t))
        if not self.squares:
            return slope, curve
        conjugate = np.conj(evaluate(self.f, t))
        outer = np.conj(slope[:, :, None]) * slope[:, None, :]
        down = -2 * np.real(conjugate[:, None] * slope)
        return down, -2 * np.real(outer + conjugate[:, None, None] * curve)


def polished(objective: Objective, t: Points) -> tuple[Points, Points]:
    """Return points (N, d) where local minima can be, with values that are no higher."""
    values, radius = objective.values(t), np.full(t.shape[0], _FIRST)
    for _ in range(_STEPS):
        step = _steps(t, *objective.derivatives(t))
        length = np.max(np.abs(step), axis=1)
        shrink = np.minimum(1, radius / np.where(length > 0, length, 1))
        after = np.clip(t + shrink[:, None] * step, -1, 1)
        found = objective.values(after)
        better = found < values
        t = np.where(better[:, None], after, t)
        values = np.where(better, found, values)
        radius = np.where(better, 2 * radius, np.minimum(radius, length) / 8)
        if np.all(np.minimum(radius, length) < _LEAST):
            break
    # Values tell points apart to half of the digits: one more step finds the others.
    step = _steps(t, *objective.derivatives(t))
    after = np.clip(t + step, -1, 1)
    found = objective.values(after)
    level = found <= values + 8 * np.finfo(np.float64).eps * np.abs(values)
    level &= np.max(np.abs(step), axis=1) < _NEAR
    return np.where(level[:, None], after, t), np.where(level, found, values)


def _steps(t: Points, slope: Points, curve: Points) -> Points:
    """Return steps in the coordinates that are free to move."""
    free = ~(((t <= -1) & (slope >= 0)) | ((t >= 1) & (slope <= 0)))
    step = _newton(slope, curve, free)
    # What would leave the box stays, and the others do without it.
    leaves = ((t <= -1) & (step < 0)) | ((t >= 1) & (step > 0))
    return _newton(slope, curve, free & ~leaves) if np.any(leaves) else step


def _newton(slope: Points, curve: Points, free: Any) -> Points:
    """Solve with Hessians whose eigenvalues are made positive, in the free coordinates."""
    g = np.where(free, slope, 0.0)
    both = free[:, :, None] & free[:, None, :]
    eigenvalues, q = np.linalg.eigh(np.where(both, curve, 0.0))
    along = np.squeeze(np.swapaxes(q, 1, 2) @ g[:, :, None], axis=2)
    sizes = np.maximum(np.abs(eigenvalues), np.abs(along) / _LONGEST)
    step = -np.squeeze(q @ (along / np.where(sizes > 0, sizes, 1))[:, :, None], axis=2)
    return np.where(free, step, 0.0)
