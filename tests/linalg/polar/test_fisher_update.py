"""Metrics that follow gradients: what holds after every update, and what they learn."""

import numpy as np
import pytest

import tdecomp as td
from tdecomp.linalg import FisherState, fisher_polar, fisher_state, fisher_update
from tdecomp.testing import gaussian, matrix


def run(shape, steps=3, dtype="float64", **options):
    state, direction = fisher_state(np.zeros(shape, dtype=dtype)), None
    for step in range(steps):
        state, direction = fisher_update(state, gaussian(shape, dtype=dtype, rng=step), **options)
    return state, direction


def adjoint(x):
    return np.conj(np.swapaxes(x, -1, -2))


def root(p):
    values, v = np.linalg.eigh(p)
    return (v / values**0.5) @ adjoint(v)


@pytest.mark.parametrize("options", [{}, {"ridge": 0}, {"decay": 0.5, "ridge": 1.0}])
@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (1, 6), (2, 5, 3)])
def test_metrics_are_definite_and_keep_their_trace(shape, options, dtype):
    state, direction = run(shape, dtype=dtype, **options)
    eps = np.finfo(dtype).eps
    for p in (state.left, state.right):
        n = p.shape[-1]
        assert p.dtype == direction.dtype == state.momentum.dtype == dtype
        assert np.all(p == adjoint(p))
        assert np.all(np.linalg.eigvalsh(p) > 0)
        assert np.abs(np.trace(p, axis1=-2, axis2=-1) - n).max() <= 4 * n * eps
    assert direction.shape == state.momentum.shape == shape


def test_an_update_is_what_is_published():
    beta, gamma, mu, m, n = 0.9, 0.8, 0.05, 5, 3
    p, q, momentum = np.eye(m), np.eye(n), np.zeros((m, n))
    state = fisher_state(momentum)
    for step in range(3):
        g = gaussian((m, n), rng=step)
        state, direction = fisher_update(state, g, beta=beta, decay=gamma, ridge=mu)
        new = g @ np.linalg.solve(q, g.T) / n + mu * np.trace(p) / m * np.eye(m)
        p = gamma * p + (1 - gamma) * new
        p *= m / np.trace(p)
        new = g.T @ np.linalg.solve(p, g) / m + mu * np.trace(q) / n * np.eye(n)
        q = gamma * q + (1 - gamma) * new
        q *= n / np.trace(q)
        momentum = beta * momentum + (1 - beta) * root(p) @ g @ root(q)
        expected = root(p) @ td.polar(momentum).U @ root(q)
        for found, value in zip((*state, direction), (p, q, momentum, expected), strict=True):
            assert np.abs(found - value).max() <= 1e-13


def test_the_first_direction_is_the_steepest_in_the_new_metrics():
    g = gaussian((5, 4))
    state, direction = fisher_update(fisher_state(g), g)
    steepest = fisher_polar(g, left=state.left, right=state.right)
    assert np.abs(direction - steepest).max() <= 1e-13


def test_metrics_that_stay_make_it_muon():
    state, momentum = fisher_state(np.zeros((5, 4))), np.zeros((5, 4))
    for step in range(3):
        g = gaussian((5, 4), rng=step)
        state, direction = fisher_update(state, g, decay=1)
        momentum = 0.95 * momentum + 0.05 * g
        assert np.all(state.left == np.eye(5))
        assert np.abs(direction - td.polar(momentum).U).max() <= 1e-13


@pytest.mark.parametrize("beta", [0, 0.9])
@pytest.mark.parametrize("scale", [7.0, 1e-3, 1e200])
def test_without_memory_of_metrics_the_scale_of_a_square_gradient_is_lost(beta, scale):
    g = matrix(4, 4, [4.0, 3.0, 2.0, 1.0])
    plain, scaled = (
        fisher_update(fisher_state(g), x, beta=beta, decay=0, ridge=0)[1] for x in (g, scale * g)
    )
    assert np.abs(plain - scaled).max() <= 1e-12


def test_it_turns_with_the_coordinates():
    u, v = (np.linalg.qr(gaussian((n, n)))[0] for n in (5, 3))
    plain, turned = fisher_state(np.zeros((5, 3))), fisher_state(np.zeros((5, 3)))
    for step in range(3):
        g = gaussian((5, 3), rng=step)
        plain, first = fisher_update(plain, g)
        turned, second = fisher_update(turned, u @ g @ v)
        assert np.abs(u @ first @ v - second).max() <= 1e-13


def test_the_covariances_of_gradients_are_found_up_to_scale():
    left, right = np.diag([4.0, 1.0, 0.5]), np.diag([1.0, 0.2])
    state = fisher_state(np.zeros((3, 2)))
    for step in range(1000):
        g = left @ gaussian((3, 2), rng=step) @ right
        state, _ = fisher_update(state, g, decay=0.995, ridge=0)
    for found, factor in zip(state[:2], (left, right), strict=True):
        expected = factor**2 * len(factor) / np.trace(factor**2)
        assert np.linalg.norm(found - expected) <= 0.15 * np.linalg.norm(expected)


def test_every_library_does_the_same_compiled_too(xp):
    g = gaussian((2, 4, 3))
    expected, direction = fisher_update(fisher_state(g), g)
    step = xp.jit(fisher_update)
    state, found = step(fisher_state(xp.asarray(g)), xp.asarray(g))
    for x, y in zip((*state, found), (*expected, direction), strict=True):
        assert np.abs(xp.to_numpy(x) - y).max() <= 1e-13


@pytest.mark.parametrize("scale", [1e-300, 1e160, 1e300])
def test_large_and_small_gradients_leave_finite_states(xp, scale):
    g = xp.asarray(gaussian((4, 3)) * scale)
    state, direction = fisher_update(fisher_state(g), g)
    for x in (state.left, state.right, direction):
        assert np.all(np.isfinite(xp.to_numpy(x)))
    assert np.abs(xp.to_numpy(state.left).trace() - 4) <= 1e-14


@pytest.mark.parametrize("options", [{}, {"decay": 0, "ridge": 0}])
def test_a_zero_gradient_moves_nothing(options):
    g = np.zeros((3, 2))
    state, direction = fisher_update(fisher_state(g), g, **options)
    assert np.all(direction == 0)
    assert np.abs(state.left - np.eye(3)).max() <= 1e-15


def test_a_parameter_of_torch_is_taken_as_it_is():
    torch = pytest.importorskip("torch")
    w = torch.nn.Parameter(torch.from_numpy(gaussian((3, 2))))
    _, direction = fisher_update(fisher_state(w), w)
    assert not direction.requires_grad


STATE = fisher_state(np.zeros((4, 3)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: fisher_update(tuple(STATE), g), "state must be a FisherState, got tuple"),
        (lambda g: fisher_update(STATE, g.T), r"state.left must have shape \(3, 3\) for g"),
        (
            lambda g: fisher_update(FisherState(STATE.left, STATE.left, g), g),
            r"state.right must have shape \(3, 3\)",
        ),
        (lambda g: fisher_update(STATE, g[0]), "g must have at least 2 dimensions"),
        (lambda g: fisher_update(STATE, g / np.nan), "g has 12 non-finite entries"),
        (lambda g: fisher_update(STATE, g, beta=1.5), "beta must be a number from 0 to 1"),
        (lambda g: fisher_update(STATE, g, decay=-0.1), "decay must be a number from 0 to 1"),
        (lambda g: fisher_update(STATE, g, ridge=-1), "ridge must be a number >= 0"),
        (lambda g: fisher_update(STATE, g, method="svd"), "method must be one of 'exact'"),
        (lambda g: fisher_state(g[0]), "g must have at least 2 dimensions"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call(gaussian((4, 3)))
