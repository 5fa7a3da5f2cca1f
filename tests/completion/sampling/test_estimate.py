"""Estimates are unbiased, and err no more often than they promise."""

import numpy as np
import pytest

from tdecomp.completion.sampling import (
    LengthSquaredMatrix,
    LengthSquaredVector,
    bilinear,
    combine,
    inner,
    sampled_matmul,
)

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((2, 200))
A = RNG.standard_normal((40, 30)) * RNG.random((40, 1))


@pytest.mark.parametrize("kind", ["real", "complex"])
def test_inner_products_are_unbiased(kind):
    x, y = (X, Y) if kind == "real" else (X + 1j * Y, Y - 2j * X)
    found = inner(LengthSquaredVector(x), y, samples=100_000, groups=1, rng=0)
    deviation = np.linalg.norm(x) * np.linalg.norm(y) / np.sqrt(100_000)
    assert abs(found - np.vdot(x, y)) < 5 * deviation


def test_an_error_above_the_tolerance_is_as_rare_as_promised():
    x, scale = LengthSquaredVector(X), np.linalg.norm(X) * np.linalg.norm(Y)
    errors = [abs(inner(x, Y, tol=0.2, failure=0.1, rng=k) - X @ Y) for k in range(40)]
    assert max(errors) <= 0.2 * scale
    assert np.mean(errors) > 1e-3 * scale


def test_what_is_looked_up_may_be_a_vector_a_sum_or_an_array():
    x, y = LengthSquaredVector(X), LengthSquaredVector(Y)
    values = {float(inner(x, z, rng=1)) for z in (Y, y, combine([1.0], [y]))}
    assert len(values) == 1


@pytest.mark.parametrize("kind", ["real", "complex"])
def test_bilinear_forms_are_unbiased(kind):
    x, y, a = X[:40], Y[:30], A
    if kind == "complex":
        x, y, a = x + 1j * Y[:40], y - 1j * X[:30], A * np.exp(1j * np.arange(30.0))
    found = bilinear(x, LengthSquaredMatrix(a), y, samples=100_000, groups=1, rng=0)
    scale = np.linalg.norm(x) * np.linalg.norm(a) * np.linalg.norm(y)
    assert abs(found - x.conj() @ a @ y) < 5 * scale / np.sqrt(100_000)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_scales_pass_through(scale):
    x = np.ones(6)
    assert inner(LengthSquaredVector(scale * x), x, rng=0) == pytest.approx(6 * scale)
    a = LengthSquaredMatrix(np.full((6, 5), scale))
    assert bilinear(x, a, x[:5], rng=0) == pytest.approx(30 * scale)


def test_means_of_large_numbers_do_not_overflow():
    assert inner(LengthSquaredVector([1.0]), [1e307], rng=0) == pytest.approx(1e307)


def test_memory_does_not_grow_with_the_accuracy_asked_for(monkeypatch):
    asked = []
    draw = LengthSquaredMatrix._draw_columns
    monkeypatch.setattr(
        LengthSquaredMatrix,
        "_draw_columns",
        lambda self, rows, uniforms: asked.append(uniforms.size) or draw(self, rows, uniforms),
    )
    found = inner(LengthSquaredVector([3.0, 4.0]), [3.0, 4.0], samples=300_000, groups=3, rng=0)
    assert found == pytest.approx(25.0)
    assert sum(asked) == 900_000
    assert max(asked) <= 2**16


def test_a_complex_estimate_takes_twice_the_draws_whichever_side_is_complex(monkeypatch):
    asked = []
    draw = LengthSquaredVector.sample
    monkeypatch.setattr(
        LengthSquaredVector,
        "sample",
        lambda self, size, **options: asked.append(size) or draw(self, size, **options),
    )
    ones = np.ones(3)
    for x, y in ((ones, ones), (ones, 1j * ones), (1j * ones, ones)):
        inner(LengthSquaredVector(x), y, groups=1, tol=0.3, rng=0)
    assert asked == [50, 100, 100]


def test_zero_gives_zero():
    assert inner(LengthSquaredVector(np.zeros(3)), np.ones(3)) == 0
    assert bilinear(np.ones(2), LengthSquaredMatrix(np.zeros((2, 3))), np.ones(3)) == 0
    product = sampled_matmul(np.zeros((4, 2)), np.ones((4, 3)), samples=5)
    assert product.bound == 0.0
    np.testing.assert_array_equal(product.to_array(), np.zeros((2, 3)))


@pytest.mark.parametrize("samples", [50, 200, 800])
def test_errors_of_products_keep_their_bound(samples):
    b = RNG.standard_normal((40, 20))
    held = LengthSquaredMatrix(A)
    found = [sampled_matmul(held, b, samples=samples, rng=k) for k in range(30)]
    errors = [np.linalg.norm(A.T @ b - p.to_array()) for p in found]
    bound = np.linalg.norm(A) * np.linalg.norm(b) / np.sqrt(samples)
    assert found[0].bound == pytest.approx(bound)
    assert 0.3 * bound < np.mean(errors) <= 1.2 * bound


def test_products_are_unbiased_and_complex():
    a = A * np.exp(1j * np.arange(40.0))[:, None]
    found = sampled_matmul(a, LengthSquaredMatrix(A + 1j * A), samples=50_000, rng=0)
    exact = a.conj().T @ (A + 1j * A)
    assert np.linalg.norm(exact - found.to_array()) < 2 * found.bound
    assert (found.shape, found.rank, found.modes) == ((30, 30), 50_000, 2)
    np.testing.assert_allclose(found @ np.ones(30), found.to_array().sum(axis=1), rtol=1e-10)


V, M = LengthSquaredVector(X), LengthSquaredMatrix(A)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: inner(X, Y), TypeError, "x must be a LengthSquaredVector"),
        (lambda: inner(V, Y[:3]), ValueError, r"y must have shape \(200,\), got \(3,\)"),
        (lambda: inner(V, Y, tol=0.0), ValueError, "tol is a relative error"),
        (lambda: inner(V, Y, failure=2), ValueError, "failure"),
        (lambda: inner(V, Y, samples=0), ValueError, "samples must be an int >= 1"),
        (lambda: inner(V, Y, groups=1.5), TypeError, "groups must be an int >= 1"),
        (lambda: bilinear(X[:40], A, Y[:30]), TypeError, "a must be a LengthSquaredMatrix"),
        (lambda: bilinear(X[:30], M, Y[:30]), ValueError, r"x must have shape \(40,\)"),
        (lambda: sampled_matmul(A, A[:3], samples=2), ValueError, "as many rows"),
        (lambda: sampled_matmul(A, A, samples=0), ValueError, "samples must be an int >= 1"),
        (lambda: sampled_matmul(A, A * np.inf, samples=1), ValueError, "non-finite"),
    ],
)
def test_bad_input_is_named(call, kind, message):
    with pytest.raises(kind, match=message), np.errstate(invalid="ignore"):
        call()
