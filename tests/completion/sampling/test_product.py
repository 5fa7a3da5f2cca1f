"""Products are held by their picked rows: what is not stored costs nothing."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse

from tdecomp.completion.sampling import LengthSquaredMatrix, _product, sampled_matmul
from tdecomp.ops import COO

RNG = np.random.default_rng(0)
A, B = (RNG.standard_normal((40, n)) * (RNG.random((40, n)) < 0.2) for n in (12, 9))


def operand(x, kind):
    """Return a matrix as it can be passed: kept dense or sparse, or an array."""
    if kind == "array":
        return x
    return LengthSquaredMatrix(scipy.sparse.csr_array(x) if kind == "sparse" else x)


def five_in_each_row(n):
    rng = np.random.default_rng(0)
    entries = rng.standard_normal(5 * n), rng.integers(0, n, 5 * n), 5 * np.arange(n + 1)
    return LengthSquaredMatrix(scipy.sparse.csr_array(entries, shape=(n, n)))


def test_memory_does_not_grow_with_the_dimensions():
    peaks = []
    for n in (2_000, 2_000, 200_000):  # the first run imports and compiles
        a, b = five_in_each_row(n), five_in_each_row(n)
        tracemalloc.start()
        product = sampled_matmul(a, b, samples=100, rng=0)
        product.query([0, n - 1], [1, n // 2])
        product.to_array(([5, -1], slice(n - 3, n)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert product.shape == (n, n)
        assert max(product.first.nnz, product.second.nnz) <= 500
    assert peaks[2] < 2 * peaks[1]
    assert peaks[2] < 200_000


@pytest.mark.parametrize("factor", [1.0, 1.0 - 2.0j])
@pytest.mark.parametrize(
    "kinds", [("sparse", "sparse"), ("sparse", "array"), ("dense", "sparse"), ("dense", "array")]
)
def test_a_sparse_product_is_the_dense_one(kinds, factor):
    a, b = factor * A, B * np.exp((factor - 1.0) * np.arange(9))
    exact = sampled_matmul(operand(a, "dense"), b, samples=25, rng=1)
    found = sampled_matmul(*map(operand, (a, b), kinds), samples=25, rng=1)
    parts = (found.first, found.second)
    assert [type(p) is COO for p in parts] == [kind == "sparse" for kind in kinds]
    assert (found.shape, found.rank, found.modes) == ((12, 9), 25, 2)
    assert found.dtype == exact.dtype
    assert found.bound == pytest.approx(exact.bound)
    whole = exact.left @ exact.right
    assert exact.left.shape == (12, 25)
    close = {"rtol": 1e-12, "atol": 1e-12 * exact.bound}
    np.testing.assert_allclose(found.left, exact.left, **close)
    np.testing.assert_allclose(found.right, exact.right, **close)
    np.testing.assert_allclose(found.to_array(), whole, **close)
    for x in (np.arange(9.0), np.eye(9)[:, :2], np.ones((3, 9, 2)) * np.arange(3)[:, None, None]):
        np.testing.assert_allclose(found @ x, whole @ x, **close)
    assert (found @ np.ones((9, 0))).shape == (12, 0)


@pytest.mark.parametrize("kind", ["sparse", "dense"])
def test_some_entries_are_those_of_the_whole(kind):
    product = sampled_matmul(operand(A, kind), operand(B, kind), samples=25, rng=1)
    whole = product.to_array()
    close = {"rtol": 1e-12, "atol": 1e-12 * product.bound}
    for region in (
        slice(3, 9),
        (slice(None, None, -2), slice(0)),
        ([5, -1, 5], slice(7, 1, -3)),
        (2, np.asarray([8, 0])),
        (slice(1, 4), -2),
        (-1, 3),
    ):
        pair = region if isinstance(region, tuple) else (region, slice(None))
        wanted = whole[pair[0]][..., pair[1]]
        np.testing.assert_allclose(product.to_array(region), wanted, **close)
    rows, columns = [11, 0, -2, 0], [3, 3, -9, 8]
    np.testing.assert_allclose(product.query(rows, columns), whole[rows, columns], **close)
    assert product.query(4, -1).shape == ()
    assert product.query([], []).shape == (0,)


def test_many_entries_are_formed_a_few_at_a_time(monkeypatch):
    product = sampled_matmul(operand(A, "sparse"), B, samples=25, rng=1)
    rows, columns = (np.ravel(index) for index in np.indices((12, 9)))
    whole = product.query(rows, columns)
    monkeypatch.setattr(_product, "BLOCK_ENTRIES", 25 * 10)
    np.testing.assert_array_equal(product.query(rows, columns), whole)
    np.testing.assert_allclose(whole.reshape(12, 9), product.to_array(), rtol=1e-10, atol=1e-10)


def test_a_product_stays_as_it_was_when_its_matrices_change():
    a = operand(A, "sparse")
    product = sampled_matmul(a, a, samples=25, rng=1)
    before = product.to_array()
    rows, columns = np.nonzero(A)
    a.update(rows, columns, 0.0)
    np.testing.assert_array_equal(product.to_array(), before)


def test_nothing_stored_gives_zero():
    stored = scipy.sparse.csr_array((np.zeros(1), ([0], [1])), shape=(4, 2))
    for a in (scipy.sparse.csr_array((4, 2)), stored, np.zeros((4, 2))):
        held = LengthSquaredMatrix(a)
        for b in (held, LengthSquaredMatrix(np.full((4, 2), 1.7e308))):
            product = sampled_matmul(held, b, samples=5, rng=0)
            assert product.bound == 0.0
            assert product.query(1, 1) == 0.0
            np.testing.assert_array_equal(product.to_array(), np.zeros((2, 2)))
            np.testing.assert_array_equal(product @ np.ones(2), np.zeros(2))
    product = sampled_matmul(np.eye(4), LengthSquaredMatrix(stored), samples=5, rng=0)
    np.testing.assert_array_equal(product.to_array(), np.zeros((4, 2)))


@pytest.mark.parametrize(("first", "second"), [(1e-200, 1e200), (1e300, 1e-300)])
def test_scales_cancel_in_sparse_products(first, second):
    plain = sampled_matmul(A, B, samples=30, rng=0)
    a, b = operand(A * first, "sparse"), operand(B * second, "sparse")
    found = sampled_matmul(a, b, samples=30, rng=0)
    np.testing.assert_allclose(found.to_array(), plain.to_array(), rtol=1e-9, atol=1e-9)
    assert found.bound == pytest.approx(plain.bound)


def test_regions_and_entries_in_every_library(xp):
    held = LengthSquaredMatrix(xp.asarray(A))
    product = sampled_matmul(held, xp.asarray(B), samples=6, rng=0)
    whole = xp.to_numpy(product.to_array())
    close = {"rtol": 1e-12, "atol": 1e-12 * product.bound}
    np.testing.assert_allclose(
        xp.to_numpy(product.to_array(([1, -1], 2))), whole[[1, -1], 2], **close
    )
    np.testing.assert_allclose(
        xp.to_numpy(product.query([1, -1], [2, 0])), whole[[1, -1], [2, 0]], **close
    )


@pytest.mark.parametrize("kind", ["sparse", "dense"])
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: p.query(12, 0), ValueError, "rows must lie between -12 and 11"),
        (lambda p: p.query([0], [9]), ValueError, r"columns has an index outside of -9 \.\.\. 8"),
        (lambda p: p.query([0, 1], [2]), ValueError, "equally many"),
        (lambda p: p.query(0, [2]), ValueError, "equally many"),
        (lambda p: p.query([0.5], [2]), TypeError, "rows must be"),
        (lambda p: p.to_array(([12], 0)), ValueError, r"region\[0\] has an index outside"),
        (lambda p: p.to_array((0, [9])), ValueError, r"region\[1\] has an index outside"),
        (lambda p: p.to_array((0, 9)), ValueError, r"region\[1\] must lie between -9 and 8"),
        (lambda p: p.to_array((0,)), ValueError, "one entry for each"),
        (lambda p: p @ np.ones(8), ValueError, "mismatch"),
    ],
)
def test_bad_places_are_named(kind, call, error, message):
    product = sampled_matmul(operand(A, kind), operand(B, kind), samples=3, rng=0)
    with pytest.raises(error, match=message):
        call(product)
