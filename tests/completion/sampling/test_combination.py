"""Sums of vectors that can be sampled are sampled by their squares, without being formed."""

import numpy as np
import pytest
import scipy.sparse
from scipy import stats

import tdecomp as td
from tdecomp.completion.sampling import (
    LengthSquaredMatrix,
    LengthSquaredVector,
    combine,
)

DRAWS = 20_000


def problem(terms=4, n=12, dtype="float64"):
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((terms, n)) * 10.0 ** rng.integers(-1, 2, (terms, 1))
    numbers = rng.standard_normal(terms)
    if dtype == "complex128":
        rows, numbers = rows * np.exp(1j * rng.random(rows.shape)), numbers * (1 + 0.5j)
    return rows.astype(dtype), numbers


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_indices_are_drawn_by_the_squares_of_the_sum(dtype):
    rows, numbers = problem(dtype=dtype)
    u = numbers @ rows
    found = combine(numbers, LengthSquaredMatrix(rows))
    np.testing.assert_allclose(found.to_array(), u, rtol=0, atol=1e-13 * np.linalg.norm(u))
    np.testing.assert_allclose(found.query([3, -1]), u[[3, -1]], rtol=1e-12)
    counts = np.bincount(found.sample(DRAWS, rng=1), minlength=u.size)
    expected = DRAWS * np.abs(u) ** 2 / np.linalg.norm(u) ** 2
    assert stats.chisquare(counts, expected).pvalue > 1e-4


def test_vectors_of_several_matrices_and_scales_combine():
    first = LengthSquaredMatrix(np.asarray([[1e200, 0.0, 2e200], [0.0, 1e200, 0.0]]))
    second = LengthSquaredVector([0.0, 3.0, 4.0])
    found = combine([1e-200, 2e-200, 1.0], [first.row(0), first.row(1), second])
    np.testing.assert_allclose(found.to_array(), [1.0, 5.0, 6.0], rtol=1e-15)
    assert (found.rank, found.shape, found.modes, found.dtype) == (3, (3,), 1, np.float64)
    counts = np.bincount(found.sample(DRAWS, rng=0), minlength=3)
    assert stats.chisquare(counts, DRAWS * np.asarray([1.0, 25.0, 36.0]) / 62).pvalue > 1e-4
    assert float(td.relative_error(np.asarray([1.0, 5.0, 6.0]), found)) < 1e-15
    assert combine([1e300], [first.row(0)]).estimate_norm(rng=0) == np.inf


def test_the_norm_is_estimated_within_its_standard_error():
    rows, numbers = problem()
    u = np.linalg.norm(numbers @ rows)
    sizes = np.abs(numbers) * np.linalg.norm(rows, axis=1)
    phi = sizes.sum() ** 2 / u**2
    assert phi <= numbers.size * np.sum(sizes**2) / u**2
    found = combine(numbers, LengthSquaredMatrix(rows)).estimate_norm(20_000, rng=3)
    assert abs(found**2 / u**2 - 1) < 5 * np.sqrt((phi - 1) / 20_000)


def test_terms_that_cancel_are_given_up():
    x = LengthSquaredVector([1.0, 2.0])
    with pytest.raises(ValueError, match=r"0 of 2 proposals were accepted: the terms cancel"):
        combine([1.0, -1.0], [x, x]).sample(3, rng=0, max_tries=2)
    with pytest.raises(ValueError, match=r"0 of 10000 proposals were accepted"):
        combine([1.0, -1.0], [x, x]).sample(10**6, rng=0)  # not a million times as many
    with pytest.raises(ValueError, match="all terms are zero"):
        combine([0.0, 0.0], [x, x]).sample(3, rng=0)
    assert combine([1.0, -1.0], [x, x]).estimate_norm(rng=0) == 0.0
    assert combine([0.0], [x]).estimate_norm(rng=0) == 0.0
    assert combine([1.0], [x]).sample(0, rng=0).size == 0


def test_nothing_but_what_is_drawn_is_looked_up():
    rows = scipy.sparse.csr_array(
        ([1.0, 2.0, 3.0], ([0, 1, 1], [5, 5, 10**12])), shape=(2, 10**13)
    )
    found = combine([1.0, 1.0], LengthSquaredMatrix(rows))
    drawn = found.sample(1000, rng=0)
    assert set(drawn.tolist()) == {5, 10**12}
    assert found.query([5, 7, 10**12]).tolist() == [3.0, 0.0, 3.0]


@pytest.mark.parametrize(
    ("numbers", "vectors", "kind", "message"),
    [
        ([1.0], [np.ones(2)], TypeError, r"vectors\[0\] must be a LengthSquaredVector"),
        ([1.0], [], ValueError, "nothing to combine"),
        ([1.0, 2.0], [LengthSquaredVector([1.0])], ValueError, "do not fit 1 vectors"),
        ([1j], [LengthSquaredVector([1.0])], TypeError, "coefficients are complex"),
        ([np.nan], [LengthSquaredVector([1.0])], ValueError, r"coefficients\[0\]"),
        (
            [1.0, 1.0],
            [LengthSquaredVector([1.0]), LengthSquaredVector([1.0, 2.0])],
            ValueError,
            "one length and dtype",
        ),
    ],
)
def test_bad_input_is_named(numbers, vectors, kind, message):
    with pytest.raises(kind, match=message):
        combine(numbers, vectors)


class Zeros(np.random.Generator):
    """Numbers that are as small as they can be: a generator draws one of them in 2^53."""

    def __init__(self):
        super().__init__(np.random.PCG64(0))

    def random(self, size=None, *_, **__):
        return np.zeros(size)


@pytest.mark.parametrize(
    ("rows", "numbers"),
    [
        ([[1e-200, 1.0, 1e-200], [0.0, 2.0, 1e-200]], [1.0, 1.0]),
        ([[1.0, 0.0, 0.0], [0.0, 2.0, 1.0]], [1e-200, 1.0]),
    ],
)
def test_indices_whose_squares_underflow_have_no_chance(rows, numbers):
    found = combine(numbers, LengthSquaredMatrix(np.asarray(rows)))
    assert found.estimate_norm(10, rng=Zeros()) == 0.0
    with pytest.raises(ValueError, match="0 of 5 proposals were accepted"):
        found.sample(1, rng=Zeros(), max_tries=5)
    assert np.all(np.isin(found.sample(1000, rng=0), [1, 2]))
