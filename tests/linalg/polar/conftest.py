"""What tests of polar decompositions share: graded matrices, and what holds of every answer."""

import numpy as np
import pytest

from tdecomp.linalg._polar._certificate import polar_certificate
from tdecomp.linalg._polar._formats import LeftPolar, Polar
from tdecomp.testing import matrix


def _graded(m, n, condition, *, dtype="float64", rng=0):
    """A matrix with singular values that fall evenly on a logarithmic scale."""
    k = min(m, n)
    values = np.geomspace(1.0, 1.0 / condition, k) if k > 1 else np.ones(1)
    return matrix(m, n, values, rng=rng, dtype=dtype)


def _certified(a, factors):
    """Assert that factors are a polar decomposition, backward stable; NumPy arrays."""
    left = isinstance(factors, LeftPolar)
    u, h = np.asarray(factors.U), np.asarray(factors.H)
    n, eps = min(a.shape[-2:]), float(np.finfo(u.dtype).eps)
    found = polar_certificate(a, LeftPolar(h, u) if left else Polar(u, h))
    assert np.all(found.orthogonality <= 100 * np.sqrt(n) * eps)
    assert np.all(found.residual <= 100 * np.sqrt(n) * eps)
    assert np.all(found.symmetry == 0)
    assert np.all(found.indefiniteness <= 10 * n * eps)


@pytest.fixture(scope="session")
def graded():
    """Make a matrix of given condition."""
    return _graded


@pytest.fixture(scope="session")
def certified():
    """Assert that factors are a backward stable polar decomposition."""
    return _certified
