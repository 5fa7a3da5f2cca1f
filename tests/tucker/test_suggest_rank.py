"""Multilinear spectra and ranks: between their bounds, and optimal against brute force."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tdecomp as td
from tdecomp import tucker
from tdecomp.linalg import tail_norms
from tdecomp.ops import unfold
from tdecomp.testing import gaussian, low_rank_tensor
from tdecomp.tucker import _suggest_rank as module

SMOOTH = 1 / (1.0 + sum(np.ogrid[:12, :9, :7]))


def graded(shape, seed=0):
    """Return a tensor whose modes have spectra of different decay."""
    x = gaussian(shape, rng=seed)
    for mode, n in enumerate(shape):
        decay = (0.4 + 0.15 * mode) ** np.arange(n)
        x = x * decay.reshape((-1,) + (1,) * (len(shape) - 1 - mode))
    return x


def parameters(shape, rank):
    return math.prod(rank) + sum(n * r for n, r in zip(shape, rank, strict=True))


def brute(x):
    """Yield every multilinear rank, its bound and its parameters, spectra by plain SVDs."""
    tails = [np.linalg.svd(unfold(x, k), compute_uv=False) for k in range(x.ndim)]
    tails = [np.append(np.cumsum(s[::-1] ** 2)[::-1], 0) / np.sum(s**2) for s in tails]
    for rank in itertools.product(*(range(1, len(t)) for t in tails)):
        if all(r * r <= math.prod(rank) for r in rank):
            bound = math.sqrt(sum(t[r] for t, r in zip(tails, rank, strict=True)))
            yield rank, bound, parameters(x.shape, rank)


def test_spectra_are_those_of_the_unfoldings(xp, dtype):
    x = graded((5, 6, 7)).astype(dtype)
    spectra = tucker.mode_spectra(xp.asarray(x))
    for mode, s in enumerate(spectra):
        expected = np.linalg.svd(unfold(x, mode), compute_uv=False)
        assert xp.to_numpy(s).dtype == expected.dtype
        slack = 20 * float(np.finfo(dtype).eps) * expected[0]
        assert np.abs(xp.to_numpy(s) - expected).max() <= slack


def test_small_singular_values_keep_their_digits():
    x = low_rank_tensor((30, 31, 32), (3, 3, 3), rng=0)
    x = x + 1e-12 * low_rank_tensor((30, 31, 32), (1, 1, 1), rng=1)
    for s in tucker.mode_spectra(x):
        # A Gram matrix would end at 1e-8.
        assert 1e-13 < s[3] < 2e-12
        assert s[5] < 1e-15


def test_spectra_of_a_tucker_tensor_without_its_entries(tucker_of):
    x = tucker_of((9, 8, 7), (3, 2, 4), alone=(1,))
    for s, full in zip(tucker.mode_spectra(x), tucker.mode_spectra(x.to_array()), strict=True):
        assert np.abs(s - full[: len(s)]).max() <= 1e-13 * full[0]
        assert np.all(full[len(s) :] <= 1e-13 * full[0])
    found = tucker.suggest_rank(x, rtol=0.1)
    assert found.rank == tucker.suggest_rank(x.to_array(), rtol=0.1).rank


@pytest.mark.parametrize("size", [1e-300, 1e300])
def test_spectra_of_every_scale(size):
    x = graded((4, 5, 6))
    for s, unit in zip(tucker.mode_spectra(x * size), tucker.mode_spectra(x), strict=True):
        np.testing.assert_allclose(s / size, unit, rtol=1e-12)
    found, expected = (tucker.suggest_rank(y, rtol=0.1) for y in (x * size, x))
    assert found.rank == expected.rank
    assert found.bound == pytest.approx(expected.bound)


@given(
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple),
    seed=st.integers(0, 99),
    rtol=st.sampled_from([0.6, 0.2, 0.03, 1e-6]),
)
def test_no_rank_within_the_error_has_fewer_parameters(shape, seed, rtol):
    x = graded(shape, seed)
    found = tucker.suggest_rank(x, rtol=rtol)
    assert found.bound <= rtol
    assert found.n_parameters == parameters(shape, found.rank)
    assert found.n_parameters == min(p for _, b, p in brute(x) if b <= rtol * (1 - 1e-9))
    fit = tucker.sthosvd(x, rank=found.rank)
    assert fit.rank == found.rank
    error = float(td.relative_error(x, fit))
    assert found.at_least * (1 - 1e-9) - 1e-14 <= error <= rtol


@given(
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple),
    seed=st.integers(0, 99),
    part=st.floats(0.0, 1.0),
)
def test_no_rank_within_the_parameters_has_a_smaller_bound(shape, seed, part):
    x = graded(shape, seed)
    least = parameters(shape, (1,) * len(shape))
    budget = least + int(part * 2 * x.size)
    found = tucker.suggest_rank(x, n_parameters=budget)
    assert found.n_parameters <= budget
    best = min(b for _, b, p in brute(x) if p <= budget)
    assert found.bound == pytest.approx(best, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("rtol", [0.5, 0.1, 0.01])
def test_exchanges_come_close_to_the_best(monkeypatch, rtol):
    worst = 1.0
    for seed in range(5):
        x = graded((5, 6, 7, 6), seed)
        exact = tucker.suggest_rank(x, rtol=rtol)
        monkeypatch.setattr(module, "_COMBINATIONS", 1)
        near = tucker.suggest_rank(x, rtol=rtol)
        shrunk = tucker.suggest_rank(x, n_parameters=exact.n_parameters)
        monkeypatch.undo()
        assert near.bound <= rtol
        assert shrunk.n_parameters <= exact.n_parameters
        worst = max(worst, near.n_parameters / exact.n_parameters, shrunk.bound / rtol)
    assert worst <= 1.25


def test_fewer_parameters_than_equal_shares():
    found = tucker.suggest_rank(graded((12, 12, 12)), rtol=0.05)
    equal = tucker.sthosvd(graded((12, 12, 12)), rtol=0.05)
    assert found.n_parameters <= td.n_parameters(equal)


def test_energy_is_a_tolerance():
    assert tucker.suggest_rank(SMOOTH, energy=0.99) == tucker.suggest_rank(SMOOTH, rtol=0.1)


def test_a_map_of_ranks():
    rtols = [0.3, 1e-2, 1e-6, 1e-10]
    found = tucker.rank_map(SMOOTH, rtols)
    assert found == tuple(tucker.suggest_rank(SMOOTH, rtol=rtol) for rtol in rtols)
    assert np.all(np.diff([f.n_parameters for f in found]) > 0)
    single = tucker.rank_map(SMOOTH.astype("f4"), [0.3, 1e-2, 1e-5])
    assert [f.rank for f in single[:2]] == [f.rank for f in found[:2]]
    assert single[2].bound <= 1e-5


def test_modes_that_are_not_named_stay_whole(xp):
    x = xp.asarray(SMOOTH)
    found = tucker.suggest_rank(x, rtol=1e-3, modes=(2, 0))
    fit = tucker.sthosvd(x, rank=found.rank, modes=(2, 0))
    assert fit.factors[1] is None
    assert float(td.relative_error(x, fit)) <= found.bound <= 1e-3
    assert found.n_parameters == td.n_parameters(fit)


def test_exact_ranks_are_found(dtype):
    x = low_rank_tensor((8, 9, 10), (2, 3, 4), dtype=dtype, rng=0)
    assert tucker.suggest_rank(x, rtol=1e-3).rank == (2, 3, 4)


def test_zeros_twelve_modes_and_single_entries():
    assert tucker.suggest_rank(np.zeros((4, 5)), rtol=0.1).rank == (1, 1)
    assert tucker.suggest_rank(np.ones((1, 1)), rtol=0.1).rank == (1, 1)
    x = gaussian((2,) * 12, rng=0)
    found = tucker.suggest_rank(x, rtol=0.9)
    assert float(td.relative_error(x, tucker.sthosvd(x, rank=found.rank))) <= 0.9


def test_tails_of_spectra_are_the_bounds():
    found = tucker.suggest_rank(SMOOTH, rtol=1e-2)
    tails = [
        float(tail_norms(s)[r] / np.linalg.norm(SMOOTH))
        for s, r in zip(tucker.mode_spectra(SMOOTH), found.rank, strict=True)
    ]
    assert found.bound == pytest.approx(math.hypot(*tails))
    assert found.at_least == pytest.approx(max(tails))


def test_bad_targets_are_named():
    for options in ({}, {"rtol": 0.1, "energy": 0.9}):
        with pytest.raises(ValueError, match="exactly one of rtol=, energy= and n_parameters="):
            tucker.suggest_rank(SMOOTH, **options)
    with pytest.raises(ValueError, match="energy must lie strictly between 0 and 1, got 1"):
        tucker.suggest_rank(SMOOTH, energy=1)
    with pytest.raises(ValueError, match="n_parameters must be at least 29, for rank 1, got 5"):
        tucker.suggest_rank(SMOOTH, n_parameters=5)
    with pytest.raises(td.ToleranceError, match="cannot be guaranteed in float64"):
        tucker.suggest_rank(SMOOTH, rtol=1e-15)
    with pytest.raises(TypeError, match="rtols must be a sequence"):
        tucker.rank_map(SMOOTH, 0.1)
    with pytest.raises(ValueError, match=r"rtols\[1\] is a relative error"):
        tucker.rank_map(SMOOTH, [0.1, 2])
    with pytest.raises(ValueError, match=r"first at x\[0, 0\]"):
        tucker.mode_spectra([[np.nan, 1.0]])
    with pytest.raises(TypeError, match="modes must be a sequence"):
        tucker.mode_spectra(SMOOTH, modes=1)
