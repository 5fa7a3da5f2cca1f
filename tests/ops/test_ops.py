"""Unfoldings and products against brute force, on every library."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp import ops

SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=5).map(tuple)


def draw(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@given(shape=SHAPES, data=st.data())
def test_fold_undoes_unfold_in_every_dtype(shape, data):
    mode = data.draw(st.integers(-len(shape), len(shape) - 1))
    dtype = data.draw(st.sampled_from(["int8", "bool", "float32", "complex128", "U1"]))
    x = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    unfolded = ops.unfold(x, mode)
    assert unfolded.shape == (shape[mode], x.size // shape[mode])
    assert unfolded.dtype == x.dtype
    assert np.array_equal(ops.fold(unfolded, mode, shape), x)


def test_unfolding_is_ordered_as_documented(xp):
    x = draw((2, 3, 4))
    for mode in range(3):
        rows = np.stack([np.take(x, i, axis=mode).reshape(-1) for i in range(x.shape[mode])])
        assert np.array_equal(xp.to_numpy(ops.unfold(xp.asarray(x), mode)), rows)


def test_no_entry_is_no_obstacle():
    x = np.zeros((3, 0, 2))
    assert ops.unfold(x, 0).shape == (3, 0)
    assert ops.fold(ops.unfold(x, 1), 1, x.shape).shape == x.shape


def test_mode_products_equal_the_sum(xp, dtype):
    x = draw((2, 3, 4)).astype(dtype)
    a, b, c = (draw((5, n), n).astype(dtype) for n in x.shape)
    got = ops.mode_products(xp.asarray(x), [xp.asarray(m) for m in (a, b, c)])
    expected = np.einsum("ijk,ai,bj,ck->abc", x, a, b, c)
    tolerance = 100 * np.finfo(dtype).eps * np.abs(expected).max()
    assert got.dtype == xp.asarray(x).dtype
    assert np.abs(xp.to_numpy(got) - expected).max() <= tolerance


@given(shape=st.lists(st.integers(1, 4), min_size=2, max_size=4).map(tuple), data=st.data())
def test_products_along_different_modes_commute_and_along_one_compose(shape, data):
    first, second = data.draw(st.permutations(range(len(shape))))[:2]
    x = draw(shape)
    a, b = draw((3, shape[first]), 1), draw((2, shape[second]), 2)
    one = ops.mode_product(ops.mode_product(x, a, first), b, second)
    other = ops.mode_product(ops.mode_product(x, b, second), a, first)
    both = ops.mode_products(x, [a, b], modes=[first, second])
    assert np.abs(one - other).max() <= 1e-13
    assert np.abs(one - both).max() <= 1e-13
    c = draw((4, 3), 3)
    composed = ops.mode_product(ops.mode_product(x, a, first), c, first)
    assert np.abs(composed - ops.mode_product(x, c @ a, first)).max() <= 1e-12


def test_the_adjoint_moves_across_the_inner_product():
    x, y = draw((2, 3)) + 1j * draw((2, 3), 1), draw((4, 5), 2) + 1j * draw((4, 5), 3)
    a, b = (draw((p, q), 4) + 1j * draw((p, q), 5) for p, q in ((4, 2), (5, 3)))
    forward = np.vdot(y, ops.mode_products(x, [a, b]))
    backward = np.vdot(ops.mode_products(y, [a, b], adjoint=True), x)
    assert abs(forward - backward) <= 1e-13 * abs(forward) * 10


def test_a_mode_product_is_a_product_of_the_unfolding():
    x, a = draw((3, 4, 5)), draw((2, 4))
    assert np.allclose(ops.unfold(ops.mode_product(x, a, 1), 1), a @ ops.unfold(x, 1), atol=1e-14)


def test_kronecker_is_that_of_numpy(xp):
    a, b, c = draw((2, 3)), draw((1, 4), 1), draw((3, 1), 2)
    got = ops.kronecker([xp.asarray(m) for m in (a, b, c)])
    assert np.allclose(xp.to_numpy(got), np.kron(np.kron(a, b), c), rtol=1e-15, atol=0)


def test_khatri_rao_has_kronecker_products_for_columns(xp):
    a, b, c = draw((2, 3)), draw((4, 3), 1), draw((1, 3), 2)
    got = xp.to_numpy(ops.khatri_rao([xp.asarray(m) for m in (a, b, c)]))
    for r in range(3):
        column = np.kron(np.kron(a[:, r], b[:, r]), c[:, r])
        assert np.allclose(got[:, r], column, rtol=1e-15, atol=0)


def test_the_gram_matrix_of_khatri_rao_is_a_hadamard_product():
    a, b = draw((6, 3)), draw((5, 3), 1)
    gram = ops.khatri_rao([a, b]).T @ ops.khatri_rao([a, b])
    assert np.allclose(gram, (a.T @ a) * (b.T @ b), rtol=1e-12)


def test_an_unfolded_sum_of_rank_one_terms_is_factor_times_khatri_rao():
    factors = [draw((n, 3), n) for n in (2, 4, 5)]
    x = np.einsum("ir,jr,kr->ijk", *factors)
    for mode in range(3):
        others = [f for k, f in enumerate(factors) if k != mode]
        assert np.allclose(ops.unfold(x, mode), factors[mode] @ ops.khatri_rao(others).T)


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: ops.unfold(np.ones((2, 3)), 2), ValueError, "mode must lie between -2 and 1"),
    (lambda: ops.unfold(np.ones((2, 3)), 0.5), TypeError, "mode must be an int"),
    (lambda: ops.unfold(np.float64(3), 0), ValueError, "at least one mode"),
    (lambda: ops.fold(np.ones((2, 3)), 0, (2, 4)), ValueError, r"shape \(2, 4\) to fold"),
    (lambda: ops.mode_product(np.ones((2, 3)), np.ones((4, 2)), 1), ValueError, "3 columns"),
    (lambda: ops.mode_products(np.ones((2, 3)), [np.ones((2, 2))] * 2, modes=[0, 0]),
     ValueError, "all be different"),
    (lambda: ops.mode_products(np.ones((2, 3)), [np.ones((2, 2))], modes=[0, 1]),
     ValueError, "1 matrices for 2 modes"),
    (lambda: ops.mode_product(np.ones((2, 3)), np.full((2, 3), np.nan), 1),
     ValueError, "has 6 non-finite"),
    (lambda: ops.khatri_rao([np.ones((2, 3)), np.ones((2, 4))]), ValueError, "number of columns"),
    (lambda: ops.khatri_rao([]), ValueError, "matrices is empty"),
    (lambda: ops.kronecker([np.ones(3)]), ValueError, "must have 2 dim"),
])  # fmt: skip
def test_what_does_not_fit_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
