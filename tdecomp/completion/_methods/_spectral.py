"""Where to start: the leading singular vectors of the known entries, zeros for the others."""

from __future__ import annotations

import math

import numpy as np

from tdecomp._random import normal
from tdecomp._typing import Array, Namespace
from tdecomp._xp import conj
from tdecomp.completion._masked import times
from tdecomp.completion._observed import Observed
from tdecomp.linalg._orth import orthonormalize

# Directions beyond the rank, and rounds of the subspace iteration: a start needs no digits.
_MORE = 8
_ROUNDS = 4
# The most that a row of a singular basis may weigh, in multiples of what all rows alike weigh.
_CLIP = 4.0


def spectral(
    observed: Observed, rank: int, rng: np.random.Generator, xp: Namespace
) -> tuple[Array, Array]:
    r"""Return balanced factors of the rank-`k` truncation of :math:`P_\Omega(X) / p`.

    With entries known at random, each with probability :math:`p`, that matrix is `X` in the mean.
    Rows of the singular bases that are much longer than the others come from rows with many known
    entries and are cut back [1]_, which keeps them incoherent.

    References
    ----------
    .. [1] P. Jain, P. Netrapalli, S. Sanghavi, "Low-rank matrix completion using alternating
       minimization", STOC 2013, algorithm 2. doi:10.1145/2488608.2488693
    """
    m, n = observed.shape
    rows, columns = observed.rows, observed.columns
    wide = min(rank + _MORE, m, n)
    right = normal(rng, (n, wide), rows.values, xp)
    for _ in range(_ROUNDS):
        q = orthonormalize(times(rows, rows.values, right, xp), xp).Q
        right = conj(times(columns, columns.values, conj(q, xp), xp), xp)
        right, triangle = orthonormalize(right, xp)
    u, s, vh = xp.linalg.svd(triangle, full_matrices=False)
    share = observed.nnz / (m * n)
    root = xp.sqrt(s[:rank] / share)
    tall = q @ conj(xp.matrix_transpose(vh), xp)[:, :rank]
    wide_basis = conj(right @ u[:, :rank], xp)
    return _clipped(tall, xp) * root, _clipped(wide_basis, xp) * root


def _clipped(basis: Array, xp: Namespace) -> Array:
    """Shorten the rows of an orthonormal basis that are far longer than the others."""
    lengths = (
        xp.sqrt(xp.sum(xp.real(basis * conj(basis, xp)), axis=1))
        if xp.isdtype(basis.dtype, "complex floating")
        else xp.sqrt(xp.sum(basis * basis, axis=1))
    )
    most = _CLIP * math.sqrt(basis.shape[1] / basis.shape[0])
    return basis * (most / xp.clip(lengths, most))[:, None]
