"""Khatri-Rao and Kronecker products satisfy the identities that define their use."""

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from tdecomp.ops import khatri_rao, kronecker, unfold
from tdecomp.testing import gaussian

BOTH = pytest.mark.parametrize("product", [khatri_rao, kronecker])
SHAPES = st.sampled_from([[(3, 2)], [(2, 3), (4, 3)], [(2, 2), (1, 2), (3, 2)]])
DIMS = st.integers(1, 4)


EPS = float(np.finfo(float).eps)


def close(found, expected, eps=EPS):
    np.testing.assert_allclose(found, expected, rtol=0, atol=200 * eps * np.max(np.abs(expected)))


def pick(product, many, width=3):
    """Draw matrices that `product` can take."""
    shapes = [(n, width if product is khatri_rao else 1 + n % 3) for n in many]
    return [gaussian(shape, rng=k) for k, shape in enumerate(shapes)]


@given(shapes=SHAPES)
def test_they_are_the_products_of_entries(xp, dtype, shapes):
    factors = [gaussian(shape, dtype=dtype, rng=k) for k, shape in enumerate(shapes)]
    there = [xp.asarray(a) for a in factors]
    eps = np.finfo(dtype).eps
    found = xp.to_numpy(khatri_rao(there))
    assert found.dtype == dtype
    for r in range(shapes[0][1]):
        column = np.ones(1)
        for a in factors:
            column = np.multiply.outer(column, a[:, r].astype(complex)).ravel()
        close(found[:, r], column, eps)
    found = xp.to_numpy(kronecker(there))
    assert found.dtype == dtype
    expected = np.ones((1, 1))
    for a in factors:
        expected = np.kron(expected, a.astype(complex))
    close(found, expected, eps)


@given(m=DIMS, n=DIMS, r=DIMS)
def test_two_matrices_agree_with_scipy(m, n, r):
    a, b = gaussian((m, r)), gaussian((n, r), rng=1)
    np.testing.assert_array_equal(khatri_rao([a, b]), scipy.linalg.khatri_rao(a, b))
    np.testing.assert_array_equal(kronecker([a, b]), np.kron(a, b))


@given(many=st.lists(DIMS, min_size=3, max_size=3))
@BOTH
def test_they_are_associative(product, many):
    a, b, c = pick(product, many)
    whole = product([a, b, c])
    close(product([product([a, b]), c]), whole)
    close(product([a, product([b, c])]), whole)


@BOTH
def test_one_matrix_is_its_own_product(xp, product):
    a = gaussian((3, 2))
    np.testing.assert_array_equal(xp.to_numpy(product([xp.asarray(a)])), a)


@given(dims=st.tuples(*[DIMS] * 6))
def test_kronecker_products_multiply_factor_by_factor(dims):
    m, n, p, q, r, s = dims
    a, b = gaussian((m, n)), gaussian((p, q), rng=1)
    c, d = gaussian((n, r), rng=2), gaussian((q, s), rng=3)
    left, right = kronecker([a, b]) @ kronecker([c, d]), kronecker([a @ c, b @ d])
    scale = np.linalg.norm(np.abs(a) @ np.abs(c)) * np.linalg.norm(np.abs(b) @ np.abs(d))
    assert np.linalg.norm(left - right) <= 1e-14 * scale


@given(dims=st.tuples(*[DIMS] * 5))
def test_a_kronecker_times_a_khatri_rao_product(dims):
    m, n, p, q, r = dims
    a, b = gaussian((m, n)), gaussian((p, q), rng=1)
    c, d = gaussian((n, r), rng=2), gaussian((q, r), rng=3)
    left, right = kronecker([a, b]) @ khatri_rao([c, d]), khatri_rao([a @ c, b @ d])
    scale = np.linalg.norm(np.abs(a) @ np.abs(c)) * np.linalg.norm(np.abs(b) @ np.abs(d))
    assert np.linalg.norm(left - right) <= 1e-14 * scale


@given(many=st.lists(DIMS, min_size=1, max_size=3))
def test_the_gram_matrix_of_a_khatri_rao_product_is_a_hadamard_product(many):
    factors = [gaussian((n, 3), dtype="complex128", rng=k) for k, n in enumerate(many)]
    whole = khatri_rao(factors)
    expected = np.ones((3, 3))
    for a in factors:
        expected = expected * (a.conj().T @ a)
    np.testing.assert_allclose(
        whole.conj().T @ whole, expected, rtol=0, atol=1e-14 * np.linalg.norm(whole) ** 2
    )


@given(many=st.lists(DIMS, min_size=1, max_size=3))
def test_singular_values_of_a_kronecker_product_multiply(many):
    factors = pick(kronecker, many)
    expected = np.ones(1)
    for a in factors:
        expected = np.multiply.outer(expected, np.linalg.svdvals(a)).ravel()
    expected = np.sort(expected)[::-1]
    found = np.linalg.svdvals(kronecker(factors))[: expected.size]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14 * (expected[0] + 1e-30))


@pytest.mark.parametrize("mode", range(3))
def test_unfoldings_of_cp_and_tucker_tensors(mode):
    factors, core = [gaussian((n, 2), rng=n) for n in (3, 4, 5)], gaussian((2, 2, 2))
    rest = [a for k, a in enumerate(factors) if k != mode]
    x = np.einsum("ir,jr,kr->ijk", *factors)
    close(unfold(x, mode), factors[mode] @ khatri_rao(rest).T)
    x = np.einsum("abc,ia,jb,kc->ijk", core, *factors)
    close(unfold(x, mode), factors[mode] @ unfold(core, mode) @ kronecker(rest).T)


@BOTH
def test_dtypes_meet(xp, product):
    a, b = gaussian((2, 2), dtype="float32"), gaussian((3, 2), dtype="complex128", rng=1)
    found = xp.to_numpy(product([xp.asarray(a), xp.asarray(b)]))
    assert found.dtype == "complex128"
    close(found, product([a.astype(complex), b]))


@BOTH
def test_it_compiles(xp, product):
    factors = [gaussian((2, 2)), gaussian((3, 2), rng=1)]
    found = xp.jit(product)([xp.asarray(a) for a in factors])
    close(xp.to_numpy(found), product(factors))


@BOTH
def test_lists_and_lone_arrays(product):
    found = product([[[1, 2], [3, 4]], np.ones((1, 2))])
    close(found, product([np.array([[1.0, 2.0], [3.0, 4.0]]), np.ones((1, 2))]))
    stack = gaussian((2, 3, 2))
    close(product(stack), product(list(stack)))


# --- What is refused ---------------------------------------------------------------------------


@BOTH
def test_nothing_has_no_product(product):
    with pytest.raises(ValueError, match="matrices is empty: give at least one"):
        product([])


@BOTH
def test_bad_matrices_are_named(xp, product):
    good = xp.asarray(np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"matrices\[1\] must have 2 dimensions, got"):
        product([good, xp.asarray(np.ones(2))])
    with pytest.raises(ValueError, match=r"matrices\[1\] is empty"):
        product([good, xp.asarray(np.ones((0, 2)))])
    with pytest.raises(ValueError, match=r"the first at matrices\[1\]\[0, 1\]"):
        product([good, xp.asarray(np.array([[1.0, np.nan]]))])
    with pytest.raises(TypeError, match=r"matrices\[1\] must be an array"):
        product([good, None])


def test_khatri_rao_needs_one_number_of_columns(xp):
    with pytest.raises(ValueError, match=r"one number of columns, got \[2, 3\]"):
        khatri_rao([xp.asarray(np.ones((2, 2))), xp.asarray(np.ones((2, 3)))])


@BOTH
def test_libraries_are_not_mixed(xp, product):
    if "numpy" in xp.name:
        pytest.skip("needs a second library")
    with pytest.raises(TypeError, match="one library"):
        product([np.ones((2, 2)), xp.asarray(np.ones((2, 2)))])
