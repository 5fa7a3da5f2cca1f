r"""Chebyshev points: the extrema of Chebyshev polynomials, at which series are found.

.. math:: t_j = -\cos\frac{j \pi}{n - 1} = \sin\frac{(2 j - n + 1) \pi}{2 (n - 1)} ,
          \qquad j = 0, \dots, n - 1 .

Those of :math:`n` are every other one of :math:`2 n - 1`: what is known at points is known at the
finer ones.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def points(n: int) -> npt.NDArray[np.float64]:
    """Return `n` points from -1 to 1, symmetric to the bit; a single one is zero."""
    if n == 1:
        return np.zeros(1)
    # The sine is odd in floating-point numbers too, and exact at both ends.
    return np.sin(np.pi / 2 * np.arange(1 - n, n, 2) / (n - 1))
