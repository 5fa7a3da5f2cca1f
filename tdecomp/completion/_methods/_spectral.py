"""Where to start: the leading singular vectors of the known entries, zeros for the others."""

from __future__ import annotations

import math

import numpy as np

from tdecomp._random import normal
from tdecomp._typing import Array, Namespace
from tdecomp._xp import conj, device, real_dtype, squared_norm
from tdecomp.completion._masked import times
from tdecomp.completion._methods._parts import apart, parts
from tdecomp.completion._methods._singular import of_columns, orthonormal
from tdecomp.completion._observed import Observed, Side

# Directions beyond the rank, and rounds of the subspace iteration: a start needs no digits.
_MORE = 8
_ROUNDS = 3
# The most that a row of a singular basis may weigh, in multiples of what all rows alike weigh.
_CLIP = 4.0


def spectral(
    observed: Observed, rank: int, rng: np.random.Generator, xp: Namespace
) -> tuple[Array, Array]:
    r"""Return balanced factors of the rank-`k` truncation of :math:`W \circ P_\Omega(X) / p`.

    With entries known at random, each with probability :math:`p`, that matrix is `X` in the mean;
    with weights `p` is the sum of these over the number of entries. Rows and columns of which
    more is known than of the mean, :math:`d_i > \bar d`, would be its singular vectors. Trimming
    [1]_ forgets them. Here they are scaled by :math:`\sqrt{\bar d / d_i}` before the truncation,
    which makes the noise of all rows alike, and again after it, which makes the mean right. Rows
    of the singular bases that are much longer than the others are cut back [2]_, which keeps them
    incoherent.

    Where nothing but zeros connects parts of the matrix, each has a start of its own: the leading
    vectors of the whole would be those of the largest, and of the others rounding, which exact
    steps divide by. Parts of no more rows or columns than the rank start at random, and so do
    those beyond the few dozen that are largest.

    References
    ----------
    .. [1] R. Keshavan, A. Montanari, S. Oh, "Matrix completion from a few entries", IEEE Trans.
       Inf. Theory 56, 2010, section 1.3. doi:10.1109/TIT.2010.2046205
    .. [2] P. Jain, P. Netrapalli, S. Sanghavi, "Low-rank matrix completion using alternating
       minimization", STOC 2013, algorithm 2. doi:10.1145/2488608.2488693
    """
    found = parts(observed, rank, xp)
    if found is None:
        return _leading(observed, rank, rng, xp)
    sides = observed.rows, observed.columns
    size = math.sqrt(squared_norm(sides[0].values, xp) / observed.nnz)
    random = [normal(rng, (side.starts.shape[0] - 1, rank), side.values, xp) for side in sides]
    left, right = (
        math.sqrt(size) / rank**0.25 * xp.where((side.counts() > 0)[:, None], factor, 0.0 * factor)
        for side, factor in zip(sides, random, strict=True)
    )
    return apart((left, right), found, lambda part: _leading(part, rank, rng, xp), xp)


def _leading(
    observed: Observed, rank: int, rng: np.random.Generator, xp: Namespace
) -> tuple[Array, Array]:
    """Return the start of a matrix in one part."""
    m, n = observed.shape
    rows, columns = observed.rows, observed.columns
    heavy = [heaviness(side, xp) for side in (rows, columns)]
    share = float(xp.sum(heavy[0])) / (m * n)
    scales = [xp.sqrt(xp.mean(h) / xp.clip(h, float(xp.mean(h)))) for h in heavy]
    narrow = [xp.astype(scale, rows.values.dtype)[:, None] for scale in scales]
    ahead, back = _weighted(rows), _weighted(columns)
    right = normal(rng, (n, min(rank + _MORE, m, n)), rows.values, xp)
    for _ in range(_ROUNDS):
        across = narrow[0] * times(rows, ahead, conj(narrow[1] * right, xp), xp)
        basis = orthonormal(across, xp)
        right = narrow[1] * times(columns, back, conj(narrow[0] * basis, xp), xp)
    found = of_columns(basis, right, xp)
    root = xp.astype(xp.sqrt(found.s[:rank] / share), right.dtype)
    left, right = (
        _clipped(basis[:, :rank], xp) * root * scale
        for basis, scale in zip((found.u, found.v), narrow, strict=True)
    )
    return left, right


def heaviness(side: Side, xp: Namespace) -> Array:
    """Return what the entries of each row weigh together."""
    if side.weights is None:
        return xp.astype(side.counts(), real_dtype(side.values.dtype, xp))
    last, weights = int(xp.max(side.indices)), side.weights
    ones = xp.ones((last + 1, 1), dtype=weights.dtype, device=device(weights))
    return times(side, weights, ones, xp)[:, 0]


def _weighted(side: Side) -> Array:
    """Return the entries times their weights."""
    return side.values if side.weights is None else side.weights * side.values


def _clipped(basis: Array, xp: Namespace) -> Array:
    """Shorten the rows of an orthonormal basis that are far longer than the others."""
    lengths = xp.linalg.vector_norm(basis, axis=1)
    most = _CLIP * math.sqrt(basis.shape[1] / basis.shape[0])
    return basis * xp.astype(most / xp.clip(lengths, most), basis.dtype)[:, None]
