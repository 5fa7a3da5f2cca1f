"""Short-range sums: with the long-range potential, they are that of the kernel."""

import numpy as np
import pytest

from tdecomp.chebyshev import evaluate
from tdecomp.chebyshev.potentials import _short, long_range, newton, short_range, split

G = newton(0.05, 20.0, rtol=1e-9).tensor
RNG = np.random.default_rng(0)
X, Q = RNG.uniform(-2, 2, (40, 3)), RNG.uniform(-1, 1, 40)
POINTS = RNG.uniform(-3, 3, (200, 3))
POINTS = POINTS[np.linalg.norm(POINTS[:, None] - X, axis=-1).min(axis=1) > 0.05]


@pytest.mark.parametrize("sigma", [0.2, 1.0, 3.0])
def test_long_and_short_range_are_the_kernel(sigma):
    f = long_range(X, Q, split(G, sigma=sigma)[0], domain=[(-3, 3)] * 3, rtol=1e-8).tensor
    found = evaluate(f, POINTS) + short_range(POINTS, X, Q, G, sigma=sigma, rtol=1e-9)
    terms = Q / np.linalg.norm(POINTS[:, None] - X, axis=-1)
    assert np.abs(found - terms.sum(axis=1)).max() <= 1e-7 * np.abs(terms).sum(axis=1).max()


@pytest.mark.parametrize("xp", ["numpy", "array-api-strict", "torch"], indirect=True)
def test_sums_are_made_in_the_library_in_batches_too(xp, monkeypatch):
    whole = short_range(POINTS, X, Q, G, sigma=0.5)
    monkeypatch.setattr(_short, "_PAIRS", 3)
    x, q, points = (xp.asarray(a) for a in (X, Q, POINTS[:50]))
    found = xp.to_numpy(short_range(points, x, q, G, sigma=0.5))
    assert np.abs(found - whole[:50]).max() <= 1e-13


def test_far_from_all_particles_nothing_is_added():
    assert short_range([[50.0, 0, 0], [0, 60, 0]], X, Q, G, sigma=0.5).tolist() == [0, 0]
    assert np.all(short_range(POINTS, X, Q, G, sigma=0.01) == 0)


@pytest.mark.parametrize(
    ("points", "sigma", "message"),
    [
        (
            X[3:5] + np.array([0.01, 0, 0]),
            1.0,
            r"points\[0\] is 0.01 from particle 3, but g is known",
        ),
        (POINTS[:, :2], 1.0, "real with 3 coordinates"),
        (POINTS * 1j, 1.0, "real with 3"),
        (POINTS[0], 1.0, "points must have 2 dimensions"),
        (POINTS, 0.0, "sigma"),
    ],
)
def test_bad_input_is_named(points, sigma, message):
    with pytest.raises(ValueError, match=message):
        short_range(points, X, Q, G, sigma=sigma)
