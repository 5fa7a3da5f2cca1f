"""Rings: guaranteed errors by SVDs, monotone fits by least squares."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tdecomp as td
from tdecomp import tt
from tdecomp.testing import gaussian, tensor

SINGLE = {"float32", "complex64"}


def wide(x):
    """The same numbers in double precision."""
    return x.astype(np.result_type(x.dtype, np.float64))


def error(x, ring):
    """The relative error of a ring of NumPy cores, in double precision."""
    return float(td.relative_error(wide(x), tt.TensorRing(tuple(map(wide, ring.cores)))))


@pytest.mark.parametrize("rtol", [0.3, 1e-2, 1e-5, 1e-8, 1e-12])
@pytest.mark.parametrize("shape", [(30, 20, 25), (9, 8, 7, 6), (70, 60)])
def test_the_svd_keeps_rtol(shape, rtol, dtype):
    if dtype in SINGLE and rtol < 1e-5:
        pytest.skip("beyond single precision")
    x = tensor(shape, 0.3 ** np.arange(float(min(shape))), dtype=dtype)
    ring = tt.tr_svd(x, rtol=rtol)
    assert ring.dtype == np.dtype(dtype)
    assert error(x, ring) <= rtol


@given(
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=6).map(tuple),
    place=st.floats(0, 1), seed=st.integers(0, 99),
    kind=st.sampled_from(["float32", "complex128"]),
)  # fmt: skip
def test_the_svd_keeps_rtol_on_anything(shape, place, seed, kind):
    x = gaussian(shape, rng=seed, dtype=kind)
    rtol = (1e-5 if kind in SINGLE else 1e-12) ** place * 0.9
    ring = tt.tr_svd(x, rtol=rtol)
    assert error(x, ring) <= rtol
    assert ring.rank[0] <= ring.rank[1 % len(shape)]


def test_the_svd_splits_the_first_rank_evenly():
    x = gaussian((12, 5, 6, 7))
    ring = tt.tr_svd(x, rtol=1e-12)
    assert ring.rank[:2] == (3, 4)
    assert error(x, ring) <= 1e-12
    fixed = tt.tr_svd(x, rank=(2, 4, 5, 6))
    assert fixed.rank == (2, 4, 5, 6)
    # Orthogonal parts: what is kept and what is left out share the norm.
    gap = np.linalg.norm(x - fixed.to_array())
    assert np.linalg.norm(fixed.cores[-1]) ** 2 + gap**2 == pytest.approx(np.linalg.norm(x) ** 2)
    both = tt.tr_svd(x, rank=3, rtol=0.7)
    assert max(both.rank) <= 3
    assert tt.tr_svd(tensor(x.shape, [1.0, 0.5, 0.1]), rank=3, rtol=0.2).rank == (1, 2, 2, 2)
    with pytest.raises(ValueError, match=r"rank\[0\] \* rank\[1\] must be at most 12"):
        tt.tr_svd(x, rank=4)


@pytest.mark.parametrize("init", ["svd", "random"])
@pytest.mark.parametrize(
    ("shape", "rank"),
    [((8, 9, 7, 6), (2, 3, 2, 2)), ((6,) * 5, (2,) * 5), ((9, 11, 10), (3,) * 3)],
)
def test_a_ring_of_that_rank_is_found_exactly(shape, rank, init, ring_of):
    x = ring_of(shape, rank, dtype="complex128").to_array()
    fits = [
        tt.tr_als(x, rank=rank, init=init, tol=1e-9, max_iter=400, rng=seed) for seed in range(3)
    ]
    best = min(fits, key=lambda fit: fit.error)
    assert best.error <= 1e-13
    assert best.tensor.rank == rank
    assert best.status in (td.Status.CONVERGED, td.Status.STAGNATED)


def test_the_error_never_rises_and_is_true(ring_of):
    x = ring_of((7, 6, 8, 5), (3, 2, 3, 2)).to_array()
    x = x / np.linalg.norm(x) + 0.3 * gaussian(x.shape) / math.sqrt(x.size)
    seen = []
    fit = tt.tr_als(x, rank=2, tol=0, max_iter=30, rng=0, callback=seen.append)
    errors = [progress.error for progress in seen]
    assert all(b <= a * (1 + 1e-12) for a, b in pairwise(errors))
    assert fit.error == errors[-1]
    for progress in seen:
        assert progress.error == pytest.approx(error(x, progress.tensor), rel=1e-10)
    again = tt.tr_als(x, init=fit.tensor, max_iter=1)
    assert again.error <= fit.error * (1 + 1e-12)


def test_no_worse_than_tensorly_from_the_same_start(ring_of):
    decomposition = pytest.importorskip("tensorly.decomposition")
    x = ring_of((8, 7, 9, 6), (3, 3, 3, 3)).to_array()
    x = x / np.linalg.norm(x) + 0.2 * gaussian(x.shape) / math.sqrt(x.size)
    theirs = []
    for seed in range(4):
        ring = decomposition.tensor_ring_als(x, [3] * 5, n_iter_max=60, random_state=seed)
        theirs.append(np.linalg.norm(x - np.asarray(ring.to_tensor())) / np.linalg.norm(x))
    ours = [tt.tr_als(x, rank=3, rng=seed, max_iter=60).error for seed in range(4)]
    assert min(ours) <= min(theirs) * (1 + 1e-6)


def test_one_update_solves_its_least_squares_problem(ring_of):
    x = gaussian((4, 5, 3, 6), dtype="complex128")
    ring = ring_of(x.shape, (2, 3, 2, 2), dtype="complex128")
    fit = tt.tr_als(x, init=ring, max_iter=1)
    # The last core renewed is the best one for the others, by NumPy's solver.
    cores = fit.tensor.cores
    chain = cores[0]
    for core in cores[1:-1]:
        chain = np.tensordot(chain, core, axes=1).reshape(chain.shape[0], -1, core.shape[-1])
    columns = chain.transpose(1, 0, 2).reshape(chain.shape[1], -1)
    expected = np.linalg.lstsq(columns, x.reshape(-1, x.shape[-1]))[0]
    r, n, q = cores[-1].shape
    assert np.abs(expected.reshape(q, r, n).transpose(1, 2, 0) - cores[-1]).max() <= 1e-12


def test_every_backend(xp, ring_of, on_host):
    kind = "float32" if xp.name == "jax" else "complex64"
    x = ring_of((3, 3, 3), (2, 2, 2), dtype=kind, seed=3).to_array()
    start = tt.TensorRing(tuple(map(xp.asarray, ring_of((3, 3, 3), (2, 2, 2), seed=4).cores)))
    fit = tt.tr_als(xp.asarray(x), init=start, max_iter=1, tol=0)
    expected = tt.tr_als(x, init=ring_of((3, 3, 3), (2, 2, 2), seed=4), max_iter=1, tol=0)
    ring = on_host(fit.tensor, xp)
    assert ring.dtype == np.dtype(kind)
    assert fit.error == pytest.approx(expected.error, rel=1e-3)
    assert fit.error == pytest.approx(error(x, ring), rel=1e-3)
    found = on_host(tt.tr_svd(xp.asarray(x), rtol=1e-4), xp)
    assert error(x, found) <= 1e-4


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_scale_costs_no_digit(scale, ring_of):
    x = ring_of((5, 4, 6), (2, 2, 2)).to_array()
    x = x / np.abs(x).max()
    assert np.abs(tt.tr_svd(x * scale, rtol=1e-12).to_array() / scale - x).max() <= 1e-11
    fit = tt.tr_als(x * scale, rank=2, rng=0, max_iter=400, tol=1e-9)
    assert np.abs(fit.tensor.to_array() / scale - x).max() <= 1e-9


def test_zero_tensors_single_modes_and_modes_of_size_one():
    zero = tt.tr_als(np.zeros((3, 4, 5)), rank=2, rng=0)
    assert (zero.error, zero.status) == (0, td.Status.CONVERGED)
    assert not np.any(zero.tensor.to_array())
    assert not np.any(tt.tr_svd(np.zeros((3, 4, 5)), rtol=0.1).to_array())
    one = tt.tr_als(np.arange(4.0), rank=1, rng=0)
    assert one.tensor.to_array().tolist() == [0, 1, 2, 3]
    thin = gaussian((1, 3, 1, 4))
    assert tt.tr_als(thin, rank=3, rng=0, max_iter=50).error <= 1e-13
    assert error(thin, tt.tr_svd(thin, rtol=1e-12)) <= 1e-12


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({}, ValueError, "pass rank="),
        ({"rank": 0}, ValueError, "rank must be an int between 1 and 6, got 0"),
        ({"rank": 7}, ValueError, "rank must be an int between 1 and 6, got 7"),
        ({"rank": 2.5}, TypeError, "rank must be an int"),
        ({"rank": True}, TypeError, "rank must be an int"),
        ({"rank": (2, 2)}, ValueError, "one entry for each of 3 modes"),
        ({"rank": 2, "init": "nvecs"}, ValueError, "init must be one of 'svd', 'random'"),
        ({"rank": 2, "max_iter": 0}, ValueError, "max_iter must be an int >= 1"),
        ({"rank": 2, "tol": -1}, ValueError, "tol must be a number >= 0"),
        ({"init": [np.ones((1, 4, 1))] * 3}, ValueError, "init must be a ring of shape"),
        ({"rank": 2, "rng": 1.5}, TypeError, "rng must be an int"),
    ],
)
def test_options_out_of_range_are_named(options, kind, message):
    with pytest.raises(kind, match=message):
        tt.tr_als(np.ones((4, 5, 6)), **options)


def test_the_ranks_of_a_start_are_its_own(ring_of):
    start = ring_of((4, 5, 6), (2, 2, 2))
    with pytest.raises(ValueError, match="leave rank= out"):
        tt.tr_als(np.ones((4, 5, 6)), rank=3, init=start)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_number_that_is_none_is_named(bad):
    x = np.ones((3, 4, 5))
    x[1, 2, 3] = bad
    for call in (tt.tr_svd, tt.tr_als):
        with pytest.raises(ValueError, match=r"first at x\[1, 2, 3\]"):
            call(x, rank=1)


def test_below_the_floor_the_error_names_what_can_be_reached():
    with pytest.raises(td.ToleranceError) as caught:
        tt.tr_svd(gaussian((6, 5, 7)), rtol=1e-18)
    assert caught.value.reachable < 1e-13
