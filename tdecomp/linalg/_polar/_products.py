"""Products and eigenvectors on one pool of threads.

NumPy and SciPy bring an OpenBLAS each, whose threads go on spinning after their work, and take
the processors from those of the other. What is to be followed by LAPACK's routines from SciPy is
multiplied there too.
"""

from __future__ import annotations

import numpy as np

from tdecomp import _shim
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, is_numpy


def product(x: Array, y: Array) -> Array:
    """Return ``x @ y``."""
    if not is_numpy(x, y):
        return x @ y
    from tdecomp._kernels import _lapack

    x, y = (a if a.flags.forc else np.ascontiguousarray(a) for a in (x, y))
    out = np.empty((x.shape[0], y.shape[1]), x.dtype)
    _lapack.product(y.T, x.T, out.T)
    return out


def gram_matrix(x: Array, xp: Namespace) -> Array:
    """Return ``x^* @ x``, of NumPy's arrays for half the flops."""
    if not is_numpy(x):
        return adjoint(x, xp) @ x
    from scipy.linalg import get_blas_funcs

    multiply = get_blas_funcs("herk" if x.dtype.kind == "c" else "syrk", (x,))
    if x.flags.c_contiguous:  # to BLAS, which reads columns, it is its transpose
        half = np.conj(multiply(1.0, x.T, trans=0))
    else:
        half = multiply(1.0, np.asfortranarray(x), trans=2)
    half = np.triu(half)
    return half + np.conj(np.triu(half, 1)).T


def eigh(a: Array, xp: Namespace) -> tuple[Array, Array]:
    """Return eigenvalues, from the least on, and eigenvectors of a hermitian matrix."""
    if not is_numpy(a):
        values, vectors = xp.linalg.eigh(a)
        return values, vectors
    from scipy.linalg import eigh

    values, vectors = eigh(a, driver="evd", check_finite=False)
    return values, vectors


def cholesky(a: Array, xp: Namespace) -> Array | None:
    """Return a triangular factor, None where a matrix is not positive definite."""
    if not is_numpy(a):
        return _shim.cholesky(a, xp)
    from scipy.linalg import LinAlgError, cholesky

    try:
        return cholesky(a, lower=True, check_finite=False)
    except LinAlgError:
        return None
