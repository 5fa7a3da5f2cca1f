"""Trains of values at combinations of nodes: as exact as asked for, from few values, once each."""

import math

import numpy as np
import pytest

from tdecomp.chebyshev._points import points
from tdecomp.chebyshev._sampling._combinations import Combinations
from tdecomp.chebyshev._sampling._cross import crossed, pays
from tdecomp.chebyshev._sampling._sampler import Sampler
from tdecomp.tt import TensorTrain


def pole(*x):
    return 1 / (len(x) + 1 + sum(x))


def table(f, sizes, seed=0, limit=10**6):
    ask = Sampler(f, np.tile([-1.0, 1.0], (len(sizes), 1)), np.empty(0), limit)
    found = Combinations(ask, np.random.default_rng(seed))
    found.put([points(n) for n in sizes], [np.arange(n) * (2520 // (n - 1)) for n in sizes])
    return found


def whole(f, sizes):
    return f(*np.meshgrid(*map(points, sizes), indexing="ij"))


def test_a_value_is_asked_for_once():
    combinations = table(pole, (3, 4, 5))
    index = np.array([[0, 1, 2], [2, 3, 4], [0, 1, 2]])
    values = combinations.at(index)
    assert combinations.ask.evaluations == 2
    assert np.abs(values - whole(pole, (3, 4, 5))[tuple(index.T)]).max() <= 1e-15
    left, right = np.array([[0], [2]]), np.array([[2], [4], [0]])
    block = combinations.block(1, left, right)
    assert np.abs(block - whole(pole, (3, 4, 5))[[0, 2]][:, :, [2, 4, 0]]).max() <= 1e-15
    assert combinations.ask.evaluations == 2 + 24 - 2


def test_values_are_known_again_when_other_nodes_come():
    combinations = table(pole, (3, 4, 5))
    combinations.block(1, np.array([[0], [2]]), np.array([[0]]))
    before = combinations.ask.evaluations
    combinations.left = [np.empty((1, 0), np.int64), np.array([[0], [1], [2]])]
    combinations.right = [np.array([[0, 1, 2], [2, 0, 1]]), np.array([[1, 2]])]
    kept = np.array([0, 2]) * 1260
    finer = [combinations.numbers[1], combinations.numbers[2]]
    combinations.put([points(3)[[0, 2]], points(4), points(5)], [kept, *finer])
    combinations.at(np.array([[0, 3, 0], [1, 2, 0]]))
    assert combinations.ask.evaluations == before
    # The node in the middle has gone, and what had it as a part.
    assert combinations.left[1].tolist() == [[0], [1]]
    assert combinations.right[0].tolist() == [[0, 1, 2], [1, 0, 1]]


@pytest.mark.parametrize("f", [pole, lambda *x: np.exp(1j * sum(x)) + pole(*x)])
def test_a_train_misses_no_value_by_much_more_than_the_tolerance(f):
    sizes = (7, 6, 8, 7, 6)
    combinations = table(f, sizes)
    train = crossed(combinations, 1e-9)
    assert np.abs(train.to_array() - whole(f, sizes)).max() <= 1e-7
    assert combinations.ask.evaluations < math.prod(sizes) / 2
    again = combinations.ask.evaluations
    assert np.abs(crossed(combinations, 1e-9).to_array() - whole(f, sizes)).max() <= 1e-7
    assert combinations.ask.evaluations - again < again / 2


def test_ranks_are_those_of_the_function():
    train = crossed(table(lambda *x: np.sin(sum(x)), (5,) * 8), 1e-10)
    assert type(train) is TensorTrain
    assert train.rank == (2,) * 7
    assert crossed(table(lambda *x: 0 * x[0], (5,) * 4), 1e-10).rank == (1,) * 3


def test_what_has_no_small_ranks_is_asked_for_as_a_whole():
    values = np.random.default_rng(1).standard_normal((4,) * 6)
    grid = points(4)

    def rough(*x):
        return values[tuple(np.argmin(np.abs(t[:, None] - grid), axis=1) for t in x)]

    combinations = table(rough, (4,) * 6)
    assert np.all(crossed(combinations, 1e-9) == values)
    assert combinations.ask.evaluations == 4**6


def test_few_combinations_are_asked_for_as_they_are():
    assert not pays((30, 30, 30))
    assert not pays((1,) * 10)
    assert not pays((2, 2, 2, 2))
    assert pays((7, 7, 7, 7))
    assert pays((2,) * 8)
