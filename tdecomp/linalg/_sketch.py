"""Random test matrices: what a sketch multiplies by.

All are returned as plain arrays. Against a dense matrix one product with a few dozen columns is
limited by arithmetic that BLAS does near its peak; a scattered or a fast transform of the same
width moves as much memory and was measured no faster, so structure buys independence from a
Gaussian generator here, not time.
"""

from __future__ import annotations

import math

import numpy as np

from tdecomp._random import like, normal
from tdecomp._typing import Array, Namespace

SKETCHES = ("gaussian", "sparse-sign", "srht", "countsketch")
_NONZEROS = 8


def matrix_of(
    kind: str, rng: np.random.Generator, shape: tuple[int, int], array: Array, xp: Namespace
) -> Array:
    r"""Draw an ``n x l`` test matrix :math:`\Omega` with :math:`E[\Omega \Omega^*] = I`.

    Parameters
    ----------
    kind : {'gaussian', 'sparse-sign', 'srht', 'countsketch'}
        Independent normal entries; eight random signs in each row; a subsampled randomized
        Hadamard transform; one random sign in each row.
    rng : numpy.random.Generator
        Where the numbers come from.
    shape : tuple of int
        ``(n, l)``.
    array : array
        Whose dtype and device to take.
    xp : namespace
        Its library.

    Returns
    -------
    array, shape (n, l)
        The test matrix.
    """
    n, width = shape
    if kind == "gaussian":
        return normal(rng, shape, array, xp) / math.sqrt(width)
    if kind == "srht":
        return like(_hadamard(rng, n, width), array, xp)
    nonzeros = 1 if kind == "countsketch" else min(_NONZEROS, width)
    return like(_sparse_signs(rng, n, width, nonzeros), array, xp)


def _sparse_signs(rng: np.random.Generator, n: int, width: int, nonzeros: int) -> np.ndarray:
    """Put `nonzeros` signs into distinct random columns of each row."""
    columns = np.argpartition(rng.random((n, width)), nonzeros - 1, axis=1)[:, :nonzeros]
    out = np.zeros((n, width))
    signs = 2.0 * rng.integers(0, 2, size=columns.shape) - 1.0
    np.put_along_axis(out, columns, signs / math.sqrt(nonzeros), axis=1)
    return out


def _hadamard(rng: np.random.Generator, n: int, width: int) -> np.ndarray:
    """Scale distinct columns of the Hadamard matrix, cut to `n` rows, by random row signs."""
    order = 1 << (max(n, width) - 1).bit_length()
    columns = rng.permutation(order)[:width]
    parity = np.bitwise_count(np.arange(n)[:, None] & columns[None, :]) & 1
    signs = 2.0 * rng.integers(0, 2, size=(n, 1)) - 1.0
    return np.asarray(signs * (1.0 - 2.0 * parity) / math.sqrt(width))
