"""Sums of Kronecker products against the matrices that they stand for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp import relative_error
from tdecomp.kronecker import KroneckerSum
from tdecomp.kronecker._format import as_sum as checked
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
    sizes = KroneckerSum(
        *(abs(xp.to_numpy(f)) for f in k.factors[:2]), tuple(abs(xp.to_numpy(f)) for f in k.rest)
    ) @ abs(x)
    assert np.all(abs(y - a @ x) <= 50 * np.finfo(dtype).eps * sizes)


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
