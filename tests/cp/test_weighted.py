"""Weighted CP by alternating least squares: what it minimises, and what it takes."""

import itertools
import math

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

import tdecomp as td
from tdecomp._iterate import Status
from tdecomp.cp._format import CP
from tdecomp.cp._weighted import weighted_als
from tdecomp.cp._weighted_data import observe
from tdecomp.cp._weighted_entries import Entries
from tdecomp.cp._weighted_grid import Grid
from tdecomp.cp._weighted_solve import minimise_polynomial
from tdecomp.cp._weighted_sorted import SortedEntries
from tdecomp.ops._coo import COO, coo

SHAPE, RANK = (5, 6, 7), 2


def factors_of(rng, shape=SHAPE, rank=RANK, *, kind="f"):
    drawn = [rng.standard_normal((n, rank)) for n in shape]
    if kind == "c":
        drawn = [f + 1j * rng.standard_normal(f.shape) for f in drawn]
    return drawn


def tensor_of(factors):
    return CP(np.ones(factors[0].shape[1]), tuple(factors)).to_array()


def completion(missing, *, seed=0, n=25, rank=3):
    rng = np.random.default_rng(seed)
    x = tensor_of(factors_of(rng, (n,) * 3, rank))
    return x, rng.random(x.shape) >= missing, rng


def weighted_error(x, weights, model):
    w = np.broadcast_to(weights, x.shape)
    gap = np.where(w > 0, x - model, 0)
    return math.sqrt(np.sum(w * np.abs(gap) ** 2) / np.sum(w * np.abs(np.where(w > 0, x, 0)) ** 2))


def brute(x, weights, factors, mode, ridge):
    """The best factor of a mode, row by row, from the definition."""
    others = [f for k, f in enumerate(factors) if k != mode]
    k = np.ones((1, others[0].shape[1]))
    for f in others:
        k = (k[:, None, :] * f[None]).reshape(-1, f.shape[1])
    xs = np.moveaxis(x, mode, 0).reshape(x.shape[mode], -1)
    ws = np.sqrt(np.moveaxis(weights, mode, 0).reshape(xs.shape))
    rank = k.shape[1]
    rows = []
    for i in range(x.shape[mode]):
        a = np.concatenate([ws[i][:, None] * k, math.sqrt(ridge) * np.eye(rank)])
        b = np.concatenate([ws[i] * xs[i], np.zeros(rank)])
        rows.append(np.linalg.lstsq(a, b, rcond=None)[0])
    return np.stack(rows)


@pytest.mark.parametrize("kind", ["f", "c"])
@pytest.mark.parametrize("form", ["array", "coordinates"])
@pytest.mark.when_compiled(kind="c")
def test_each_factor_is_the_least_squares_solution(xp, kind, form):
    rng = np.random.default_rng(0)
    x = tensor_of(factors_of(rng, kind=kind)) + rng.standard_normal(SHAPE)
    weights = np.where(rng.random(SHAPE) < 0.6, rng.random(SHAPE), 0.0)
    start = factors_of(rng, kind=kind)
    w = xp.asarray(weights)
    if form == "coordinates":
        places = np.nonzero(weights)
        w = COO(xp.asarray(np.stack(places)), xp.asarray(weights[places]), SHAPE)
    observed = observe(xp.asarray(x), w)
    flat = xp.asarray(np.concatenate(start))
    for mode, ridge in ((0, 0.3), (0, 0.0), (1, 0.0), (2, 0.3)):
        penalty = xp.asarray(ridge / observed.heaviest * np.eye(RANK, dtype=start[0].dtype))
        found = xp.to_numpy(observed.problem.solve(flat, mode, penalty))
        wanted = brute(x, weights, start, mode, ridge)
        assert np.abs(found - wanted).max() <= 1e-12 * np.abs(wanted).max()


@pytest.mark.parametrize("form", ["array", "coordinates"])
def test_a_line_has_the_misfit_of_its_points(xp, form):
    rng = np.random.default_rng(0)
    x, weights = rng.standard_normal(SHAPE), np.where(rng.random(SHAPE) < 0.6, 1.0, 0.0)
    w = xp.asarray(weights)
    if form == "coordinates":
        places = np.nonzero(weights)
        w = COO(xp.asarray(np.stack(places)), xp.asarray(weights[places]), SHAPE)
    problem = observe(xp.asarray(x), w).problem
    point, direction = factors_of(rng), factors_of(rng)
    gram = problem.along(*(xp.asarray(np.concatenate(f)) for f in (point, direction)))
    for t in (0.0, 1.0, -0.7):
        model = tensor_of([p + t * d for p, d in zip(point, direction, strict=True)])
        powers = t ** np.arange(4)
        misfit = np.sum(weights * (x - model) ** 2)
        assert abs(powers @ gram @ powers - misfit) <= 1e-13 * misfit


def test_every_form_of_data_gets_its_route(monkeypatch):
    rng = np.random.default_rng(0)
    x, seen = rng.standard_normal(SHAPE), rng.random(SHAPE) < 0.6
    assert isinstance(observe(x, seen).problem, SortedEntries)
    monkeypatch.setattr("tdecomp.cp._weighted_data._DENSE_ENTRIES", 10)
    assert isinstance(observe(x, seen).problem, Grid)
    torch = pytest.importorskip("torch")
    assert isinstance(observe(torch.asarray(x), torch.asarray(seen)).problem, Grid)
    listed = coo(torch.asarray(np.stack(np.nonzero(seen))), torch.asarray(x[seen]), SHAPE)
    ones = listed._replace(values=torch.ones_like(listed.values))
    assert isinstance(observe(listed, ones).problem, Entries)


@pytest.mark.parametrize("size", [10, 1 << 22])
def test_routes_agree(monkeypatch, size):
    rng = np.random.default_rng(0)
    x, seen = rng.standard_normal(SHAPE), rng.random(SHAPE) < 0.8
    start = factors_of(rng)
    listed = weighted_als(x, seen, [start], tol=-1, max_iter=4)
    monkeypatch.setattr("tdecomp.cp._weighted_data._DENSE_ENTRIES", 10)
    monkeypatch.setattr("tdecomp.cp._weighted_grid._BLOCK_ENTRIES", size)
    gridded = weighted_als(x, seen, [start], tol=-1, max_iter=4)
    assert abs(listed.error - gridded.error) <= 1e-12
    assert np.abs(listed.tensor.to_array() - gridded.tensor.to_array()).max() <= 1e-10


@pytest.mark.parametrize(("missing", "starts", "most"), [(0.7, 4, 60), (0.9, 16, 150)])
def test_what_is_missing_is_recovered(missing, starts, most):
    for seed in range(3):
        x, seen, rng = completion(missing, seed=seed)
        given = [factors_of(rng, x.shape, 3) for _ in range(starts)]
        fit = weighted_als(np.where(seen, x, np.nan), seen, given)
        assert fit.status is Status.CONVERGED
        assert np.linalg.norm(fit.tensor.to_array() - x) <= 1e-8 * np.linalg.norm(x)
        assert fit.n_iter <= most


@pytest.mark.parametrize("kind", ["f", "c"])
@pytest.mark.parametrize("nonnegative", [(), (0, 1, 2)])
@pytest.mark.parametrize("ridge", [0.0, 0.2])
def test_no_sweep_raises_the_objective(kind, nonnegative, ridge):
    if kind == "c" and nonnegative:
        pytest.skip("complex numbers have no sign")
    rng = np.random.default_rng(1)
    x, weights = rng.standard_normal((8, 9, 10)), rng.random((8, 9, 10))
    start = factors_of(rng, x.shape, 4, kind=kind)
    if nonnegative:
        x, start = np.abs(x), [np.abs(f) for f in start]
    x = x * (1 + 0.5j) if kind == "c" else x
    total, seen = np.sum(weights * np.abs(x) ** 2), []

    def watch(progress):
        size = sum(np.linalg.norm(f) ** 2 for f in progress.tensor.factors)
        seen.append(progress.error**2 * total + ridge * size)
        assert progress.error == pytest.approx(
            weighted_error(x, weights, progress.tensor.to_array()), rel=1e-9
        )

    fit = weighted_als(
        x, weights, [start], ridge=ridge, nonnegative=nonnegative, tol=0, max_iter=60,
        callback=watch,
    )  # fmt: skip
    assert all(b <= a * (1 + 1e-13) for a, b in itertools.pairwise(seen))
    assert seen[-1] < 0.95 * seen[0]
    if nonnegative:
        assert min(f.min() for f in fit.tensor.factors) >= 0


def test_the_limit_is_stationary():
    rng = np.random.default_rng(3)
    x, weights = rng.standard_normal(SHAPE), rng.random(SHAPE)
    fit = weighted_als(x, weights, [factors_of(rng)], ridge=0.1, tol=-1, max_iter=1000)
    for mode in range(3):
        best = brute(x, weights, fit.tensor.factors, mode, 0.1)
        assert np.abs(best - fit.tensor.factors[mode]).max() <= 1e-4 * np.abs(best).max()


def test_unit_weights_are_no_weights():
    rng = np.random.default_rng(0)
    x = tensor_of(factors_of(rng)) + 0.01 * rng.standard_normal(SHAPE)
    start = factors_of(rng)
    a = weighted_als(x, 1.0, [start], max_iter=40)
    b = weighted_als(x, np.ones(SHAPE), [start], max_iter=40)
    gap = np.linalg.norm(x - a.tensor.to_array()) / np.linalg.norm(x)
    assert a.error == pytest.approx(gap, rel=1e-12)
    assert a.error == pytest.approx(b.error, rel=1e-12)


def test_weights_broadcast_and_scale():
    rng = np.random.default_rng(0)
    x, start = rng.standard_normal(SHAPE), factors_of(rng)
    slices = rng.random((6, 1)) + 0.1
    a = weighted_als(x, slices, [start], max_iter=10, tol=-1)
    b = weighted_als(x, np.broadcast_to(slices, SHAPE) * 2.0**300, [start], max_iter=10, tol=-1)
    assert a.error == pytest.approx(b.error, rel=1e-12)
    assert np.abs(a.tensor.to_array() - b.tensor.to_array()).max() <= 1e-10


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e200, 1e300])
@pytest.mark.parametrize("fixed", [(), (1,), (0, 1)])
def test_any_scale_of_the_data(scale, fixed):
    rng = np.random.default_rng(0)
    x, seen = tensor_of(factors_of(rng)), rng.random(SHAPE) < 0.9
    start = factors_of(rng)
    plain = weighted_als(x, seen, [start], max_iter=5, tol=-1, fixed=fixed)
    fit = weighted_als(x * scale, seen, [start], max_iter=5, tol=-1, fixed=fixed)
    assert math.isfinite(fit.error)
    if fixed:
        assert fit.error == pytest.approx(plain.error, rel=1e-6)
    assert all(np.isfinite(f).all() for f in fit.tensor.factors)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_a_ridge_at_any_scale(scale):
    # Beside such data the penalty is everything, or nothing.
    rng = np.random.default_rng(0)
    x, start = tensor_of(factors_of(rng)) * (scale / 100), factors_of(rng)
    fit = weighted_als(x, rng.random(SHAPE), [start], ridge=1e-3, max_iter=2000)
    assert fit.error == pytest.approx(1.0, abs=1e-12) if scale < 1 else fit.error <= 1e-6
    assert np.isfinite(fit.tensor.to_array()).all()


def test_fixed_modes_stay_and_the_others_fit():
    rng = np.random.default_rng(0)
    truth = factors_of(rng)
    x, seen = tensor_of(truth), rng.random(SHAPE) < 0.7
    start = [truth[0], *factors_of(rng)[1:]]
    fit = weighted_als(x, seen, [start], fixed=(0,))
    assert np.array_equal(fit.tensor.factors[0], truth[0])
    assert fit.error <= 1e-12


def test_coordinates_say_what_is_observed():
    rng = np.random.default_rng(0)
    x, seen = tensor_of(factors_of(rng)), rng.random(SHAPE) < 0.7
    start = factors_of(rng)
    places = np.stack(np.nonzero(seen))
    listed = coo(places, x[seen], SHAPE)
    ones = listed._replace(values=np.ones(listed.nnz))
    dense = weighted_als(x, seen, [start], max_iter=5, tol=-1)
    for data, weights in ((listed, ones), (x, ones), (listed, seen)):
        fit = weighted_als(data, weights, [start], max_iter=5, tol=-1)
        assert fit.error == dense.error


def test_what_is_not_stored_is_zero_where_it_has_weight():
    rng = np.random.default_rng(0)
    x = np.where(rng.random(SHAPE) < 0.5, rng.standard_normal(SHAPE), 0.0)
    weights = np.where(rng.random(SHAPE) < 0.7, rng.random(SHAPE), 0.0)
    start = factors_of(rng)
    wanted = weighted_als(x, weights, [start], max_iter=5, tol=-1)
    sparse = coo(np.stack(np.nonzero(x)), x[np.nonzero(x)], SHAPE)
    heavy = coo(np.stack(np.nonzero(weights)), weights[np.nonzero(weights)], SHAPE)
    fit = weighted_als(sparse, heavy, [start], max_iter=5, tol=-1)
    assert fit.error == pytest.approx(wanted.error, rel=1e-12)


def test_singular_rows_have_the_smallest_norm():
    # One entry in a slice and two unknowns.
    rng = np.random.default_rng(0)
    x, seen = tensor_of(factors_of(rng)), np.ones(SHAPE, bool)
    seen[2] = False
    seen[2, 1, 3] = True
    start = factors_of(rng)
    problem = observe(x, seen).problem
    row = problem.solve(np.concatenate(start), 0, np.zeros((2, 2)))[2]
    k = start[1][1] * start[2][3]
    wanted = k * x[2, 1, 3] / (k @ k)
    assert np.abs(row - wanted).max() <= 1e-14 * np.abs(wanted).max()
    fit = weighted_als(x, seen, [start])
    assert fit.error <= 1e-8
    assert np.isfinite(fit.tensor.to_array()).all()


@pytest.mark.parametrize("route", ["list", "grid"])
def test_nearly_dependent_columns_cost_no_more_than_qr(monkeypatch, route):
    # The condition number of the products of columns is 1e7, its square has no digit left.
    if route == "grid":
        monkeypatch.setattr("tdecomp.cp._weighted_data._DENSE_ENTRIES", 10)
    rng = np.random.default_rng(0)
    base = [rng.standard_normal((n, 1)) for n in (8, 9, 10)]
    truth = [b + 1e-4 * rng.standard_normal((b.shape[0], 2)) for b in base]
    x, seen = tensor_of(truth), rng.random((8, 9, 10)) < 0.8
    start = [rng.standard_normal((8, 2)), *truth[1:]]
    problem = observe(x, seen).problem
    flat = problem.solve(np.concatenate(start), 0, np.zeros((2, 2)))
    # A second solve corrects what the first left.
    flat = problem.solve(np.concatenate([flat, *truth[1:]]), 0, np.zeros((2, 2)))
    gap = np.where(seen, x - tensor_of([flat, *truth[1:]]), 0)
    assert np.linalg.norm(gap) <= 1e-14 * np.linalg.norm(x)


def test_a_zero_tensor_is_fitted_exactly():
    rng = np.random.default_rng(0)
    fit = weighted_als(np.zeros(SHAPE), rng.random(SHAPE), [factors_of(rng)])
    assert fit.error == 0
    assert fit.status is Status.CONVERGED
    assert not fit.tensor.to_array().any()


@pytest.mark.parametrize("shape", [(6,), (1, 1), (1, 5, 1), (2,) * 7])
def test_any_number_of_modes(shape):
    rng = np.random.default_rng(0)
    x = tensor_of(factors_of(rng, shape, 1))
    fit = weighted_als(x, np.ones(shape), [factors_of(rng, shape, 1)])
    assert fit.error <= 1e-14


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.when_compiled(dtype="complex64")
def test_dtypes_stay(xp, dtype):
    rng = np.random.default_rng(0)
    truth = factors_of(rng, kind="c" if "complex" in dtype else "f")
    x, start = tensor_of(truth), [f + 0.1 for f in truth]
    seen = rng.random(SHAPE) < 0.8
    fit = weighted_als(
        xp.asarray(x, dtype), xp.asarray(seen), [[xp.asarray(f, dtype) for f in start]]
    )
    assert fit.tensor.dtype == getattr(xp, dtype)
    assert fit.error <= 100 * np.finfo(dtype).eps
    model = xp.to_numpy(fit.tensor.to_array())
    assert np.abs(model - x).max() <= 1e4 * np.finfo(dtype).eps * np.abs(x).max()


def test_the_callback_sees_iterates_that_stay():
    rng = np.random.default_rng(0)
    x, start = rng.standard_normal(SHAPE), factors_of(rng)
    kept = []

    def watch(progress):
        kept.append((progress.tensor, progress.tensor.to_array()))
        return len(kept) == 3

    fit = weighted_als(x, rng.random(SHAPE), [start], callback=watch)
    assert fit.status is Status.INTERRUPTED
    assert fit.n_iter == 3
    assert all(np.array_equal(cp.to_array(), shown) for cp, shown in kept)


@pytest.mark.writable
def test_inputs_are_left_alone(xp):
    rng = np.random.default_rng(0)
    x, weights = rng.standard_normal(SHAPE), rng.random(SHAPE)
    start = factors_of(rng)
    arrays = [xp.asarray(a) for a in (x, weights, *start)]
    weighted_als(arrays[0], arrays[1], [arrays[2:]], max_iter=1)
    for array, wanted in zip(arrays, (x, weights, *start), strict=True):
        assert np.array_equal(xp.to_numpy(array), wanted)


@pytest.mark.parametrize("form", ["array", "coordinates"])
def test_negative_weights_are_named(form):
    weights = np.ones(SHAPE)
    weights[1, 2, 3] = -0.5
    if form == "coordinates":
        weights = coo(np.stack(np.nonzero(weights)), weights.ravel(), SHAPE)
    with pytest.raises(ValueError, match=r"-0\.5 at weights\[1, 2, 3\]"):
        observe(np.ones(SHAPE), weights)


@pytest.mark.parametrize("form", ["array", "coordinates"])
@pytest.mark.parametrize("mode", [0, 1, 2])
@pytest.mark.when_compiled(mode=1)
def test_slices_without_data_are_named(xp, form, mode):
    weights = np.ones(SHAPE)
    np.moveaxis(weights, mode, 0)[3] = 0
    weights = xp.asarray(weights)
    if form == "coordinates":
        host = np.nonzero(xp.to_numpy(weights))
        weights = COO(xp.asarray(np.stack(host)), xp.asarray(np.ones(host[0].size)), SHAPE)
    with pytest.raises(ValueError, match=f"index 3 of mode {mode} has no observed entry"):
        observe(xp.asarray(np.ones(SHAPE)), weights)


@pytest.mark.parametrize("form", ["array", "coordinates"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_only_observed_entries_must_be_finite(xp, form, bad):
    x, weights = np.ones(SHAPE), np.ones(SHAPE)
    x[1, 2, 3] = bad
    weights[1, 2, 3] = 0

    def weigh(values):
        if form == "array":
            return xp.asarray(values)
        host = np.nonzero(values)
        return COO(xp.asarray(np.stack(host)), xp.asarray(values[host]), SHAPE)

    observe(xp.asarray(x), weigh(weights))
    with pytest.raises(ValueError, match=r"first at x\[1, 2, 3\]"):
        observe(xp.asarray(x), weigh(np.ones(SHAPE)))


@pytest.mark.parametrize(
    ("weights", "error", "match"),
    [
        (np.ones((5, 6)), ValueError, "cannot be broadcast"),
        (np.ones((1, *SHAPE)), ValueError, "cannot be broadcast"),
        (np.ones(SHAPE) * 1j, TypeError, "real"),
        (np.full(SHAPE, np.nan), ValueError, "weights has .* non-finite"),
        ("yes", TypeError, "weights must be an array"),
        (coo([[0], [0]], [1.0], (5, 6)), ValueError, "must have the shape of x"),
    ],
)
def test_weights_that_make_no_sense_are_refused(weights, error, match):
    with pytest.raises(error, match=match):
        observe(np.ones(SHAPE), weights)


def test_dense_weights_of_a_huge_sparse_tensor_are_refused():
    x = coo([[0], [0], [0]], [1.0], (10**4,) * 3)
    with pytest.raises(ValueError, match="pass a COO of weights"):
        observe(x, 1.0)


def test_a_polynomial_is_minimised_exactly():
    rng = np.random.default_rng(0)
    for _ in range(20):
        c = rng.standard_normal((6, 4))
        gram = c.T @ c
        t, value = minimise_polynomial(gram)
        grid = np.linspace(-10, 10, 20001)
        powers = grid[:, None] ** np.arange(4)
        assert value <= np.einsum("tj,jk,tk->t", powers, gram, powers).min() * (1 + 1e-12)
        assert value == pytest.approx(np.linalg.norm(c @ t ** np.arange(4)) ** 2, rel=1e-9)
        inside, _ = minimise_polynomial(gram, low=0.0, high=0.5)
        assert 0 <= inside <= 0.5
    assert minimise_polynomial(np.zeros((3, 3))) == (0.0, 0.0)


@pytest.mark.parametrize(("missing", "starts"), [(0.7, 4), (0.9, 24)])
def test_cp_als_recovers_what_is_missing(missing, starts):
    for seed in range(3):
        x, seen, _ = completion(missing, seed=seed)
        fit = td.cp.cp_als(
            np.where(seen, x, np.nan), rank=3, weights=seen, n_starts=starts, rng=100 + seed
        )
        assert fit.status is Status.CONVERGED
        assert fit.error <= 1e-12
        assert np.linalg.norm(fit.tensor.to_array() - x) <= 1e-8 * np.linalg.norm(x)


def test_one_random_start_mostly_finds_what_is_missing():
    # Of these 24 imputation (TensorLy's masked parafac) recovers 13, sweeps that do not fade 11.
    found = 0
    for rank, n, missing in ((2, 20, 0.8), (3, 25, 0.9), (4, 30, 0.9)):
        for seed in range(8):
            x, seen, _ = completion(missing, seed=seed, n=n, rank=rank)
            fit = td.cp.cp_als(x, rank=rank, weights=seen, rng=100 + seed)
            gap = np.linalg.norm(fit.tensor.to_array() - x) / np.linalg.norm(x)
            assert gap <= 1e-10 or fit.error > 0.1
            found += gap <= 1e-10
    assert found >= 16


@pytest.mark.parametrize("nonnegative", [False, True])
def test_sweeps_that_fade_count(nonnegative):
    x, seen, _ = completion(0.8, n=8)
    x = np.abs(x) if nonnegative else x
    for most in (0, 1, 2, 50):
        fit = td.cp.cp_als(
            x, rank=3, weights=seen, rng=1, max_iter=most, tol=0, nonnegative=nonnegative
        )
        assert fit.n_iter == most
        assert math.isfinite(fit.error)


@pytest.mark.parametrize("form", ["array", "coordinates"])
@pytest.mark.parametrize("kind", ["f", "c"])
@pytest.mark.when_compiled(form="array", kind="c")
def test_a_penalty_is_that_of_its_root(xp, form, kind):
    # One entry and a penalty of rank one leave one of three unknowns: then the smallest norm.
    rng = np.random.default_rng(0)
    x, seen = tensor_of(factors_of(rng, rank=3, kind=kind)), rng.random(SHAPE) < 0.6
    seen[2] = False
    seen[2, 1, 3] = True
    flat = np.concatenate(factors_of(rng, rank=3, kind=kind))
    line = factors_of(rng, (1,), 3, kind=kind)[0]
    given = xp.asarray(seen * 1.0)
    if form == "coordinates":
        places = np.nonzero(seen)
        given = COO(xp.asarray(np.stack(places)), xp.asarray(np.ones(len(places[0]))), SHAPE)
    observed = observe(xp.asarray(x), given)
    penalty = xp.asarray(line.conj().T @ line)
    found = xp.to_numpy(observed.problem.solve(xp.asarray(flat), 0, penalty))
    _, b, c = np.split(flat, np.cumsum(SHAPE)[:-1])
    k = (b[:, None] * c[None])[seen[2]]
    wanted = np.linalg.pinv(np.concatenate([k, line])) @ np.append(x[2][seen[2]], 0)
    assert observed.scale == observed.heaviest == 1
    assert np.abs(found[2] - wanted).max() <= 1e-12 * np.abs(wanted).max()


def norm_ratio(x, seen, fit):
    """How much larger a model is than a random sample of the data lets expect."""
    shown = np.linalg.norm(x[seen]) * math.sqrt(x.size / seen.sum())
    return float(td.cp.norm(fit.tensor)) / shown


@pytest.mark.parametrize(("missing", "noise", "dtype"), [
    (0.9, 0.0, "float64"), (0.9, 0.3, "float64"), (0.93, 0.0, "float64"), (0.9, 0.0, "float32"),
])  # fmt: skip
def test_a_model_that_is_enormous_off_the_sample_is_told(missing, noise, dtype):
    ratios = {True: [], False: []}
    for seed in range(6):
        x, seen, rng = completion(missing, seed=seed, n=20)
        x = (x + noise * x.std() * rng.standard_normal(x.shape)).astype(dtype)
        fit = td.cp.cp_als(x, rank=3, weights=seen, rng=seed + 100, max_iter=300)
        ratios[fit.status is Status.DEGENERATE].append(norm_ratio(x, seen, fit))
    assert ratios[True]
    assert min(ratios[True]) > 3
    assert max(ratios[False], default=0.0) < 10


@pytest.mark.parametrize("form", ["array", "coordinates"])
def test_entries_without_their_weights(xp, form):
    rng = np.random.default_rng(0)
    x, weights = tensor_of(factors_of(rng)), rng.random(SHAPE) * (rng.random(SHAPE) < 0.7)
    flat, zero = np.concatenate(factors_of(rng)), np.zeros((sum(SHAPE), RANK))
    places = np.nonzero(weights)
    problems = []
    for w in (weights, np.ones(SHAPE) * (weights > 0)):
        given = xp.asarray(w)
        if form == "coordinates":
            given = COO(xp.asarray(np.stack(places)), xp.asarray(w[places]), SHAPE)
        problems.append(observe(xp.asarray(x), given).problem)
    even, wanted = problems[0].unweighted(), problems[1]
    assert even.total == pytest.approx(wanted.total, rel=1e-12)
    found, expected = (p.along(xp.asarray(flat), xp.asarray(zero)) for p in (even, wanted))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("kind", ["spiky", "collinear", "noisy", "structured", "weighted"])
def test_recovered_tensors_are_not_told_degenerate(kind):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        factors = factors_of(rng, (15, 16, 17), 3)
        if kind == "spiky":
            for f in factors:
                f[0] *= 1e3
        if kind == "collinear":
            factors = [f[:, :1] + 0.1 * f * [1, 1, -1] for f in factors]
        x = tensor_of(factors)
        seen = rng.random(x.shape) < 0.5
        if kind == "spiky":
            seen[:2, :2, :2] = False
        if kind == "structured":
            seen = np.abs(np.subtract.outer(np.arange(16), np.arange(17))) > 3
            seen = np.broadcast_to(seen, x.shape)
        noisy = x + 1e-3 * np.abs(x) * rng.standard_normal(x.shape)
        weights = seen / (x**2 + 1e-3) if kind == "weighted" else seen
        init = CP(np.ones(3), tuple(f + 0.01 * rng.standard_normal(f.shape) for f in factors))
        fit = td.cp.cp_als(noisy, rank=3, weights=weights, init=init, max_iter=300)
        assert fit.error <= 1e-2
        assert fit.status in {Status.CONVERGED, Status.MAX_ITER}


@pytest.mark.parametrize("init", ["random", "hosvd"])
def test_cp_als_takes_coordinates_of_a_large_tensor(init):
    # Of ten million entries sixty thousand are known.
    rng = np.random.default_rng(0)
    factors = factors_of(rng, (200, 220, 240), 2)
    places = np.stack([rng.integers(0, n, 60000) for n in (200, 220, 240)])
    x = coo(places, np.zeros(60000))
    values = math.prod(f[i] for f, i in zip(factors, x.indices, strict=True)).sum(1)
    x = x._replace(values=values)
    weights = x._replace(values=np.ones(x.nnz))
    fit = td.cp.cp_als(x, rank=2, weights=weights, init=init, rng=1)
    assert fit.error <= 1e-12
    fresh = np.stack([rng.integers(0, n, 100) for n in x.shape], axis=1)
    wanted = math.prod(f[i] for f, i in zip(factors, fresh.T, strict=True)).sum(1)
    found = td.cp.evaluate(fit.tensor, fresh)
    assert np.abs(found - wanted).max() <= 1e-8 * np.abs(wanted).max()


def test_nonnegative_components_that_vanish_come_back():
    # Half of the columns of the free mode start with the wrong sign, and take the others to zero.
    for seed in range(4):
        rng = np.random.default_rng(seed)
        x = tensor_of([rng.random((n, 4)) for n in (12, 13, 14)])
        seen = rng.random(x.shape) < 0.7
        start = [rng.random((n, 4)) for n in x.shape]
        start[1] *= [1, -1, 1, -1]
        fit = weighted_als(x, seen, [start], nonnegative=(0, 2), max_iter=2000)
        assert fit.error <= 1e-7
        assert min(fit.tensor.factors[mode].min() for mode in (0, 2)) >= 0


def test_a_ridge_shrinks_and_is_in_the_objective():
    x, seen, _ = completion(0.5, n=10)
    free, bound = (
        td.cp.cp_als(x, rank=3, weights=seen, ridge=ridge, rng=1, n_starts=4)
        for ridge in (0.0, 5.0)
    )
    sizes = [np.linalg.norm(fit.tensor.to_array()) for fit in (free, bound)]
    assert sizes[1] < 0.9 * sizes[0]
    assert free.error <= 1e-12 < bound.error


@hypothesis.settings(max_examples=25)
@hypothesis.given(
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    rank=st.integers(1, 4),
    share=st.floats(0.2, 1.0),
    seed=st.integers(0, 2**32),
)
def test_errors_fall_and_are_true_whatever_the_shape(shape, rank, share, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    weights = np.where(rng.random(shape) < share, rng.random(shape) + 0.1, 0.0)
    # No slice may be empty: let the diagonal of every pair of modes be seen.
    longest = np.arange(max(shape))
    weights[tuple(longest % n for n in shape)] = 1.0
    errors = []
    fit = weighted_als(
        np.where(weights > 0, x, np.nan),
        weights,
        [factors_of(rng, shape, rank)],
        tol=-1,
        max_iter=12,
        callback=lambda progress: errors.append(progress.error),
    )
    assert all(b <= a * (1 + 1e-12) + 1e-13 for a, b in itertools.pairwise(errors))
    true = weighted_error(x, weights, fit.tensor.to_array())
    assert fit.error == pytest.approx(true, rel=1e-8, abs=1e-13)
