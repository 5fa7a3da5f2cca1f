"""The loop stops for the reason it gives, and returns the last finite state."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp import Fit, Progress, Status
from tdecomp._iterate import Step, iterate


def follow(errors, changes=None):
    """Step through states 1, 2, ... with given errors; the last one repeats."""

    def step(state):
        error = errors[min(state, len(errors) - 1)]
        return Step(state + 1, error, None if changes is None else changes[state])

    return step


@given(rate=st.floats(0.1, 0.9), tol=st.floats(1e-8, 1e-2))
def test_a_contraction_converges_to_its_tolerance(rate, tol):
    fit = iterate(
        lambda x: Step(rate * x, rate * x, change=(1 - rate) * x), 1.0, max_iter=1000, tol=tol
    )
    assert fit.status is Status.CONVERGED
    assert (1 - rate) * rate ** (fit.n_iter - 1) <= tol * (1 + 1e-9)
    assert (1 - rate) * rate ** (fit.n_iter - 2) > tol * (1 - 1e-9)
    assert fit.tensor == fit.error == pytest.approx(rate**fit.n_iter)


@given(limit=st.integers(0, 30))
def test_the_limit_is_exact(limit):
    calls = []

    def step(x):
        calls.append(x)
        return Step(x + 1, 1.0 / (x + 2))

    fit = iterate(step, 0, max_iter=limit, tol=0.0)
    assert fit.status is Status.MAX_ITER
    assert fit.n_iter == fit.tensor == len(calls) == limit
    assert fit.error == (1.0 / (limit + 1) if limit else math.inf)


@given(at=st.integers(0, 5), bad=st.sampled_from([math.nan, math.inf, -math.inf]))
def test_a_nonfinite_step_is_taken_back(at, bad):
    errors = [2.0**-k for k in range(at)] + [bad]
    seen = []
    fit = iterate(follow(errors), 0, max_iter=20, tol=0.0, callback=seen.append)
    assert fit.status is Status.NONFINITE
    assert fit.tensor == len(seen) == at
    assert fit.n_iter == at + 1
    assert fit.error == (errors[at - 1] if at else math.inf)


def test_an_error_that_no_longer_falls_is_stagnation():
    errors = [1.0, 0.5, *(0.6, 0.7) * 20]
    fit = iterate(follow(errors), 0, max_iter=100, tol=1e-3)
    assert fit.status is Status.STAGNATED
    assert fit.n_iter < 20


def test_a_slow_descent_is_not_stagnation():
    errors = [1.0 - 1e-6 * k for k in range(60)]
    fit = iterate(follow(errors), 0, max_iter=60, tol=1e-9)
    assert fit.status is Status.MAX_ITER


def test_what_is_minimised_is_judged_where_it_is_not_the_error():
    # A penalty falls while the error rises: neither stagnation, nor converged before it stops.
    merits = [2.0 - k / 50 for k in range(40)]

    def step(k):
        return Step(k + 1, 1.0 + k / 50, merit=merits[min(k, 39)])

    fit = iterate(step, 0, max_iter=100, tol=1e-3)
    assert fit.status is Status.CONVERGED
    assert fit.n_iter == 41
    assert fit.error == 1.0 + 40 / 50


def test_a_negative_tolerance_goes_to_the_limit():
    fit = iterate(follow([1.0]), 0, max_iter=50, tol=-1.0)
    assert (fit.status, fit.n_iter) == (Status.MAX_ITER, 50)


def test_without_a_change_the_relative_one_of_the_error_decides():
    fit = iterate(follow([1.0, 0.5, 0.4, 0.399]), 0, max_iter=9, tol=0.01)
    assert (fit.status, fit.n_iter, fit.error) == (Status.CONVERGED, 4, 0.399)


@pytest.mark.parametrize("tol", [0.0, 1e-12])
def test_an_exact_answer_converges(tol):
    fit = iterate(follow([1.0, 0.0]), 0, max_iter=9, tol=tol)
    assert (fit.status, fit.n_iter, fit.error) == (Status.CONVERGED, 3, 0.0)


@given(stop=st.integers(1, 8))
def test_a_callback_sees_every_step_and_may_stop(stop):
    seen = []

    def callback(progress):
        seen.append(progress)
        return progress.iteration == stop

    fit = iterate(
        follow([1.0 / (k + 1) for k in range(99)]), 0, max_iter=99, tol=0.0, callback=callback
    )
    assert (fit.status, fit.n_iter) == (Status.INTERRUPTED, stop)
    assert [p.iteration for p in seen] == list(range(1, stop + 1))
    assert [p.error for p in seen] == [1.0 / (k + 1) for k in range(stop)]
    times = [p.elapsed for p in seen]
    assert 0 <= times[0]
    assert times == sorted(times)
    assert all(type(p) is Progress for p in seen)


@pytest.mark.parametrize("answer", [None, 1, "stop", False])
def test_only_true_stops(answer):
    fit = iterate(follow([1.0], [1.0] * 9), 0, max_iter=5, tol=0.0, callback=lambda _: answer)
    assert fit.n_iter == 5


def test_the_truth_of_numpy_stops_as_well():
    steps = follow([1.0 / (k + 1) for k in range(9)])
    fits = [
        iterate(steps, 0, max_iter=5, tol=0.0, callback=lambda _, a=answer: a)
        for answer in (np.bool_(True), np.bool_(False))
    ]
    assert [fit.n_iter for fit in fits] == [1, 5]


def test_a_tolerance_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="tol must be a number, got nan"):
        iterate(follow([1.0]), 0, max_iter=5, tol=math.nan)


def test_convergence_outranks_interruption():
    fit = iterate(follow([1.0], [0.0]), 0, max_iter=5, tol=0.0, callback=lambda _: True)
    assert fit.status is Status.CONVERGED


def test_an_exception_in_a_step_is_the_callers():
    def step(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        iterate(step, 0, max_iter=5, tol=0.0)


def test_a_status_is_a_number_with_a_message():
    assert [int(status) for status in Status] == list(range(7))
    assert not Status.CONVERGED
    assert all(status.message and status.message[0].islower() for status in Status)
    assert Status(3) is Status.NONFINITE
    assert pickle.loads(pickle.dumps(Status.STAGNATED)) is Status.STAGNATED


def test_a_fit_unpacks_and_pickles():
    fit = Fit("x", 0.5, 3, Status.MAX_ITER)
    tensor, error, n_iter, status = pickle.loads(pickle.dumps(fit))
    assert (tensor, error, n_iter, status) == ("x", 0.5, 3, Status.MAX_ITER)
    assert status.message == Status.MAX_ITER.message


def test_the_callback_and_the_result_get_what_show_makes_of_the_state():
    seen = []
    fit = iterate(follow([3.0, 2.0, 1.0]), 0, max_iter=3, tol=0.0, callback=seen.append, show=str)
    assert [progress.tensor for progress in seen] == ["1", "2", "3"]
    assert fit.tensor == "3"


def test_a_verdict_stops_at_once():
    fit = iterate(
        lambda x: Step(x + 1, 1.0 / (x + 1), verdict=Status.SWAMP if x == 4 else None),
        0,
        max_iter=9,
        tol=0.0,
    )
    assert (fit.status, fit.n_iter, fit.tensor) == (Status.SWAMP, 5, 5)
