"""Metric weights that are Kronecker products: the closed form against brute force."""

import numpy as np
import pytest

import tdecomp as td
from tdecomp.kronecker import kronecker_svd
from tdecomp.testing import gaussian

SHAPES = ((4, 3), (5, 2))
KINDS = {
    "none": (None, None),
    "diagonals": (abs(gaussian((4,), rng=1)) + 0.1, abs(gaussian((5,), rng=2)) + 0.1),
    "matrices": (gaussian((4, 4), rng=3), gaussian((7, 5), rng=4)),
    "singular": (np.diag([1.0, 2.0, 0.0, 1.0]), None),
}
COLUMNS = {
    "none": (None, None),
    "mixed": (gaussian((3, 3), rng=5), abs(gaussian((2,), rng=6)) + 0.1),
}


def whole(pair, sizes):
    """The Kronecker product of a pair of weights."""
    parts = [
        np.eye(n) if w is None else np.diag(w) if w.ndim == 1 else w
        for w, n in zip(pair, sizes, strict=True)
    ]
    return np.kron(*parts)


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("rows", KINDS)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_the_weighted_error_is_the_least(xp, rows, columns, dtype, rearranged):
    a = gaussian((20, 6), dtype=dtype)
    left, right = KINDS[rows], COLUMNS[columns]
    given = [tuple(None if w is None else xp.asarray(w) for w in pair) for pair in (left, right)]
    fit = kronecker_svd(xp.asarray(a), SHAPES, rank=3, left=given[0], right=given[1])
    wl, wr = whole(left, (4, 5)), whole(right, (3, 2))
    gap = np.linalg.norm(wl @ (a - xp.to_numpy(fit.tensor.to_array())) @ wr)
    total = np.linalg.norm(wl @ a @ wr)
    assert fit.error == pytest.approx(gap / total, rel=1e-10)
    inner = ((4, 3), (wl.shape[0] // 4, 2))
    s = np.linalg.svd(rearranged(wl @ a @ wr, inner), compute_uv=False)
    assert fit.error == pytest.approx(np.linalg.norm(s[3:]) / np.linalg.norm(s), rel=1e-8)


@pytest.mark.parametrize("pad", [False, True])
@pytest.mark.parametrize("kind", ["sparse", "operator"])
@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("rows", KINDS)
def test_every_kind_of_matrix_is_weighted(rows, columns, kind, pad):
    import scipy.sparse as sp
    from scipy.sparse.linalg import aslinearoperator

    a = gaussian((19 if pad else 20, 6), dtype="complex128")
    options = {"rank": 3, "left": KINDS[rows], "right": COLUMNS[columns], "pad": pad}
    expected = kronecker_svd(a, SHAPES, **options)
    form = {"sparse": sp.csr_array, "operator": aslinearoperator}[kind]
    for scale in (1.0, 1e250):
        fit = kronecker_svd(form(scale * a), SHAPES, **options)
        assert fit.error == pytest.approx(expected.error, rel=1e-9)
        gap = fit.tensor.to_array() / scale - expected.tensor.to_array()
        assert np.abs(gap).max() <= 1e-10


def test_trivial_factors_give_the_weighted_svd():
    a, weight = gaussian((8, 6)), abs(gaussian((8,), rng=1)) + 0.1
    fit = kronecker_svd(a, ((8, 1), (1, 6)), rank=2, left=(weight, None))
    expected = td.weighted_svd(a, left=weight, rank=2).to_array()
    assert np.allclose(fit.tensor.to_array(), expected, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_weights_of_every_scale_weigh_the_same(scale):
    a = gaussian((20, 6))
    left = KINDS["diagonals"]
    one = kronecker_svd(a, SHAPES, rank=2, left=left)
    two = kronecker_svd(a * scale, SHAPES, rank=2, left=(left[0] * scale, left[1] / scale))
    assert two.error == pytest.approx(one.error, rel=1e-12)
    assert np.allclose(two.tensor.to_array() / scale, one.tensor.to_array(), atol=1e-12)


def test_the_largest_entry_of_each_left_factor_is_positive():
    left = (np.array([1.0, 0, 0, 0]), np.ones(5))
    a = gaussian((20, 18))
    for seed in range(4):
        right = (gaussian((3, 3), rng=seed), None)
        fit = kronecker_svd(a, ((4, 3), (5, 6)), rank=2, left=left, right=right)
        for x in fit.tensor.left:
            assert x.max() == abs(x).max()


def test_three_factors_have_no_metric():
    with pytest.raises(ValueError, match="two factors"):
        kronecker_svd(np.ones((20, 6)), ((2, 3), (2, 2), (5, 1)), rank=1, left=KINDS["diagonals"])
