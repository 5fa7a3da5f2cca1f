"""The share of a nuclear norm that a direction gains."""

import numpy as np
import pytest

import tdecomp as td
from tdecomp.linalg import alignment
from tdecomp.testing import gaussian, matrix


def test_it_is_the_mean_of_the_images_of_singular_values(xp, dtype):
    u, s, vh = np.linalg.svd(gaussian((2, 5, 3), dtype=dtype), full_matrices=False)
    phi = np.asarray([1.0, 0.5, -0.25], dtype=s.dtype)
    g, other = ((u * x[..., None, :]) @ vh for x in (s, np.broadcast_to(phi, s.shape)))
    found = xp.to_numpy(alignment(xp.asarray(g), xp.asarray(other)))
    assert found.shape == (2,)
    assert found.dtype == s.dtype
    assert np.abs(found - (s * phi).sum(-1) / s.sum(-1)).max() <= 20 * np.finfo(dtype).eps


def test_no_contraction_is_better_than_the_isometric_factor():
    g = gaussian((6, 4))
    assert alignment(g, td.polar(g).U) == pytest.approx(1, rel=1e-14)
    for seed in range(20):
        other = gaussian((6, 4), rng=seed)
        assert alignment(g, other / np.linalg.norm(other, 2)) < 1


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
def test_the_scale_does_not_matter(xp, scale):
    g = matrix(5, 3, [3.0, 2.0, 1.0])
    u = td.polar(g, rank=2).U
    assert float(alignment(xp.asarray(g * scale), xp.asarray(u))) == pytest.approx(
        5 / 6, rel=1e-13
    )


def test_of_nothing_everything_is_kept(xp):
    zero = xp.asarray(np.zeros((2, 3, 2)))
    assert np.all(xp.to_numpy(alignment(zero, zero)) == 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: alignment(g, g[:2]), r"u must have the shape of g, \(4, 3\), got \(2, 3\)"),
        (lambda g: alignment(g[0], g[0]), "at least 2 dimensions"),
        (lambda g: alignment(g[:0], g[:0]), "g is empty"),
        (lambda g: alignment(g, g * np.nan), "u has 12 non-finite entries"),
        (lambda g: alignment(g, "u"), "u must be an array"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call(gaussian((4, 3)))
