"""The start: near the matrix in the mean, whatever is known of it more often than the rest."""

import numpy as np
import pytest

from tdecomp._xp import namespace
from tdecomp.completion._entries import read
from tdecomp.completion._methods._spectral import heaviness, spectral
from tdecomp.completion._observed import group

XP = namespace(np.ones(1))


def start(x, rank, weights=None):
    _, entries = read(x, weights, duplicates="error")
    left, right = spectral(group(entries, XP), rank, np.random.default_rng(0), XP)
    return left @ right.T


def gaussian(m, n, rank, seed=0):
    rng = np.random.default_rng(seed)
    return rng, rng.standard_normal((m, rank)) @ rng.standard_normal((rank, n))


def test_with_all_entries_known_the_start_is_the_truncation():
    _, x = gaussian(60, 50, 3)
    assert np.linalg.norm(start(x, 3) - x) < 1e-9 * np.linalg.norm(x)


def test_with_half_the_entries_known_the_start_is_near():
    rng, x = gaussian(300, 200, 3)
    z = start(np.where(rng.random(x.shape) < 0.5, x, np.nan), 3)
    assert np.linalg.norm(z - x) < 0.25 * np.linalg.norm(x)


def test_the_start_is_that_of_the_transpose():
    rng, x = gaussian(60, 50, 3)
    x = np.where(rng.random(x.shape) < 0.7, x, np.nan)
    np.testing.assert_allclose(start(x, 3), start(x.T, 3).T, rtol=1e-3, atol=0.2)


def test_equal_weights_change_nothing():
    rng, x = gaussian(60, 50, 3)
    x = np.where(rng.random(x.shape) < 0.7, x, np.nan)
    np.testing.assert_allclose(start(x, 3, 0.25 * ~np.isnan(x)), start(x, 3), atol=1e-12)


def test_rows_of_which_all_is_known_are_no_longer_than_they_are():
    """Ten full rows among sparse ones, and what these have to say, each at its length."""
    rng, x = gaussian(400, 300, 2)
    share = np.where(np.arange(400) < 10, 1.0, 0.05)[:, None]
    z = start(np.where(rng.random(x.shape) < share, x, np.nan), 2)
    for part, near in ((slice(10), 0.9), (slice(10, None), 0.65)):
        a, b = z[part], x[part]
        assert np.sum(a * b) > near * np.linalg.norm(a) * np.linalg.norm(b)
        assert 0.4 < np.linalg.norm(a) / np.linalg.norm(b) < 1.6


@pytest.mark.parametrize("weighted", [False, True])
def test_what_rows_weigh_is_counted(weighted):
    rng, x = gaussian(20, 15, 2)
    x[rng.random(x.shape) < 0.5] = np.nan
    weights = rng.random(x.shape) * ~np.isnan(x) if weighted else None
    _, entries = read(x, weights, duplicates="error")
    expected = np.sum(~np.isnan(x) if weights is None else weights, axis=1)
    np.testing.assert_allclose(heaviness(group(entries, XP).rows, XP), expected, rtol=1e-12)
