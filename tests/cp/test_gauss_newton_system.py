"""Damped normal equations: every way to solve them gives the step, and none loses components."""

import itertools

import numpy as np
import pytest

from tdecomp._iterate import Status
from tdecomp.cp import CP, cp_gauss_newton
from tdecomp.cp import _gauss_newton_system as system
from tdecomp.ops import khatri_rao, unfold
from tdecomp.testing import gaussian

EPS = np.finfo(float).eps


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_the_three_solvers_agree(monkeypatch, dtype):
    factors = [gaussian((n, 3), rng=k, dtype=dtype) for k, n in enumerate((4, 2, 6))]
    blocks = []
    for mode, f in enumerate(factors):
        for i, r in itertools.product(range(f.shape[0]), range(3)):
            moved = list(factors)
            moved[mode] = np.zeros_like(f)
            moved[mode][i, r] = 1.0
            blocks.append(CP(np.ones(3), tuple(moved)).to_array().ravel())
    jacobian = np.stack(blocks, axis=1)
    # Any residual has a gradient in the row space.
    right = -jacobian.conj().T @ gaussian((48,), rng=7, dtype=dtype)
    ends = np.cumsum([f.size for f in factors])[:-1]
    gradient = [-g.reshape(f.shape) for g, f in zip(np.split(right, ends), factors, strict=True)]
    matrix = jacobian.conj().T @ jacobian + 0.1 * np.eye(right.size)
    true = np.linalg.solve(matrix, right)
    monkeypatch.setattr(system, "_FORCING", 1e-12)
    for settings in ({}, {"_SVD_ENTRIES": 0}, {"_SVD_ENTRIES": 0, "_CHOLESKY_UNKNOWNS": 0}):
        for name, value in settings.items():
            monkeypatch.setattr(system, name, value)
        step = system.System(factors, 0.05, np).step(gradient, 0.05)
        np.testing.assert_allclose(np.concatenate([v.ravel() for v in step]), true, atol=1e-10)
    # The Jacobian decomposed; and a ridge, whose gradient may leave the row space.
    monkeypatch.undo()
    for ridge, rest in ((0.0, 0.1), (0.05, 0.05)):
        exact = system.System(factors, ridge, np)
        exact._solve = exact._by_svd()
        step = exact.step(gradient, rest)
        np.testing.assert_allclose(np.concatenate([v.ravel() for v in step]), true, atol=1e-10)
    outside = [g + 0.05 * f for g, f in zip(gradient, factors, strict=True)]
    true = np.linalg.solve(matrix, -np.concatenate([g.ravel() for g in outside]))
    step = exact.step(outside, 0.05)
    np.testing.assert_allclose(np.concatenate([v.ravel() for v in step]), true, atol=1e-10)
    # Where Cholesky breaks down, least squares.
    monkeypatch.setattr(system, "cholesky", lambda *_: None)
    exact._solve = exact._by_cholesky()
    step = exact.step(outside, 0.05)
    np.testing.assert_allclose(np.concatenate([v.ravel() for v in step]), true, atol=1e-10)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_the_curvature_is_the_second_derivative_of_the_sum(dtype):
    factors = [gaussian((n, 2), rng=k, dtype=dtype) for k, n in enumerate((4, 3, 2, 3))]
    v = [gaussian(f.shape, rng=9 + k, dtype=dtype) for k, f in enumerate(factors)]

    def model(t):
        moved = tuple(a + t * b for a, b in zip(factors, v, strict=True))
        return CP(np.ones(2), moved).to_array()

    h = 1e-3
    second = (model(h) - 2 * model(0) + model(-h)) / h**2
    for mode, got in enumerate(system.curvature(factors, v, np)):
        others = [f.conj() for k, f in enumerate(factors) if k != mode]
        np.testing.assert_allclose(got, unfold(second, mode) @ khatri_rao(others), rtol=2e-4)


def test_large_ranks_go_by_conjugate_gradients(monkeypatch):
    monkeypatch.setattr(system, "_CHOLESKY_UNKNOWNS", 0)
    x = CP(np.ones(6), tuple(gaussian((12, 6), rng=k) for k in range(3))).to_array()
    fit = cp_gauss_newton(x, rank=6, init="hosvd", rng=0)
    assert fit.error <= 1e-8


@pytest.mark.parametrize(("shape", "rank"), [((4, 4, 4, 4), 3), ((20, 20, 20), 6), ((3, 4, 5), 9)])
def test_components_too_many_vanish_as_fast_as_the_error(shape, rank):
    # Two columns of one mode are parallel: steps halve what is left until it is rounding.
    for seed in range(4):
        factors = [gaussian((n, 2), rng=10 * seed + k) for k, n in enumerate(shape)]
        factors[0][:, 1] = factors[0][:, 0]
        x = CP(np.ones(2), tuple(factors)).to_array()
        fit = cp_gauss_newton(x, rank=rank, rng=seed)
        assert fit.status is Status.CONVERGED
        assert fit.n_iter <= 60
        assert fit.error <= 100 * EPS
