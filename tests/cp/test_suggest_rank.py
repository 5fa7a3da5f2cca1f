"""The suggested rank is the planted one, by what the fits have not seen."""

import numpy as np
import pytest

import tdecomp as td
from tdecomp import cp
from tdecomp.cp._suggest_rank import _suggested
from tdecomp.ops import COO, from_dense
from tdecomp.testing import gaussian


def planted(random_cp, shape=(12, 9, 10), *, rank=2, noise=0.1, seed=0, dtype="float64"):
    """Return a tensor of `rank` equally heavy components under noise."""
    truth = random_cp(shape, rank, seed=seed, dtype=dtype)
    x = truth._replace(weights=np.ones_like(truth.weights)).to_array()
    error = gaussian(shape, rng=seed, dtype=dtype)
    return (x + noise * np.linalg.norm(x) / np.linalg.norm(error) * error).astype(dtype)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("noise", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("seed", [0, 10])
def test_the_planted_rank_is_suggested(random_cp, rank, noise, seed):
    x = planted(random_cp, shape=(16, 14, 12), rank=rank, noise=noise, seed=seed)
    table = cp.suggest_rank(x, ranks=range(1, 5), n_splits=0, n_starts=3, rng=seed)
    assert table.rank == rank
    assert np.all(np.isnan(table.split_half))


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_it_is_also_without_entries_held_out(random_cp, noise):
    x = planted(random_cp, rank=3, noise=noise)
    table = cp.suggest_rank(x, ranks=(2, 3, 4), held_out=0, n_splits=2, rng=0)
    assert table.rank == 3
    assert np.all(np.isnan(table.held_out))
    assert table.core_consistency[1] > 90
    assert table.split_half[1] > 0.9


def test_the_table_holds_what_the_functions_say(random_cp):
    x = planted(random_cp)
    table = cp.suggest_rank(x, ranks=(3, 1, 2, 2), n_splits=1, rng=0)
    assert table.ranks == (1, 2, 3)
    assert [fit.tensor.rank for fit in table.fits] == [1, 2, 3]
    assert table.status == tuple(fit.status for fit in table.fits)
    for k, fit in enumerate(table.fits):
        assert table.error[k] == pytest.approx(float(td.relative_error(x, fit.tensor)))
        core = float(cp.core_consistency(x, fit.tensor))
        assert table.core_consistency[k] == pytest.approx(core)
    assert np.all(np.diff(table.error) < 0)
    lines = str(table).splitlines()
    assert len(lines) == 4
    assert [line[0] for line in lines[1:]] == [" ", ">", " "]


def test_the_error_on_held_out_entries_is_that_of_the_noise(random_cp):
    x = planted(random_cp, shape=(20, 19, 18), noise=0.2)
    table = cp.suggest_rank(x, ranks=(2,), n_splits=0, rng=0)
    # 684 entries: their noise is known to 3 %, that of the signal to 10 %.
    assert table.held_out[0] == pytest.approx(0.2, rel=0.4)


def test_missing_entries(random_cp):
    x = planted(random_cp, shape=(14, 13, 12))
    seen = np.random.default_rng(0).random(x.shape) < 0.6
    holes = np.where(seen, x, np.nan)
    options = {"ranks": (1, 2, 3), "n_splits": 0, "rng": 0}
    dense = cp.suggest_rank(holes, weights=seen, **options)
    assert dense.rank == 2
    assert dense.core_consistency[1] > 90
    places = np.stack(np.nonzero(seen))
    listed = cp.suggest_rank(
        COO(places, x[seen], x.shape), weights=COO(places, np.ones(seen.sum()), x.shape), **options
    )
    assert listed.rank == 2
    assert np.all(np.isnan(listed.core_consistency))
    assert listed.held_out[1] == pytest.approx(dense.held_out[1], rel=0.5)


def test_sparse_tensors_hold_nothing_out(random_cp):
    x = from_dense(planted(random_cp))
    with pytest.raises(ValueError, match=r"held_out=0, or weights="):
        cp.suggest_rank(x, ranks=(1, 2))
    assert cp.suggest_rank(x, ranks=(1, 2, 3), held_out=0, n_splits=1, rng=0).rank == 2


def test_every_library(xp, random_cp):
    x = xp.asarray(planted(random_cp, shape=(6, 6, 6), dtype="float32"))
    table = cp.suggest_rank(x, ranks=(2,), n_splits=0, n_starts=1, max_iter=8, rng=0)
    assert table.rank == 2
    assert table.held_out[0] < 0.5
    assert table.core_consistency[0] > 90
    assert xp.to_numpy(table.fits[0].tensor.weights).dtype == np.float32


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_the_scale_of_the_data_does_not_matter(random_cp, size):
    x = planted(random_cp, shape=(8, 6, 7))
    options = {"ranks": (1, 2), "n_splits": 0, "n_starts": 2, "rng": 0}
    found, expected = cp.suggest_rank(x * size, **options), cp.suggest_rank(x, **options)
    assert found.rank == expected.rank == 2
    np.testing.assert_allclose(found.held_out, expected.held_out, rtol=1e-3)
    np.testing.assert_allclose(found.core_consistency, expected.core_consistency, rtol=1e-2)


def test_zeros_need_one_component():
    table = cp.suggest_rank(np.zeros((4, 5, 6)), ranks=(1, 2), rng=0)
    assert table.rank == 1
    assert np.all(table.error == 0)
    assert np.all(table.held_out == 0)


def test_vectors_and_matrices():
    assert cp.suggest_rank(gaussian((9,), rng=0), rng=0, held_out=0).rank == 1
    x = gaussian((12, 2), rng=0) @ gaussian((2, 11), rng=1)
    assert cp.suggest_rank(x, ranks=(1, 2, 3), n_splits=0, rng=0).rank == 2


def test_what_is_degenerate_is_not_suggested():
    errors = np.array([0.5, 0.1, 0.05])
    status = (td.Status.CONVERGED, td.Status.CONVERGED, td.Status.DEGENERATE)
    table = cp.RankTable(
        1, (1, 2, 3), errors, errors, np.full(3, 100.0), np.ones(3), status, (None,) * 3
    )
    residuals = np.repeat(errors[:, None], 50, axis=1)
    assert _suggested(table, residuals, 0.0) == 2
    assert _suggested(table, None, 0.0) == 2
    fine = table._replace(status=(td.Status.CONVERGED,) * 3)
    assert _suggested(fine, residuals, 0.0) == _suggested(fine, None, 0.0) == 3
    assert _suggested(fine, residuals, 0.2) == _suggested(fine, None, 0.2) == 2
    alike = fine._replace(split_half=np.array([1.0, 0.8, 0.7]))
    assert _suggested(alike, None, 0.0) == 1


def test_bad_options_are_named():
    x = np.ones((3, 4, 5))
    with pytest.raises(ValueError, match=r"ranks\[1\] must be an int between 1 and 12, got 13"):
        cp.suggest_rank(x, ranks=(1, 13))
    with pytest.raises(TypeError, match=r"ranks\[0\] must be an int"):
        cp.suggest_rank(x, ranks=(2.5,))
    with pytest.raises(TypeError, match="ranks must be a sequence"):
        cp.suggest_rank(x, ranks=3)
    with pytest.raises(ValueError, match="ranks is empty"):
        cp.suggest_rank(x, ranks=())
    for part in (-0.1, 1.0):
        with pytest.raises(ValueError, match="0 <= held_out < 1"):
            cp.suggest_rank(x, held_out=part)
    with pytest.raises(ValueError, match=r"first at x\[0, 0, 0\]"):
        cp.suggest_rank(np.full((3, 4, 5), np.inf))
