"""Gradients of one factor in the metric of the other."""

from __future__ import annotations

from tdecomp._program import one_program
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, device, eps


@one_program
def preconditioned(gradient: Array, other: Array, xp: Namespace) -> Array:
    r"""Return :math:`G (R^* R)^{-1}` for a factor :math:`R`, tall.

    Directions in which the other factor vanishes to rounding do not move: their inverse would be
    noise.
    """
    gram = adjoint(other, xp) @ other
    size = xp.max(xp.abs(gram))
    size = xp.where(size > 0, size, xp.ones_like(size))
    unit = xp.eye(gram.shape[0], dtype=gram.dtype, device=device(gram))
    damped = gram / size + gram.shape[0] * eps(gram.dtype, xp) * unit
    return adjoint(xp.linalg.solve(damped, adjoint(gradient, xp) / size), xp)
