"""Sweeps begun where past ones point to: fewer of them, the same limits, and no rise."""

import numpy as np
import pytest

import tdecomp as td
from tdecomp._iterate import Step
from tdecomp._xp import namespace
from tdecomp.completion._entries import read
from tdecomp.completion._methods import _extrapolated
from tdecomp.completion._methods._als import als
from tdecomp.completion._methods._extrapolated import extrapolated
from tdecomp.completion._pose import Options, pose
from tdecomp.completion._problem import Problem
from tdecomp.completion._units import in_units


def penalised(m=120, n=90, rank=6, noise=0.3):
    """Return noisy entries of an ill-conditioned matrix, which take hundreds of plain sweeps."""
    rng = np.random.default_rng(0)
    u, v = (np.linalg.qr(rng.standard_normal((size, rank)))[0] for size in (m, n))
    x = (u * np.geomspace(1, 1 / 20, rank)) @ v.T * np.sqrt(m * n)
    x += noise * rng.standard_normal(x.shape)
    return np.where(rng.random(x.shape) < 0.3, x, np.nan)


RULES = {"rank": 6, "regularization": 2.0, "tol": 1e-11, "max_iter": 2000, "rng": 0}


def test_a_limit_is_that_of_plain_sweeps_in_a_third_of_their_number(monkeypatch):
    x = penalised()
    fit = td.complete(x, **RULES)
    monkeypatch.setattr(_extrapolated, "_MEMORY", RULES["max_iter"])
    plain = td.complete(x, **RULES)
    assert fit.status == plain.status == td.Status.CONVERGED
    assert 3 * fit.n_iter < plain.n_iter
    expected = plain.tensor.to_array()
    size = np.linalg.norm(expected)
    assert np.linalg.norm(fit.tensor.to_array() - expected) < 1e-4 * size


def test_a_point_of_rest_stays():
    x = penalised()
    found = td.complete(x, **{**RULES, "tol": 0}).tensor
    again = td.complete(x, init=found, **{**RULES, "tol": -1, "max_iter": 12}).tensor
    np.testing.assert_allclose(again.to_array(), found.to_array(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize(
    "options",
    [{}, {"regularization": 0.3}, {"regularization": 0.02, "by_count": True, "biases": 0.5}],
    ids=str,
)
def test_no_step_raises_the_objective(options, weights):
    """Also of a rank that is too large, where most of what is pointed to is refused."""
    x = penalised(60, 50, 3) + np.arange(50) / 10
    rng, merits = np.random.default_rng(1), []
    weights = rng.random(x.shape) + 0.1 if weights else np.ones(x.shape)
    known = ~np.isnan(x)
    ridge, by_count = options.get("regularization", 0.0), options.get("by_count", False)
    counts = [np.sum(weights * known, axis=axis) if by_count else 1.0 for axis in (1, 0)]

    def watch(progress):
        z = progress.tensor
        rest = np.where(known, x - z.to_array(), 0)
        parts = np.sum(z.left**2, axis=1), np.sum(z.right**2, axis=0)
        penalty = sum(np.sum(c * part) for c, part in zip(counts, parts, strict=True))
        offsets = np.sum(z.row_bias**2) + np.sum(z.column_bias**2)
        merits.append(
            np.sum(weights * rest**2) + ridge * penalty + options.get("biases", 0) * offsets
        )

    td.complete(
        x, rank=8, weights=weights * known, tol=-1, max_iter=60, rng=0, callback=watch, **options
    )
    assert np.max(np.diff(merits)) <= 1e-11 * merits[0]


@pytest.mark.parametrize("biases", [False, 0.5])
def test_the_transpose_is_completed_by_the_transposed_sweeps(biases):
    """So what is kept of past sweeps is as small for a wide matrix as for a tall one."""
    x = penalised(60, 25, 3) + np.arange(25) / 10
    rules = {"rank": 4, "biases": biases, "regularization": 0.5, "tol": -1, "max_iter": 12}
    z = td.complete(x, **rules | {"max_iter": 1, "rng": 0}).tensor
    turned = td.Completion(z.right.T, z.left.T, z.mean, z.column_bias, z.row_bias)
    tall, wide = td.complete(x, init=z, **rules), td.complete(x.T, init=turned, **rules)
    np.testing.assert_allclose(wide.tensor.to_array().T, tall.tensor.to_array(), atol=1e-8)
    np.testing.assert_allclose(wide.tensor.right.T, tall.tensor.left, atol=1e-8)
    np.testing.assert_allclose(wide.tensor.column_bias, tall.tensor.row_bias, atol=1e-8)
    assert wide.error == pytest.approx(tall.error, rel=1e-9)


def test_what_is_kept_of_sweeps_is_like_the_factor_with_fewer_rows():
    m, n, k = 7, 40, 2
    x = np.random.default_rng(0).standard_normal((m, n))
    options = Options(k, 1.0, False, False, None, False, "spectral", np.random.default_rng(0))
    for data in (x, x.T):
        xp, entries = read(data)
        solver = als(pose(*in_units(entries, xp), options, xp).problem)
        state = solver.state
        for _ in range(4):
            state = solver.step(state).state
        kept = {part.shape for part in (*state.past.ends, *state.past.changes)}
        assert kept == {(m * k,)}
        assert [factor.shape[0] for factor in solver.factors(state)] == list(data.shape)


def affine(jumps):
    """Return a contraction of vectors as a sweep, and the steps of its extrapolation."""
    rates, calls = np.asarray([[-0.9], [-0.3], [0.4], [0.9]]), []
    like = np.ones((4, 1))

    def sweep(left, right):
        calls.append(right)
        after = rates * right
        merit = float(np.linalg.norm(after))
        if jumps and len(calls) == 7:
            merit = 1e3
        return left, after, Step(None, merit, merit=merit)

    problem = Problem(None, 1, 0.0, like, like, False, False, like, like, 1.0, namespace(like))
    return extrapolated(problem, sweep), calls


@pytest.mark.parametrize("jumps", [False, True])
def test_six_sweeps_tell_all_of_four_rates(jumps):
    """The seventh begins at the limit; if it ends higher it is made again, and six more."""
    solver, calls = affine(jumps)
    state, merits = solver.state, []
    for _ in range(13 if jumps else 7):
        found = solver.step(state)
        state = found.state
        merits.append(found.merit)
    assert np.all(np.diff(merits) <= 0)
    assert merits[-1] < 1e-6 < merits[-2]
    assert len(calls) == len(merits) + jumps
