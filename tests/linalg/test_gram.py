"""The short way through the Gram matrix is taken only where it is as accurate as the long one."""

import numpy as np
import pytest

import tdecomp as td
from tdecomp._xp import namespace
from tdecomp.linalg import _gram
from tdecomp.testing import assert_isometry, matrix

DTYPES = ["float64", "complex128"]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(_gram, "ENTRIES", 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(400, 60), (60, 400)])
def test_triplets_are_those_of_the_full_svd(xp, shape, dtype):
    s = 1 / np.arange(1.0, 61.0)
    a = xp.asarray(matrix(*shape, s, dtype=dtype))
    assert _gram.leading_triplets(a, 10, xp.namespace) is not None
    u, values, vh = map(xp.to_numpy, td.truncated_svd(a, rank=10))
    assert np.abs(values - s[:10]).max() <= 30 * np.finfo(float).eps
    assert_isometry(u)
    assert_isometry(vh.conj().T)
    error = np.linalg.norm(xp.to_numpy(a) - (u * values) @ vh)
    assert error == pytest.approx(np.linalg.norm(s[10:]), rel=1e-13)


@pytest.mark.parametrize(("dtype", "least"), [("float32", 1e-4), ("float64", 1e-20)])
def test_where_squares_would_lose_digits_the_long_way_is_taken(dtype, least):
    s = np.geomspace(1, least, 60)
    a = matrix(400, 60, s, dtype=dtype)
    assert _gram.leading_triplets(a, 15, namespace(a)) is None
    values = td.truncated_svd(a, rank=15).S
    assert np.abs(values - s[:15]).max() <= 30 * np.finfo(dtype).eps


def test_rank_deficient_and_zero_matrices_take_the_long_way():
    for a in (np.zeros((400, 60)), matrix(400, 60, np.arange(60) < 3)):
        assert _gram.leading_triplets(a, 10, namespace(a)) is None
        svd = td.truncated_svd(a, rank=10)
        assert_isometry(svd.U)
        assert np.abs(svd.to_array() - a).max() <= 1e-14


def test_only_few_triplets_of_long_matrices_qualify():
    assert _gram.pays((400, 60), 15)
    assert not _gram.pays((400, 60), 16)
    assert not _gram.pays((400, 101), 3)
    assert not _gram.pays((2, 400, 60), 3)
