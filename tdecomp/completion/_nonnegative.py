"""Rows of a factor that may not be negative, over the known entries of a matrix."""

from __future__ import annotations

import numpy as np

from tdecomp._descent import descend
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device
from tdecomp.completion._masked import compiled, grams, laid_out, residual_times
from tdecomp.completion._observed import Side

# How often each entry of a row is minimised in a half sweep.
_PASSES = 8


def descend_rows(side: Side, left: Array, right: Array, penalty: Array, xp: Namespace) -> Array:
    r"""Lower the objective over nonnegative rows of `left`, `right` fixed, by coordinate descent.

    .. math:: \min_{u_i \ge 0} \sum_{j \in \Omega_i} w_{ij} (x_{ij} - u_i \cdot v_j)^2
              + \sum_r \lambda_{ir} u_{ir}^2

    Entries are minimised one after another, eight times each: no objective rises. Rows without
    entries become zero. `left` is nonnegative; the arguments are those of `solve_rows`.
    """
    if compiled(side, left, right, penalty):
        from tdecomp._kernels._observed import solve_nonnegative_rows

        out = np.empty_like(left)
        solve_nonnegative_rows(*laid_out(side), left, right, penalty, _PASSES, out)
        return out
    _, slope = residual_times(side, left, right, xp)
    identity = xp.eye(left.shape[1], dtype=left.dtype, device=device(left))
    square = grams(side, right, xp) + penalty[:, None, :] * identity
    found = descend(square, slope - penalty * left, left, _PASSES, xp)
    return xp.where(side.counts()[:, None] > 0, found, xp.zeros_like(found))
