"""All eigenvalues of a Gram matrix, and as many of its eigenvectors as are asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tdecomp._typing import Array, Namespace
from tdecomp._xp import is_numpy
from tdecomp.linalg._unfolded import double

# Below this size all eigenvectors take no longer than a few.
_SMALL = 200
# Columns that LAPACK reflects at once.
_PANEL = 64


class Spectrum(NamedTuple):
    """Eigenvalues, descending and not negative, and the way to the leading eigenvectors."""

    values: Array
    leading: Callable[[int], Array]


def spectrum(matrix: Array, xp: Namespace) -> Spectrum:
    r"""Return the spectrum of a Gram matrix, in double precision where there is one.

    Tridiagonalisation, :math:`4/3\, n^3` flops, tells the eigenvalues. All eigenvectors would take
    twice as long again; `k` of them take :math:`2 k n^2` flops, and `k` may be chosen by the
    eigenvalues. For real NumPy matrices that are not small LAPACK is called step by step
    [1]_; elsewhere the library finds all vectors at once.

    References
    ----------
    .. [1] I. S. Dhillon, B. N. Parlett, "Multiple representations to compute orthogonal
       eigenvectors of symmetric tridiagonal matrices", Linear Algebra Appl. 387, 2004.
       doi:10.1016/j.laa.2003.12.028
    """
    matrix = xp.astype(matrix, double(matrix, xp), copy=False)
    if is_numpy(matrix) and matrix.dtype == np.float64 and matrix.shape[0] >= _SMALL:
        return _tridiagonal(matrix)
    return _whole(matrix, xp)


def _whole(matrix: Array, xp: Namespace) -> Spectrum:
    w, v = xp.linalg.eigh(matrix)
    v = xp.flip(v, axis=-1)
    return Spectrum(_descending(w, xp), lambda count: v[:, :count])


def _tridiagonal(matrix: np.ndarray) -> Spectrum:
    """Reduce to a tridiagonal matrix, and keep the reflections that lead back."""
    from scipy.linalg import LinAlgError, eigh_tridiagonal, eigvalsh_tridiagonal
    from scipy.linalg.lapack import dormqr, dsytrd, dsytrd_lwork

    n = matrix.shape[0]
    reflections, diagonal, beside, factors, _ = dsytrd(
        matrix.T, lower=1, lwork=int(dsytrd_lwork(n, lower=1)[0])
    )

    def leading(count: int) -> Array:
        last = (n - count, n - 1)
        try:
            _, v = eigh_tridiagonal(diagonal, beside, select="i", select_range=last)
        except LinAlgError:
            return _whole(matrix, np).leading(count)
        turned = np.asfortranarray(v[:, ::-1])
        turned[1:] = dormqr("L", "N", reflections[1:, :-1], factors, turned[1:], count * _PANEL)[0]
        return turned

    return Spectrum(_descending(eigvalsh_tridiagonal(diagonal, beside), np), leading)


def _descending(w: Array, xp: Namespace) -> Array:
    w = xp.flip(w, axis=-1)
    return xp.where(w > 0, w, xp.zeros_like(w))
