"""The few functions that the standard lacks agree with NumPy and SciPy on every backend."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp import _shim
from tdecomp.testing import gaussian, matrix, spectrum


def test_a_matrix_without_a_cholesky_factor_has_none(xp):
    a = np.array([[4.0, 2.0], [2.0, 5.0]])
    lower = xp.to_numpy(_shim.cholesky(xp.asarray(a), xp.namespace))
    assert np.allclose(lower, [[2.0, 0.0], [1.0, 2.0]], rtol=1e-15)
    assert _shim.cholesky(xp.asarray(a - 4 * np.eye(2)), xp.namespace) is None
    with pytest.raises(np.linalg.LinAlgError, match="square"):
        _shim.cholesky(a[:1], np)


# Few shapes, since JAX compiles for each: below, at and beyond the block of the substitution.
@given(n=st.sampled_from([1, 5, 16, 17, 40]), columns=st.just(3), lower=st.booleans())
def test_a_triangular_solve_has_a_small_residual(xp, dtype, n, columns, lower):
    t = gaussian((n, n), dtype=dtype) / 2 / n**0.5 + 2 * np.eye(n, dtype=dtype)
    t = np.tril(t) if lower else np.triu(t)
    b = gaussian((n, columns), dtype=dtype, rng=1)
    x = xp.to_numpy(_shim.solve_triangular(xp.asarray(t), xp.asarray(b), xp, lower=lower))
    assert x.dtype == dtype
    bound = 20 * n * np.finfo(dtype).eps * np.linalg.norm(t) * np.linalg.norm(x)
    assert np.linalg.norm(t @ x - b) <= bound


@pytest.mark.parametrize("lower", [True, False])
def test_a_graded_triangle_is_solved_row_by_row(xp, lower):
    # Componentwise backward stable, as substitution is: bad row scaling costs nothing.
    n, scales = 24, np.logspace(0, -12, 24)
    t = gaussian((n, n)) / 8 + np.eye(n)
    t = scales[:, None] * (np.tril(t) if lower else np.triu(t))
    b = gaussian((n, 2), rng=1)
    x = xp.to_numpy(_shim.solve_triangular(xp.asarray(t), xp.asarray(b), xp, lower=lower))
    assert np.all(np.abs(t @ x - b) <= 1e3 * np.finfo(float).eps * (np.abs(t) @ np.abs(x)))


@pytest.mark.writable
def test_a_triangular_solve_leaves_its_arguments(xp):
    t, b = np.tril(gaussian((5, 5))) + 3 * np.eye(5), gaussian((5, 2), rng=1)
    left, right = xp.asarray(t), xp.asarray(b)
    _shim.solve_triangular(left, right, xp, lower=True)
    np.testing.assert_array_equal(xp.to_numpy(left), t)
    np.testing.assert_array_equal(xp.to_numpy(right), b)


@given(shape=st.sampled_from([(1, 1), (5, 5), (8, 3), (3, 8)]), seed=st.integers(0, 99))
def test_least_squares_is_the_shortest_solution(xp, dtype, shape, seed):
    m, n = shape
    rank = 1 + seed % min(m, n)
    a = matrix(m, n, np.linspace(1.0, 0.5, rank), rng=seed, dtype=dtype)
    b = gaussian((m, 2), dtype=dtype, rng=seed)
    x = xp.to_numpy(_shim.lstsq(xp.asarray(a), xp.asarray(b), xp))
    tol = 50 * np.finfo(dtype).eps * np.linalg.norm(b)
    np.testing.assert_allclose(a.conj().T @ (a @ x - b), 0, atol=tol)
    # No part in the null space.
    np.testing.assert_allclose(np.linalg.pinv(a, rcond=1e-3) @ (a @ x), x, atol=tol)


def test_least_squares_in_a_batch(xp):
    a = np.stack([matrix(5, 3, spectrum("flat", 3), rng=seed) for seed in range(4)])
    b = gaussian((4, 5, 1))
    x = xp.to_numpy(_shim.lstsq(xp.asarray(a), xp.asarray(b), xp))
    np.testing.assert_allclose(x, np.swapaxes(a, 1, 2) @ b, atol=1e-14)


def test_least_squares_of_zero_is_zero(xp):
    x = _shim.lstsq(xp.asarray(np.zeros((3, 2))), xp.asarray(np.ones((3, 1))), xp)
    assert np.all(xp.to_numpy(x) == 0)


@given(data=st.data())
def test_repeated_indices_accumulate(xp, dtype, data):
    rows, count, tail = data.draw(
        st.sampled_from([(1, 4, ()), (6, 8, ()), (5, 3, (3,)), (2, 9, (2, 2)), (4, 0, (2,))])
    )
    index = data.draw(st.lists(st.integers(0, rows - 1), min_size=count, max_size=count))
    x = gaussian((rows, *tail), dtype=dtype)
    values = gaussian((len(index), *tail), dtype=dtype, rng=1)
    expected = x.copy()
    for i, value in zip(index, values, strict=True):
        expected[i] += value
    array = xp.asarray(x)
    where = xp.asarray(np.array(index, dtype=np.int64))
    out = xp.to_numpy(_shim.index_add(array, where, xp.asarray(values), xp))
    tol = 8 * np.finfo(dtype).eps
    np.testing.assert_allclose(out, expected, rtol=tol, atol=8 * tol)
    np.testing.assert_array_equal(xp.to_numpy(array), x)


SUBSCRIPTS = (
    ("ij->ji", (2, 3)),
    ("ij->", (2, 3)),
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ir,jr->ijr", (2, 3), (4, 3)),
    ("ijk,jr,kr->ir", (2, 3, 4), (3, 5), (4, 5)),
    ("ab,cd->dbca", (2, 3), (4, 5)),
    ("bij, bjk -> bik", (2, 3, 4), (2, 4, 5)),
    ("r,ir,jr->ij", (3,), (2, 3), (4, 3)),
)


@pytest.mark.parametrize("case", SUBSCRIPTS, ids=lambda case: case[0])
def test_contractions_follow_the_summation_convention(xp, dtype, case):
    subscripts, *shapes = case
    operands = [gaussian(shape, dtype=dtype, rng=seed) for seed, shape in enumerate(shapes)]
    found = xp.to_numpy(_shim.einsum(subscripts, [xp.asarray(a) for a in operands], xp))
    expected = np.einsum(subscripts, *(a.astype(complex) for a in operands))
    tol = 50 * np.finfo(dtype).eps
    np.testing.assert_allclose(found, expected, rtol=tol, atol=tol * np.max(np.abs(expected)))


def test_arrays_of_any_library_and_device_come_to_the_host(xp, dtype):
    a = gaussian((3, 2), dtype=dtype)
    found = _shim.host(xp.asarray(a))
    assert type(found) is np.ndarray
    assert found.dtype == dtype
    assert np.all(found == a)


def test_lazy_views_and_what_is_differentiated_come_to_the_host():
    torch = pytest.importorskip("torch")
    a = gaussian((3, 2), dtype="complex128")
    leaf = torch.tensor(a, requires_grad=True)
    assert np.all(_shim.host(leaf.mH) == np.conj(a.T))
    assert np.all(_shim.host(torch.tensor(a).conj().imag) == -a.imag)
