"""The elbow of a spectrum, against spectra whose turn is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp.linalg import elbow_rank
from tdecomp.testing import matrix

sizes = st.integers(1, 40)
# A gap that is far above rounding and far below what counts as rounding.
drops = st.floats(1e-10, 0.9)


@given(plateau=sizes, floor=sizes, drop=drops)
def test_two_levels_are_told_apart_exactly(plateau, floor, drop):
    s = np.concatenate([np.ones(plateau), np.full(floor, drop)])
    # Of two values alone both ends lie on the chord.
    assert elbow_rank(s) == (plateau if plateau + floor > 2 else 2)


@given(plateau=st.integers(2, 30), floor=st.integers(2, 30), slope=st.floats(0, 0.01))
def test_a_drop_is_found_between_gentle_slopes(plateau, floor, slope):
    s = np.exp(-slope * np.arange(plateau + floor))
    s[plateau:] *= 1e-3
    assert elbow_rank(s) == plateau


@given(
    s=st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=15).map(lambda s: np.sort(s)[::-1]),
    scale=st.sampled_from([2.0**-900, 2.0**-30, 2.0**40, 2.0**900]),
)
def test_the_scale_does_not_matter(s, scale):
    assert elbow_rank(scale * s) == elbow_rank(s)


@pytest.mark.parametrize("power", [0.5, 2.0])
def test_nor_does_a_power(power):
    s = np.concatenate([np.geomspace(10, 3, 7), np.geomspace(0.02, 0.01, 20)])
    assert elbow_rank(s) == elbow_rank(s**power) == 7


@pytest.mark.parametrize("n", [1, 2, 3, 17])
@pytest.mark.parametrize("ratio", [1.0, 1 - 1e-15, 0.999, 0.3])
def test_a_straight_spectrum_is_kept(n, ratio):
    assert elbow_rank(ratio ** np.arange(float(n))) == n


@pytest.mark.parametrize("rank", [1, 2, 5])
@pytest.mark.parametrize("small", [0.0, 5e-324, 1e-310, 1e-17])
def test_zeros_and_rounding_are_never_kept(rank, small):
    s = np.concatenate([np.linspace(2.0, 1.0, rank), np.full(4, small)])
    assert elbow_rank(s) == rank
    assert elbow_rank(np.concatenate([s, [0.0]])) == rank


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rank", [1, 4, 20])
def test_a_computed_spectrum_shows_its_rank(dtype, rank):
    a = matrix(60, 40, np.linspace(2.0, 1.0, rank), rng=3).astype(dtype)
    assert elbow_rank(np.linalg.svd(a, compute_uv=False)) == rank


def test_noise_below_signals_is_left_out():
    a = matrix(80, 80, np.geomspace(30.0, 10.0, 5), rng=4)
    noisy = a + 0.02 * np.random.default_rng(5).standard_normal((80, 80))
    assert elbow_rank(np.linalg.svd(noisy, compute_uv=False)[:40]) == 5


def test_nothing_has_rank_one():
    assert elbow_rank(np.zeros(5)) == elbow_rank([0.0]) == elbow_rank([5e-324]) == 1


def test_every_library_agrees_and_a_batch_takes_the_largest(xp):
    s = np.array([[9.0, 8.0, 7.0, 0.3, 0.2, 0.1], [9.0, 1.0, 0.9, 0.8, 0.7, 0.6], [0.0] * 6])
    ranks = [elbow_rank(xp.asarray(row)) for row in s]
    assert ranks == [3, 1, 1]
    assert elbow_rank(xp.asarray(s)) == 3
    assert elbow_rank(xp.asarray(s, "float32")) == 3


def test_integers_and_lists_are_taken():
    assert elbow_rank([90, 80, 70, 3, 2, 2]) == elbow_rank(np.array([90, 80, 70, 3, 2, 2])) == 3


@pytest.mark.parametrize("s", [[1.0, 2.0], [1.0, -1.0]])
def test_what_is_no_spectrum_is_refused(s):
    with pytest.raises(ValueError, match="none negative, in descending order"):
        elbow_rank(s)


def test_bad_values_are_named():
    with pytest.raises(ValueError, match=r"s has 1 non-finite entries .* the first at s\[1\]"):
        elbow_rank([2.0, np.nan, 1.0])
    with pytest.raises(ValueError, match="s is empty"):
        elbow_rank([])
    with pytest.raises(TypeError, match="real, got complex128"):
        elbow_rank([1j])
