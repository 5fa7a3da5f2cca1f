"""What a model misses on all entries of a matrix, most of which are zeros that are not stored."""

from __future__ import annotations

from tdecomp._shim import index_add
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, eps, squared_norm
from tdecomp.completion._masked import entries as model_entries
from tdecomp.completion._observed import Side
from tdecomp.completion._using._model import in_unit
from tdecomp.linalg._thin import inner_product

# How many entries of the matrix are formed at a time.
_BLOCK = 1 << 20
# Below that share of what the model weighs, a difference of squares has lost half of its digits.
_DOUBT = 8.0


def misfit_everywhere(
    side: Side, left: Array, right: Array, xp: Namespace, *, true: bool = False
) -> float:
    r"""Return the squares of what a model misses of zeros, and of ones where a weight is stored.

    The zeros weigh :math:`\|U V^T\|_F^2` less what lies at the stored places. Where that
    difference has lost too many digits for a `true` result, all zeros are formed.
    """
    z = model_entries(side, left, right, xp)
    stored = squared_norm(xp.sqrt(1 + side.values) * (1 - z), xp)
    whole = _squares(left, right, xp)
    zeros = max(whole - squared_norm(z, xp), 0.0)
    if true and stored + zeros < _DOUBT * eps(left.dtype, xp) ** 0.5 * whole:
        zeros = _zeros(side, left, right, xp)
    return stored + zeros


def _squares(left: Array, right: Array, xp: Namespace) -> float:
    """Return the squares of a model, however its factors share its size."""
    (left, tall), (right, wide) = (in_unit(factor, xp) for factor in (left, right))
    grams = [inner_product(factor, factor, xp) for factor in (left, right)]
    size = float(tall * wide)
    return float(xp.sum(grams[0] * grams[1])) * size * size


def _zeros(side: Side, left: Array, right: Array, xp: Namespace) -> float:
    """Return the squares of the model where nothing is stored, block by block."""
    height, total = max(1, _BLOCK // right.shape[0]), 0.0
    starts = [int(s) for s in side.starts]
    for first in range(0, left.shape[0], height):
        rows = slice(first, min(first + height, left.shape[0]))
        formed = left[rows, :] @ xp.matrix_transpose(right)
        run = slice(starts[rows.start], starts[rows.stop])
        own = side.owners(xp)[run] - rows.start
        flat = xp.reshape(formed, (-1,))
        flat = flat * (1 - _marks(flat, own * right.shape[0] + side.indices[run], xp))
        total += squared_norm(flat, xp)
    return total


def _marks(like: Array, places: Array, xp: Namespace) -> Array:
    """Return ones at some places of a vector of zeros."""
    ones = xp.ones(places.shape, dtype=like.dtype, device=device(like))
    return index_add(xp.zeros_like(like), places, ones, xp)
