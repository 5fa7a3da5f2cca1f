"""Energies and forces: those of all pairs, to the tolerance, whatever the separation."""

import numpy as np
import pytest

from tdecomp import ToleranceError
from tdecomp.chebyshev.potentials import (
    GaussianSum,
    _short,
    energy,
    energy_and_forces,
    forces,
    gaussian_sum,
    newton,
    yukawa,
)

G = newton(0.2, 20.0, rtol=1e-9).tensor


def particles(count=60, seed=0, least=0.3):
    """Return particles that keep a distance."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 8, (1, 3))
    while x.shape[0] < count:
        new = rng.uniform(0, 8, 3)
        if np.linalg.norm(x - new, axis=1).min() > least:
            x = np.concatenate([x, new[None]])
    return x, rng.uniform(-1, 1, count)


X, Q = particles()


def pairs(x, q):
    """Return the energy and the forces of the kernel 1/r."""
    gaps = x[:, None] - x
    r = np.linalg.norm(gaps, axis=-1)
    np.fill_diagonal(r, np.inf)
    return q @ (1 / r) @ q / 2, np.einsum("i,j,ij,ijk->ik", q, q, r**-3.0, gaps)


@pytest.mark.parametrize("sigma", [None, 0.3, 1.0, 4.0])
def test_energies_and_forces_are_those_of_all_pairs(sigma):
    exact, pushes = pairs(X, Q)
    scale = np.abs(Q) @ np.abs(Q)
    total, found = energy_and_forces(X, Q, G, sigma=sigma)
    assert abs(total - exact) <= 1e-6 * scale
    assert total == energy(X, Q, G, sigma=sigma)
    assert np.all(found == forces(X, Q, G, sigma=sigma))
    assert np.abs(found - pushes).max() <= 1e-5 * np.abs(pushes).max()
    assert np.abs(found.sum(axis=0)).max() <= 1e-5 * np.abs(pushes).max()


def test_they_are_those_in_any_library(xp):
    g = GaussianSum(np.array([1.0, 0.5]), np.array([0.05, 2.0]), (0.2, 20.0))
    plane = X[:20, :2]
    gaps = plane[:, None] - plane
    squares = np.sum(gaps**2, axis=-1)
    charges = np.outer(Q[:20], Q[:20])
    terms = [a * np.exp(-p * squares) * charges for a, p in zip(*g[:2], strict=True)]
    exact = (sum(np.sum(t) - np.trace(t) for t in terms)) / 2
    slopes = sum(2 * p * t for p, t in zip(g.exponents, terms, strict=True))
    x, q = xp.asarray(plane), xp.asarray(Q[:20])
    found, pushes = energy_and_forces(x, q, g, sigma=1.0, rtol=1e-9)
    assert found.shape == ()
    assert float(xp.to_numpy(found)) == pytest.approx(exact, abs=1e-7)
    expected = np.einsum("ij,ijk->ik", slopes, gaps)
    assert np.abs(xp.to_numpy(pushes) - expected).max() <= 1e-7


def test_forces_are_derivatives_of_the_energy():
    step = np.zeros_like(X)
    step[7] = [0.3, -0.5, 0.8]
    h = 1e-3
    ahead, behind = (energy(X + s * h * step, Q, G, sigma=1.0, rtol=1e-11) for s in (1, -1))
    slope = float(np.sum(forces(X, Q, G, sigma=1.0, rtol=1e-11) * step))
    assert -(ahead - behind) / (2 * h) == pytest.approx(slope, abs=1e-5)


def test_gradients_of_the_energy_are_forces():
    torch = pytest.importorskip("torch")
    x = torch.asarray(X, dtype=torch.float64).requires_grad_()
    energy(x, torch.asarray(Q), G, sigma=1.0, rtol=1e-10).backward()
    found = forces(X, Q, G, sigma=1.0, rtol=1e-10)
    assert np.abs(-x.grad.numpy() - found).max() <= 1e-7 * np.abs(found).max()


def test_there_is_no_program_of_what_positions_decide():
    jax = pytest.importorskip("jax")
    with pytest.raises(ValueError, match=r"no program \(jit\) or gradient"):
        jax.jit(lambda x: energy(x, x[:, 0], G))(X)


def test_near_pairs_come_in_batches(monkeypatch):
    whole = energy_and_forces(X, Q, G, sigma=1.0)
    monkeypatch.setattr(_short, "_PAIRS", 7)
    total, found = energy_and_forces(X, Q, G, sigma=1.0)
    assert total == pytest.approx(whole[0], abs=1e-12)
    assert np.abs(found - whole[1]).max() <= 1e-12


@pytest.mark.parametrize("sigma", [None, 1.5])
def test_kernels_that_rise_and_fall_keep_their_digits(sigma):
    def kernel(r):
        return 4 * (r**-12.0 - r**-6.0)

    g = gaussian_sum(kernel, 0.9, 20.0, floor=1e-3, rtol=1e-7).tensor
    x = np.stack(np.meshgrid(*[1.1 * np.arange(3.0)] * 3), axis=-1).reshape(-1, 3)
    i, j = np.triu_indices(27, k=1)
    exact = np.sum(kernel(np.linalg.norm(x[i] - x[j], axis=1)))
    assert energy(x, np.ones(27), g, sigma=sigma) == pytest.approx(exact, rel=1e-6)
    with pytest.raises(ToleranceError, match="ask for a larger sigma") as info:
        energy(x, np.ones(27), g, sigma=0.3)
    assert info.value.reachable > 1e-7


def test_energies_do_not_change_as_all_particles_move():
    kernel = yukawa(0.3, 0.2, 20.0).tensor
    one = energy(X, Q, kernel, rtol=1e-10)
    two = energy(X[:, ::-1] * [1, -1, 1] + [40, 3, -7], Q, kernel, rtol=1e-10)
    assert abs(one - two) <= 1e-8
    assert abs(energy(X, 2 * Q, kernel, rtol=1e-10) - 4 * one) <= 1e-7


def test_charged_lines_and_pairs_and_single_particles():
    line = np.array([[0.0, 0, 0], [1, 0, 0], [3, 0, 0]])
    exact, pushes = pairs(line, np.array([1.0, 2.0, -1.0]))
    assert energy(line, [1, 2, -1], G) == pytest.approx(exact, abs=1e-6)
    assert np.abs(forces(line, [1, 2, -1], G) - pushes).max() <= 1e-5
    assert float(energy(line[:1], [3.0], G)) == 0
    assert forces(line[:1], [3.0], G).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("function", [energy, forces])
@pytest.mark.parametrize(
    ("x", "options", "error", "message"),
    [
        (np.array([[0.0] * 3, [1.0] * 3, [0.0] * 3]), {}, ValueError, "particles 0 and 2 are at"),
        (np.array([[0.0] * 3, [1.0] * 3, [1.01] * 3]), {}, ValueError, "1 and 2 are 0.0173205 ap"),
        (np.array([[0.0] * 3, [0.0] * 3, [0.0] * 3]), {}, ValueError, "the same place"),
        (np.array([[0.0] * 3, [1.0] * 3, [30.0] * 3]), {}, ValueError, "make it with rmax="),
        (np.eye(3), {"sigma": 0}, ValueError, "sigma must be a length"),
        (np.eye(3), {"rtol": 0}, ValueError, "rtol"),
        (np.eye(4), {}, ValueError, "one for each of 4 positions"),
    ],
)
def test_bad_input_is_named(function, x, options, error, message):
    with pytest.raises(error, match=message):
        function(x, np.ones(3), G, **options)
