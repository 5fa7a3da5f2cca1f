r"""Coefficients in Legendre polynomials of norm one, which are a function's as a vector.

Chebyshev polynomials are not orthogonal in :math:`L^2`. With their inner products
:math:`M = L L^T` the coefficients :math:`z = L^T c` are those in orthonormal polynomials, so that
their norm is that of the function. The factor is triangular: rows that are cut off :math:`z` leave
the best approximation of lower degree. Condition numbers of :math:`M` grow like its side, and are
82 at 64: no digit that counts is lost.

Short series are multiplied by the triangle. For long ones the entries are known [1]_, for
:math:`0 < i < j` with :math:`j - i = 2 n` and :math:`\Lambda(x) = \Gamma(x + 1/2) / \Gamma(x + 1)`

.. math:: L^T_{ij} = -j \sqrt{i + 1/2}\;
          \frac{\Lambda(n - 1)}{2 n}\, \frac{\Lambda((i + j - 1) / 2)}{i + j + 1} ,
          \qquad L^{-T}_{ij} = \frac{2}{\pi} \sqrt{j + 1/2}\;
          \Lambda(n)\, \Lambda((i + j) / 2) ,

each a function of :math:`j - i` times one of :math:`i + j`. The latter are moments, whose matrix
is positive definite and has a numerical rank that grows like a logarithm: of a few dozen terms of
its Cholesky decomposition with pivoting each is a convolution between two diagonals [2]_.

References
----------
.. [1] B. K. Alpert, V. Rokhlin, "A fast algorithm for the evaluation of Legendre expansions",
   SIAM J. Sci. Stat. Comput. 12, 1991. doi:10.1137/0912009
.. [2] A. Townsend, M. Webb, S. Olver, "Fast polynomial transforms based on Toeplitz and Hankel
   matrices", Math. Comp. 87, 2018. doi:10.1090/mcom/3277
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tdecomp._shim import solve_triangular
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, namespace
from tdecomp.chebyshev._series import inner_products, integrals

# From so many coefficients on, series are long.
_LONG = 1024
# What the decomposition of moments leaves, of entries of about one.
_LEFT = 1e-16
# From here on gamma functions are known by their asymptotic series.
_FIRST = 32

Numbers = npt.NDArray[np.float64]


def to_legendre(c: Array, xp: Namespace) -> Array:
    """Return coefficients in orthonormal polynomials from those of Chebyshev polynomials."""
    m = int(c.shape[0])
    if m < _LONG:
        return _like(root(m), c, xp) @ c
    return _multiplied(_forward(m), c, xp)


def to_chebyshev(z: Array, xp: Namespace) -> Array:
    """Return coefficients of Chebyshev polynomials from those in orthonormal ones."""
    m = int(z.shape[0])
    if m < _LONG:
        return solve_triangular(_like(root(m), z, xp), z, xp, lower=False)
    return _multiplied(_backward(m), z, xp)


@lru_cache(maxsize=64)
def root(count: int) -> Numbers:
    """Return the factor `L^T` of the inner products of the first `count` polynomials."""
    like = np.empty(0)
    products = inner_products(count, count, like.dtype, like, namespace(like))
    upper = np.linalg.cholesky(products).T
    upper.setflags(write=False)
    return upper


class _Half(NamedTuple):
    """A triangle between degrees that are all even or all odd, zero left out.

    It is the sum over `k` of a diagonal of ``left[:, k]``, the convolution by a sequence whose
    discrete Fourier transform is the conjugate of ``spectrum``, and a diagonal of ``right[:, k]``.
    """

    left: Numbers
    spectrum: npt.NDArray[np.complex128]
    right: Numbers


class _Triangle(NamedTuple):
    """A triangle of long series: what makes the constant, a diagonal, and what is above it."""

    constant: Numbers
    diagonal: Numbers
    odd: _Half
    even: _Half


@lru_cache(maxsize=4)
def _forward(count: int) -> _Triangle:
    """Return the triangle to orthonormal polynomials."""
    like = np.empty(0)
    constant = integrals(count, like.dtype, like, namespace(like)) / np.sqrt(2)
    degrees = np.arange(1.0, count)
    diagonal = np.sqrt(np.pi / (degrees + 0.5)) / (2 * _ratios(0.0, count)[1:])
    halves = []
    for start in (1, 2):
        i = np.arange(start, count, 2.0)
        n = np.arange(i.size)
        # The diagonal, of n = 0, is apart.
        along = np.append(0.0, _ratios(0.0, i.size)[:-1] / (2.0 * n[1:]))
        sums = _ratios(start - 0.5, 2 * i.size) / (2.0 * (start + np.arange(2 * i.size)) + 1)
        halves.append(_half(-np.sqrt(i + 0.5), along, sums, i, i**0.75))
    return _Triangle(constant, diagonal, *halves)


@lru_cache(maxsize=4)
def _backward(count: int) -> _Triangle:
    """Return the triangle from orthonormal polynomials."""
    scale = np.sqrt(np.arange(count) + 0.5)
    constant = np.zeros(count)
    constant[::2] = _ratios(0.0, (count + 1) // 2) ** 2 * scale[::2] / np.pi
    halves = []
    for start in (1, 2):
        i = np.arange(start, count, 2.0)
        along, sums = _ratios(0.0, i.size), _ratios(float(start), 2 * i.size)
        ones = np.full(i.size, 2 / np.pi)
        halves.append(_half(ones, along, sums, scale[start::2], i**0.25))
    return _Triangle(constant, np.zeros(count - 1), *halves)


def _ratios(start: float, count: int) -> Numbers:
    r"""Return :math:`\Lambda(x)` at ``start``, ``start + 1``, ..., to a few units of rounding.

    From its asymptotic series, and down to the first arguments by recurrence.
    """
    x = start + np.arange(count + _FIRST + 1)
    w = (x + 0.25) ** -2
    series = 1 + w * (-1 / 64 + w * (21 / 8192 + w * (-671 / 524288 + w * 180323 / 134217728)))
    found: Numbers = series / np.sqrt(x + 0.25)
    for k in reversed(range(_FIRST)):
        found[k] = found[k + 1] * (x[k] + 1) / (x[k] + 0.5)
    return found[:count]


def _half(before: Numbers, along: Numbers, sums: Numbers, after: Numbers, scale: Numbers) -> _Half:
    """Return diagonals and the spectrum of a triangle ``along[b - a] * sums[a + b]``.

    Multiplied by numbers `before` rows and `after` columns. The `scale` makes entries of `sums`
    about one.
    """
    columns = _decomposed(sums, scale) / scale[:, None]
    size = 1 << max(2 * before.size - 1, 1).bit_length()
    spectrum = np.conj(np.fft.fft(along, size))
    return _Half(before[:, None] * columns, spectrum, after[:, None] * columns)


def _decomposed(sums: Numbers, scale: Numbers) -> Numbers:
    """Return columns `C` with ``C @ C.T`` near the matrix ``s[a] * sums[a + b] * s[b]``."""
    n = scale.size
    columns = np.zeros((n, 0))
    rest = sums[: 2 * n : 2] * scale**2
    while rest.max() > _LEFT:
        pivot = int(np.argmax(rest))
        column = sums[pivot : pivot + n] * scale * scale[pivot] - columns @ columns[pivot]
        column /= np.sqrt(rest[pivot])
        columns = np.column_stack([columns, column])
        rest = rest - column**2
        rest[pivot] = 0.0
    return columns


def _multiplied(triangle: _Triangle, x: Array, xp: Namespace) -> Array:
    """Multiply columns by a triangle."""
    constant = _like(triangle.constant[None, :], x, xp) @ x
    rest = _like(triangle.diagonal[:, None], x, xp) * x[1:, :]
    odd = _convolved(triangle.odd, x[1::2, :], xp)
    even = _convolved(triangle.even, x[2::2, :], xp)
    if odd.shape[0] > even.shape[0]:
        even = xp.concat([even, xp.zeros_like(odd[:1, :])])
    both = xp.reshape(xp.stack([odd, even], axis=1), (-1, x.shape[1]))
    return xp.concat([constant, rest + both[: rest.shape[0], :]])


def _convolved(half: _Half, x: Array, xp: Namespace) -> Array:
    """Multiply columns of coefficients of even or of odd degrees."""
    n, size = int(x.shape[0]), half.spectrum.size
    left, right = _like(half.left, x, xp), _like(half.right, x, xp)
    whole = xp.isdtype(x.dtype, "complex floating")
    ahead, back = (xp.fft.fft, xp.fft.ifft) if whole else (xp.fft.rfft, xp.fft.irfft)
    spectrum = half.spectrum if whole else half.spectrum[: size // 2 + 1]
    spectrum = xp.asarray(spectrum[:, None], device=device(x))
    total = xp.zeros_like(x)
    for k in range(half.left.shape[1]):
        waves = ahead(right[:, k, None] * x, n=size, axis=0)
        found = back(waves * xp.astype(spectrum, waves.dtype), n=size, axis=0)[:n, :]
        total = total + left[:, k, None] * xp.astype(found, x.dtype)
    return total


def _like(constants: Any, like: Array, xp: Namespace) -> Array:
    """Return constants in the library, dtype and device of an array."""
    moved = xp.asarray(np.array(constants), device=device(like))
    return xp.astype(moved, like.dtype, copy=False)
