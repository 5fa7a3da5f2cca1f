r"""The calculus of Chebyshev series: coefficients along the first axis, on [-1, 1].

Derivatives and integrals of polynomials are exact:

.. math:: T_i' = 2 i \sum_{k < i,\; i - k \text{ odd}}{}' T_k , \qquad
          \int T_i = \frac{T_{i+1}}{2 (i + 1)} - \frac{T_{i-1}}{2 (i - 1)} , \qquad
          \int_{-1}^{1} T_i = \frac{2}{1 - i^2} \text{ for even } i ,

where the prime halves the term :math:`k = 0`. Products are sums,
:math:`2 T_i T_j = T_{i+j} + T_{|i-j|}`, from which come inner products.
"""

from __future__ import annotations

from tdecomp._typing import Array, DType, Namespace
from tdecomp._xp import device

# Entries of a block of polynomials.
_BLOCK_ENTRIES = 1 << 22


def polynomials(t: Array, count: int, xp: Namespace) -> Array:
    r"""Return the first `count` polynomials at points `t`, along a new last axis.

    With :math:`t = \cos\theta` these are :math:`\cos j\theta`, found twice as many at a time
    together with :math:`\sin j\theta / \sin\theta`: near the ends, where one alone would lose as
    many digits as there are in the square of its degree, the other has them.
    """
    known = xp.stack([xp.ones_like(t), t], axis=0)
    other = xp.stack([xp.zeros_like(t), xp.ones_like(t)], axis=0)
    square = (1 - t) * (1 + t)
    while known.shape[0] < count:
        top = known.shape[0] - 1
        least = min(top, count - known.shape[0])
        last, first = known[top:, ...], known[1 : least + 1, ...]
        beyond, beside = square * other[top:, ...], other[1 : least + 1, ...]
        further = last * first - beyond * beside
        if known.shape[0] + least < count:
            beside = other[top:, ...] * first + last * beside
            other = xp.concat([other, beside], axis=0)
        known = xp.concat([known, further], axis=0)
    return xp.moveaxis(known[:count, ...], 0, -1)


def summed_at(t: Array, c: Array, xp: Namespace) -> Array:
    """Return the values (N, ...) of series at points `t`, for a block of them at a time."""
    n, m = int(t.shape[0]), int(c.shape[0])
    step = max(1, _BLOCK_ENTRIES // m)
    blocks = [
        xp.astype(polynomials(t[i : min(i + step, n)], m, xp), c.dtype, copy=False) @ c
        for i in range(0, n, step)
    ]
    return blocks[0] if len(blocks) == 1 else xp.concat(blocks)


def derivative(c: Array, xp: Namespace) -> Array:
    """Return the coefficients of the derivative, one fewer; of a constant, a zero."""
    n = c.shape[0]
    if n == 1:
        return xp.zeros_like(c)
    scaled = 2 * c[1:, ...] * _degrees(1, n, c, xp)
    if (n - 1) % 2:
        scaled = xp.concat([scaled, xp.zeros_like(scaled[:1, ...])], axis=0)
    pairs = xp.reshape(scaled, (-1, 2, *c.shape[1:]))
    # From the highest degree on, for even and odd degrees each.
    sums = xp.flip(xp.cumulative_sum(xp.flip(pairs, axis=0), axis=0), axis=0)
    found = xp.reshape(sums, scaled.shape)[: n - 1, ...]
    return xp.concat([found[:1, ...] / 2, found[1:, ...]], axis=0)


def antiderivative(c: Array, xp: Namespace) -> Array:
    """Return the coefficients, one more, of the integral from -1 on."""
    n = c.shape[0]
    zero = xp.zeros_like(c[:1, ...])
    below = xp.concat([2 * c[:1, ...], c[1:, ...]], axis=0)
    above = xp.concat([c[min(n, 2) :, ...], *[zero] * min(n, 2)], axis=0)
    found = (below - above) / (2 * _degrees(1, n + 1, c, xp))
    # The constant makes the sum at -1 vanish, where polynomials of odd degrees are -1.
    rest = found[1::2, ...] if n > 1 else zero
    constant = xp.sum(found[::2, ...], axis=0) - xp.sum(rest, axis=0)
    return xp.concat([constant[None, ...], found], axis=0)


def integrals(count: int, dtype: DType, like: Array, xp: Namespace) -> Array:
    """Return the integrals of the first `count` polynomials."""
    return _integral(xp.arange(count, device=device(like)), dtype, xp)


def inner_products(first: int, second: int, dtype: DType, like: Array, xp: Namespace) -> Array:
    """Return the integrals (first, second) of products of polynomials."""
    i = xp.arange(first, device=device(like))[:, None]
    j = xp.arange(second, device=device(like))[None, :]
    return (_integral(i + j, dtype, xp) + _integral(xp.abs(i - j), dtype, xp)) / 2


def _integral(degrees: Array, dtype: DType, xp: Namespace) -> Array:
    even = degrees % 2 == 0
    squares = xp.astype(xp.where(even, degrees, xp.zeros_like(degrees)), dtype) ** 2
    return xp.where(even, 2 / (1 - squares), xp.zeros_like(squares))


def _degrees(start: int, stop: int, like: Array, xp: Namespace) -> Array:
    """Return whole numbers as what is multiplied with along the first axis."""
    degrees = xp.astype(xp.arange(start, stop, device=device(like)), like.dtype)
    return xp.reshape(degrees, (-1, *(1 for _ in like.shape[1:])))
