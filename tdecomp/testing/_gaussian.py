"""Arrays of which nothing is known but the distribution."""

from __future__ import annotations

import numpy as np

from tdecomp import _random
from tdecomp._typing import Array, DType, Seed
from tdecomp._xp import namespace


def gaussian(
    shape: tuple[int, ...],
    /,
    *,
    rng: Seed = 0,
    dtype: DType = np.float64,
    like: Array | None = None,
) -> Array:
    """Return an array of independent standard Gaussian entries.

    Parameters
    ----------
    shape : tuple of int
        The shape.
    rng : int, numpy.random.Generator or None
        Where the numbers come from.
    dtype : dtype
        What NumPy array to return; a complex one has circular entries of variance 1.
    like : array, optional
        Whose library, dtype and device to take instead.

    Returns
    -------
    array, shape `shape`
        The array.

    Examples
    --------
    >>> from tdecomp.testing import gaussian
    >>> gaussian((3, 2), dtype=complex).dtype
    dtype('complex128')
    """
    target = np.empty(0, dtype) if like is None else like
    return _random.normal(_random.generator(rng), shape, target, namespace(target))
