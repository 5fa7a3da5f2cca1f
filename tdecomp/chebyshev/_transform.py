r"""Values at Chebyshev points, and the coefficients of the series through them.

.. math:: f(t_j) = \sum_{i=0}^{n-1} c_i T_i(t_j) = \sum_{i=0}^{n-1} c_i
          \cos\frac{i (n - 1 - j) \pi}{n - 1}

are discrete cosine transforms of the first kind, inverse to each other but for a factor.
"""

from __future__ import annotations

from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, is_numpy


def coefficients(values: Array, xp: Namespace) -> Array:
    """Return the coefficients along the first axis, of values at ascending points."""
    n = values.shape[0]
    if n == 1:
        return values
    return _ends_halved(_cosines(xp.flip(values, axis=0), xp), xp) / (n - 1)


def values(coefficients: Array, xp: Namespace) -> Array:
    """Return the values at ascending points, along the first axis."""
    if coefficients.shape[0] == 1:
        return coefficients
    # Cosines count all but the first and the last twice.
    doubled = coefficients / 2
    doubled = doubled + (doubled - _ends_halved(doubled, xp)) * 2
    return xp.flip(_cosines(doubled, xp), axis=0)


def _ends_halved(x: Array, xp: Namespace) -> Array:
    """Return the same with the first and the last row halved."""
    row = xp.arange(x.shape[0], device=device(x))
    inner = (row > 0) & (row < x.shape[0] - 1)
    factor = xp.where(inner, xp.ones_like(row), xp.zeros_like(row))
    factor = (xp.astype(factor, x.dtype) + 1) / 2
    return x * xp.reshape(factor, (-1, *(1 for _ in x.shape[1:])))


def _cosines(x: Array, xp: Namespace) -> Array:
    """Return the cosine transform of the first kind, twice the sum, along the first axis.

    That of an array is the Fourier transform of its even extension.
    """
    if is_numpy(x):
        from scipy.fft import dct

        transformed: Array = dct(x, type=1, axis=0)
        return transformed
    even = xp.concat([x, xp.flip(x[1:-1, ...], axis=0)], axis=0)
    if xp.isdtype(x.dtype, "complex floating"):
        return xp.fft.fft(even, axis=0)[: x.shape[0], ...]
    return xp.real(xp.fft.rfft(even, axis=0))
