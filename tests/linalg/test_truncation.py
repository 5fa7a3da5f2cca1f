"""The rule that decides ranks, against brute force."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tdecomp.linalg import energy_rank, tail_norms, truncation_rank

# Values whose squares neither vanish nor overflow relative to the largest.
values = st.one_of(st.just(0.0), st.floats(1e-12, 1.0), st.sampled_from([1.0, 0.5, 0.25]))
spectra = st.lists(values, min_size=1, max_size=12).map(lambda s: np.sort(s)[::-1].copy())
scales = st.sampled_from([1e-300, 1e-160, 1.0, 1e160, 1e300])
EPS = np.finfo(float).eps


def tails(s):
    """The norms of all tails, by a function that neither overflows nor rounds more than once."""
    return np.array([math.hypot(*s[r:]) for r in range(len(s) + 1)])


@given(s=spectra, scale=scales)
def test_tail_norms_equal_hypot_at_every_scale(s, scale):
    assert tail_norms(scale * s) == pytest.approx(tails(scale * s), rel=16 * EPS, abs=0)


@pytest.mark.parametrize("ratio", [1e-10, 1e-100, 1e-140])
def test_a_tail_is_accurate_however_small_beside_the_largest_value(ratio):
    assert tail_norms(np.array([1.0, ratio])) == pytest.approx([1, ratio, 0], rel=4 * EPS, abs=0)


@given(s=spectra, scale=scales, place=st.floats(0, 1.2), limit=st.integers(1, 15))
def test_truncation_rank_equals_brute_force(s, scale, place, limit):
    s, all_tails = scale * s, tails(scale * s)
    atol = place * all_tails[0]
    assume(np.all(np.abs(all_tails - atol) > 32 * EPS * all_tails[0]) or atol == 0 == all_tails[0])
    least = max(1, next(r for r in range(len(s) + 1) if all_tails[r] <= atol))
    assert truncation_rank(s, atol=atol) == least
    assert truncation_rank(s, atol=atol, rank=limit) == min(least, limit)


@given(s=spectra)
def test_without_tolerance_exactly_the_zeros_go(s):
    assert truncation_rank(s) == max(1, np.count_nonzero(s))


@given(s=spectra, energy=st.floats(0.01, 0.99))
def test_energy_rank_equals_brute_force(s, energy):
    kept = [math.fsum(s[:r] ** 2) for r in range(len(s) + 1)]
    assume(all(abs(k - energy * kept[-1]) > 64 * EPS * kept[-1] for k in kept) or kept[-1] == 0)
    least = next(r for r, k in enumerate(kept) if k >= energy * kept[-1])
    assert energy_rank(s, energy=energy) == max(1, least)


@pytest.mark.parametrize("energy", [0, 1, -0.5, 2, float("nan")])
def test_an_energy_out_of_range_is_named(energy):
    with pytest.raises(ValueError, match=r"energy must lie strictly between 0 and 1, got"):
        energy_rank(np.ones(3), energy=energy)


def test_an_energy_that_is_no_number_is_named():
    with pytest.raises(TypeError, match=r"energy must be a number, got '0\.9'"):
        energy_rank(np.ones(3), energy="0.9")


def test_a_batch_takes_the_largest_rank(xp):
    s = xp.asarray([[4.0, 3.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert xp.to_numpy(tail_norms(s)) == pytest.approx(
        np.array([[5, 3, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]), rel=4 * EPS
    )
    assert truncation_rank(s, atol=2.9) == 2
    assert truncation_rank(s, atol=3.1) == 1
    assert truncation_rank(s, atol=xp.asarray([3.1, 0.0, 0.0])) == 1
    assert truncation_rank(s, atol=xp.asarray([2.9, 9.0, 9.0])) == 2
    assert truncation_rank(s, atol=2.9, rank=1) == 1


def test_dtype_and_library_are_kept(xp):
    tail = tail_norms(xp.asarray([2.0, 1.0], "float32"))
    assert xp.to_numpy(tail).dtype == np.float32
    assert truncation_rank(xp.asarray([2.0, 1.0], "float32"), atol=1.5) == 1


@pytest.mark.parametrize("rank", [0, -1])
def test_a_rank_below_one_is_refused(rank):
    with pytest.raises(ValueError, match=f"rank must be an int >= 1, got {rank}"):
        truncation_rank(np.ones(3), rank=rank)


@pytest.mark.parametrize("rank", [1.0, True, "1"])
def test_a_rank_that_is_no_int_is_refused(rank):
    with pytest.raises(TypeError, match="rank must be an int >= 1"):
        truncation_rank(np.ones(3), rank=rank)


def test_whole_numbers_are_no_coarser_than_others():
    assert truncation_rank(np.array([3, 2, 1]), atol=2.3) == 1
    assert energy_rank([3, 2, 1], energy=0.9) == 2


@pytest.mark.parametrize(("s", "message"), [
    ([], "empty"), ([np.nan, 1.0], "non-finite"), ([1.0, 2.0], "descending"),
    ([1.0, -1.0], "negative"), (2.0, "dimensions"), ([1j], "real"),
])  # fmt: skip
def test_what_is_no_spectrum_has_no_energy(s, message):
    with pytest.raises((ValueError, TypeError), match=message):
        energy_rank(s, energy=0.5)
