"""Polynomials of a matrix: what they make of its singular values, on every library."""

import numpy as np
import pytest

import tdecomp as td
from tdecomp.linalg._polar._coefficients import evaluate
from tdecomp.linalg._polar._orthogonalize import METHODS, _chosen
from tdecomp.testing import gaussian, matrix


def mapped(s, method):
    """What the steps of a method make of the singular values of a matrix."""
    chosen, safety = _chosen(method, None, None)
    y = s / (safety * np.linalg.norm(s))
    for p in chosen:
        y = evaluate(p, y)
    return y


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(7, 5), (5, 7)])
@pytest.mark.when_compiled(method="polar-express")
def test_singular_vectors_stay_and_values_follow_the_polynomials(xp, dtype, method, shape):
    g = matrix(*shape, 0.5 ** np.arange(5.0), dtype=dtype)
    found = xp.to_numpy(td.orthogonalize(xp.asarray(g), method=method))
    assert found.dtype == g.dtype
    u, s, vh = np.linalg.svd(g, full_matrices=False)
    expected = (u * mapped(s, method)) @ vh
    assert np.abs(found - expected).max() <= 1e3 * np.finfo(dtype).eps


@pytest.mark.parametrize(("method", "error"), [
    ("polar-express", 2e-3), ("muon", 0.35), ("quintic", 1e-3), ("cubic", 2e-3), ("cans", 0.3),
])  # fmt: skip
def test_values_that_matter_come_near_one(method, error):
    g = matrix(40, 30, np.geomspace(1.0, 0.05, 30))
    s = np.linalg.svd(td.orthogonalize(g, method=method), compute_uv=False)
    assert np.abs(1 - s).max() <= error


@pytest.mark.parametrize(("method", "errors"), [
    ("polar-express", [0.134, 0.134, 0.140, 0.901]), ("muon", [0.318, 0.318, 0.529, 0.952]),
    ("cans", [0.300, 0.300, 0.877, 0.988]), ("quintic", [0.004, 0.772, 0.977, 0.998]),
    ("cubic", [0.341, 0.924, 0.992, 0.999]),
])  # fmt: skip
def test_errors_of_five_steps_are_those_of_the_documentation(method, errors):
    chosen, safety = _chosen(method, 5, None)
    for lower, error in zip((1e-1, 1e-2, 1e-3, 1e-4), errors, strict=True):
        y = np.geomspace(lower, 1, 20001) / safety
        for p in chosen:
            y = evaluate(p, y)
        assert np.abs(1 - y).max() == pytest.approx(error, abs=1e-3)


def test_newton_schulz_converges_to_the_polar_factor():
    g = gaussian((6, 4))
    for method in ("quintic", "cubic"):
        found = td.orthogonalize(g, method=method, steps=25)
        assert np.abs(found - td.polar(g).U).max() <= 1e-14


def test_muon_keeps_what_was_proved_of_it():
    # Peng, Wang, Yu: phi(s) / s is at least 17/25 and at most 3.4445^5, phi at most 5/4.
    s = np.geomspace(1.0, 1e-8, 40)
    s /= np.linalg.norm(s)
    g = matrix(40, 40, s)
    found = td.orthogonalize(g, method="muon")
    u, _, vh = np.linalg.svd(g)
    ratios = np.diag(u.T @ found @ vh.T) / s
    assert ratios.min() >= 17 / 25
    assert ratios.max() <= 3.4445**5 * (1 + 1e-6)
    assert np.linalg.norm(found, 2) <= 1.25
    assert np.vdot(g, found) >= 0.68 * np.linalg.norm(g)


@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e150, 1e300])
def test_scale_is_of_no_account_and_zero_stays_zero(xp, scale):
    g = gaussian((3, 4))
    found = xp.to_numpy(td.orthogonalize(xp.asarray(g * scale)))
    assert np.abs(found - td.orthogonalize(g)).max() <= 1e-13
    assert np.all(xp.to_numpy(td.orthogonalize(xp.asarray(0 * g))) == 0)


def test_a_batch_is_a_loop(xp):
    g = gaussian((2, 3, 4, 6))
    found = xp.to_numpy(td.orthogonalize(xp.asarray(g)))
    for i in range(2):
        for j in range(3):
            assert np.abs(found[i, j] - td.orthogonalize(g[i, j])).max() <= 1e-13


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_half_precision_of_torch_is_kept(name):
    torch = pytest.importorskip("torch")
    g = torch.tensor(gaussian((32, 24)), dtype=getattr(torch, name))
    found = td.orthogonalize(g)
    assert found.dtype == g.dtype
    expected = td.orthogonalize(g.double().numpy())
    assert np.abs(found.double().numpy() - expected).max() <= 4 * torch.finfo(g.dtype).eps


def test_own_coefficients_are_applied_in_turn():
    g = matrix(4, 4, [1.0, 0.5, 0.25, 0.1])
    steps = [(1.5, -0.5), (1.875, -1.25, 0.375)]
    y = np.array([1.0, 0.5, 0.25, 0.1])
    y /= np.linalg.norm(y)
    for p in steps:
        y = evaluate(tuple(p), y)
    s = np.linalg.svd(td.orthogonalize(g, coefficients=steps), compute_uv=False)
    assert np.allclose(np.sort(s), np.sort(y), atol=1e-14)


@pytest.mark.parametrize(("options", "message"), [
    ({"method": "exact"}, "method must be one of"),
    ({"steps": 0}, "steps"),
    ({"steps": 2.5}, "steps"),
    ({"steps": 3, "coefficients": [(1.5, -0.5)]}, "twice"),
    ({"coefficients": []}, "two or three numbers"),
    ({"coefficients": [(1.0,)]}, "two or three numbers"),
    ({"coefficients": 3.0}, "two or three numbers"),
    ({"coefficients": [(1.5, -0.5), (4.0, -1.0)]}, r"diverge: step 1 makes \[0, 3\]"),
    ({"coefficients": [(1.0, -2.0)]}, "diverge: step 0"),
    ({"coefficients": [(float("nan"), 1.0)]}, "diverge: step 0"),
])  # fmt: skip
def test_bad_options_are_named(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        td.orthogonalize(gaussian((4, 3)), **options)


def test_bad_matrices_are_named():
    g = gaussian((4, 3))
    g[1, 2] = np.inf
    with pytest.raises(ValueError, match=r"g has 1 non-finite .* g\[1, 2\]"):
        td.orthogonalize(g)
    for bad in (np.ones(3), np.ones((0, 3))):
        with pytest.raises(ValueError, match="g"):
            td.orthogonalize(bad)
    assert td.orthogonalize([[1, 0], [0, 1]]).dtype == np.float64


def test_gradients_pass_and_programs_compile(xp):
    g, seed, direction = gaussian((4, 3)), gaussian((4, 3), rng=1), gaussian((4, 3), rng=2)
    step = 1e-6
    ends = [td.orthogonalize(g + t * direction) for t in (step, -step)]
    slope = np.sum((ends[0] - ends[1]) * seed) / (2 * step)

    def loss(x):
        return (td.orthogonalize(x) * xp.asarray(seed)).sum()

    assert np.sum(xp.gradient(loss, g) * direction) == pytest.approx(slope, rel=1e-6)
