"""The metric that one factor makes of the other: what gradients are divided by."""

from __future__ import annotations

from tdecomp._typing import Array, Namespace
from tdecomp._xp import conj, eps
from tdecomp.linalg._thin import inner_product, mixed_columns


def in_metric(
    slope: Array, other: Array, share: Array, penalty: Array, *, damp: float = 0.0, xp: Namespace
) -> Array:
    r"""Divide the slope of each row of a factor by :math:`p_i V^T \bar V` and its ridge.

    Parameters
    ----------
    slope : array, shape (m, k)
        The slopes of the rows.
    other : array, shape (n, k)
        The other factor, `V`.
    share : array, shape (m,)
        What the entries of each row weigh, as a share :math:`p_i` of `n`.
    penalty : array, shape (m, k)
        The ridge of each number, the same for all numbers of a row.
    damp : float
        What is added to the Gram matrix, relative to its largest eigenvalue: eps at least.
    xp : namespace
        Their library.
    """
    values, axes = xp.linalg.eigh(inner_product(other, other, xp))
    floor = max(damp, eps(slope.dtype, xp)) * float(values[-1])
    metric = share[:, None] * (xp.clip(values, 0.0) + floor) + penalty
    metric = xp.where(metric > 0, metric, xp.ones_like(metric))
    # The Gram matrix of the model, which has no conjugates, is the conjugate of this one.
    turned = mixed_columns(slope, conj(axes, xp)) / metric
    return mixed_columns(turned, xp.matrix_transpose(axes))
