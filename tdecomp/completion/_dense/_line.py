"""The lowest point of the objective along a line."""

from __future__ import annotations

import numpy as np

# No line is followed farther than that: powers of it stay in range.
_FARTHEST = 2.0**20


def lowest(line: np.ndarray) -> tuple[float, float]:
    """Return where a polynomial of degree four is least, and how much lower it is than at 0.

    Heights are compared with that at 0 without being formed, so that steps which lower the
    objective by less than its rounding are still told from those that raise it.

    Parameters
    ----------
    line : numpy.ndarray, shape (5,)
        The coefficients, the constant first.

    Returns
    -------
    t, gain : float
        The real parts of the roots of the derivative compete with 0.
    """
    peak = float(np.max(np.abs(line[1:]), initial=0.0))
    if not 0.0 < peak < np.inf:
        return 0.0, 0.0
    slope = np.trim_zeros(np.arange(1, 5) * (line[1:] / peak), "b")
    with np.errstate(all="ignore"):
        roots = np.polynomial.polynomial.polyroots(slope).real
    roots = np.clip(roots[np.isfinite(roots)], -_FARTHEST, _FARTHEST)
    terms = roots[:, None] ** np.arange(1, 5) * line[1:]
    # Far out large terms cancel: what rounding may have taken away is added again.
    heights = terms.sum(axis=1) + 8 * np.finfo(float).eps * np.abs(terms).sum(axis=1)
    best = int(np.argmin(heights)) if heights.size else -1
    if best < 0 or not heights[best] < 0:
        return 0.0, 0.0
    return float(roots[best]), -float(heights[best])
