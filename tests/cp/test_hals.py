"""Nonnegative factors by HALS: descent, optimality, and columns that come back to life."""

import itertools

import array_api_compat.numpy as NUMPY
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp.cp import _hals
from tdecomp.cp._hals import hals


def problem(n, rank, *, rng, rows=30):
    """The products of a nonnegative least-squares problem, and its objective."""
    k, x = rng.random((rows, rank)), rng.standard_normal((n, rows)) + 0.2
    return x @ k, k.T @ k, lambda a: np.linalg.norm(x - a @ k.T)


def kkt(factor, mttkrp, gram):
    """How far the factor is from optimal: entries that could fall or rise."""
    slope = factor @ gram - mttkrp
    return np.abs(np.minimum(factor, slope)).max() / np.abs(mttkrp).max()


@given(n=st.integers(1, 8), rank=st.integers(1, 6), inner=st.integers(1, 5), seed=st.integers(0))
def test_no_pass_raises_the_misfit(n, rank, inner, seed):
    rng = np.random.default_rng(seed)
    mttkrp, gram, misfit = problem(n, rank, rng=rng)
    factor, errors = rng.random((n, rank)), []
    for _ in range(6):
        errors.append(misfit(factor))
        factor = hals(factor, mttkrp, gram, inner=inner, xp=NUMPY)
        assert (factor >= 0).all()
    assert all(b <= a * (1 + 1e-13) for a, b in itertools.pairwise(errors))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_limit_is_what_scipy_finds(xp, dtype):
    from scipy.optimize import nnls

    rng = np.random.default_rng(0)
    k, x = rng.random((30, 4)), rng.standard_normal((30, 5))
    factor = xp.asarray(rng.random((5, 4)), dtype)
    mttkrp, gram = xp.asarray(x.T @ k, dtype), xp.asarray(k.T @ k, dtype)
    for _ in range(2 if xp.name == "jax" else 60):
        factor = hals(factor, mttkrp, gram, inner=10 if xp.name == "jax" else 40, xp=xp.namespace)
    found, eps = xp.to_numpy(factor), np.finfo(dtype).eps
    assert found.dtype == dtype
    if xp.name == "jax":
        assert (found >= 0).all()
        return
    wanted = np.stack([nnls(k, column)[0] for column in x.T])
    assert np.abs(found - wanted).max() <= 1e4 * eps * wanted.max()
    assert kkt(found, x.T @ k, k.T @ k) <= 1e3 * eps


def test_the_kernel_gives_what_its_twin_gives(monkeypatch):
    pytest.importorskip("numba")
    rng = np.random.default_rng(0)
    mttkrp, gram, _ = problem(40, 7, rng=rng)
    factor = rng.random((40, 7))
    factor[:, 2] = 0
    plain = hals(factor, mttkrp, gram, inner=5, xp=NUMPY)
    monkeypatch.setattr(_hals, "_KERNEL_WORK", 0)
    for form in (factor, np.asfortranarray(factor)):
        fast = hals(form, np.asfortranarray(mttkrp), gram, inner=5, xp=NUMPY)
        assert np.abs(fast - plain).max() <= 1e-13 * plain.max()


def test_a_column_without_partners_stays_and_nothing_is_divided_by_zero(xp):
    rng = np.random.default_rng(0)
    k = rng.random((20, 3))
    k[:, 1] = 0
    x, factor = rng.random((20, 4)), rng.random((4, 3))
    arrays = (xp.asarray(a) for a in (factor, x.T @ k, k.T @ k))
    found = xp.to_numpy(hals(*arrays, inner=3, xp=xp.namespace))
    assert np.array_equal(found[:, 1], factor[:, 1])
    assert np.isfinite(found).all()


def test_zero_columns_come_back_to_life():
    # Alternating over two factors from one whose second column is zero.
    rng = np.random.default_rng(0)
    a, b = rng.random((12, 2)), rng.random((15, 2))
    x = a @ b.T
    left, right = rng.random((12, 2)), rng.random((15, 2))
    left[:, 1] = 0
    right[:, 1] = 0
    left = hals(left, x @ right, right.T @ right, xp=NUMPY)
    assert left[:, 1].max() > 0
    for _ in range(400):
        right = hals(right, x.T @ left, left.T @ left, xp=NUMPY)
        left = hals(left, x @ right, right.T @ right, xp=NUMPY)
    # One column leaves at least the second singular value.
    assert np.linalg.norm(x - left @ right.T) <= 0.1 * np.linalg.svdvals(x)[1]


def test_a_factor_of_zeros_is_no_dead_end():
    factor = hals(np.zeros((3, 2)), np.ones((3, 2)), np.zeros((2, 2)), xp=NUMPY)
    assert 0 < factor.min() == factor.max() <= 1e-15


def test_zeros_stay_zeros_and_inputs_are_left_alone():
    mttkrp, gram = np.array([[1.0, -1.0], [1.0, 1.0]]), np.eye(2)
    factor = np.ones((2, 2))
    assert hals(factor, mttkrp, gram, xp=NUMPY).tolist() == [[1.0, 0.0], [1.0, 1.0]]
    assert (factor == 1).all()
