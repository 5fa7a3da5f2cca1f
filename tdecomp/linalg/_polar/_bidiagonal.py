r"""Polar factors through a bidiagonal matrix, without singular values.

Householder reflections bring a matrix to the form :math:`A = Q B P^*` with :math:`B` real, upper
bidiagonal: that is how an SVD begins. Its polar factor is :math:`Q X P^*`, with :math:`X` that of
:math:`B`, and :math:`X` needs no iteration. Zolotarev's function of a high order is one on the
singular values, to the last bit:

.. math:: X = M B \Bigl(I + \sum_{k=1}^{r} w_k (B^T B + \tau_k^2 I)^{-1}\Bigr) .

Shuffled perfectly, the Jordan-Wielandt matrix of :math:`B` is tridiagonal, with a diagonal of
zeros and beside it the entries of :math:`B` in turn, :math:`d_1, e_1, d_2, \dots`; the signs of
every other of them changed on one side, it is a skew matrix :math:`K`. The entries of
:math:`B (B^T B + \tau^2 I)^{-1}` are, up to signs, those of :math:`(\tau I + K)^{-1}`, and
elimination has the pivots

.. math:: p_1 = \tau , \qquad p_{i+1} = \tau + b_i^2 / p_i ,

and such from the other end: positive numbers, which are added, multiplied and divided. So are the
entries of the inverse. An entry of :math:`X` is a sum of terms of one sign. Nothing is ever
subtracted, so every entry is accurate to some n eps of itself, whatever the condition, at a cost
of :math:`r n^2`.

The number :math:`r` of terms grows with the logarithm of the condition, for which

.. math:: \sigma_1^2 \le \|B\|_1 \|B\|_\infty , \qquad
   \sigma_n^{-2} \le \|B^{-1}\|_1 \|B^{-1}\|_\infty

are bounds, where :math:`|B^{-1}|` is the inverse of a bidiagonal matrix with the same absolute
values: some 45 terms for a Gaussian matrix of side 1000 in double precision, some 155 for
condition 1 / eps.

The reduction makes :math:`8/3\, n^3` flops and its way back :math:`4 n^3`; singular vectors, and
their product, twice as many.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, is_numpy
from tdecomp.linalg._polar._members import Factors
from tdecomp.linalg._polar._zolotarev import order_for, zolotarev

# In units of eps, how far functions stay from one.
_CLOSE = 0.25
# Where the smallest singular value may be below this part of the largest, by their bounds, it is
# not told from zero.
_SINGULAR = 1e-30
# Matrices so much taller than wide are reduced to a triangle first.
_TALL = 2
# Parts of a hermitian product.
_PARTS = 6


class _Band(NamedTuple):
    """The entries of a bidiagonal matrix over a bound of its norm, and a bound of its smallest."""

    entries: Array
    lower: float


class _Function(NamedTuple):
    """The function ``x * (factor + sum(weights / (x**2 + shifts**2)))``."""

    shifts: Array
    weights: Array
    factor: float


def bidiagonal_polar(a: Array, *, with_h: bool, xp: Namespace) -> Factors | None:
    """Return the polar factors of one tall matrix in main memory, None if it may be singular."""
    given = _of_numpy(a)
    with np.errstate(under="ignore"):
        u = _isometry(given)
    if u is None:
        return None
    h = _hermitian_product(u, given) if with_h else None
    if is_numpy(a):
        return u, h
    place = device(a)
    return xp.asarray(u, device=place), None if h is None else xp.asarray(h, device=place)


def _of_numpy(a: Array) -> Array:
    """Return an array of any library as one of NumPy without gaps, the same if that can be."""
    if "cpu" not in str(device(a)).lower():
        raise ValueError(
            f"method='bidiagonal' works in main memory, and a lives on {device(a)}: "
            "use method='qdwh' or 'svd'"
        )
    for lazy in ("resolve_conj", "resolve_neg"):  # PyTorch's
        a = getattr(a, lazy)() if hasattr(a, lazy) else a
    found = np.asarray(a)
    return found if found.flags.forc else np.ascontiguousarray(found)


def _isometry(a: Array) -> Array | None:
    """Return the isometric factor."""
    m, n = a.shape
    if m >= _TALL * n:
        return _of_triangle(a)
    if m == n and a.flags.c_contiguous:
        u = _in_columns(np.array(a.T, order="F"))
        return None if u is None else u.T
    return _in_columns(np.array(a, order="F"))


def _of_triangle(a: Array) -> Array | None:
    """Return the isometric factor by way of a QR decomposition."""
    from scipy.linalg import qr

    from tdecomp._kernels import _lapack

    q, r = qr(a, mode="economic", check_finite=False)
    inner = _in_columns(np.asfortranarray(r))
    if inner is None:
        return None
    u = np.empty(a.shape, a.dtype, order="F")
    _lapack.product(q, inner, u)
    return u


def _in_columns(a: Array) -> Array | None:
    """Return the isometric factor of a matrix in columns, which is overwritten."""
    from tdecomp._kernels import _lapack

    m, n = a.shape
    found = _lapack.bidiagonalize(a)
    x = _polar_of_band(found.diagonal, found.superdiagonal, float(np.finfo(a.dtype).eps))
    if x is None:
        return None
    if m == n and x.dtype == a.dtype:
        u = x
    else:
        u = np.zeros((m, n), a.dtype, order="F")
        u[:n] = x
    _lapack.rotate(found, u)
    return u


def _polar_of_band(d: Array, e: Array, eps: float) -> Array | None:
    """Return the polar factor, in columns, of an upper bidiagonal matrix."""
    from tdecomp._kernels._bidiagonal_sign import TOGETHER, bidiagonal_sign

    band = _scaled(d.astype(np.float64), e.astype(np.float64))
    if band is None:
        return None
    order = -(-order_for(band.lower, _CLOSE * eps) // TOGETHER) * TOGETHER
    function = _function(band.lower, order)
    n = d.size
    out = np.empty((n, n))
    bidiagonal_sign(band.entries, function.shifts, function.weights, out)
    x, i = out.T, np.arange(n)
    x[i, i] += function.factor * band.entries[::2]
    x[i[:-1], i[1:]] += function.factor * band.entries[1::2]
    return x


@lru_cache(maxsize=64)
def _function(lower: float, order: int) -> _Function:
    """Return the function that is nearest to one on ``[lower, 1]``."""
    found = zolotarev(lower, order)
    return _Function(np.sqrt(found.poles), found.factor * np.asarray(found.weights), found.factor)


def _scaled(d: Array, e: Array) -> _Band | None:
    """Return the entries over a bound of the norm, and a bound; None where there may be a zero."""
    from tdecomp._kernels._bidiagonal_sign import inverse_norms

    beside = np.abs(np.append(e, 0.0))
    before = np.roll(beside, 1)
    norm = math.sqrt(np.max(np.abs(d) + beside)) * math.sqrt(np.max(np.abs(d) + before))
    if not norm > 0.0:
        return None
    entries = np.empty(2 * d.size - 1)
    entries[::2], entries[1::2] = d / norm, e / norm
    lower = 1 / inverse_norms(entries)
    if not lower > _SINGULAR:
        return None
    # Powers of two are few: their functions are made once.
    return _Band(entries, min(2.0 ** math.floor(math.log2(lower)), 0.5))


def _hermitian_product(u: Array, a: Array) -> Array:
    """Return ``u^* @ a``, known to be hermitian: its lower triangle, mirrored."""
    from tdecomp._kernels import _lapack

    n = a.shape[1]
    left: Any = u.T if u.dtype.kind == "f" else u.conj().T
    h = np.empty((n, n), a.dtype, order="F")
    step = -(-n // _PARTS)
    for i in range(0, n, step):
        own, rest = slice(i, min(i + step, n)), slice(min(i + step, n), n)
        _lapack.product(left[i:], a[:, own], h[i:, own])
        h[own, own] = (h[own, own] + h[own, own].conj().T) / 2
        h[own, rest] = h[rest, own].conj().T
    return h
