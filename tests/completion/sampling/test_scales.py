"""Scales that cancel one another leave no trace, whichever operand holds them."""

import numpy as np
import pytest
from scipy import stats

from tdecomp.completion.sampling import (
    LengthSquaredMatrix,
    LengthSquaredVector,
    bilinear,
    combine,
    inner,
    recommend,
    sampled_matmul,
    sampled_svd,
    solve,
    transform,
)

DRAWS = 20_000
A = np.random.default_rng(0).standard_normal((20, 10))


@pytest.mark.parametrize("size", [1e-200, 1e-20, 1e200])
def test_coefficients_make_up_for_the_scales_of_rows(size):
    rows = LengthSquaredMatrix(np.asarray([[3.0, 0.0, 4.0], [0.0, size, 0.0], [0.0, 0.0, 0.0]]))
    u = combine([1.0, 5.0 / size, 1e300], rows)
    np.testing.assert_allclose(u.to_array(), [3.0, 5.0, 4.0], rtol=1e-15)
    np.testing.assert_allclose(u.query([2, 1]), [4.0, 5.0], rtol=1e-15)
    counts = np.bincount(u.sample(DRAWS, rng=1), minlength=3)
    assert stats.chisquare(counts, DRAWS * np.asarray([9.0, 25.0, 16.0]) / 50).pvalue > 1e-4
    assert u.estimate_norm(DRAWS, rng=0) == pytest.approx(np.sqrt(50), rel=0.05)


@pytest.mark.parametrize("size", [1e-300, 1.0, 1e300])
def test_a_sum_follows_a_vector_to_any_scale(size):
    x = LengthSquaredVector(np.zeros(3))
    u = combine([2.0], [x])
    assert u.to_array().tolist() == [0.0, 0.0, 0.0]
    x.update([0, 2], [3 * size, 4 * size])
    np.testing.assert_allclose(u.query([0, 1, 2]) / size, [6.0, 0.0, 8.0], rtol=1e-15)
    counts = np.bincount(u.sample(DRAWS, rng=0), minlength=3)
    assert counts[1] == 0
    assert stats.chisquare(counts[[0, 2]], DRAWS * np.asarray([9.0, 16.0]) / 25).pvalue > 1e-4
    assert u.estimate_norm(10, rng=0) == pytest.approx(10 * size, rel=1e-12)


@pytest.mark.parametrize("scale", [2.0**-980, 2.0**-600, 2.0**600])
@pytest.mark.parametrize("samples", [None, 50])
def test_a_row_of_another_scale_is_recommended_for_like_any(scale, samples):
    held = LengthSquaredMatrix(A)
    f = transform(held, lambda t: t + 1.0, samples=30, rng=0)
    used = np.asarray(f.rows.indices) != 3  # else the function would change with its row
    f = f._replace(rows=f.rows._replace(weights=f.rows.weights * used))
    expected = recommend(f, 3, samples=samples, rng=1)
    before, drawn = expected.to_array(), expected.sample(30, rng=0)
    held.update(3, np.arange(10), A[3] * scale)
    found = recommend(f, 3, samples=samples, rng=1)
    np.testing.assert_allclose(found.to_array() / scale, before, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(found.sample(30, rng=0), drawn)


@pytest.mark.parametrize(
    ("left", "middle", "right"),
    [
        (1e200, 1e-300, 1e200),
        (1e-200, 1e300, 1e-200),
        (1e-250, 1e300, 1e-40),
        (1e300, 1e-300, 1.0),
    ],
)
def test_bilinear_forms_overflow_only_if_their_values_do(left, middle, right):
    rng, (x, y) = np.random.default_rng(0), np.ones((2, 4))
    a = rng.uniform(1, 2, (4, 4))
    plain = bilinear(x, LengthSquaredMatrix(a), y, samples=50, rng=1)
    found = bilinear(left * x, LengthSquaredMatrix(middle * a), right * y, samples=50, rng=1)
    assert found / 1e100 / plain == pytest.approx(
        left * 1e-50 * middle * (right * 1e-50), rel=1e-12
    )


def test_inner_products_overflow_only_if_their_values_do():
    x = np.asarray([1.0, 1e-3])
    held = LengthSquaredVector(1e-300 * x)
    found = inner(held, [1.0, 1.7e308], samples=10**5, groups=1, rng=0)
    # At most one draw in a million has the entry that matters, and is finite.
    assert np.isfinite(found)
    y = [1e307, 1e307]
    assert inner(held, y, samples=10, rng=0) == pytest.approx(1e7, rel=0.1)


@pytest.mark.parametrize(("first", "second"), [(1e-200, 1e200), (1e300, 1e-300)])
def test_products_of_matrices_take_scales_that_cancel(first, second):
    b = A[:, :4]
    plain = sampled_matmul(A, b, samples=30, rng=0)
    found = sampled_matmul(A * first, b * second, samples=30, rng=0)
    np.testing.assert_allclose(found.to_array(), plain.to_array(), rtol=1e-9)
    assert found.bound == pytest.approx(plain.bound)


@pytest.mark.parametrize(("dtype", "size"), [("float32", 3e38), ("float64", 1.7e308)])
def test_singular_values_above_the_range_of_numbers_are_refused(dtype, size):
    a = np.full((40, 30), size, dtype=dtype)
    for call in (
        lambda: sampled_svd(a, rank=1, samples=5, rng=0),
        lambda: solve(a, np.ones(40), rank=1, samples=5, rng=0),
    ):
        with pytest.raises(ValueError, match=f"leave the range of {dtype}: scale the data"):
            call()
    assert LengthSquaredMatrix(a).row_norms[0] == np.inf
    assert LengthSquaredMatrix(a).sample(3, rng=0)[0].shape == (3,)


def test_scales_cancel_in_every_library(xp):
    held = LengthSquaredMatrix(xp.asarray(np.asarray([[3.0, 0.0, 4.0], [0.0, 1e-200, 0.0]])))
    u = combine(xp.asarray(np.asarray([1.0, 5e200])), held)
    held.update(0, [0, 2], [0.0, 0.0])  # all but the least entry
    assert held.norm == 1e-200
    np.testing.assert_allclose(xp.to_numpy(u.query([0, 1, 2])), [0.0, 5.0, 0.0], rtol=1e-14)
    x, y = (xp.asarray(np.full(n, 1e200)) for n in (2, 3))
    form = bilinear(x, held, y, samples=8, groups=1, rng=0)
    assert float(form) == pytest.approx(1e200, rel=1e-13)
    found = sampled_svd(xp.asarray(np.full((3, 2), 1e-200)), rank=1, samples=3, rng=0)
    np.testing.assert_allclose(xp.to_numpy(found.right()), np.full((2, 1), 0.5**0.5), rtol=1e-13)
