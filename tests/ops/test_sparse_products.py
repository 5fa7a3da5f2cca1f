"""Products of sparse tensors are those of the arrays they stand for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp.ops import (
    COO,
    SparseLayout,
    _sparse_layout,
    _sparse_mttkrp,
    _sparse_ttm,
    coo,
    mode_product,
    mode_products,
    mttkrp,
)
from tdecomp.testing import gaussian

SHAPES = st.lists(st.integers(1, 6), min_size=2, max_size=5).map(tuple)
FEW = [(4, 3), (3, 1, 4), (2, 3, 2, 3)]


def problem(shape, columns, dtype="float64", nnz=30, seed=0):
    """Return a sparse tensor, the array it stands for, and one matrix for each mode."""
    rng = np.random.default_rng(seed)
    indices = np.stack([rng.integers(0, n, nnz) for n in shape])
    x = coo(indices, gaussian((nnz,), rng=seed, dtype=dtype), shape)
    widths = columns if isinstance(columns, tuple) else (columns,) * len(shape)
    factors = [
        gaussian((n, r), rng=k, dtype=dtype)
        for k, (n, r) in enumerate(zip(shape, widths, strict=True))
    ]
    return x, x.to_array(), factors


def move(x, xp):
    return COO(xp.asarray(x.indices), xp.asarray(x.values), x.shape)


def assert_close(found, dense, sizes):
    """Compare to rounding, relative to the product of the magnitudes that went in."""
    eps = np.finfo(found.dtype).eps
    assert found.shape == dense.shape
    assert np.all(abs(found - dense) <= 40 * eps * (sizes + np.finfo(found.dtype).tiny))


def magnitudes(product, dense, factors, *args):
    return product(abs(dense), [abs(factor) for factor in factors], *args)


@pytest.fixture
def compiled(monkeypatch):
    """Let the kernels take small problems, too, and cut those into many parts."""
    pytest.importorskip("numba")
    monkeypatch.setattr(_sparse_mttkrp, "_KERNEL_WORK", 0)
    monkeypatch.setattr(_sparse_ttm, "_KERNEL_WORK", 0)
    monkeypatch.setattr(_sparse_layout, "_SMALL", 1)
    monkeypatch.setattr(_sparse_layout, "_ENTRIES_PER_ROW", 0.1)
    monkeypatch.setattr(_sparse_layout, "_PIECE_ROWS", 4)


# --- MTTKRP ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", FEW)
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_mttkrp_on_every_backend(xp, dtype, shape):
    x, dense, factors = problem(shape, 3, dtype)
    there = [xp.asarray(factor) for factor in factors]
    for mode in range(len(shape)):
        found = xp.to_numpy(mttkrp(move(x, xp), there, mode))
        assert found.dtype == dtype
        sizes = magnitudes(mttkrp, dense, factors, mode)
        assert_close(found, mttkrp(dense, factors, mode), sizes)


@given(shape=SHAPES, rank=st.sampled_from([1, 2, 7]), seed=st.integers(0, 99), data=st.data())
def test_mttkrp_of_any_shape(shape, rank, seed, data):
    mode = data.draw(st.integers(-len(shape), len(shape) - 1))
    x, dense, factors = problem(shape, rank, seed=seed, nnz=data.draw(st.integers(0, 40)))
    found = mttkrp(x, factors, mode)
    assert_close(found, mttkrp(dense, factors, mode), magnitudes(mttkrp, dense, factors, mode))


@pytest.mark.parametrize("rank", [1, 8, 13, 16, 31, 33, 70])
@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.usefixtures("compiled")
def test_the_kernel_takes_any_rank(kind, rank):
    for shape, nnz in (((9, 7, 8), 200), ((40, 30), 100), ((3, 4, 2, 5, 3), 300)):
        x, dense, factors = problem(shape, rank, kind, nnz)
        layout = SparseLayout(x)
        for mode in range(len(shape)):
            sizes = magnitudes(mttkrp, dense, factors, mode)
            expected = mttkrp(dense, factors, mode)
            for found in (layout.mttkrp(mode, factors), mttkrp(x, factors, mode)):
                assert found.dtype == kind
                assert_close(found, expected, sizes)


@given(shape=SHAPES, seed=st.integers(0, 99), data=st.data())
def test_a_layout_multiplies_any_shape(shape, seed, data):
    pytest.importorskip("numba")
    x, dense, factors = problem(shape, 3, seed=seed, nnz=data.draw(st.integers(0, 60)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_sparse_layout, "_SMALL", 1)
        patch.setattr(_sparse_layout, "_ENTRIES_PER_ROW", data.draw(st.sampled_from([0.1, 100])))
        patch.setattr(_sparse_layout, "_PIECE_ROWS", data.draw(st.sampled_from([1, 2, 2048])))
        patch.setattr(_sparse_layout, "_SHORT", data.draw(st.sampled_from([0, 4096])))
        layout = SparseLayout(x)
    for mode in range(-len(shape), len(shape)):
        sizes = magnitudes(mttkrp, dense, factors, mode)
        assert_close(layout.mttkrp(mode, factors), mttkrp(dense, factors, mode), sizes)


@pytest.mark.usefixtures("compiled")
def test_a_crowded_row_is_shared_out():
    rng = np.random.default_rng(0)
    shape = (5, 30, 20)
    indices = np.stack([rng.integers(0, n, 2000) for n in shape])
    indices[0, :1500] = 3
    x = coo(indices, rng.standard_normal(2000), shape)
    factors = [gaussian((n, 4), rng=k) for k, n in enumerate(shape)]
    layout = SparseLayout(x)
    assert layout._arranged[0].by_block
    assert not layout._arranged[1].by_block
    for mode in range(3):
        sizes = magnitudes(mttkrp, x.to_array(), factors, mode)
        expected = mttkrp(x.to_array(), factors, mode)
        assert_close(layout.mttkrp(mode, factors), expected, sizes)


@pytest.mark.usefixtures("compiled")
def test_what_a_layout_gives_does_not_depend_on_threads():
    import numba

    x, _, factors = problem((30, 20, 25), 5, nnz=4000)
    layout = SparseLayout(x)
    threads = numba.get_num_threads()
    found = []
    try:
        for count in (1, threads):
            numba.set_num_threads(count)
            found.append([layout.mttkrp(mode, factors) for mode in range(3)])
    finally:
        numba.set_num_threads(threads)
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("one", "other"), [("float32", "float64"), ("float64", "complex64")])
def test_dtypes_meet(one, other):
    x, dense, _ = problem((4, 3, 5), 2, one)
    factors = [gaussian((n, 2), rng=n, dtype=other) for n in (4, 3, 5)]
    layout = SparseLayout(x)
    for found in (mttkrp(x, factors, 0), layout.mttkrp(0, factors)):
        assert found.dtype == np.result_type(one, other)
        np.testing.assert_allclose(found, mttkrp(dense, factors, 0), rtol=1e-5, atol=1e-5)


def test_a_layout_of_any_backend(xp):
    x, dense, factors = problem((4, 3, 5), 2)
    layout = SparseLayout(move(x, xp))
    found = xp.to_numpy(layout.mttkrp(1, [xp.asarray(factor) for factor in factors]))
    sizes = magnitudes(mttkrp, dense, factors, 1)
    assert_close(found, mttkrp(dense, factors, 1), sizes)


def test_the_factor_of_the_mode_is_not_looked_at():
    x, dense, factors = problem((4, 3, 5), 2)
    expected = mttkrp(dense, factors, 1)
    factors[1] = None
    np.testing.assert_allclose(mttkrp(x, factors, 1), expected, atol=1e-13)
    np.testing.assert_allclose(SparseLayout(x).mttkrp(1, factors), expected, atol=1e-13)


@pytest.mark.usefixtures("compiled")
def test_no_order_of_entries_is_taken_for_granted():
    x, dense, factors = problem((9, 7, 8), 3, nnz=100)
    mixed = COO(x.indices[:, ::-1], x.values[::-1], x.shape)
    sizes = magnitudes(mttkrp, dense, factors, 0)
    assert_close(mttkrp(mixed, factors, 0), mttkrp(dense, factors, 0), sizes)
    assert_close(SparseLayout(mixed).mttkrp(0, factors), mttkrp(dense, factors, 0), sizes)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
@pytest.mark.usefixtures("compiled")
def test_any_scale_will_do(scale):
    x, dense, factors = problem((9, 7, 8), 3, nnz=100)
    factors = [factor / 10 for factor in factors]
    large = x._replace(values=x.values * scale)
    sizes = magnitudes(mttkrp, dense, factors, 0)
    assert_close(mttkrp(large, factors, 0) / scale, mttkrp(dense, factors, 0), sizes)


# --- Products along modes ----------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5,), (3, 1, 4)])
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_a_product_along_a_mode_on_every_backend(xp, dtype, shape):
    x, dense, factors = problem(shape, 3, dtype)
    for mode in range(len(shape)):
        matrix = np.ascontiguousarray(factors[mode].T)
        y = mode_product(move(x, xp), xp.asarray(matrix), mode)
        assert isinstance(y, COO)
        found = xp.to_numpy(y.to_array())
        assert found.dtype == dtype
        assert_close(found, mode_product(dense, matrix, mode),
                     mode_product(abs(dense), abs(matrix), mode))  # fmt: skip
        positions = np.ravel_multi_index(tuple(xp.to_numpy(y.indices)), y.shape)
        assert np.all(np.diff(positions) > 0)


def test_a_product_along_a_mode_fills_the_fibres_that_had_entries():
    x = coo([[0, 0, 2], [1, 1, 0], [0, 3, 2]], [1.0, 2.0, 3.0], (4, 2, 5))
    y = mode_product(x, np.ones((6, 5)), -1)
    assert y.shape == (4, 2, 6)
    assert y.nnz == 2 * 6
    assert np.unique(y.values).tolist() == [3.0]


def test_products_of_nothing_are_nothing(xp):
    x = coo(xp.asarray(np.zeros((3, 0), np.int64)), xp.asarray(np.zeros(0)), (4, 2, 5))
    assert mode_product(x, xp.asarray(np.ones((6, 5))), 2).shape == (4, 2, 6)
    ones = [xp.asarray(np.ones((2, n))) for n in x.shape]
    np.testing.assert_array_equal(xp.to_numpy(mode_products(x, ones)), np.zeros((2, 2, 2)))
    factors = [xp.asarray(np.ones((n, 2))) for n in x.shape]
    np.testing.assert_array_equal(xp.to_numpy(mttkrp(x, factors, 1)), np.zeros((2, 2)))


@pytest.mark.parametrize("shape", [(5,), (2, 3, 2, 3)])
@pytest.mark.parametrize("skip", [None, 0, -1])
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_products_along_modes_on_every_backend(xp, dtype, shape, skip):
    widths = tuple(range(2, 2 + len(shape)))
    x, dense, factors = problem(shape, widths, dtype)
    there = [xp.asarray(factor) for factor in factors]
    found = mode_products(move(x, xp), there, skip=skip, adjoint=True)
    expected = mode_products(dense, factors, skip=skip, adjoint=True)
    sizes = mode_products(abs(dense), [abs(a) for a in factors], skip=skip, adjoint=True)
    assert_close(xp.to_numpy(found), expected, sizes)


@given(shape=SHAPES, seed=st.integers(0, 99), data=st.data())
@pytest.mark.parametrize("kind", ["float32", "complex128"])
def test_products_along_any_modes(kind, shape, seed, data):
    pytest.importorskip("numba")
    nnz, some = data.draw(st.integers(0, 60)), st.integers(1, 4)
    x, dense, _ = problem(shape, 1, kind, nnz, seed)
    modes = data.draw(st.lists(st.sampled_from(range(len(shape))), unique=True))
    matrices = [gaussian((data.draw(some), shape[k]), rng=k, dtype=kind) for k in modes]
    expected = mode_products(dense, matrices, modes=modes)
    sizes = mode_products(abs(dense), [abs(a) for a in matrices], modes=modes)
    assert_close(mode_products(x, matrices, modes=modes), expected, sizes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_sparse_ttm, "_KERNEL_WORK", 0)
        patch.setattr(_sparse_ttm, "_BLOCK_ENTRIES", data.draw(st.sampled_from([1, 1 << 22])))
        assert_close(mode_products(x, matrices, modes=modes), expected, sizes)


def test_one_product_is_the_same_as_many():
    x, _, factors = problem((4, 3, 5), 2)
    several = mode_products(x, factors, adjoint=True)
    y = x
    for mode, factor in enumerate(factors):
        y = mode_product(y, factor.T, mode)
    np.testing.assert_allclose(y.to_array(), several, atol=1e-13)


# --- What is refused ---------------------------------------------------------------------------


def test_what_does_not_fit_is_named(xp):
    x = move(problem((4, 3, 5), 2)[0], xp)
    ones = [xp.asarray(np.ones((n, 2))) for n in (4, 3, 5)]
    layout = SparseLayout(x)
    with pytest.raises(ValueError, match="got 2 factors for 3 modes"):
        mttkrp(x, ones[:2], 0)
    with pytest.raises(ValueError, match=r"factors\[1\] must have shape \(3, 2\)"):
        mttkrp(x, [ones[0], ones[0], ones[2]], 0)
    with pytest.raises(ValueError, match=r"factors\[1\] must have shape \(3, 2\)"):
        layout.mttkrp(0, [ones[0], ones[0], ones[2]])
    with pytest.raises(ValueError, match="mode must lie between -3 and 2"):
        layout.mttkrp(3, ones)
    with pytest.raises(ValueError, match="matrix must have 5 columns for mode 2"):
        mode_product(x, ones[2], 2)
    with pytest.raises(ValueError, match=r"matrices\[0\] must have 4 columns"):
        mode_products(x, ones)


def test_bad_entries_are_named():
    x = problem((4, 3), 2)[0]
    bad = np.ones((3, 2))
    bad[2, 1] = np.nan
    with pytest.raises(ValueError, match=r"the first at factors\[1\]\[2, 1\]"):
        mttkrp(x, [None, bad], 0)
    broken = COO(x.indices, np.where(np.arange(x.nnz) == 1, np.inf, x.values), x.shape)
    for product in (lambda: mttkrp(broken, [None, bad], 0), lambda: SparseLayout(broken)):
        with pytest.raises(ValueError, match=r"the first at values\[1\]"):
            product()


def test_coordinates_outside_never_reach_a_kernel():
    x = COO(np.array([[0, 7], [0, 1]]), np.ones(2), (4, 3))
    for product in (lambda: mttkrp(x, [np.ones((4, 2))] * 2, 1), lambda: SparseLayout(x)):
        with pytest.raises(ValueError, match=r"entry 1 lies at \(7, 1\)"):
            product()


def test_one_mode_has_no_other_factors():
    with pytest.raises(ValueError, match="x has one mode"):
        mttkrp(coo([[0, 2]], [1.0, 2.0]), [None], 0)


def test_a_layout_is_of_a_sparse_tensor():
    with pytest.raises(TypeError, match=r"x must be a COO, got numpy\.ndarray"):
        SparseLayout(np.ones((2, 2)))


def test_libraries_are_not_mixed(xp):
    if "numpy" in xp.name:
        pytest.skip("needs a second library")
    x = problem((4, 3), 2)[0]
    other = xp.asarray(np.ones((3, 2)))
    with pytest.raises(TypeError, match="one library"):
        mttkrp(x, [None, other], 0)
    with pytest.raises(TypeError, match="one library"):
        mode_product(x, xp.asarray(np.ones((2, 3))), 1)
    with pytest.raises(TypeError, match="one library"):
        mode_products(move(x, xp), [np.ones((2, 4))])
