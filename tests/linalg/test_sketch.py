"""Random test matrices: their moments, how they embed, and that a seed means one thing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp.linalg._sketch import SKETCHES, matrix_of
from tdecomp.testing import matrix

DRAWS = 400
HOST = np.empty(0)


def draw(kind, shape, seed=0, like=HOST, xp=np):
    return matrix_of(kind, np.random.default_rng(seed), shape, like, xp)


@pytest.fixture(scope="module", params=SKETCHES)
def kind(request):
    return request.param


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("shape", [(12, 20), (16, 5)])
def test_the_second_moment_is_the_identity(kind, shape, dtype):
    like = np.empty(0, dtype=dtype)
    grams = []
    for seed in range(DRAWS):
        omega = draw(kind, shape, seed, like)
        grams.append(omega @ omega.conj().T)
    mean = np.mean(grams, axis=0)
    # Five standard errors of the mean; entries that never vary must be right to rounding.
    error = np.std(grams, axis=0) / np.sqrt(DRAWS)
    assert np.all(np.abs(mean - np.eye(shape[0])) <= 5 * error + 1e-12)


def test_lengths_are_kept_on_average(kind):
    x = np.random.default_rng(1).standard_normal(12)
    squares = [np.sum((x @ draw(kind, (12, 6), seed)) ** 2) for seed in range(DRAWS)]
    error = np.std(squares) / np.sqrt(DRAWS)
    assert abs(np.mean(squares) - x @ x) <= 5 * error + 1e-12


@pytest.mark.parametrize("coherent", [False, True])
@pytest.mark.parametrize("kind", ["gaussian", "sparse-sign", "srht"])
def test_four_times_oversampled_they_embed_subspaces(kind, coherent):
    n, k, width = 1000, 20, 80
    q = np.eye(n)[:, :k] if coherent else matrix(n, k, "flat")
    for seed in range(5):
        s = np.linalg.svd(q.T @ draw(kind, (n, width), seed), compute_uv=False)
        # The edges 1 -+ sqrt(k / width) of a Gaussian's spectrum, with a slack of 0.15.
        assert 1 - 0.5 - 0.15 <= s[-1]
        assert s[0] <= 1 + 0.5 + 0.15


def test_one_sign_a_row_collides_where_eight_do_not():
    # Why CountSketch is no default: 20 coordinate vectors in 80 buckets meet nearly always.
    ranks = [np.linalg.matrix_rank(draw("countsketch", (20, 80), seed)) for seed in range(20)]
    assert np.mean(np.array(ranks) < 20) > 0.8


@given(
    n=st.integers(1, 40),
    width=st.integers(1, 60),
    seed=st.integers(0, 9),
    nonzeros=st.sampled_from([1, 8]),
)
def test_sparse_signs_are_distinct_and_of_one_size(n, width, seed, nonzeros):
    kind = "countsketch" if nonzeros == 1 else "sparse-sign"
    omega = draw(kind, (n, width), seed)
    nonzeros = min(nonzeros, width)
    assert omega.shape == (n, width)
    assert np.all(np.count_nonzero(omega, axis=1) == nonzeros)
    assert np.abs(omega[omega != 0]) == pytest.approx(1 / np.sqrt(nonzeros), rel=1e-15)


@pytest.mark.parametrize(("n", "width"), [(2, 2), (8, 3), (16, 16), (64, 40), (1024, 60)])
def test_hadamard_columns_are_orthogonal_where_n_is_a_power_of_two(n, width):
    for seed in range(5):
        omega = draw("srht", (n, width), seed)
        assert np.abs(omega) == pytest.approx(1 / np.sqrt(width), rel=1e-15)
        gram = omega.T @ omega
        assert np.abs(gram - np.eye(width) * n / width).max() <= 1e-12


@given(n=st.integers(1, 40), place=st.floats(0, 1), seed=st.integers(0, 9))
def test_hadamard_columns_are_distinct_as_long_as_there_are_enough(n, place, seed):
    width = max(1, round(place * (1 << (n - 1).bit_length())))
    omega = draw("srht", (n, width), seed)
    assert omega.shape == (n, width)
    assert len({tuple(column) for column in np.sign(omega.T)}) == width


def test_one_seed_means_one_matrix_everywhere(xp, dtype, kind):
    like = xp.asarray(np.zeros((2, 2)), dtype)
    omega = matrix_of(kind, np.random.default_rng(7), (9, 5), like, xp.namespace)
    host = draw(kind, (9, 5), 7, np.empty(0, dtype="complex128" if "complex" in dtype else float))
    assert omega.dtype == like.dtype
    assert np.allclose(
        xp.to_numpy(omega), host.astype(dtype), rtol=4 * np.finfo(dtype).eps, atol=0
    )


def test_gaussian_entries_of_a_complex_matrix_are_circular():
    omega = draw("gaussian", (300, 300), like=np.empty(0, dtype=complex)) * np.sqrt(300)
    # Means over 90000 entries, five standard errors.
    assert abs(np.mean(omega**2)) <= 5 * np.sqrt(2) / 300
    assert abs(np.mean(np.abs(omega) ** 2) - 1) <= 5 / 300
