"""What tests of Kronecker sums share: random ones, and the matrices that they stand for."""

from functools import reduce

import numpy as np
import pytest

from tdecomp.kronecker import KroneckerSum
from tdecomp.testing import gaussian


def _stacks(shapes, rank, *, dtype="float64", rng=0):
    return [gaussian((rank, *s), rng=rng + k, dtype=dtype) for k, s in enumerate(shapes)]


def _dense(factors):
    return sum(reduce(np.kron, term) for term in zip(*map(np.asarray, factors), strict=True))


def _drawn(shapes, rank, *, dtype="float64", rng=0, xp=None):
    factors = _stacks(shapes, rank, dtype=dtype, rng=rng)
    left, right, *rest = factors if xp is None else map(xp.asarray, factors)
    return KroneckerSum(left, right, tuple(rest)), _dense(factors)


def _hermitian(sizes, *, dtype="float64", rng=0, values=(0.5, 2.0), xp=None):
    factors = []
    for j, n in enumerate(sizes):
        q, _ = np.linalg.qr(gaussian((n, n), rng=rng + j, dtype=dtype))
        a = (q * np.linspace(*values, n)) @ q.conj().T
        factors.append(((a + a.conj().T) / 2)[None].astype(dtype))
    left, right, *rest = factors if xp is None else map(xp.asarray, factors)
    return KroneckerSum(left, right, tuple(rest)), _dense(factors)


def _rearranged(a, shapes):
    (m1, n1), (m2, n2) = shapes
    return a.reshape(m1, m2, n1, n2).transpose(0, 2, 1, 3).reshape(m1 * n1, m2 * n2)


def _optimum(a, shapes, rank):
    s = np.linalg.svd(_rearranged(a, shapes), compute_uv=False).astype(float)
    return float(np.linalg.norm(s[rank:]) / np.linalg.norm(s))


@pytest.fixture(scope="session")
def drawn():
    """Draw a sum with Gaussian factors, and the matrix that it stands for."""
    return _drawn


@pytest.fixture(scope="session")
def hermitian():
    """Draw a product of Hermitian factors with evenly spaced eigenvalues, and its matrix."""
    return _hermitian


@pytest.fixture(scope="session")
def rearranged():
    """The rearrangement of a matrix, made."""
    return _rearranged


@pytest.fixture(scope="session")
def optimum():
    """The least relative error of so many terms."""
    return _optimum
