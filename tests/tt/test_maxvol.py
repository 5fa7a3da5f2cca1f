"""Rows of dominant volume span the others with coefficients near one."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp import tt
from tdecomp.testing import gaussian


@given(
    m=st.integers(1, 30), r=st.integers(1, 8), seed=st.integers(0, 99),
    dtype=st.sampled_from(["float32", "float64", "complex64", "complex128"]),
)  # fmt: skip
def test_coefficients_reproduce_the_matrix_and_are_small(m, r, seed, dtype):
    a = gaussian((m, min(m, r)), rng=seed, dtype=dtype)
    rows, c = tt.maxvol(a)
    eps = float(np.finfo(dtype).eps)
    assert len(set(rows)) == a.shape[1]
    assert np.abs(c).max() <= 1.05 + 1e-3
    chosen = a[list(rows)]
    slack = 20 * eps * np.linalg.cond(chosen) * np.linalg.norm(a)
    assert np.abs(c @ chosen - a).max() <= slack
    assert np.abs(c[list(rows)] - np.eye(len(rows))).max() <= 100 * eps * np.linalg.cond(chosen)


def test_the_volume_is_near_the_largest_there_is():
    ratios = []
    for seed in range(20):
        a = gaussian((10, 3), rng=seed)
        rows, _ = tt.maxvol(a, tol=0.0)
        volume = abs(np.linalg.det(a[list(rows)]))
        best = max(abs(np.linalg.det(a[list(some)])) for some in combinations(range(10), 3))
        ratios.append(volume / best)
        # Dominant submatrices are within r ** (r / 2) of the largest volume.
        assert volume >= best / 3**1.5
    assert np.median(ratios) > 0.95


def test_every_backend_chooses_the_same_rows(xp):
    a = np.linalg.qr(gaussian((9, 3), rng=3))[0]
    rows, c = tt.maxvol(xp.asarray(a))
    expected, coefficients = tt.maxvol(a)
    assert rows == expected
    assert np.abs(xp.to_numpy(c) - coefficients).max() <= 1e-13


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_scale_does_not_matter(scale):
    a = gaussian((12, 4))
    rows, c = tt.maxvol(a * scale)
    assert rows == tt.maxvol(a)[0]
    assert np.abs(c).max() <= 1.06


@pytest.mark.parametrize(
    ("a", "message"),
    [
        (np.ones((2, 3)), "as many rows as columns"),
        (np.ones((5, 2)), "column 1 depends on the ones before"),
        (np.zeros((5, 1)), "column 0 depends"),
        (np.full((5, 1), np.nan), "non-finite"),
    ],
)
def test_matrices_without_such_rows_are_refused(a, message):
    with pytest.raises(ValueError, match=message):
        tt.maxvol(a)


def test_a_negative_tolerance_is_refused():
    with pytest.raises(ValueError, match="tol must be a number >= 0"):
        tt.maxvol(np.eye(3), tol=-0.1)
