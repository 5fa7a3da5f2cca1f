"""The catalogue has the answers that it claims, and problems of every kind."""

import numpy as np
import pytest

from tdecomp.ops import unfold
from tdecomp.testing import problems

TAGS = {
    "ties", "near-ties", "decay", "conditioning", "gap", "deficient", "zero", "overflow",
    "underflow", "thin",
}  # fmt: skip


@pytest.mark.parametrize("ndim", [2, 3, 4])
def test_the_spectra_are_right(dtype, ndim):
    for problem in problems(ndim=ndim, dtype=dtype):
        assert problem.array.dtype == dtype
        assert problem.array.ndim == ndim
        wide = problem.array.astype(np.result_type(dtype, np.float64)) / problem.scale
        for mode in range(ndim):
            s = np.linalg.svd(unfold(wide, mode), compute_uv=False)[: problem.spectrum.size]
            tol = 40 * np.finfo(dtype).eps
            np.testing.assert_allclose(s, problem.spectrum, rtol=0, atol=tol)


def test_names_are_unique_and_tags_complete():
    for ndim in (2, 3):
        catalogue = list(problems(ndim=ndim))
        assert len({problem.name for problem in catalogue}) == len(catalogue)
        tags = frozenset().union(*(problem.tags for problem in catalogue))
        assert tags == TAGS | ({"graded"} if ndim == 2 else set())


def test_tags_tell_the_truth(dtype):
    info = np.finfo(dtype)
    with np.errstate(over="ignore", under="ignore"):
        for problem in problems(dtype=dtype):
            s, squares = problem.spectrum, np.abs(problem.array) ** 2
            assert ("zero" in problem.tags) == (not np.any(s))
            assert ("deficient" in problem.tags) == bool(np.any(s == 0))
            assert ("overflow" in problem.tags) == bool(np.any(np.isinf(squares)))
            assert ("underflow" in problem.tags) == bool(
                np.any(s) and np.all(squares < info.smallest_normal)
            )
            assert ("thin" in problem.tags) == (1 in problem.array.shape)
            if not problem.tags & {"thin", "deficient"}:
                assert ("ties" in problem.tags) == bool(np.any(s[1:] == s[:-1]))


def test_a_seed_means_one_catalogue_on_every_backend(xp, dtype):
    there = problems(like=xp.asarray(np.empty(0, dtype)), rng=5)
    for found, expected in zip(there, problems(dtype=dtype, rng=5), strict=True):
        assert found.name == expected.name
        assert found.tags == expected.tags
        np.testing.assert_array_equal(xp.to_numpy(found.array), expected.array)
        np.testing.assert_array_equal(found.spectrum, expected.spectrum)


def test_a_catalogue_needs_two_modes():
    with pytest.raises(ValueError, match="ndim must be an int >= 2, got 1"):
        next(problems(ndim=1))
