"""Mean and principal components of a matrix whose rows and columns have weights."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tdecomp._typing import Array
from tdecomp.linalg import LowRank, weighted_svd
from tdecomp.sklearn._scale import lengths
from tdecomp.sklearn._signs import turned


class Components(NamedTuple):
    """The mean, the components as rows, their singular values, the norm of what they leave."""

    mean: Array
    rows: Array
    values: Array
    rest: Array

    def first(self, count: int) -> Components:
        """Return the first so many; the others are left."""
        rest = lengths(np.append(self.values[count:], self.rest).astype(self.values.dtype))
        return Components(self.mean, self.rows[:count], self.values[:count], rest)


def principal(
    Z: Array,
    samples: Array,
    features: Array,
    *,
    rank: int | None,
    rtol: float | None = None,
    varied_only: bool = False,
) -> Components:
    """Return the components of a matrix, at unit length in the metric of the features.

    Parameters
    ----------
    Z : array, shape (m, n)
        The matrix.
    samples, features : array, shape (m,) and (n,)
        Weights of its rows and of its columns.
    rank : int, optional
        How many components, at most.
    rtol : float, optional
        The norm that they may leave, relative to the whole.
    varied_only : bool
        Whether those without variance are left out, unless it is the only one.
    """
    mean = np.average(Z, axis=0, weights=samples).astype(Z.dtype)
    left, right = np.sqrt(samples), np.sqrt(features)
    centred = Z - mean
    found = weighted_svd(centred, left=left, right=right, rank=rank, rtol=rtol)
    rest = lengths((centred - found.to_array()) * left[:, None] * right)
    return Components(mean, *_rows(found, left, right, varied_only=varied_only), rest)


def _rows(z: LowRank, left: Array, right: Array, *, varied_only: bool) -> tuple[Array, Array]:
    """Return the right factor, its rows at unit length, and the singular values.

    These are the products of the weighted lengths of both factors, however these share them.
    """
    tall, wide = z.left, z.right
    sizes = lengths(wide * right, axis=1)
    values = lengths(left[:, None] * tall, axis=0) * sizes
    varied = values > values[0] * np.finfo(wide.dtype).eps * max(z.shape)
    if varied_only:
        count = max(1, int(varied.sum()))
        wide, sizes, values, varied = (part[:count] for part in (wide, sizes, values, varied))
    safe = np.where(varied, sizes, np.ones_like(sizes))[:, None]
    rows = np.where(varied[:, None], wide / safe, np.zeros_like(wide))
    return rows * turned(rows * right), values
