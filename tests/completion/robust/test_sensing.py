"""What every solver of a problem of sensing takes, keeps and refuses."""

import numpy as np
import pytest

import tdecomp as td
from tdecomp.completion.robust import (
    EntryMeasurements,
    LinearMeasurements,
    RankOneMeasurements,
    scaled_subgradient,
    sense,
    subgradient,
)
from tdecomp.completion.robust._sensing import sensing, typical_size

SOLVERS = {
    "sense": lambda y, a, **options: sense(y, a, rank=1, rng=0, **options),
    "subgradient": lambda y, a, **options: subgradient(
        y, a, **{"rank": 1, "rng": 0, "init_scale": 1e-3} | options
    ),
    "scaled": lambda y, a, **options: scaled_subgradient(y, a, rank=1, **options),
}
STACK = np.random.default_rng(0).standard_normal((60, 4, 4))
TRUTH = np.outer([1.0, 2, 0, -1], [1.0, 2, 0, -1])
SEEN = np.tensordot(STACK, TRUTH, 2)


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_truth_is_found(solver):
    fit = SOLVERS[solver](SEEN, STACK)
    assert fit.status is td.Status.CONVERGED
    np.testing.assert_allclose(fit.tensor.to_array(), TRUTH, atol=1e-4)


@pytest.mark.when_compiled(solver="subgradient")  # the table of capabilities runs all of them
@pytest.mark.parametrize("solver", SOLVERS)
def test_every_backend_takes_the_same_steps(xp, solver):
    fit = SOLVERS[solver](xp.asarray(SEEN), xp.asarray(STACK), max_iter=3)
    expected = SOLVERS[solver](SEEN, STACK, max_iter=3)
    for found, factor in zip(fit.tensor, expected.tensor, strict=True):
        np.testing.assert_allclose(xp.to_numpy(found), factor, atol=1e-11)
    assert isinstance(fit.error, float)
    assert fit.error == pytest.approx(expected.error, rel=1e-11)


@pytest.mark.parametrize("solver", SOLVERS)
def test_single_precision_stays(solver):
    fit = SOLVERS[solver](SEEN.astype("f4"), STACK.astype("f4"))
    assert fit.tensor.left.dtype == np.float32
    np.testing.assert_allclose(fit.tensor.to_array(), TRUTH, atol=1e-2)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(("data", "stack"), [(1e150, 1.0), (1.0, 1e-150), (1e-200, 1e-200)])
def test_scales_do_not_matter(solver, data, stack):
    fit = SOLVERS[solver](SEEN * data, STACK * stack)
    np.testing.assert_allclose(fit.tensor.to_array() * (stack / data), TRUTH, atol=1e-4)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.when_compiled(solver="scaled")
def test_zero_data_come_from_the_zero_matrix(xp, solver):
    fit = SOLVERS[solver](xp.asarray(np.zeros(60)), xp.asarray(STACK))
    assert (fit.error, fit.n_iter, fit.status) == (0.0, 0, td.Status.CONVERGED)
    assert fit.tensor.shape == (4, 4)
    assert not np.any(xp.to_numpy(fit.tensor.to_array()))


def test_data_that_nothing_explains_come_from_the_zero_matrix():
    """Both halves measure the same, and disagree: the adjoint of the data is zero."""
    fit = sense(np.repeat([1.0, -1.0], 60), np.concatenate([STACK, STACK]), rank=2)
    assert (fit.error, fit.status) == (1.0, td.Status.CONVERGED)
    assert not np.any(fit.tensor.to_array())


@pytest.mark.parametrize("solver", SOLVERS)
def test_inputs_stay_and_seeds_repeat(solver):
    y, a = SEEN.copy(), STACK.copy()
    first, second = (SOLVERS[solver](y, a, max_iter=20) for _ in range(2))
    np.testing.assert_array_equal(first.tensor.left, second.tensor.left)
    np.testing.assert_array_equal(y, SEEN)
    np.testing.assert_array_equal(a, STACK)
    assert (first.n_iter, first.status) == (20, td.Status.MAX_ITER)


@pytest.mark.parametrize("solver", SOLVERS)
def test_callbacks_see_iterates_that_stay(solver):
    seen = []
    fit = SOLVERS[solver](SEEN, STACK, callback=lambda p: seen.append(p) or len(seen) == 3)
    assert fit.status is td.Status.INTERRUPTED
    again = SOLVERS[solver](SEEN, STACK, max_iter=2)
    np.testing.assert_array_equal(seen[1].tensor.to_array(), again.tensor.to_array())


@pytest.mark.parametrize("solver", ["sense", "scaled"])
def test_a_start_at_the_truth_stays_there(solver):
    u = np.array([[1.0], [2], [0], [-1]])
    options = {"correction": False} if solver == "sense" else {}
    fit = SOLVERS[solver](SEEN, STACK, init=td.LowRank(u, u.T), max_iter=1, **options)
    np.testing.assert_allclose(fit.tensor.to_array(), TRUTH, atol=1e-12)
    assert fit.error < 1e-14


def forward(x):
    return np.tensordot(STACK, x, 2)


def backward(v):
    return np.tensordot(v, STACK, 1)


REFUSED = [
    ({"y": np.ones(3)}, "y must have shape"),
    ({"y": np.full(60, np.nan)}, "y has 60 non-finite"),
    ({"a": np.ones((60, 4))}, "measurements must have 3 dim"),
    ({"a": np.full((60, 4, 4), np.inf)}, "measurements has 960 non-finite"),
    ({"a": np.zeros((60, 4, 4))}, "measurements are all zero"),
    ({"a": EntryMeasurements(np.array([[0], [7]]), (4, 4))}, r"indices\[1\] must lie between 0"),
    ({"a": EntryMeasurements(np.zeros((3, 1), int), (4, 4))}, "indices must have shape"),
    ({"a": EntryMeasurements(np.zeros((2, 1), int), 4)}, "shape must be a pair"),
    ({"a": RankOneMeasurements(np.ones((60, 4)), np.ones((3, 4)))}, "one row for each"),
    ({"a": LinearMeasurements(lambda x: x[0], backward, (4, 4), 60)}, "forward must return"),
    ({"a": LinearMeasurements(lambda x: SEEN + x[0, 0], lambda v: v, (4, 4), 60)}, "backward"),
    ({"a": LinearMeasurements(forward, lambda _: None, (4, 4), 60)}, r"backward must .* got \(\)"),
    ({"a": LinearMeasurements(forward, lambda v: np.nan * backward(v), (4, 4), 60)}, "has 16"),
    ({"a": LinearMeasurements(forward, lambda v: -backward(v), (4, 4), 60)}, "the adjoint of"),
    ({"max_iter": 0}, "max_iter"), ({"tol": -1.0}, "tol"),
    ({"init": td.LowRank(np.zeros((4, 1)), np.zeros((1, 4)))}, "init is zero"),
    ({"init": td.LowRank(np.ones((4, 2)), np.ones((2, 4)))}, "init must have factors"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "message"), REFUSED)
def test_what_makes_no_sense_is_refused(given, message):
    given = dict(given)
    y, a = given.pop("y", SEEN), given.pop("a", STACK)
    for solve in SOLVERS.values():
        with pytest.raises(ValueError, match=message):
            solve(y, a, **given)


@pytest.mark.parametrize(("given", "message"), [
    ({"init": np.eye(4)}, "init must be a LowRank"), ({"callback": 3}, "callback"),
    ({"init": td.LowRank(np.ones((4, 1)), 1j * np.ones((1, 4)))}, "init must be real"),
    ({"a": EntryMeasurements(np.zeros((2, 60)), (4, 4))}, "must be integers"),
    ({"a": LinearMeasurements(3, 4, (4, 4), 60)}, "must be callable"),
    ({"a": "matrices"}, "measurements must be an array"),
])  # fmt: skip
def test_what_is_of_the_wrong_kind_is_refused(given, message):
    given = dict(given)
    with pytest.raises(TypeError, match=message):
        sense(SEEN, given.pop("a", STACK), rank=1, **given)


@pytest.mark.parametrize("rank", [0, -1, 5, 2.5, True])
def test_ranks_that_are_none_are_refused(rank):
    for call in (sense, subgradient, scaled_subgradient):
        with pytest.raises((TypeError, ValueError), match="rank must be an int between 1 and 4"):
            call(SEEN, STACK, rank=rank)


@pytest.mark.parametrize(("call", "options", "message"), [
    (sense, {"step": 0}, "step"), (sense, {"init_scale": -1}, "init_scale"),
    (sense, {"imbalance": 0}, "imbalance"), (subgradient, {"decay": 1.0}, "decay"),
    (subgradient, {"step": -1}, "step"), (subgradient, {"step": 9, "init_scale": 0.1}, "for this"),
    (scaled_subgradient, {"outliers": 1.0}, "outliers"),
    (scaled_subgradient, {"decay": 2}, "decay"), (scaled_subgradient, {"optimum": -1}, "optimum"),
])  # fmt: skip
def test_options_out_of_range_are_refused(call, options, message):
    with pytest.raises(ValueError, match=message):
        call(SEEN, STACK, rank=1, **options)


def test_semidefinite_matrices_are_square():
    stack = np.ones((3, 4, 2))
    for call, options in ((subgradient, {}), (sense, {"symmetric": True})):
        with pytest.raises(ValueError, match="semidefinite matrix is square"):
            call(np.ones(3), stack, rank=1, **options)


def test_the_size_of_a_matrix_is_told_from_the_median():
    rng = np.random.default_rng(0)
    x, a = rng.standard_normal((6, 6)), 3 * rng.standard_normal((4000, 6, 6))
    y = np.tensordot(a, x, 2)
    y[::4] = 1e6
    assert typical_size(sensing(y, a)) == pytest.approx(np.linalg.norm(x), rel=0.6)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("scale", [1e-250, 1e-160, 1e160, 1e250])
def test_the_scale_of_two_functions_does_not_matter(solver, scale):
    pair = (
        lambda x: scale * np.tensordot(STACK, x, 2),
        lambda v: scale * np.tensordot(v, STACK, 1),
    )
    fit = SOLVERS[solver](SEEN, LinearMeasurements(*pair, (4, 4), 60))
    assert fit.status is td.Status.CONVERGED
    np.testing.assert_allclose(fit.tensor.to_array() * scale, TRUTH, atol=1e-4)
