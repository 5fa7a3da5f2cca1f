"""Least squares for the change of rows of a factor: batches of small systems."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, eps, floats

Design = Callable[[int], tuple[Array, Array]]
"""Maps the number of a row to its matrix (m, r), squared by no product, and what is left (m,)."""

# Pivots below this many eps, times the rank, keep less than two digits of the change.
_LOST = 64.0
# No line is followed farther than that: powers of it stay in range.
_FARTHEST = 2.0**20


def split(flat: Array, shape: Sequence[int]) -> list[Array]:
    """Cut the matrix of all factors into its modes."""
    ends = np.cumsum(shape).tolist()
    return [flat[end - n : end, :] for end, n in zip(ends, shape, strict=True)]


def least_pivot(rank: int, epsilon: float) -> float:
    """Return the smallest ratio of a pivot to its diagonal that still determines a change."""
    return _LOST * rank * epsilon


def minimum_norm(a: Array, gap: Array, own: Array, xp: Namespace) -> Array:
    r"""Return the row :math:`x` of smallest norm that minimises :math:`\|A(x - x_0) - g\|`.

    Its part in the row space of :math:`A` is :math:`x_0` corrected by the least-squares change,
    its part outside is zero.

    Parameters
    ----------
    a : array, shape (..., m, r)
        The matrices, or their triangular factors.
    gap : array, shape (..., m)
        What the current rows leave, :math:`g`.
    own : array, shape (..., r)
        The current rows, :math:`x_0`.
    xp : namespace
        The library.

    Returns
    -------
    array, shape (..., r)
        The rows.
    """
    u, s, vh = xp.linalg.svd(a, full_matrices=False)
    cut = 4 * max(a.shape[-2:]) * eps(s.dtype, xp) * s[..., :1]
    keep = s > cut
    inverse = xp.where(keep, 1 / xp.where(keep, s, xp.ones_like(s)), xp.zeros_like(s))
    found = (adjoint(u, xp) @ gap[..., None])[..., 0] * xp.astype(inverse, a.dtype)
    known = (vh @ own[..., None])[..., 0] * xp.astype(keep, a.dtype)
    return (adjoint(vh, xp) @ (found + known)[..., None])[..., 0]


def root(penalty: Array, xp: Namespace) -> Array:
    """Return `R` (r, r) with ``R^* R`` equal to a semidefinite penalty, and of its rank."""
    values, vectors = xp.linalg.eigh(penalty)
    # Roots of rounding would be much larger than rounding.
    seen = values > 4 * values.shape[0] * eps(values.dtype, xp) * values[-1]
    lengths = xp.sqrt(xp.where(seen, values, xp.zeros_like(values)))
    return xp.astype(lengths, penalty.dtype)[:, None] * adjoint(vectors, xp)


def solve_normal(
    h: Array, g: Array, own: Array, design: Design, penalty: Array, *, xp: Namespace
) -> Array:
    """Return ``own`` plus the solutions of ``h d = g``; rows that `h` cannot tell from `design`.

    Parameters
    ----------
    h : array, shape (n, r, r)
        Positive semidefinite matrices.
    g : array, shape (n, r)
        The slopes at `own`.
    own : array, shape (n, r)
        The current rows.
    design : callable
        The least-squares problem itself of a row whose normal equations are singular.
    penalty : array, shape (r, r)
        What `h` holds beyond the squares of `design`.
    xp : namespace
        The library.

    Returns
    -------
    array, shape (n, r)
        The new rows.
    """
    rank = h.shape[-1]
    values, vectors = xp.linalg.eigh(h)
    sound = values[:, 0] > least_pivot(rank, eps(values.dtype, xp)) * values[:, -1]
    safe = xp.where(sound[:, None], values, xp.ones_like(values))
    inner = (adjoint(vectors, xp) @ g[..., None])[..., 0] / xp.astype(safe, g.dtype)
    rows = own + (vectors @ inner[..., None])[..., 0]
    lost = [i for i, x in enumerate(floats(xp.astype(sound, values.dtype))) if not x]
    if not lost:
        return rows
    split = [rows[i, :] for i in range(h.shape[0])]
    below = root(penalty, xp)
    for i in lost:
        a, gap = design(i)
        joined = xp.concat([a, below]), xp.concat([gap, -(below @ own[i, :])])
        split[i] = minimum_norm(*joined, own[i, :], xp)
    return xp.stack(split)


def minimise_polynomial(
    gram: np.ndarray, *, low: float = -np.inf, high: float = np.inf
) -> tuple[float, float]:
    r"""Return the `t` that minimises :math:`\phi(t) = \sum_{jk} G_{jk} t^{j+k}`, and its value.

    The candidates are 0, the ends of the interval, and the real parts of the roots of the
    derivative, so that the value is never above that at 0.

    Parameters
    ----------
    gram : numpy.ndarray, shape (k, k)
        A positive semidefinite :math:`G`.
    low, high : float
        The interval, with 0 inside.

    Returns
    -------
    t, value : float
        Where, and how small.
    """
    size = gram.shape[0]
    peak = float(np.max(np.abs(np.diagonal(gram)))) or 1.0
    flipped = np.fliplr(gram) / peak
    coefficients = np.asarray(
        [np.trace(flipped, offset=size - 1 - k) for k in range(2 * size - 1)]
    )
    slope = np.trim_zeros(np.polynomial.polynomial.polyder(coefficients), "b")
    roots = np.polynomial.polynomial.polyroots(slope).real if slope.size > 1 else np.empty(0)
    ends = [end for end in (low, high) if np.isfinite(end)]
    candidates = np.concatenate([[0.0], roots, ends])
    candidates = np.clip(candidates, max(low, -_FARTHEST), min(high, _FARTHEST))
    powers = candidates[:, None] ** np.arange(size)
    values = np.einsum("cj,jk,ck->c", powers, gram, powers)
    # Far out large terms cancel: what rounding may have taken away is added again.
    sizes = np.einsum("cj,jk,ck->c", np.abs(powers), np.abs(gram), np.abs(powers))
    bounds = values + 4 * size * np.finfo(float).eps * sizes
    best = int(np.argmin(np.where(np.isfinite(bounds), bounds, np.inf)))
    if not bounds[best] < values[0]:
        best = 0
    return float(candidates[best]), max(float(values[best]), 0.0)
