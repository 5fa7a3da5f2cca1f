"""Matrices of which the singular values are known."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from tdecomp._random import generator
from tdecomp._typing import Array, DType, Seed
from tdecomp.testing._place import haar, is_complex, place
from tdecomp.testing._spectra import resolve

LAPACK_SHAPES = tuple(product((0, 1, 2, 3, 10, 16, 30, 40), repeat=2))
"""The shapes ``(m, n)`` on which LAPACK tests itself, empty ones included."""


def matrix(
    m: int,
    n: int,
    s: str | Any,
    /,
    *,
    rng: Seed = 0,
    dtype: DType = np.float64,
    like: Array | None = None,
) -> Array:
    r"""Return an ``m x n`` matrix with the singular values `s`.

    :math:`A = U \operatorname{diag}(s) V^*` with `U`, `V` uniform (Haar) among matrices with
    orthonormal columns, computed in double precision and rounded once: the singular values are
    `s` to within a few units of rounding of the largest.

    Parameters
    ----------
    m, n : int
        The shape, which may be empty.
    s : str or array, shape (k,)
        A kind of `spectrum`, or at most ``min(m, n)`` descending values; the rest are zero.
    rng : int, numpy.random.Generator or None
        Where the numbers come from.
    dtype : dtype
        What NumPy array to return.
    like : array, optional
        Whose library, dtype and device to take instead.

    Returns
    -------
    array, shape (m, n)
        The matrix.

    Raises
    ------
    ValueError
        If `s` does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.testing import matrix
    >>> a = matrix(5, 3, [3.0, 2.0, 1.0], dtype=complex)
    >>> np.linalg.svdvals(a)
    array([3., 2., 1.])
    """
    s = resolve(s, min(m, n))
    draws, kind = generator(rng), is_complex(dtype, like)
    left, right = (haar(draws, size, s.size, complex_=kind) for size in (m, n))
    return place((left * s) @ right.conj().T, dtype, like)


def graded(
    m: int,
    n: int,
    /,
    *,
    condition: float = 1e12,
    rng: Seed = 0,
    dtype: DType = np.float64,
    like: Array | None = None,
) -> Array:
    r"""Return an ``m x n`` matrix whose columns shrink geometrically from 1 to ``1 / condition``.

    :math:`A = B D` with singular values of `B` between 1/2 and 1 and the descending diagonal
    :math:`D`: harmless to an algorithm that scales, ruinous to one that squares. For
    :math:`m \ge n`, Ostrowski's theorem bounds :math:`d_i / 2 \le \sigma_i(A) \le d_i`.

    Parameters
    ----------
    m, n : int
        The shape.
    condition : float
        The ratio of the first scale to the last.
    rng : int, numpy.random.Generator or None
        Where the numbers come from.
    dtype : dtype
        What NumPy array to return.
    like : array, optional
        Whose library, dtype and device to take instead.

    Returns
    -------
    array, shape (m, n)
        The matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.testing import graded
    >>> bool(np.linalg.cond(graded(9, 4)) > 1e11)
    True
    """
    base = np.complex128 if is_complex(dtype, like) else np.float64
    values = matrix(m, n, np.linspace(1.0, 0.5, min(m, n)), rng=rng, dtype=base)
    return place(values * np.geomspace(1.0, 1.0 / condition, n), dtype, like)
