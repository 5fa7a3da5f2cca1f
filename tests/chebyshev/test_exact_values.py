"""Functions from callables, and what is known of them exactly: to twelve digits."""

import numpy as np
import pytest

from tdecomp.chebyshev import chebyshev_tucker, diff, evaluate, integrate, laplacian, norm

CUBE, UNIT = [(-1, 1)] * 3, [(0, 1)] * 3


def oscillating(x, y, z):
    waves = np.sin(4 * np.pi / (1 + x)) * np.sin(4 * np.pi / (1 + y)) * np.sin(4 * np.pi / (1 + z))
    return np.exp(waves)


@pytest.mark.parametrize(
    ("f", "box", "expected"),
    [
        (lambda x, y, z: 1 / (1 + x**2 + y**2 + z**2), CUBE, 4.28685406230184188268),
        (lambda x, y, z: np.cos(np.pi * x * y * z), UNIT, 0.8461106227350253),
        (lambda x, y, z: np.cos(7 * np.pi * x * y * z), UNIT, 0.2619772790103158),
        (
            lambda x, y, z: np.sin(8 * np.pi * x * (1 - x) * y * (1 - y) * z * (1 - z)),
            UNIT,
            0.1153949594968427,
        ),
        (lambda x, y, z: np.cos(2 * np.pi * (x - y - z) ** 2), UNIT, 0.2595975105701650),
        (oscillating, UNIT, 1.0700418045865364),
        (lambda x, y, z: np.log(1 + x * y * z), UNIT, 0.1103040719136995),
        (lambda x, y, z: (x + y + z) ** 12, UNIT, 5220.0021978021978),
        (lambda x, y, z: np.exp(x + y + z) * np.cos(x + y + z), UNIT, -0.801590008944990),
        (lambda x, y, z: 10.0 ** (-10 * x * y * z), UNIT, 0.3352208605577725),
    ],
)
def test_integrals(f, box, expected):
    found = chebyshev_tucker(f, box).tensor
    assert float(integrate(found)) == pytest.approx(expected, rel=1e-12)


def test_singular_values():
    f = chebyshev_tucker(lambda x, y, z: x * z + x**2 * y, UNIT).tensor
    assert f.rank == (2, 2, 2)
    for mode, under in enumerate((np.sqrt(46) / 45, np.sqrt(2899) / 360, np.sqrt(2899) / 360)):
        # On the unit box factors are orthonormal; this one has an eighth of its volume.
        unfolded = np.moveaxis(f.core, mode, 0).reshape(2, 4) / np.sqrt(8)
        s = np.linalg.svd(unfolded, compute_uv=False)
        exact = np.sqrt(109 / 720 + np.array([under, -under]))
        np.testing.assert_allclose(s, exact, rtol=1e-12)


def test_the_integral_along_a_helix():
    f = chebyshev_tucker(lambda x, y, z: x + y * z, [(-1, 1), (-1, 1), (0, 1)]).tensor
    # Both ends are one point of a period but for z: Gauss's rule, not the trapezoidal one.
    u, weights = np.polynomial.legendre.leggauss(60)
    t = 4 * np.pi * (1 + u)
    values = evaluate(f, np.stack([np.cos(t), np.sin(t), t / (8 * np.pi)], axis=1))
    speed = np.sqrt(1 + (8 * np.pi) ** -2)
    total = 4 * np.pi * speed * float(weights @ values)
    assert total == pytest.approx(-np.sqrt(1 + (8 * np.pi) ** 2) / (8 * np.pi), rel=1e-12)


@pytest.mark.parametrize(("steep", "rank", "size"), [(1, 30, 100), (10, 60, 300)])
def test_ranks_and_lengths_are_bounded(steep, rank, size):
    f = chebyshev_tucker(lambda x, y, z: 1 / (1 + steep * (x**2 - y**2 + z**2) ** 2), CUBE).tensor
    assert max(f.rank) <= rank
    assert max(f.shape) <= size


def test_the_potential_of_a_charge_is_harmonic():
    f = chebyshev_tucker(lambda x, y, z: (x**2 + y**2 + (z - 2) ** 2) ** -0.5, CUBE).tensor
    assert norm(laplacian(f)) <= 1e-9 * norm(diff(f, 2, 2))
