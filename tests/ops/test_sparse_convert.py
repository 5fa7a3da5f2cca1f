"""Sparse arrays of other libraries come in and go out as they are."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from tdecomp.ops import COO, coo, from_dense, from_sparse, to_scipy

DENSE = np.array([[0.0, 2.0, 0.0], [0.0, 0.0, 0.0], [4.0, 0.0, 5.0]])


@pytest.mark.parametrize("form", ["coo", "csr", "csc", "lil", "dok", "dia", "bsr"])
@pytest.mark.parametrize("kind", [scipy.sparse.coo_array, scipy.sparse.coo_matrix])
def test_scipy_in_any_format(form, kind):
    x = from_sparse(kind(DENSE).asformat(form))
    assert x.indices.dtype == np.int64
    np.testing.assert_array_equal(x.to_array(), DENSE)


def test_scipy_of_another_number_of_modes():
    x = from_sparse(scipy.sparse.coo_array(np.array([0.0, 3.0])))
    assert x.to_array().tolist() == [0.0, 3.0]


def test_there_and_back():
    x = from_dense(DENSE)
    back = to_scipy(x)
    assert isinstance(back, scipy.sparse.coo_array)
    np.testing.assert_array_equal(back.toarray(), DENSE)
    np.testing.assert_array_equal(from_sparse(back.tocsc()).indices, x.indices)


@pytest.mark.filterwarnings("ignore:Sparse CS. tensor support is in beta")
@pytest.mark.parametrize("layout", ["to_sparse_coo", "to_sparse_csr", "to_sparse_csc"])
def test_torch_in_any_layout(layout):
    torch = pytest.importorskip("torch")
    x = from_sparse(getattr(torch.asarray(DENSE), layout)())
    assert isinstance(x.values, torch.Tensor)
    np.testing.assert_array_equal(x.to_array().numpy(), DENSE)


@pytest.mark.filterwarnings("ignore:Sparse invariant checks are implicitly disabled")
def test_torch_takes_it_back():
    torch = pytest.importorskip("torch")
    x = from_dense(torch.asarray(DENSE))
    np.testing.assert_array_equal(torch.sparse_coo_tensor(*x).to_dense().numpy(), DENSE)


@pytest.mark.filterwarnings("ignore:Sparse invariant checks are implicitly disabled")
def test_entries_of_torch_that_come_twice_are_summed():
    torch = pytest.importorskip("torch")
    twice = torch.sparse_coo_tensor([[1, 1], [0, 0]], [1.0, 2.0], (2, 2))
    assert from_sparse(twice).values.tolist() == [3.0]


def test_pydata_is_known_by_its_attributes():
    parts = from_dense(DENSE)
    other = SimpleNamespace(
        coords=parts.indices, data=parts.values, shape=DENSE.shape, fill_value=0
    )
    np.testing.assert_array_equal(from_sparse(other).to_array(), DENSE)
    grouped = SimpleNamespace(tocoo=lambda: other)
    np.testing.assert_array_equal(from_sparse(grouped).to_array(), DENSE)
    other.fill_value = 1.0
    with pytest.raises(ValueError, match=r"its fill_value is 1\.0"):
        from_sparse(other)


@given(
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple), seed=st.integers(0, 99)
)
def test_dense_there_and_back(shape, seed):
    rng = np.random.default_rng(seed)
    dense = rng.standard_normal(shape) * (rng.random(shape) < 0.3)
    x = from_dense(dense)
    assert x.nnz == np.count_nonzero(dense)
    np.testing.assert_array_equal(x.to_array(), dense)
    for one, other in zip(x, coo(*x), strict=True):
        np.testing.assert_array_equal(one, other)


def test_dense_on_every_backend(xp, dtype):
    x = from_dense(xp.asarray(DENSE.astype(dtype)))
    assert x.nnz == 3
    np.testing.assert_array_equal(xp.to_numpy(x.to_array()), DENSE.astype(dtype))


def test_a_tensor_of_ours_comes_as_it_is():
    x = from_dense(DENSE)
    assert from_sparse(x).values is x.values
    mixed = from_sparse(COO(x.indices[:, ::-1], x.values[::-1], x.shape))
    np.testing.assert_array_equal(mixed.indices, x.indices)


@pytest.mark.parametrize("bad", [DENSE, [[1.0]], None, "x"])
def test_what_is_not_sparse_is_refused(bad):
    with pytest.raises(TypeError, match="x must be a sparse array, got"):
        from_sparse(bad)


@pytest.mark.filterwarnings("ignore:Sparse invariant checks are implicitly disabled")
def test_dense_tensors_of_torch_are_refused():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="try from_dense"):
        from_sparse(torch.ones(2))
    hybrid = torch.sparse_coo_tensor([[0, 1]], torch.ones(2, 3), (2, 3))
    with pytest.raises(ValueError, match="dense in the last 1"):
        from_sparse(hybrid)


def test_only_matrices_of_numpy_go_to_scipy():
    with pytest.raises(ValueError, match=r"2 modes to become a matrix, got shape \(2,\)"):
        to_scipy(coo([[0, 1]], [1.0, 2.0]))
    with pytest.raises(TypeError, match="x must be a COO"):
        to_scipy(DENSE)
    strict = pytest.importorskip("array_api_strict")
    with pytest.raises(TypeError, match="SciPy takes no others"):
        to_scipy(from_dense(strict.asarray(DENSE)))
