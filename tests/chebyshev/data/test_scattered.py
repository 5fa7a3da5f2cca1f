"""Functions from scattered samples: exact where they can be, smooth where samples are few."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.polynomial import chebyshev

from tdecomp._iterate import Status
from tdecomp._xp import namespace
from tdecomp.chebyshev import ChebyshevTucker, evaluate, from_samples
from tdecomp.chebyshev._data import _sample_steps as steps
from tdecomp.testing import gaussian

NUMPY = namespace(np.empty(0))
BOX = np.array([[-1.0, 2.0], [0.5, 3.0], [-4.0, -1.0]])


def drawn(count, box=BOX, rng=0):
    return np.random.default_rng(rng).uniform(box[:, 0], box[:, 1], (count, len(box)))


def function(sizes=(4, 5, 3), rank=(2, 3, 2), dtype="float64"):
    core = gaussian(rank, dtype=dtype)
    factors = [
        gaussian(s, rng=k, dtype=dtype) for k, s in enumerate(zip(sizes, rank, strict=True))
    ]
    return ChebyshevTucker(core, tuple(factors), BOX.astype(core.real.dtype))


@pytest.mark.parametrize("xp", ["numpy-readonly", "array-api-strict", "torch"], indirect=True)
def test_enough_samples_of_a_function_give_it_back(xp, dtype):
    f, eps = function((4, 4, 4), (2, 2, 2), dtype), np.finfo(dtype).eps
    x = drawn(400).astype(f.domain.dtype)
    y = evaluate(f, x)
    fit = from_samples(xp.asarray(x), xp.asarray(y), BOX, size=4, rank=2, ridge=0, tol=0)
    assert fit.tensor.dtype == xp.asarray(y).dtype
    assert fit.tensor.rank == (2, 2, 2)
    assert fit.tensor.shape == (4, 4, 4)
    assert fit.error <= 100 * eps
    at = drawn(50, rng=1).astype(f.domain.dtype)
    found = xp.to_numpy(evaluate(fit.tensor, xp.asarray(at)))
    assert np.abs(found - evaluate(f, at)).max() <= 2000 * eps * np.abs(y).max()


def test_in_one_variable_it_is_a_series(xp):
    x = np.linspace(0, 1, 30)[:, None]
    y = x[:, 0] ** 3 - x[:, 0]
    fit = from_samples(xp.asarray(x), xp.asarray(y), size=4, rank=1, ridge=0, max_iter=1)
    assert fit.error <= 1e-14
    assert np.abs(xp.to_numpy(evaluate(fit.tensor, xp.asarray(x))) - y).max() <= 1e-14


def test_full_rank_is_least_squares_with_products_of_polynomials():
    x = drawn(200)
    rng = np.random.default_rng(0)
    y, w = rng.standard_normal(200), rng.uniform(0, 2, 200)
    fit = from_samples(x, y, BOX, size=(3, 4, 2), rank=(3, 4, 2), ridge=0, weights=w)
    t = (2 * x - BOX.sum(axis=1)) / np.ptp(BOX, axis=1)
    design = chebyshev.chebvander3d(*t.T, (2, 3, 1)) * np.sqrt(w)[:, None]
    best = np.linalg.lstsq(design, y * np.sqrt(w), rcond=None)[0]
    missed = np.linalg.norm(design @ best - y * np.sqrt(w)) / np.linalg.norm(y * np.sqrt(w))
    assert fit.error == pytest.approx(missed, rel=1e-12)
    known = chebyshev.chebval3d(*t.T, best.reshape(3, 4, 2))
    assert np.abs(evaluate(fit.tensor, x) - known).max() <= 1e-12


@pytest.mark.parametrize("ridge", [0, 1e-4])
def test_no_sweep_raises_what_is_lowered(ridge):
    f = function((6, 7, 5), (4, 4, 4))
    x = drawn(300)
    t = (2 * x - BOX.sum(axis=1)) / np.ptp(BOX, axis=1)
    y = evaluate(f, x)
    samples = steps.Samples(t, y, np.ones(300))
    factors = tuple(np.linalg.qr(gaussian((5, 2), rng=k))[0] for k in range(3))
    model = steps.Model(np.zeros((2, 2, 2)), factors)
    step, merits = steps.sweep(samples, ridge, NUMPY), []
    for _ in range(6):
        found = step(model)
        model = found.state
        merits.append(found.merit)
        c = model.core
        for k, v in enumerate(model.factors):
            c = np.moveaxis(np.tensordot(v, c, (1, k)), 0, k)
        bent = [np.moveaxis(c, k, -1) * np.arange(5) * np.arange(-1, 4) for k in range(3)]
        missed = chebyshev.chebval3d(*t.T, c) - y
        merit = np.sum(missed**2) + 300 * ridge * sum(np.sum(b**2) for b in bent)
        assert found.merit == pytest.approx(np.sqrt(merit) / np.linalg.norm(y))
    assert all(b <= a * (1 + 1e-12) for a, b in pairwise(merits))


def test_blocks_of_equations_change_nothing(monkeypatch):
    x = drawn(200)
    y = np.exp(x[:, 0]) * x[:, 1] + x[:, 2]
    whole = from_samples(x, y, size=5, rank=2, ridge=1e-6, max_iter=3)
    monkeypatch.setattr(steps, "_BLOCK_ENTRIES", 1)
    again = from_samples(x, y, size=5, rank=2, ridge=1e-6, max_iter=3)
    assert again.error == pytest.approx(whole.error, rel=1e-9)
    assert np.abs(whole.tensor.domain - np.stack([x.min(0), x.max(0)], axis=1)).max() == 0


def test_what_is_not_given_is_found():
    box = np.array([[-1.0, 1.0]] * 2)

    def known(x):
        return np.sin(4 * x[:, 0]) * np.exp(x[:, 1]) + x[:, 1]

    x, at = drawn(300, box), drawn(200, box, rng=1)
    noise = np.random.default_rng(3).standard_normal(300)
    clear = from_samples(x, known(x), (-1, 1), rng=2)
    assert np.abs(evaluate(clear.tensor, at) - known(at)).max() <= 1e-5
    blurred = from_samples(x, known(x) + 0.1 * noise, (-1, 1), rng=2)
    assert np.sqrt(np.mean((evaluate(blurred.tensor, at) - known(at)) ** 2)) <= 0.05
    assert 0.05 <= blurred.error <= 0.12
    given = from_samples(x, known(x), (-1, 1), size=(12, 9), ridge=0, rng=2)
    assert given.tensor.shape == (12, 9)
    assert from_samples(x, known(x), (-1, 1), rank=2, ridge=0, rng=2).tensor.rank == (2, 2)


def test_the_penalty_smooths():
    x = np.sort(drawn(30, BOX[:1]), axis=0)
    y = x[:, 0] + 0.5 * np.random.default_rng(0).standard_normal(30)
    rough, smooth = (
        from_samples(x, y, BOX[:1], size=25, rank=1, ridge=ridge).tensor for ridge in (0, 1e2)
    )
    at = np.linspace(*BOX[0], 100)[:, None]
    line = np.polynomial.Polynomial.fit(x[:, 0], y, 1)(at[:, 0])
    assert np.abs(evaluate(smooth, at) - line).max() <= 0.05
    assert np.abs(evaluate(rough, at) - line).max() >= 0.5


def test_samples_of_weight_zero_do_not_count():
    x = drawn(200)
    y = x[:, 0] * x[:, 1] + x[:, 2]
    y[::10] = np.nan
    weights = np.ones(200)
    weights[::10] = 0
    fit = from_samples(x, y, BOX, size=2, rank=2, ridge=0, weights=weights)
    assert fit.error <= 1e-13
    assert np.abs(evaluate(fit.tensor, x[1::10]) - y[1::10]).max() <= 1e-11


@pytest.mark.parametrize("xp", ["torch"], indirect=True)
def test_samples_that_ask_for_gradients_are_fitted_without(xp):
    x = xp.asarray(drawn(50)).requires_grad_()
    fit = from_samples(x, x[:, 0] * x[:, 1], BOX, size=2, rank=2, ridge=0)
    assert fit.error <= 1e-13
    assert not fit.tensor.core.requires_grad


def test_any_scale_is_safe_and_callbacks_see_functions():
    x, seen = drawn(100), []
    y = x[:, 0] * 2.0**-900
    fit = from_samples(x, y, BOX, size=2, rank=1, ridge=0, callback=seen.append)
    assert fit.status is Status.CONVERGED
    assert np.abs(evaluate(fit.tensor, x) - y).max() <= 1e-14 * 2.0**-900 * 10
    assert seen[-1].tensor.shape == (2, 2, 2)
    assert from_samples(x, 0 * y, BOX, size=2, rank=1, ridge=0).error == 0
    interrupted = from_samples(x, y, BOX, size=3, rank=1, ridge=1, callback=lambda p: True)  # noqa: ARG005
    assert interrupted.status is Status.INTERRUPTED


X, Y = drawn(20), np.ones(20)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: from_samples(X, Y[:3]), ValueError, "values must have 20 entries"),
        (lambda: from_samples(X, Y * np.nan), ValueError, "values .*NaN"),
        (lambda: from_samples(X * 1j, Y), TypeError, "points must be real"),
        (lambda: from_samples(X[:, 0], Y), ValueError, "points must have 2 dimensions"),
        (lambda: from_samples(X, Y, (0, 1)), ValueError, "outside of the domain"),
        (lambda: from_samples(X * [0, 1, 1], Y), ValueError, "do not vary in variable 0"),
        (lambda: from_samples(X, Y, size=2, rank=3), ValueError, r"rank\[0\] must be"),
        (lambda: from_samples(X, Y, size=(2, 2)), ValueError, "size must have one entry"),
        (lambda: from_samples(X, Y, size=2.5), TypeError, "size must be"),
        (lambda: from_samples(X, Y, ridge=-1), ValueError, "ridge must be"),
        (lambda: from_samples(X, Y, weights=-Y), ValueError, "weights must be real and not neg"),
        (lambda: from_samples(X, Y, weights=0 * Y), ValueError, "weights are all zero"),
        (lambda: from_samples(X, Y, weights=Y[:3]), ValueError, "weights must have 20"),
        (lambda: from_samples(X[:3], Y[:3]), ValueError, "3 samples are too few to hold some out"),
        (
            lambda: from_samples(X, Y, weights=np.arange(20.0) > 16),
            ValueError,
            "3 samples are too few",
        ),
        (lambda: from_samples(X, Y, size=10**9), ValueError, "too many for least squares"),
        (lambda: from_samples(X, Y, max_iter=0), ValueError, "max_iter must be"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
