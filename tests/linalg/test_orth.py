"""Orthonormal bases: as good as Householder's, whatever comes in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp.linalg._orth import extend, orthonormalize
from tdecomp.testing import assert_isometry, matrix

# Residuals were measured at 4 eps; LAPACK's tests allow 30.
THRESHOLD = 30.0

two_dtypes = pytest.mark.parametrize("dtype", ["float32", "complex128"])


def check(y, q, r):
    """Orthonormal, upper triangular, and a factorisation."""
    eps = np.finfo(y.dtype).eps
    assert_isometry(q)
    assert np.all(np.tril(r, -1) == 0)
    assert np.linalg.norm(q @ r - y) <= THRESHOLD * eps * np.linalg.norm(y)
    assert q.dtype == r.dtype == y.dtype


def factored(y, xp):
    q, r = orthonormalize(xp.asarray(y), xp.namespace)
    return xp.to_numpy(q), xp.to_numpy(r)


@two_dtypes
@pytest.mark.parametrize("decades", [0, 3, 6, 9, 12, 15, 30])
def test_condition_numbers(xp, dtype, decades):
    y = matrix(60, 12, np.geomspace(1, 10.0**-decades, 12), dtype=dtype)
    check(y, *factored(y, xp))


@pytest.mark.parametrize("decades", [0, 4, 7, 8, 10, 15])
def test_condition_numbers_of_a_tall_matrix(decades, dtype):
    y = matrix(2000, 40, np.geomspace(1, 10.0**-decades, 40), dtype=dtype)
    q, r = orthonormalize(y, np)
    check(y, q, r)


CASES = {
    "zero": lambda y: 0 * y,
    "zero column": lambda y: y * (np.arange(12) != 3),
    "rank one": lambda y: np.outer(y[:, 0], y[0, :12]),
    "repeated column": lambda y: y[:, np.r_[0:11, 0]],
    "columns of all sizes": lambda y: y * np.logspace(15, -15, 12).astype(y.real.dtype),
    "few rows": lambda y: y * (np.arange(60) < 5)[:, None],
    "unit vectors": lambda y: np.eye(60, 12, dtype=y.dtype),
    "repeated unit vector": lambda y: np.eye(60, 12, dtype=y.dtype)[:, np.zeros(12, int)],
    "one column": lambda y: y[:, :1],
    "square": lambda y: y[:12],
    "all ones": np.ones_like,
}


@two_dtypes
@pytest.mark.parametrize("case", CASES)
def test_degenerate_columns(xp, dtype, case):
    y = np.ascontiguousarray(CASES[case](matrix(60, 12, "polynomial", dtype=dtype)))
    check(y, *factored(y, xp))


@given(
    n=st.integers(1, 12),
    extra=st.integers(0, 20),
    decades=st.floats(0, 18),
    dtype=st.sampled_from(["float32", "float64", "complex64", "complex128"]),
    seed=st.integers(0, 9),
)
def test_any_shape_and_condition(n, extra, decades, dtype, seed):
    y = matrix(n + extra, n, np.geomspace(1, 10.0**-decades, n), dtype=dtype, rng=seed)
    check(y, *orthonormalize(y, np))


def test_it_agrees_with_householder_up_to_signs():
    y = matrix(50, 8, "polynomial")
    q, r = orthonormalize(y, np)
    other, triangle = np.linalg.qr(y)
    signs = np.sign(np.diagonal(r)) * np.sign(np.diagonal(triangle))
    assert np.abs(q - other * signs).max() <= 1e-14
    assert np.abs(r - triangle * signs[:, None]).max() <= 1e-14


def extended(basis, y, xp):
    new = extend(xp.asarray(basis), xp.asarray(y), xp.namespace)
    return map(xp.to_numpy, new)


def check_extension(basis, y, q, h, r):
    eps = np.finfo(y.dtype).eps
    assert_isometry(q)
    # Twice is enough: what is left of the basis is rounding, however much cancelled.
    assert np.linalg.norm(basis.conj().T @ q) <= THRESHOLD * eps * np.sqrt(q.shape[1])
    assert np.linalg.norm(basis @ h + q @ r - y) <= THRESHOLD * eps * np.linalg.norm(y)


INSIDE = {
    "outside": 1.0,
    "nearly inside": 1e-6,
    "inside but for rounding": 1e-15,
    "inside": 0.0,
}


@two_dtypes
@pytest.mark.parametrize("outside", INSIDE)
def test_extension(xp, dtype, outside):
    basis = matrix(60, 24, "flat", dtype=dtype)
    y = basis @ matrix(24, 8, "polynomial", dtype=dtype, rng=1)
    y = (y + INSIDE[outside] * matrix(60, 8, "flat", dtype=dtype, rng=2)).astype(dtype)
    check_extension(basis, y, *extended(basis, y, xp))


@two_dtypes
@pytest.mark.parametrize("kind", ["inside", "zero", "half inside", "one outside", "basis itself"])
def test_extension_of_a_basis_of_unit_vectors(xp, dtype, kind):
    # Here differences are exactly zero: no rounding noise points out of the basis by luck.
    basis = np.eye(60, 24, dtype=dtype)
    y = basis @ matrix(24, 8, "polynomial", dtype=dtype)
    if kind == "zero":
        y = 0 * y
    elif kind == "half inside":
        y[30:, :4] = matrix(30, 4, "flat", dtype=dtype)
    elif kind == "one outside":
        y[40, 3] = 1
    elif kind == "basis itself":
        y = np.ascontiguousarray(basis[:, :8])
    check_extension(basis, y, *extended(basis, y, xp))
