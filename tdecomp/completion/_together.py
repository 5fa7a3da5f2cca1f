r"""Offsets that are fitted with the factors: one number more in each row of both.

.. math:: z_{ij} - \mu = b_i + c_j + u_i \cdot v_j
          = (u_i, b_i) \cdot (v_j, 1) + c_j = (v_j, c_j) \cdot (u_i, 1) + b_i

With one factor and its offsets fixed, the others are ridge regressions as before: on what the
fixed offsets leave of the entries, with a column of ones beside the fixed factor.
"""

from __future__ import annotations

from tdecomp._typing import Array, Namespace
from tdecomp._xp import device
from tdecomp.completion._observed import Side


def facing(side: Side, right: Array, xp: Namespace) -> tuple[Side, Array]:
    """Return what rows are fitted to, and what they are multiplied with.

    Parameters
    ----------
    side : Side
        Known entries less their mean, grouped by the rows to fit.
    right : array, shape (n, k + 1)
        The other factor, and in the last column its offsets.
    xp : namespace
        Their library.
    """
    return side._replace(offsets=right[:, -1]), with_ones(right[:, :-1], xp)


def with_ones(factor: Array, xp: Namespace) -> Array:
    """Put what an offset is multiplied with behind a factor of any rank."""
    ones = xp.ones((factor.shape[0], 1), dtype=factor.dtype, device=device(factor))
    return xp.concat([factor, ones], axis=1)


def joined(left: Array, right: Array, xp: Namespace) -> tuple[Array, Array]:
    """Return factors (m, k + 2) and (n, k + 2) whose product has the offsets in it."""
    wide = [with_ones(right[:, :-1], xp), right[:, -1:]]
    return with_ones(left, xp), xp.concat(wide, axis=1)


def divided(left: Array, right: Array) -> tuple[Array, Array, Array, Array]:
    """Return what `joined` has put together: two factors and their offsets."""
    return left[:, :-2], right[:, :-2], left[:, -2], right[:, -1]
