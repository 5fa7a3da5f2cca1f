"""Trains of functions: the measured error is one, few values do, bad values are named."""

import numpy as np
import pytest

import tdecomp as td
from tdecomp import tt

HILBERT = (lambda i: 1 / (1 + i.sum(axis=1)), 1e-8)
FUNCTIONS = {
    "constant": (lambda i: np.full(len(i), 3.0), 1e-12),
    "zero": (lambda i: np.zeros(len(i)), 1e-12),
    "rank one": (lambda i: np.exp(-0.1 * i.sum(axis=1)), 1e-12),
    "oscillating": (lambda i: np.sin(i.sum(axis=1)), 1e-12),
    "hilbert": HILBERT,
    "hilbert to the last digits": (HILBERT[0], 1e-12),
    "root": (lambda i: np.sqrt(1.0 + (i**2).sum(axis=1)), 1e-8),
    "complex": (lambda i: np.exp(0.2j * i.sum(axis=1)) + 1 / (1 + i.sum(axis=1)), 1e-8),
    "single": (lambda i: (1 / (1 + i.sum(axis=1))).astype("f4"), 1e-4),
    "tiny": (lambda i: 1e-300 / (1 + i.sum(axis=1)), 1e-8),
    "huge": (lambda i: 1e300 / (1 + i.sum(axis=1)), 1e-8),
    "integers": (lambda i: i.sum(axis=1), 1e-8),
}
RANKS = {"constant": 1, "zero": 1, "rank one": 1, "oscillating": 2, "integers": 2}


def measured(f, train, seed=1):
    """The relative error at random points, by NumPy."""
    rng = np.random.default_rng(seed)
    index = np.stack([rng.integers(0, n, size=3000) for n in train.shape], axis=1)
    values, found = f(index), tt.evaluate(train, index)
    top = np.abs(values).max() or 1.0
    norm = np.linalg.norm(values / top) or 1.0
    return np.linalg.norm(values / top - found / top) / norm


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("shape", [(20,) * 4, (12,) * 9, (8,) * 20, (64,) * 12, (5, 1, 30, 2)])
def test_functions_are_found_to_the_tolerance(name, shape):
    f, rtol = FUNCTIONS[name]
    counted = tt.Counted(f)
    fit = tt.tt_cross(counted, shape, rtol=rtol, rng=0)
    assert fit.status is td.Status.CONVERGED
    assert fit.error <= rtol
    assert fit.tensor.shape == shape
    assert fit.tensor.dtype == np.result_type(f(np.zeros((1, len(shape)), dtype=int)), "f4")
    # Another sample agrees: within a factor of 3, or down to what the measurement resolves.
    assert measured(f, fit.tensor) <= 3 * rtol
    if name in RANKS:
        assert max(fit.tensor.rank) == RANKS[name]
    # Some sweeps of sum(r n r) values, and the measurements.
    largest = max(fit.tensor.rank) + 4
    assert counted.evaluations <= 8 * sum(shape) * largest**2 + 200 * fit.n_iter + 1000


def test_the_error_is_exact_on_small_grids():
    f, _ = HILBERT
    grid = np.stack(np.unravel_index(np.arange(6**3), (6, 6, 6)), axis=1)
    x = f(grid).reshape(6, 6, 6)
    for rank in (1, 2, 3):
        fit = tt.tt_cross(f, (6, 6, 6), rank=rank, rng=0)
        assert fit.tensor.rank == (rank, rank)
        assert fit.error == pytest.approx(float(td.relative_error(x, fit.tensor)), rel=1e-6)
        best = float(td.relative_error(x, tt.tt_svd(x, rank=rank)))
        assert fit.error <= 1.5 * best


def test_the_measured_error_estimates_the_true_one():
    f, _ = HILBERT
    shape = (12,) * 5
    grid = np.stack(np.unravel_index(np.arange(12**5), shape), axis=1)
    x = f(grid).reshape(shape)
    ratios = []
    for seed in range(10):
        fit = tt.tt_cross(f, shape, rank=4, rng=seed)
        ratios.append(fit.error / float(td.relative_error(x, fit.tensor)))
    assert np.mean(np.square(ratios)) == pytest.approx(1.0, rel=0.5)


def test_a_spike_is_found_where_init_names_it():
    def spike(i):
        return 7.0 * (i == 3).all(axis=1)

    shape = (10,) * 8
    blind = tt.tt_cross(spike, shape, rtol=1e-8, rng=0)
    assert float(tt.norm(blind.tensor)) == 0
    fit = tt.tt_cross(spike, shape, rtol=1e-8, rng=0, init=[[3] * 8])
    assert fit.status is td.Status.CONVERGED
    assert float(tt.norm(fit.tensor)) == pytest.approx(7.0, rel=1e-14)


def test_jumps_need_full_ranks_and_get_them():
    fit = tt.tt_cross(lambda i: 1.0 * (i.sum(axis=1) > 12), (8,) * 4, rtol=1e-10, rng=0)
    assert fit.status is td.Status.CONVERGED
    grid = np.stack(np.unravel_index(np.arange(8**4), (8,) * 4), axis=1)
    x = (grid.sum(axis=1) > 12).reshape((8,) * 4)
    assert np.abs(fit.tensor.to_array() - x).max() <= 1e-9


def test_rank_and_tolerance_together():
    f, rtol = HILBERT
    fit = tt.tt_cross(f, (20,) * 6, rank=3, rtol=rtol, rng=0)
    assert fit.status is td.Status.STAGNATED
    assert max(fit.tensor.rank) == 3
    assert fit.error == pytest.approx(measured(f, fit.tensor), rel=0.5)
    assert tt.tt_cross(f, (20,) * 6, rank=20, rtol=1e-3, rng=0).status is td.Status.CONVERGED
    mixed = tt.tt_cross(f, (20,) * 4, rank=(2, 5, 3), rng=0)
    assert mixed.tensor.rank == (2, 5, 3)
    assert mixed.status is td.Status.CONVERGED


@pytest.mark.parametrize("limit", [3000, 10_000, 40_000])
def test_the_limit_of_evaluations_is_kept(limit):
    counted = tt.Counted(HILBERT[0])
    fit = tt.tt_cross(counted, (30,) * 8, rtol=1e-11, rng=0, max_evaluations=limit)
    assert fit.status is td.Status.MAX_ITER
    assert counted.evaluations <= limit
    assert fit.error == pytest.approx(measured(HILBERT[0], fit.tensor), rel=1.0)
    with pytest.raises(ValueError, match="max_evaluations=1100 is too small"):
        tt.tt_cross(HILBERT[0], (30,) * 8, rtol=1e-11, rng=0, max_evaluations=1100)


def test_the_limit_of_iterations_is_kept():
    fit = tt.tt_cross(HILBERT[0], (30,) * 8, rtol=1e-11, rng=0, max_iter=2)
    assert (fit.status, fit.n_iter) == (td.Status.MAX_ITER, 2)


def test_callbacks_see_trains_and_may_stop():
    seen = []

    def watch(progress):
        seen.append(progress)
        return len(seen) == 3

    fit = tt.tt_cross(HILBERT[0], (30,) * 8, rtol=1e-11, rng=0, callback=watch)
    assert fit.status is td.Status.INTERRUPTED
    assert [progress.iteration for progress in seen] == [1, 2, 3]
    assert all(progress.tensor.shape == (30,) * 8 for progress in seen)
    assert seen[-1].error < seen[0].error
    assert measured(HILBERT[0], seen[-1].tensor) == pytest.approx(seen[-1].error, rel=2.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_no_number_is_named_with_its_index(xp, bad):
    def f(i):
        values = np.ones(i.shape[0])
        where = xp.to_numpy(i)[:, 0] == 2
        values[where] = bad
        return xp.asarray(values)

    with pytest.raises(ValueError, match=r"f returned .* at index \(2, \d\); it must be finite"):
        tt.tt_cross(f, (4, 3), rtol=1e-6, rng=0, like=xp.asarray(np.ones(1)))


def test_every_backend_is_asked_in_its_own_arrays(xp):
    namespace = xp.namespace

    def f(i):
        total = namespace.sum(namespace.astype(i, namespace.float64), axis=1)
        return 1 / (1 + total)

    fit = tt.tt_cross(f, (4,) * 3, rtol=1e-7, rng=0, like=xp.asarray(np.ones(1)))
    assert fit.status is td.Status.CONVERGED
    index = np.array([[0, 1, 2], [3, 3, 3]])
    found = xp.to_numpy(tt.evaluate(fit.tensor, xp.asarray(index)))
    assert np.allclose(found, [1 / 4, 1 / 10], rtol=1e-5)


def test_the_same_seed_gives_the_same_train():
    fits = [tt.tt_cross(HILBERT[0], (9,) * 5, rtol=1e-6, rng=5) for _ in range(2)]
    assert all(map(np.array_equal, fits[0].tensor.cores, fits[1].tensor.cores))


def test_lists_and_single_modes():
    fit = tt.tt_cross(lambda i: [float(k) for k in i[:, 0]], (6,), rtol=1e-9, rng=0)
    assert fit.tensor.to_array().tolist() == [0, 1, 2, 3, 4, 5]
    assert fit.error == 0


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({}, ValueError, "pass rank="),
        ({"rank": 0}, ValueError, "rank must be an int between 1 and 6, got 0"),
        ({"rank": 2.5}, TypeError, "rank must be an int"),
        ({"rank": True}, TypeError, "rank must be an int"),
        ({"rtol": 2}, ValueError, "strictly between 0 and 1"),
        ({"rtol": 1e-3, "samples": 0}, ValueError, "samples must be an int >= 1"),
        ({"rtol": 1e-3, "max_iter": 0}, ValueError, "max_iter must be an int >= 1"),
        ({"rtol": 1e-3, "init": [[0, 9, 0]]}, ValueError, r"indices\[0, 1\] is 9"),
        ({"rtol": 1e-17}, td.ToleranceError, "cannot be guaranteed in float64"),
    ],
)
def test_options_out_of_range_are_named(options, kind, message):
    with pytest.raises(kind, match=message):
        tt.tt_cross(lambda i: 1.0 * i.sum(axis=1), (4, 5, 6), rng=0, **options)


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda i: np.ones((len(i), 1)), "one value for each of"),
        (lambda i: np.ones(3), "one value for each of"),  # noqa: ARG005
    ],
)
def test_values_of_another_shape_are_refused(f, message):
    with pytest.raises(ValueError, match=message):
        tt.tt_cross(f, (4, 5, 6), rtol=1e-3, rng=0)
    for shape in ((), (4, 0), (3, -1)):
        with pytest.raises(ValueError, match="shape"):
            tt.tt_cross(f, shape, rtol=1e-3)


@pytest.mark.parametrize("f", [3, None, np.ones(3)])
def test_what_cannot_be_called_is_refused(f):
    for use in (lambda: tt.tt_cross(f, (4, 5), rtol=1e-3), lambda: tt.Counted(f)):
        with pytest.raises(TypeError, match=r"^f must be callable, got"):
            use()


def test_errors_of_the_function_pass_through():
    def f(_):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        tt.tt_cross(f, (4, 5), rtol=1e-3)
