"""Components that cancel are told from components that are merely close."""

import numpy as np
import pytest

from tdecomp import cp
from tdecomp._iterate import Status
from tdecomp.cp import CP
from tdecomp.cp._degeneracy import Watch, opposition

EPS = np.finfo(float).eps


def load(x, norm):
    return opposition(x.weights, [f.conj().T @ f for f in x.factors], norm, np)


def pair(gap, sign=-1.0, dtype=float):
    a = np.array([[1.0], [1.0]], dtype)
    b = np.array([[1.0], [1.0 + gap]], dtype)
    return CP(np.array([2.0, 2.0 * sign]), (np.hstack([a, b]),) * 3)


def test_the_load_is_the_norm_of_the_smaller_component_of_an_opposed_pair():
    x = pair(1e-3)
    sizes = 2.0 * np.linalg.norm(x.factors[0], axis=0) ** 3
    assert load(x, 0.5) == pytest.approx(min(sizes) / 0.5)


@pytest.mark.parametrize("x", [pair(1e-3, 1.0), pair(2.0), cp.permute(pair(0.1), [0])])
def test_components_that_do_not_cancel_bear_no_load(x):
    assert load(x, 1.0) == 0.0


def test_the_angle_of_complex_components_is_that_of_tensors():
    x = pair(1e-3, 1.0, complex)
    turned = CP(x.weights, (x.factors[0] * np.array([1.0, -1.0]), *x.factors[1:]))
    assert load(turned, 1.0) > 5.0
    quarter = CP(x.weights, (x.factors[0] * np.array([1.0, 1j]), *x.factors[1:]))
    assert load(quarter, 1.0) == 0.0


@pytest.mark.parametrize("status", [Status.CONVERGED, Status.MAX_ITER, Status.STAGNATED])
def test_a_load_that_grows_is_degenerate(status):
    watch = Watch(EPS)
    assert not any(watch.see(1.0 * k**0.5) for k in range(100))
    assert watch.judge(status) is Status.DEGENERATE
    assert watch.judge(Status.INTERRUPTED) is Status.INTERRUPTED


def test_a_load_that_settles_is_not():
    watch = Watch(EPS)
    for k in range(100):
        watch.see(50.0 * (1 - 0.5**k))
    assert watch.judge(Status.CONVERGED) is Status.CONVERGED


def test_no_load_is_no_degeneracy():
    assert Watch(EPS).judge(Status.MAX_ITER) is Status.MAX_ITER
    watch = Watch(EPS)
    for k in range(10):
        watch.see(1e-3 * k)
    assert watch.judge(Status.MAX_ITER) is Status.MAX_ITER


def test_going_on_is_hopeless_when_half_of_the_digits_are_gone():
    watch = Watch(EPS)
    assert not watch.see(1e7)
    assert not watch.see(1.05e7)
    assert watch.see(1e8)


def test_what_is_attained_is_asked_for_only_where_components_cancel():
    def never():
        raise AssertionError

    watch = Watch(EPS)
    watch.see(1.0)
    assert watch.judge(Status.CONVERGED, never) is Status.CONVERGED
    watch.see(100.0)
    assert watch.judge(Status.INTERRUPTED, never) is Status.INTERRUPTED
    for status in (Status.CONVERGED, Status.SWAMP):
        assert watch.judge(status, lambda: True) is status
        assert watch.judge(status, lambda: False) is Status.DEGENERATE
    watch.see(EPS**-0.4)
    assert watch.judge(Status.CONVERGED, never) is Status.DEGENERATE


def noisy(x, noise, rng):
    error = rng.standard_normal(x.shape)
    return x + noise * np.linalg.norm(x) / np.linalg.norm(error) * error


def close(rng, rank, cosine, signs):
    """Columns of length one, any two at one angle."""
    lower = np.linalg.cholesky(np.full((rank, rank), cosine) + (1 - cosine) * np.eye(rank))
    draws = [np.linalg.qr(rng.standard_normal((8, rank)))[0] @ lower.T for _ in range(3)]
    return CP(np.asarray(signs), tuple(draws)).to_array()


SOLVERS = [(cp.cp_als, 200), (cp.cp_gauss_newton, 60)]


@pytest.mark.parametrize(("solve", "most"), SOLVERS)
def test_tensors_of_border_rank_two_are_degenerate(solve, most):
    for seed in range(20):
        a, b = np.random.default_rng(seed).standard_normal((2, 4 + seed % 9))
        terms = [(a, a, b), (a, b, a), (b, a, a)]
        x = sum(np.einsum("i,j,k->ijk", *term) for term in terms)
        fit = solve(x, rank=2, rng=seed + 50, max_iter=most)
        # A few starts have not come so far when the sweeps end.
        cancel = load(fit.tensor, np.linalg.norm(x)) > 3.0
        assert fit.status is (Status.DEGENERATE if cancel else Status.SWAMP)
        assert cancel or solve is cp.cp_als


@pytest.mark.parametrize(("solve", "most"), SOLVERS)
def test_close_components_that_do_not_grow_are_not_degenerate(solve, most):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = noisy(close(rng, 3, 0.95, [1.0, 1.0, 1.0]), [0.0, 1e-2][seed % 2], rng)
        assert solve(x, rank=3, rng=seed, max_iter=most).status is not Status.DEGENERATE
        # A minimum whose components are ten times as large as the data, and cancel.
        x = noisy(close(rng, 2, 0.998, [1.0, -1.0]), [0.0, 1e-3][seed % 2], rng)
        assert solve(x, rank=2, rng=seed, max_iter=most).status is not Status.DEGENERATE
