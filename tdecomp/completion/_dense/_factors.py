"""Pairs of factors: which of all that have the same product."""

from __future__ import annotations

from typing import NamedTuple

from tdecomp._program import one_program
from tdecomp._typing import Array, Namespace


class Pair(NamedTuple):
    """Factors (m, k) and (n, k) of a matrix ``left @ right.T``, or a step of both."""

    left: Array
    right: Array

    def moved(self, t: float, step: Pair) -> Pair:
        """Return the point a number of steps away."""
        return Pair(*(x + t * dx for x, dx in zip(self, step, strict=True)))


@one_program
def balanced(pair: Pair, xp: Namespace) -> Pair:
    """Return the factors of the same product whose squared norms add up to least.

    Columns of each are orthogonal, and those of both as long.
    """
    left, sizes, right = _decomposed(*pair, xp)
    roots = xp.astype(xp.sqrt(sizes), left.dtype)
    return Pair(left * roots, xp.matrix_transpose(right) * roots)


@one_program
def orthonormal(pair: Pair, xp: Namespace) -> Pair:
    """Return factors of the same product, the columns of the first one orthonormal.

    Where the product has less than its rank, so has the second factor alone, and the slope of an
    objective does not vanish for that reason.
    """
    left, sizes, right = _decomposed(*pair, xp)
    return Pair(left, xp.matrix_transpose(right) * xp.astype(sizes, left.dtype))


def flat(pair: tuple[Array, Array], xp: Namespace) -> Array:
    """Return both factors as one vector."""
    return xp.concat([xp.reshape(factor, (-1,)) for factor in pair])


def cut(vector: Array, like: Pair, xp: Namespace) -> Pair:
    """Cut a vector into factors."""
    m, k = like.left.shape
    return Pair(xp.reshape(vector[: m * k], (m, k)), xp.reshape(vector[m * k :], like.right.shape))


def _decomposed(left: Array, right: Array, xp: Namespace) -> tuple[Array, Array, Array]:
    """Return the singular value decomposition of the product."""
    q, r = xp.linalg.qr(left)
    p, s = xp.linalg.qr(right)
    u, sizes, vh = xp.linalg.svd(r @ xp.matrix_transpose(s), full_matrices=False)
    return q @ u, sizes, vh @ xp.matrix_transpose(p)
