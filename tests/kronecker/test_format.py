"""Sums of Kronecker products against the matrices that they stand for."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from tdecomp import relative_error
from tdecomp.kronecker import Butterfly, KroneckerSum, Monarch
from tdecomp.kronecker._format import as_sum as checked
from tdecomp.linalg import LowRank
from tdecomp.testing import gaussian

SHAPES = [((2, 3), (4, 5)), ((3, 2), (2, 2), (5, 3)), ((1, 4), (3, 1)), ((6, 1), (1, 5))]


@pytest.fixture(params=SHAPES, ids=str)
def shapes(request):
    return request.param


def test_entries_are_those_of_the_dense_sum(xp, shapes, dtype, drawn):
    k, a = drawn(shapes, 3, dtype=dtype, xp=xp)
    assert (k.shape, k.shapes, k.rank, k.dtype) == (a.shape, shapes, 3, getattr(xp, dtype))
    assert k.n_parameters == 3 * sum(m * n for m, n in shapes)
    eps = np.finfo(dtype).eps
    assert np.abs(xp.to_numpy(k.to_array()) - a).max() <= 50 * eps * np.abs(a).max()
    assert np.abs(xp.to_numpy(k.mT.to_array()) - a.T).max() <= 50 * eps * np.abs(a).max()
    assert np.abs(xp.to_numpy(k.mH.to_array()) - a.conj().T).max() <= 50 * eps * np.abs(a).max()


@pytest.mark.parametrize("b", [None, 1, 4])
def test_products_agree_with_the_dense_ones(xp, shapes, dtype, b, drawn):
    k, a = drawn(shapes, 3, dtype=dtype, xp=xp)
    x = gaussian((a.shape[1],) if b is None else (a.shape[1], b), rng=9, dtype=dtype)
    y = xp.to_numpy(k @ xp.asarray(x))
    left, right, *rest = (abs(xp.to_numpy(f)) for f in k.factors)
    sizes, eps = KroneckerSum(left, right, tuple(rest)), np.finfo(dtype).eps
    assert y.dtype == np.dtype(dtype)
    assert np.all(abs(y - a @ x) <= 50 * eps * (sizes @ abs(x)))
    # As close to what it is asked for, entry by entry, the adjoint too.
    z = gaussian((a.shape[0],) if b is None else (a.shape[0], b), rng=3, dtype=dtype)
    for turned, dense in ((k.mH, a.conj().T), (k.mT, a.T)):
        found = xp.to_numpy(turned @ xp.asarray(z))
        assert np.all(abs(found - dense @ z) <= 50 * eps * (sizes.mT @ abs(z)))


def test_batches_are_multiplied_one_by_one(xp, drawn):
    k, a = drawn(SHAPES[0], 2, xp=xp)
    x = gaussian((3, 2, 15, 4))
    assert np.allclose(xp.to_numpy(k @ xp.asarray(x)), a @ x, rtol=1e-13, atol=1e-13)


@given(
    shapes=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=2, max_size=4),
    rank=st.integers(1, 3),
    data=st.data(),
)
def test_a_region_is_that_of_the_matrix(shapes, rank, data, drawn):
    k, a = drawn(shapes, rank)
    part = st.one_of(
        st.slices(a.shape[0]),
        st.integers(-a.shape[0], a.shape[0] - 1),
        st.lists(st.integers(-a.shape[0], a.shape[0] - 1), max_size=4),
    )
    rows = data.draw(part)
    assert np.allclose(k.to_array((rows, slice(None))), a[rows])
    assert np.allclose(k.mT.to_array((slice(None, None, -1), rows)), a.T[::-1][:, rows])
    if isinstance(rows, slice):
        assert np.allclose(k.to_array(rows), a[rows])


def test_what_measures_a_format_takes_it(drawn):
    k, a = drawn(SHAPES[0], 2)
    assert relative_error(a, k) <= 1e-15


@pytest.fixture(params=["two", "three", "monarch", "butterfly"])
def matrix(request, xp):
    """A matrix of each format with factors in float32, and the array that it stands for."""

    def draw(shapes):
        return [xp.asarray(gaussian(s, rng=j, dtype="float32")) for j, s in enumerate(shapes)]

    made = {
        "two": lambda: KroneckerSum(*draw([(2, 2, 3), (2, 4, 5)])),
        "three": lambda: KroneckerSum(*draw([(2, 3, 2), (2, 2, 2)]), (*draw([(2, 5, 3)]),)),
        "monarch": lambda: Monarch(*draw([(2, 3, 4), (3, 5, 2)])),
        "butterfly": lambda: Butterfly(tuple(draw([(2, 3, 2, 2), (2, 2, 3, 2)]))),
    }[request.param]()
    return made, xp.to_numpy(made.to_array())


def test_lists_and_other_dtypes_are_multiplied_too(xp, matrix):
    k, a = matrix
    n = a.shape[1]
    for x in ([1.0] * n, [[1, 2]] * n, [True] * n, [1j] * n):
        y = xp.to_numpy(k @ x)
        assert np.allclose(y, a @ np.asarray(x), rtol=0, atol=1e-4)
        assert (y.dtype.kind == "c") == isinstance(x[0], complex)
    for kind in ("int64", "bool", "float64", "complex128"):
        x = np.ones(n, kind)
        y = xp.to_numpy(k @ xp.asarray(x))
        assert np.allclose(y, a @ x, rtol=0, atol=1e-4)
        assert y.dtype.kind == ("c" if kind == "complex128" else "f")
    assert (k @ xp.asarray(np.ones((2, n), "float32"))[0, :]).dtype == xp.float32


def test_no_columns_have_no_products(xp, matrix):
    k, a = matrix
    m, n = a.shape
    for batch, columns in (((), 0), ((2,), 0), ((0,), 3), ((2, 0), 1)):
        x = xp.asarray(np.ones((*batch, n, columns), "float32"))
        assert xp.to_numpy(k @ x).shape == (*batch, m, columns)


def test_what_cannot_be_multiplied_is_refused(xp, matrix):
    k, a = matrix
    n = a.shape[1]
    for wrong in ([1.0], 2.0, xp.asarray(np.ones((n, 1, 1))), xp.asarray(np.ones((1, n)))):
        with pytest.raises(ValueError, match=rf"x must have shape \({n},\) or \(\.\.\., {n}, c\)"):
            k @ wrong
    for wrong in (None, "x", {}, ["x"] * n, LowRank(a, a.T), sparse.eye_array(n)):
        with pytest.raises(TypeError, match=r"^x (must be an array|has dtype|is not a rect)"):
            k @ wrong
    with pytest.raises(TypeError, match=r"LowRank; pass x\.to_array\(\)"):
        k @ LowRank(a, a.T)
    if not xp.name.startswith("numpy"):
        with pytest.raises(TypeError, match="one library"):
            k @ np.ones(n)


@pytest.mark.parametrize("shapes", SHAPES[:2], ids=str)
@pytest.mark.parametrize("kind", ["float64", "complex128"])
def test_factors_of_several_dtypes_have_that_of_their_products(xp, shapes, kind, drawn):
    k, a = drawn(shapes, 2, dtype=kind)
    left, right, *rest = map(xp.asarray, k.factors)
    left = xp.asarray(k.left.real.astype("float32").astype("float64"), dtype="float32")
    mixed = KroneckerSum(left, right, tuple(rest))
    wide = KroneckerSum(xp.to_numpy(left).astype(kind), k.right, k.rest).to_array()
    x = gaussian((a.shape[1],))
    assert mixed.dtype == getattr(xp, kind)
    for found, dense in (
        (mixed.to_array(), wide),
        (mixed.to_array((slice(None), 0)), wide[:, 0]),
        (mixed @ xp.asarray(x), wide @ x),
    ):
        assert found.dtype == mixed.dtype
        assert np.allclose(xp.to_numpy(found), dense, rtol=0, atol=1e-13)


@pytest.mark.parametrize("rest", [(), (np.ones((1, 2, 1), ml_dtypes.bfloat16),)], ids=len)
def test_half_precision_from_a_file_is_multiplied(rest):
    # NumPy itself knows no such floats, and multiplies them in single precision.
    half = ml_dtypes.bfloat16
    k = KroneckerSum(np.full((1, 2, 2), 1.5, half), np.ones((1, 3, 3), half), rest)
    x = np.ones(k.shape[1])
    for found in (k.to_array(), k.to_array(slice(2))):
        assert np.all(found.astype(float) == 1.5)
    assert np.all((k @ x.astype(half)).astype(float) == 9.0)
    assert (k @ x).dtype == np.float64
    assert np.all(k @ x == 9.0)


def test_whole_numbers_are_multiplied_exactly():
    k = KroneckerSum(np.full((1, 2, 2), 2**30), np.full((1, 1, 1), 3), (np.ones((1, 1, 1), int),))
    assert k.to_array().dtype == k.to_array((0, [0])).dtype == np.int64
    assert np.all(k.to_array() == 3 * 2**30)
    assert np.array_equal(k @ [1, 2], [9 * 2**30] * 2)


def test_factors_that_are_no_stacks_are_refused():
    one, two = np.ones((2, 3, 3)), np.ones((3, 2, 2))
    for k in (KroneckerSum(one, two), KroneckerSum(one[0], two[0]), KroneckerSum(one, [[[1.0]]])):
        for call in (
            lambda k: k @ np.ones(6),
            KroneckerSum.to_array,
            lambda k: k.to_array((0, 0)),
        ):
            with pytest.raises(ValueError, match=r"shape \(r, m_k, n_k\), with one number r"):
                call(k)


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_sums_multiply_sums(shapes, drawn):
    k, a = drawn(shapes, 2)
    other, _ = drawn([(n, m + 2) for m, n in shapes], 3, rng=5, dtype="complex64")
    left, right, *rest = (f.astype("complex128") for f in other.factors)
    b = KroneckerSum(left, right, tuple(rest)).to_array()
    found = k @ other
    assert isinstance(found, KroneckerSum)
    assert (found.rank, found.shape, found.dtype) == (6, (a @ b).shape, np.complex128)
    assert np.allclose(found.to_array(), a @ b, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="as many columns as those of b have rows"):
        k @ other.mT
    with pytest.raises(ValueError, match="as many factors in each sum"):
        k @ k._replace(rest=(*k.rest, np.ones((2, 1, 1))))
    with pytest.raises(ValueError, match=r"b\.factors\[0\] has .* non-finite"):
        k @ other._replace(left=other.left * np.nan)


@pytest.mark.parametrize(
    "scales", [(1, -1), (-1, 1), (-0.7, -0.7, 1), (1, -0.7, -0.7), (0.7, 0.7, -1)]
)
def test_a_term_in_range_has_factors_far_out_of_it(scales, drawn):
    k, a = drawn([(2, 3)] * len(scales), 2)
    factors = [f * 10.0 ** (300 * s) for f, s in zip(k.factors, scales, strict=True)]
    far, size = KroneckerSum(factors[0], factors[1], tuple(factors[2:])), 300 * sum(scales)
    unit, n = 10.0 ** round(size), a.shape[1]
    assert np.allclose(far.to_array() / unit, a, rtol=0, atol=1e-12)
    assert np.allclose(far.to_array(slice(1, 3)) / unit, a[1:3], rtol=0, atol=1e-12)
    assert np.allclose((far @ far.mT).to_array() / unit / unit, a @ a.T, rtol=0, atol=1e-12)
    for shape in ((n,), (n, 1), (n, 3)):
        x = gaussian(shape)
        for power in (-140, 0, 140):
            y = (far @ (x * 10.0**power)) / unit / 10.0**power
            assert np.allclose(y, a @ x, rtol=0, atol=1e-12)


def test_a_wrong_vector_or_region_is_refused(drawn):
    k, _ = drawn(SHAPES[0], 2)
    with pytest.raises(ValueError, match="15 columns cannot multiply shape \\(14,\\)"):
        k @ np.ones(14)
    with pytest.raises(ValueError, match=r"region\[0\]"):
        k.to_array((99, slice(None)))
    assert KroneckerSum.__array_ufunc__ is None


def test_factors_are_validated():
    one, two = np.ones((2, 3, 3)), np.ones((3, 2, 2))
    with pytest.raises(ValueError, match="as many terms"):
        checked((one, two))
    with pytest.raises(TypeError, match="must be a KroneckerSum"):
        checked(3)
    with pytest.raises(ValueError, match=r"k\.factors\[1\]"):
        checked((one, np.ones((2, 2))))
    assert checked((one, np.ones((2, 2, 2), "float32")))[1].right.dtype == np.float64


def test_products_of_mapped_vectors_agree(xp, drawn):
    if xp.name != "jax":
        pytest.skip("nothing else compiles")
    import jax

    k, a = drawn(SHAPES[1], 2, xp=xp)
    x = gaussian((k.shape[1], 3))
    mapped = jax.vmap(lambda v: k @ v, in_axes=1, out_axes=1)(xp.asarray(x))
    assert np.allclose(xp.to_numpy(mapped), a @ x, rtol=1e-13, atol=1e-13)
    assert np.allclose(xp.to_numpy(jax.jit(lambda k, v: k @ v)(k, xp.asarray(x))), a @ x)
