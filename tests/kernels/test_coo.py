"""The kernels of sparse tensors give what their twins give, compiled or not."""

from itertools import pairwise

import numpy as np
import pytest

from tdecomp.testing import gaussian

pytest.importorskip("numba")

from tdecomp._kernels import _coo_kronecker, _coo_order, _coo_rows

SHAPE = (7, 5, 6)


def variant(kernel, compiled):
    return kernel if compiled else kernel.py_func


def entries(nnz=60, dtype="float64"):
    rng = np.random.default_rng(0)
    flat = np.sort(rng.choice(np.prod(SHAPE), nnz, replace=False))
    return np.stack(np.unravel_index(flat, SHAPE)), gaussian((nnz,), dtype=dtype)


@pytest.fixture(params=[True, False], ids=["compiled", "python"])
def compiled(request):
    return request.param


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_a_digit_is_sorted_stably(compiled, dtype):
    keys = np.random.default_rng(0).integers(0, 1 << 20, 300)
    values = gaussian((300,), dtype=dtype)
    out = np.empty_like(keys), np.empty_like(values)
    variant(_coo_order.sort_by_digit, compiled)(keys, values, 4, *out)
    order = np.argsort((keys >> 4) & ((1 << _coo_order.DIGIT) - 1), kind="stable")
    np.testing.assert_array_equal(out[0], keys[order])
    np.testing.assert_array_equal(out[1], values[order])


@pytest.mark.parametrize(
    ("where", "value"), [(None, 0), ((0, 0), -1), ((2, 9), 6), ((1, 3), 5), ((0, 30), 0)]
)
def test_disorder_is_found(compiled, where, value):
    indices, _ = entries()
    if where is not None:
        indices[where] = value
    found = np.zeros(1, np.int64)
    variant(_coo_order.find_disorder, compiled)(indices, np.asarray(SHAPE), found)
    assert bool(found[0]) == (where is not None)
    twice = np.repeat(indices, 2, axis=1)
    variant(_coo_order.find_disorder, compiled)(twice, np.asarray(SHAPE), found)
    assert found[0]


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_rows_are_counted_and_written_in_order(compiled, mode):
    indices, values = entries()
    cuts = np.array([0, 25, 25, 60])
    starts = np.zeros((3, SHAPE[mode] + 1), np.int64)
    variant(_coo_order.count_rows, compiled)(cuts, indices[mode], indices[mode], 63, starts)
    others = tuple(k for k in range(3) if k != mode)
    offsets = (0, SHAPE[others[0]])
    rows, out = np.empty((60, 2), np.uint32), np.empty(60)
    args = (cuts, indices, values, mode, mode, 63, others, offsets, starts, rows, out)
    variant(_coo_order.write_by_row, compiled)(*args)
    for b in range(3):
        part = slice(cuts[b], cuts[b + 1])
        order = cuts[b] + np.argsort(indices[mode, part], kind="stable")
        counts = np.bincount(indices[mode, part], minlength=SHAPE[mode])
        np.testing.assert_array_equal(np.diff(starts[b]), counts)
        assert starts[b, 0] == cuts[b]
        np.testing.assert_array_equal(out[part], values[order])
        expected = np.stack(
            [indices[k, order] + first for k, first in zip(others, offsets, strict=True)], 1
        )
        np.testing.assert_array_equal(rows[part], expected)


def test_pieces_of_blocks_have_rows_of_their_own(compiled):
    indices, values = entries()
    cuts, starts = np.array([0, 25, 60]), np.zeros((2 * 3, SHAPE[0] + 1), np.int64)
    variant(_coo_order.count_rows, compiled)(cuts, indices[0], indices[2], 1, starts)
    rows, out = np.empty((60, 2), np.uint32), np.empty(60)
    args = (cuts, indices, values, 0, 2, 1, (1, 2), (0, SHAPE[1]), starts, rows, out)
    variant(_coo_order.write_by_row, compiled)(*args)
    for b in range(2):
        part = slice(cuts[b], cuts[b + 1])
        order = cuts[b] + np.lexsort((indices[0, part], indices[2, part] >> 1))
        np.testing.assert_array_equal(out[part], values[order])
        np.testing.assert_array_equal(rows[part, 1], indices[2, order] + SHAPE[1])
        for piece in range(3):
            first, last = starts[3 * b + piece, [0, -1]]
            assert np.all(rows[first:last, 1] - SHAPE[1] >> 1 == piece)


def sums(values, rows, factors, starts):
    """Add products of rows by brute force, in double precision."""
    products = values[:, None].astype(complex)
    for m in range(rows.shape[1]):
        products = products * factors[rows[:, m]]
    return np.stack([products[a:b].sum(axis=0) for a, b in pairwise(starts)])


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("by_block", [False, True])
def test_products_are_summed_by_row(compiled, dtype, order, by_block):
    rng = np.random.default_rng(0)
    lanes = (0, 0)
    width = 2 * _coo_rows.VECTOR_BYTES // np.dtype(dtype).itemsize
    values, factors = gaussian((50,), dtype=dtype), gaussian((9, width), rng=1, dtype=dtype)
    rows = rng.integers(0, 9, (50, order)).astype(np.uint32)
    starts = np.array([[0, 3, 3, 20], [20, 31, 50, 50]])
    expected = sums(values, rows, factors, starts[0]) + sums(values, rows, factors, starts[1])
    sizes = sum(sums(abs(values), rows, abs(factors), row).real for row in starts)
    kernel = _coo_rows.products_by_block if by_block else _coo_rows.products_by_row
    bounds = np.array([0, 1, 2]) if by_block else np.array([0, 2, 3])
    apart = np.repeat(values, 2)[::2], np.concatenate([rows, rows], axis=1)[:, :order]
    for some, where in ((values, rows), apart):
        out = np.zeros((2 if by_block else 1, 3, width), dtype)
        variant(kernel, compiled)(starts, bounds, some, where, factors, lanes, out)
        assert np.all(abs(out.sum(axis=0) - expected) <= 40 * np.finfo(dtype).eps * sizes)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("widths", [(3,), (2, 3), (2, 1, 3)])
def test_kronecker_products_are_summed_by_row(compiled, dtype, widths):
    rng = np.random.default_rng(0)
    values, matrices = gaussian((50,), dtype=dtype), gaussian((4, 3), rng=1, dtype=dtype)
    rows = rng.integers(0, 4, (50, len(widths))).astype(np.uint32)
    starts = np.array([0, 3, 3, 20, 50])

    def products(values, matrices):
        total = values[:, None].astype(complex)
        for m, width in enumerate(widths):
            pairs = total[:, :, None] * matrices[rows[:, m], None, :width]
            total = pairs.reshape(50, -1)
        return np.stack([total[a:b].sum(axis=0) for a, b in pairwise(starts)])

    out = np.full((3, int(np.prod(widths))), np.nan, dtype)
    args = (starts, np.array([1, 2, 4]), values, rows, matrices, np.asarray(widths), out)
    variant(_coo_kronecker.kronecker_rows, compiled)(*args)
    gap = abs(out - products(values, matrices)[1:])
    assert np.all(gap <= 40 * np.finfo(dtype).eps * products(abs(values), abs(matrices))[1:].real)


@pytest.mark.parametrize("by_block", [False, True])
def test_long_sums_in_single_precision_lose_few_digits(by_block):
    n = 100_000
    values, factors = np.full(n, 0.1, np.float32), np.ones((1, 16), np.float32)
    rows, starts = np.zeros((n, 2), np.uint32), np.array([[0, n]])
    out = np.zeros((1, 1, 16), np.float32)
    kernel = _coo_rows.products_by_block if by_block else _coo_rows.products_by_row
    kernel(starts, np.array([0, 1]), values, rows, factors, (0,), out)
    # One after the other they would lose three digits more.
    assert np.all(abs(out / (n * np.float64(values[0])) - 1) <= 100 * np.finfo(np.float32).eps)
