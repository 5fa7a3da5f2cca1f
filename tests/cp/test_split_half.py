"""Split-half analysis: components of samples, of noise, of what is missing."""

import numpy as np
import pytest

from tdecomp import cp
from tdecomp.cp._observed import hold_out
from tdecomp.ops import COO, from_dense
from tdecomp.testing import gaussian


def planted(random_cp, shape=(12, 9, 10), *, rank=2, noise=0.1, seed=0, dtype="float64"):
    """Return a tensor of `rank` equally heavy components under noise."""
    truth = random_cp(shape, rank, seed=seed, dtype=dtype)
    x = truth._replace(weights=np.ones_like(truth.weights)).to_array()
    error = gaussian(shape, rng=seed, dtype=dtype)
    return (x + noise * np.linalg.norm(x) / np.linalg.norm(error) * error).astype(dtype)


@pytest.mark.parametrize("mode", [0, 1, -1])
def test_halves_agree_on_what_is_there_and_not_on_noise(random_cp, mode):
    x = planted(random_cp)
    right, wrong = (cp.split_half(x, rank=r, mode=mode, rng=0) for r in (2, 4))
    assert min(right.scores) > 0.95
    assert wrong.score < 0.8
    assert right.score == np.median(right.scores)
    assert len(right.scores) == len(right.halves) == 4


def test_halves_are_disjoint_and_complete(random_cp):
    x = planted(random_cp, shape=(7, 9, 10), noise=0)
    ((first, second),) = cp.split_half(x, rank=2, n_splits=1, rng=0).halves
    assert (first.shape, second.shape) == ((3, 9, 10), (4, 9, 10))
    rows = np.concatenate([first.to_array(), second.to_array()])
    order = np.argsort([np.abs(x - row).max(axis=(1, 2)).argmin() for row in rows])
    assert np.abs(rows[order] - x).max() <= 1e-4 * np.abs(x).max()


def test_the_seed_decides(random_cp):
    x = planted(random_cp)
    scores = [cp.split_half(x, rank=3, n_splits=2, rng=seed).scores for seed in (0, 0, 1)]
    assert scores[0] == scores[1] != scores[2]


def test_every_library(xp, random_cp):
    x = xp.asarray(planted(random_cp, shape=(12, 6, 6), dtype="complex64"))
    found = cp.split_half(x, rank=2, n_splits=1, n_starts=1, max_iter=9, rng=0)
    assert found.score > 0.95
    assert xp.to_numpy(found.halves[0][0].factors[1]).dtype == np.complex64


def test_every_dtype(random_cp, dtype):
    found = cp.split_half(planted(random_cp, dtype=dtype), rank=2, n_splits=1, rng=0)
    assert found.score > 0.95
    assert found.halves[0][0].factors[1].dtype == dtype


def test_missing_entries_and_coordinates(random_cp):
    x = planted(random_cp)
    seen = np.random.default_rng(0).random(x.shape) < 0.7
    holes = np.where(seen, x, np.nan)
    options = {"rank": 2, "n_splits": 2, "rng": 0}
    dense = cp.split_half(holes, weights=seen, **options).score
    places = np.stack(np.nonzero(seen))
    listed = cp.split_half(
        COO(places, x[seen], x.shape), weights=COO(places, np.ones(seen.sum()), x.shape), **options
    ).score
    assert dense > 0.95
    assert listed == pytest.approx(dense, abs=1e-3)
    sparse = cp.split_half(from_dense(x), **options).score
    assert sparse == pytest.approx(cp.split_half(x, **options).score, abs=1e-3)


def test_what_cannot_be_cut_is_refused():
    x = np.ones((1, 4, 5))
    with pytest.raises(ValueError, match="mode 0 of size two or more"):
        cp.split_half(x, rank=1)
    with pytest.raises(ValueError, match="two modes or more"):
        cp.split_half(np.ones(5), rank=1)
    with pytest.raises(ValueError, match="rank must be an int between 1 and 8"):
        cp.split_half(np.ones((4, 4, 5)), rank=9)
    with pytest.raises(ValueError, match="n_splits must be an int >= 1"):
        cp.split_half(np.ones((4, 4, 5)), rank=1, n_splits=0)
    with pytest.raises(ValueError, match="cannot be broadcast"):
        cp.split_half(np.ones((4, 4, 5)), rank=1, weights=np.ones(3))


def test_entries_are_held_out_of_every_kind_of_data(xp):
    x = gaussian((5, 6, 7), rng=0)
    seen = np.random.default_rng(1).random(x.shape) < 0.6
    places = np.stack(np.nonzero(seen))
    weights = np.where(seen, 2.0, 0.0)
    draws = [np.random.default_rng(0) for _ in range(2)]
    dense = hold_out(xp.asarray(x), xp.asarray(weights), 0.3, draws[0], xp.namespace)
    listed = hold_out(
        COO(xp.asarray(places), xp.asarray(x[seen]), x.shape),
        COO(xp.asarray(places), xp.asarray(weights[seen]), x.shape),
        0.3,
        draws[1],
        xp.namespace,
    )
    for found, left in ((dense, dense.weights), (listed, listed.weights.to_array())):
        rows = xp.to_numpy(found.indices)
        assert rows.shape == (round(0.3 * seen.sum()), 3)
        assert np.array_equal(xp.to_numpy(found.values), x[tuple(rows.T)])
        assert np.all(xp.to_numpy(found.heavy) == 2)
        expected = weights.copy()
        expected[tuple(rows.T)] = 0
        assert np.array_equal(xp.to_numpy(left), expected)


def test_the_last_entry_of_a_slice_is_not_held_out():
    weights = np.ones((6, 5))
    weights[2], weights[2, 3] = 0, 1
    for seed in range(20):
        left = hold_out(np.ones((6, 5)), weights, 0.8, np.random.default_rng(seed), np).weights
        assert left.any(axis=0).all()
        assert left.any(axis=1).all()
    with pytest.raises(ValueError, match="no entry can be held out of 3"):
        hold_out(np.ones((3, 3)), np.eye(3), 0.5, np.random.default_rng(0), np)
