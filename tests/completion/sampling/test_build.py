"""A structure is built in one pass over what is stored, whatever form that has."""

import numpy as np
import pytest
import scipy.sparse

from tdecomp._kernels._sampling_tree import plant_rows
from tdecomp.completion.sampling import LengthSquaredMatrix, _trees


def ragged(dtype):
    """Return rows of different scales and lengths, some empty or zero."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((6, 9)) * 10.0 ** np.asarray([0, 3, -30, 30, -3, 0])[:, None]
    a = a * (rng.random(a.shape) < 0.6)
    a[1], a[4] = 0.0, 0.0
    return (a * (1 + 0.5j if dtype[0] == "c" else 1)).astype(dtype)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_the_kernel_builds_what_arrays_build(dtype, sparse, compiled, monkeypatch):
    a = ragged(dtype)
    stored = scipy.sparse.csr_array(a) if sparse else a
    if not compiled:
        monkeypatch.setattr("tdecomp._kernels._sampling_tree.plant_rows", plant_rows.py_func)
    found = LengthSquaredMatrix(stored)._trees
    monkeypatch.setattr(_trees, "accepts", lambda *_: False)
    plain = LengthSquaredMatrix(stored)._trees
    assert found.unit == plain.unit
    np.testing.assert_array_equal(found.exponents, plain.exponents)
    np.testing.assert_array_equal(found.rows.heap, plain.rows.heap)
    np.testing.assert_array_equal(found.top.heap, plain.top.heap)


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "lil", "dok", "bsr"])
def test_sparse_matrices_may_be_unsorted_and_store_zeros_and_duplicates(kind):
    rows, columns = [1, 0, 1, 1, 0, 2], [2, 1, 0, 2, 0, 1]
    values = np.asarray([1.0, 2.0, 3.0, 4.0, 0.0, -1.0])
    x = scipy.sparse.coo_array((values, (rows, columns)), shape=(4, 3))
    given = x if kind == "coo" else x.asformat(kind)
    before = given.toarray()
    held = LengthSquaredMatrix(given)
    np.testing.assert_array_equal(held.to_array(), before)
    assert held.norm == pytest.approx(np.linalg.norm(before), rel=1e-15)
    held.update(1, 2, 0.0)  # stored, and stays so
    held.update(1, 2, 9.0)
    np.testing.assert_array_equal(given.toarray(), before)
    assert held[1, 2] == 9.0


def test_compressed_rows_may_be_given_in_any_order():
    x = scipy.sparse.csr_array(
        (np.asarray([1.0, 2.0, 3.0]), np.asarray([2, 0, 2]), np.asarray([0, 3, 3])), shape=(2, 3)
    )
    held = LengthSquaredMatrix(x)
    assert held[[0, 0], [0, 2]].tolist() == [2.0, 4.0]
    assert x.indices.tolist() == [2, 0, 2]
    x.indices[1] = 7
    with pytest.raises(ValueError, match="indices must be < 3"):
        LengthSquaredMatrix(x)
