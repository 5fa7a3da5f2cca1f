"""Parts of a matrix between which nothing is known: each is fitted, and none decides on others."""

import numpy as np
import pytest

import tdecomp as td
from tdecomp._xp import namespace
from tdecomp.completion._complete import METHODS
from tdecomp.completion._entries import read
from tdecomp.completion._methods import _parts
from tdecomp.completion._methods._parts import parts
from tdecomp.completion._observed import group

XP = namespace(np.ones(1))


def blocks(rank, scales=(1.0, 0.3), size=20, dtype=np.float64):
    """Known blocks on the diagonal, whose rows come in any order, and nothing elsewhere."""
    rng, n = np.random.default_rng(0), size * len(scales)
    x = np.full((n, n), np.nan, dtype)
    for i, scale in enumerate(scales):
        where = slice(i * size, (i + 1) * size)
        left, right = (rng.standard_normal((2, size, rank)) for _ in range(2))
        if np.iscomplexobj(x):
            x[where, where] = scale * (left[0] + 1j * left[1]) @ (right[0] + 1j * right[1]).T
        else:
            x[where, where] = scale * left[0] @ right[0].T
    return x[rng.permutation(n)][:, rng.permutation(n)]


def observed(x):
    return group(read(x)[1], XP)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("scales", [(1.0, 0.3), (1.0, 1.0, 1e-3)])
def test_every_part_is_fitted_and_what_lies_between_stays_moderate(method, rank, scales):
    x = blocks(rank, scales)
    fit = td.complete(x, rank=rank, method=method, rng=0)
    assert fit.error < 1e-12
    assert np.max(abs(fit.tensor.to_array())) < 2 * np.nanmax(abs(x))


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_every_library_and_dtype_fits_parts(xp, dtype):
    x = blocks(2, dtype=dtype)
    fit = td.complete(xp.asarray(x), rank=2, rng=0)
    assert fit.error < 10 * np.finfo(dtype).eps
    assert np.max(abs(xp.to_numpy(fit.tensor.to_array()))) < 2 * np.nanmax(abs(x))


@pytest.mark.parametrize("method", METHODS)
def test_a_penalty_leaves_no_part_at_zero(method):
    x = blocks(2, (1.0, 1.0))
    fit = td.complete(x, rank=2, regularization=0.01, method=method, rng=0)
    assert fit.error < 0.01


@pytest.mark.parametrize("init", ["spectral", "rising"])
def test_single_entries_that_share_nothing_are_moderate(init):
    x = np.full((4, 4), np.nan)
    x[0, 0], x[1, 3], x[3, 1] = 5, 4, 1
    fit = td.complete(x, rank=1, init=init, rng=0)
    assert fit.error < 1e-12
    assert np.max(abs(fit.tensor.to_array())) < 25


def test_weights_and_offsets_go_with_their_parts():
    x = blocks(2)
    known = ~np.isnan(x)
    weights = known * np.random.default_rng(1).uniform(0.5, 2, x.shape)
    fit = td.complete(np.nan_to_num(x), rank=2, weights=weights, rng=0)
    assert fit.error < 1e-12
    fit = td.complete(x, rank=2, biases=True, tol=1e-10, max_iter=1000, rng=0)
    assert np.max(abs(fit.tensor.to_array())) < 3 * np.nanmax(abs(x))


def test_parts_are_those_that_entries_other_than_zero_connect():
    x = np.full((7, 8), np.nan)
    x[:3, :3] = x[3:6, 3:7] = 1.0
    x[0, 3] = 0.0
    found = parts(observed(x), 1, XP)
    places = [(part.rows.tolist(), part.columns.tolist()) for part in found]
    assert sorted(places) == [([0, 1, 2], [0, 1, 2]), ([3, 4, 5], [3, 4, 5, 6])]
    assert [part.observed.nnz for part in found] == [
        9 if part.columns.shape[0] == 3 else 12 for part in found
    ]
    assert len(parts(observed(x), 3, XP)) == 0
    x[6, 7] = 2.0
    assert len(parts(observed(x), 0, XP)) == 3


def test_one_part_is_one_however_long_the_way_is(monkeypatch):
    """A staircase, whose last row is twenty steps from the first."""
    n = 20
    x = np.full((n, n), np.nan)
    x[np.arange(n), np.arange(n)] = x[np.arange(1, n), np.arange(n - 1)] = 1.0
    assert parts(observed(x), 1, XP) is None
    assert parts(observed(np.zeros((3, 2))), 1, XP) is None
    monkeypatch.setattr(_parts, "_STEPS", 2 * n)
    assert parts(observed(x), 1, XP) is None
