"""What the tests of CP decompositions share: decompositions of known components."""

from __future__ import annotations

import numpy as np
import pytest

from tdecomp.cp import CP
from tdecomp.testing import gaussian


def _random_cp(shape, rank, *, dtype="float64", seed=0):
    """Return a decomposition with Gaussian factors and weights."""
    real = np.zeros(0, dtype).real.dtype
    factors = [gaussian((n, rank), rng=seed + k, dtype=dtype) for k, n in enumerate(shape)]
    return CP(gaussian((rank,), rng=seed + 99, dtype=real), tuple(factors))


def _dense(cp):
    """Return the tensor by brute force, in the widest precision."""
    wide = np.result_type(cp.weights.dtype, cp.factors[0].dtype, np.float64)
    total = np.zeros(cp.shape, wide)
    for r in range(cp.rank):
        term = np.asarray(cp.weights[r], wide)
        for factor in cp.factors:
            term = np.multiply.outer(term, factor[:, r].astype(wide))
        total += term
    return total


@pytest.fixture(scope="session")
def random_cp():
    """Return a decomposition with Gaussian factors and weights."""
    return _random_cp


@pytest.fixture(scope="session")
def dense():
    """Return the tensor by brute force, in the widest precision."""
    return _dense


@pytest.fixture(scope="session")
def moved():
    """Move a decomposition to a backend, or back to NumPy."""

    def move(cp, convert):
        return CP(convert(cp.weights), tuple(convert(factor) for factor in cp.factors))

    return move
