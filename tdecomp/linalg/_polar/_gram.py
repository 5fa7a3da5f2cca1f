r"""Polar factors through eigenvectors of the Gram matrix, without the loss that squaring makes.

With eigenvectors :math:`V` of :math:`A^* A`, columns of :math:`B = A V` are nearly orthogonal, and
of nearly the singular values' lengths: :math:`K = B^* B = D^2 + F` with :math:`D^2` its diagonal.
Whatever :math:`V` is, :math:`A = B V^*` has the polar factor :math:`U = B K^{-1/2} V^*`, and

.. math:: K^{-1/2} = D^{-1} (I + C) + \dots , \qquad
   C_{ij} = -\frac{s_i}{s_i + s_j}\, \frac{F_{ij}}{s_i s_j} ,

up to terms of order :math:`\delta^2`, :math:`\delta = \|D^{-1} F D^{-1}\|_F`, which is measured:
the factors are accepted if :math:`\delta^2 \le \epsilon \sqrt n`. Rows of :math:`D^{-1} (I + C)`
have the lengths that columns of :math:`B` divide by: no digit is lost to small singular values.
:math:`\delta` is about :math:`\epsilon \kappa^2`, so that in double precision conditions up to
some ten thousand are accepted. That the correction is small makes half of its digits enough.

For an answer in single precision all of this is done in double precision, where the library has
it; where :math:`2^{-52} \kappa^2` is below the eps of the answer, nothing is to be corrected.
"""

from __future__ import annotations

import math

from tdecomp._typing import Array, DType, Namespace
from tdecomp._xp import adjoint, device, eps, squared_norm
from tdecomp.linalg._polar._members import Factors
from tdecomp.linalg._polar._products import cholesky, eigh, gram_matrix, product
from tdecomp.linalg._polar._svd import hermitian
from tdecomp.linalg._unfolded import double, single

# Up to this condition squaring costs no more digits than the SVD does.
_NEAR = 3.0
# Rows that pass through the cache together.
_ROWS = 64


def gram_polar(a: Array, *, with_h: bool, xp: Namespace) -> Factors | None:
    """Return the polar factors of one tall matrix, None where digits would be lost."""
    wide = xp.astype(a, double(a, xp), copy=False)
    unit, bound = eps(wide.dtype, xp), eps(a.dtype, xp) * math.sqrt(a.shape[-1])
    least = math.sqrt(unit / math.sqrt(bound))
    gram = gram_matrix(wide, xp)
    if _hopeless(gram, least, xp):
        return None
    values, v = eigh(gram, xp)
    lowest, highest = float(values[0]), float(values[-1])
    if not lowest > least**2 * highest:
        return None
    condition = math.sqrt(highest / lowest)
    if condition <= _NEAR:
        return _near(a, gram, values, v, with_h=with_h, xp=xp)
    b = product(wide, v)
    if condition**2 * unit <= eps(a.dtype, xp):
        return _orthogonal(b, values, v, a.dtype, with_h=with_h, xp=xp)
    return _corrected(a, b, v, bound, with_h=with_h, xp=xp)


def _hopeless(gram: Array, least: float, xp: Namespace) -> bool:
    """Tell by pivots that a condition is too large: of most matrices of which it is."""
    lower = cholesky(gram, xp)
    if lower is None:
        return True
    pivots = xp.abs(xp.linalg.diagonal(lower))
    return not float(xp.min(pivots)) > least * float(xp.max(pivots))


def _near(
    a: Array, gram: Array, values: Array, v: Array, *, with_h: bool, xp: Namespace
) -> Factors:
    """Return the factors of a matrix that is nearly orthogonal, by the inverse root itself.

    A step of Newton's method makes up for what the eigenvectors lack of orthogonality.
    """
    inverse = product(v / xp.astype(xp.sqrt(values), v.dtype), adjoint(v, xp))
    root = product(inverse, gram)
    if a.dtype == v.dtype:
        half = xp.eye(v.shape[0], dtype=v.dtype, device=device(v)) - product(root, inverse)
        inverse, root = (x + _narrow_product(x, half / 2, xp) for x in (inverse, root))
    u = product(a, xp.astype(inverse, a.dtype, copy=False))
    return u, hermitian(xp.astype(root, a.dtype, copy=False), xp) if with_h else None


def _narrow_product(x: Array, small: Array, xp: Namespace) -> Array:
    """Return the product with a matrix so small that half of its digits are enough."""
    narrow = single(x, xp)
    return xp.astype(product(xp.astype(x, narrow), xp.astype(small, narrow)), x.dtype)


def _orthogonal(
    b: Array, values: Array, v: Array, dtype: DType, *, with_h: bool, xp: Namespace
) -> Factors:
    """Return the factors in a `dtype` that does not see what columns lack of orthogonality."""
    s = xp.sqrt(values)
    unit = xp.astype(b / xp.astype(s, b.dtype), dtype)
    u = product(unit, xp.astype(adjoint(v, xp), dtype))
    return u, _root(s, xp.astype(v, dtype), dtype, xp) if with_h else None


def _root(s: Array, v: Array, dtype: DType, xp: Namespace) -> Array:
    """Return the hermitian matrix of eigenvalues and eigenvectors, as a square."""
    half = v * xp.astype(xp.sqrt(s), v.dtype)
    return hermitian(xp.astype(product(half, adjoint(half, xp)), dtype, copy=False), xp)


def _corrected(
    a: Array, b: Array, v: Array, bound: float, *, with_h: bool, xp: Namespace
) -> Factors | None:
    """Return the factors from almost eigenvectors, None where those are too far off."""
    k = gram_matrix(b, xp)
    s = xp.sqrt(xp.abs(xp.linalg.diagonal(k)))
    c, delta = _correction(k, s, xp)
    if delta**2 > bound:
        return None
    vh = adjoint(v, xp)
    root = vh + xp.astype(product(c, xp.astype(vh, c.dtype)), vh.dtype)
    root = root / xp.astype(s, v.dtype)[:, None]
    u = xp.astype(product(b, root), a.dtype, copy=False)
    if not with_h:
        return u, None
    return u, xp.astype(hermitian(product(v, product(k, root)), xp), a.dtype, copy=False)


def _correction(k: Array, s: Array, xp: Namespace) -> tuple[Array, float]:
    """Return the correction in half the digits, and how far from diagonal the matrix is.

    In panels, so that all that is done to a row is done while it is in the cache.
    """
    n = k.shape[0]
    numbers = xp.arange(n, device=device(k))
    squares, panels = 0.0, []
    for start in range(0, n, _ROWS):
        rows = slice(start, min(start + _ROWS, n))
        own = s[rows, None]
        part = k[rows, :] / s / own
        part = xp.where(numbers == numbers[rows, None], xp.zeros_like(part), part)
        squares += squared_norm(part, xp)
        panels.append(xp.astype(part / (-1 - s / own), single(k, xp)))
    return xp.concat(panels, axis=0), math.sqrt(squares)
