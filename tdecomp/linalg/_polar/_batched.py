"""Polar factors of many small real matrices, in compiled loops."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from tdecomp._typing import Array
from tdecomp._xp import eps, namespace
from tdecomp.linalg._polar._minimax import TAYLOR, minimax
from tdecomp.linalg._polar._svd import svd_polar

# Of one matrix, in units of the cube of its side: some eight inverses.
_FLOPS = 16.0
# Newton's method stops where a quintic and one cubic reach single precision, two double precision.
_UPPER = 1.11
# Up to this side a vector of doubles holds a row, and one of single precision would be half empty.
_ROW = 8


def batched_polar(a: Array, *, with_h: bool) -> tuple[Array, Array | None]:
    """Return the polar factors of a stack of tall matrices, of NumPy.

    Of matrices with more rows than columns a QR decomposition leaves square ones; those that are
    nearly singular go to the SVD.
    """
    m, n = a.shape[-2:]
    if n <= _ROW and a.dtype == np.float32:
        u, h = batched_polar(a.astype(np.float64), with_h=with_h)
        return u.astype(np.float32), None if h is None else h.astype(np.float32)
    flat = a.reshape(-1, m, n)
    if m == n:
        u, h = _square(np.ascontiguousarray(flat))
    else:
        q, r = np.linalg.qr(flat)
        u, h = _square(np.ascontiguousarray(r))
        u = q @ u
    return u.reshape(a.shape), h.reshape(*a.shape[:-2], n, n) if with_h else None


def _square(a: Array) -> tuple[Array, Array]:
    """Return the polar factors of square matrices."""
    from tdecomp._kernels import _small_polar, _tile
    from tdecomp._kernels._threads import threads_for

    count, n = a.shape[:2]
    u, h, ok = np.empty_like(a), np.empty_like(a), np.empty(count, bool)
    xp, lanes = namespace(a), _tile.lanes(a.itemsize)
    with threads_for(_FLOPS * count * n**3):
        last = _polynomials(eps(a.dtype, xp)).astype(a.dtype)
        _small_polar.small_polar(a, u, h, ok, eps(a.dtype, xp), _UPPER, last, lanes)
    rest = np.flatnonzero(~ok)
    if rest.size:
        u[rest], h[rest] = svd_polar(a[rest], xp=xp)
    return u, h


@lru_cache(maxsize=2)
def _polynomials(unit: float) -> Array:
    """Return odd polynomials, a quintic and cubics, that take ``[1, _UPPER]`` to one."""
    quintic = minimax(1.0, _UPPER, 5)
    rows, error = [quintic.coefficients], quintic.error
    while error > unit:
        rows.append((*TAYLOR[3], 0.0))
        error = 1.5 * error**2
    return np.array(rows)
