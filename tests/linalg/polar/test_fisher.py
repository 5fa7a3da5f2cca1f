"""The steepest direction in a metric: feasible, and better than any other."""

import numpy as np
import pytest

import tdecomp as td
from tdecomp.linalg import fisher_polar
from tdecomp.linalg._polar._isometry import METHODS
from tdecomp.testing import gaussian, matrix

EPS = np.finfo(float).eps


def metric(n, *, dtype="float64", batch=(), rng=0):
    x = gaussian((*batch, n, 2 * n), dtype=dtype, rng=rng)
    return x @ np.conj(np.swapaxes(x, -1, -2)) / n


def root(p, power=0.5):
    values, v = np.linalg.eigh(p)
    return (v * values[..., None, :] ** power) @ np.conj(np.swapaxes(v, -1, -2))


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (2, 4, 3)])
def test_it_is_the_polar_factor_of_the_whitened_gradient(xp, shape, dtype):
    g = gaussian(shape, dtype=dtype)
    p = metric(shape[-2], dtype=dtype, batch=shape[:-2], rng=1)
    q = metric(shape[-1], dtype=dtype, rng=2)
    found = xp.to_numpy(fisher_polar(xp.asarray(g), left=xp.asarray(p), right=xp.asarray(q)))
    assert found.dtype == g.dtype
    p, q = p.astype("complex128"), q.astype("complex128")
    white = root(p, -0.5) @ g @ root(q, -0.5)
    expected = root(p, -0.5) @ td.polar(white).U @ root(q, -0.5)
    condition = np.max(np.linalg.cond(p)) * np.linalg.cond(q) * np.max(np.linalg.cond(white))
    assert np.abs(found - expected).max() <= 20 * np.finfo(dtype).eps * condition


@pytest.mark.parametrize("side", ["left", "right", "neither"])
def test_a_metric_that_is_the_identity_says_nothing(side):
    g = gaussian((6, 4))
    metrics = {"left": {"left": np.eye(6)}, "right": {"right": np.eye(4)}}.get(side, {})
    assert np.abs(fisher_polar(g, **metrics) - td.polar(g).U).max() <= 50 * EPS


def test_no_direction_of_that_length_gains_more():
    g, p, q = gaussian((6, 4)), metric(6, rng=1), metric(4, rng=2)
    half, other = root(p), root(q)

    def length(d):
        return np.linalg.norm(half @ d @ other, 2)

    direction = fisher_polar(g, left=p, right=q)
    gain = np.vdot(g, direction)
    assert length(direction) == pytest.approx(1, rel=1e-13)
    nuclear = np.linalg.norm(root(p, -0.5) @ g @ root(q, -0.5), "nuc")
    assert gain == pytest.approx(nuclear, rel=1e-13)
    for seed in range(300):
        far = gaussian((6, 4), rng=seed)
        near = direction + 10.0 ** -(seed % 5) * far
        for rival in (far, near):
            assert np.vdot(g, rival) / length(rival) < gain


def test_the_scale_of_a_metric_is_that_of_lengths():
    g, p, q = gaussian((5, 4)), metric(5, rng=1), metric(4, rng=2)
    plain = fisher_polar(g, left=p, right=q)
    for scale in (1e-200, 1e200):
        scaled = fisher_polar(g * scale, left=p * scale, right=q)
        assert np.abs(scaled * scale**0.5 - plain).max() <= 1e-12
        assert np.abs(fisher_polar(g / scale, left=p, right=q) - plain).max() <= 1e-12


def test_what_the_gradient_says_nothing_of_stays(xp):
    zero = fisher_polar(xp.asarray(np.zeros((3, 2))), right=xp.asarray(metric(2)))
    assert np.all(xp.to_numpy(zero) == 0)
    g = gaussian((5, 4))
    g[2] = 0
    found = xp.to_numpy(fisher_polar(xp.asarray(g.T), left=xp.asarray(metric(4))))
    assert np.abs(found[:, 2]).max() <= 1e-14
    low = matrix(6, 5, [3.0, 1.0])
    found = xp.to_numpy(fisher_polar(xp.asarray(low)))
    assert np.abs(found - td.polar(low, rank=2).U).max() <= 1e-14


@pytest.mark.parametrize("xp", ["torch", "jax"], indirect=True)
def test_gradients_and_programs(xp):
    g, p, q, d = gaussian((5, 3)), metric(5, rng=1), metric(3, rng=2), gaussian((5, 3), rng=3)

    def number(g, p, q):
        return (fisher_polar(g, left=p, right=q) ** 3).sum()

    given = [xp.asarray(x) for x in (g, p, q)]
    if xp.name == "jax":
        import jax

        value, slope = jax.jit(jax.value_and_grad(number))(*given)
        slope = xp.to_numpy(slope)
    else:
        given[0].requires_grad_()
        value = number(*given)
        value.backward()
        slope, value = given[0].grad.numpy(), value.detach()
    assert float(value) == pytest.approx(number(g, p, q), rel=1e-12)
    h = 1e-6
    expected = (number(g + h * d, p, q) - number(g - h * d, p, q)) / (2 * h)
    assert np.vdot(slope, d) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("method", METHODS[1:])
def test_polynomials_stand_in(method):
    g, p = matrix(6, 4, [1.0, 0.9, 0.8, 0.7]), metric(6)
    exact = fisher_polar(g, left=p)
    found = fisher_polar(g, left=p, method=method)
    assert np.linalg.norm(found - exact) <= 0.7 * np.linalg.norm(exact)
    assert np.vdot(g, found) >= 0.6 * np.vdot(g, exact)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: fisher_polar(g[0]), "g must have at least 2 dimensions"),
        (lambda g: fisher_polar(g[:0]), "g is empty"),
        (lambda g: fisher_polar(g * np.nan), "g has 12 non-finite entries"),
        (lambda g: fisher_polar(g, left=np.eye(3)), r"left must be a metric of shape \(4, 4\)"),
        (lambda g: fisher_polar(g, right=np.eye(3)[None]), r"right must be a metric of shape"),
        (lambda g: fisher_polar(g, right=np.ones(3)), "right must have at least 2 dimensions"),
        (lambda g: fisher_polar(g, left=np.eye(4) * np.inf), "left has .* non-finite"),
        (lambda g: fisher_polar(g, left=np.triu(np.ones((4, 4)))), "left must be hermitian"),
        (lambda g: fisher_polar(g, right=-np.eye(3)), "right must be positive definite"),
        (lambda g: fisher_polar(g, method="svd"), "method must be one of 'exact'"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_what_makes_no_sense_is_refused(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call(gaussian((4, 3)))
