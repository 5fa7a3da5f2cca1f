"""Products and eigenvectors on the threads of SciPy: those of any library."""

import numpy as np
import pytest

from tdecomp._xp import namespace
from tdecomp.linalg._polar._products import cholesky, eigh, gram_matrix, product
from tdecomp.testing import gaussian


def orders(a):
    spread = np.zeros((2 * a.shape[0], 3 * a.shape[1]), a.dtype)
    spread[::2, ::3] = a
    return a, np.asfortranarray(a), spread[::2, ::3]


@pytest.mark.parametrize(("m", "k", "n"), [(4, 3, 5), (1, 3, 1), (3, 1, 2), (1, 1, 1)])
def test_products_of_any_order_of_memory(m, k, n, dtype):
    a, b = gaussian((m, k), dtype=dtype), gaussian((k, n), rng=1, dtype=dtype)
    for first in orders(a):
        for second in orders(b):
            found = product(first, second)
            assert found.dtype == dtype
            assert np.abs(found - a @ b).max() <= 50 * np.finfo(dtype).eps


@pytest.mark.parametrize("shape", [(9, 4), (4, 4), (3, 1), (1, 1)])
def test_gram_matrices_are_hermitian_to_the_bit(shape, dtype):
    a = gaussian(shape, dtype=dtype)
    for given in orders(a):
        found = gram_matrix(given, namespace(a))
        assert found.dtype == dtype
        assert np.all(found == np.conj(found.T))
        assert np.abs(found - np.conj(a.T) @ a).max() <= 100 * np.finfo(dtype).eps


def test_libraries_agree(xp):
    a = gaussian((7, 4))
    of_a, module = xp.asarray(a), namespace(xp.asarray(a))
    square = gram_matrix(of_a, module)
    assert np.abs(xp.to_numpy(square) - a.T @ a).max() <= 1e-14
    assert np.abs(xp.to_numpy(product(of_a, square)) - a @ a.T @ a).max() <= 1e-13
    values, vectors = (xp.to_numpy(x) for x in eigh(square, module))
    assert np.all(np.diff(values) > 0)
    assert np.abs((vectors * values) @ vectors.T - a.T @ a).max() <= 1e-13
    lower = xp.to_numpy(cholesky(square, module))
    assert np.abs(lower @ lower.T - a.T @ a).max() <= 1e-13
    assert np.all(lower == np.tril(lower))
    assert cholesky(square - xp.asarray(100 * np.eye(4)), module) is None
