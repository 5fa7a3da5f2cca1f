"""Functions of many variables: from few values, in trains where arrays would be too large."""

import itertools

import numpy as np
import pytest

from tdecomp import Status
from tdecomp.chebyshev import UnresolvedError, chebyshev_tucker, diff, evaluate, integrate
from tdecomp.chebyshev._points import points
from tdecomp.chebyshev._sampling import _fibres, _nodes
from tdecomp.chebyshev._sampling._combinations import Combinations
from tdecomp.chebyshev._sampling._fibres import Fibres
from tdecomp.chebyshev._sampling._many import begun, climbed, peaks, scattered
from tdecomp.chebyshev._sampling._sampler import Sampler
from tdecomp.chebyshev._sampling._screen import missed_fibres
from tdecomp.tt import TensorTrain


def pole(*x):
    return 1 / (1 + sum(x))


def corner(*x):
    return (1 + sum((k + 1) * t for k, t in enumerate(x)) / 10) ** -5.0


def chain(*x):
    return np.exp(-sum(a * b for a, b in itertools.pairwise(x)))


def worst(f, found, box, count=4000):
    low, high = np.asarray(box, float).T
    x = low + (high - low) * np.random.default_rng(99).uniform(size=(count, len(low)))
    values = f(*x.T)
    return np.max(np.abs(evaluate(found, x) - values)) / np.max(np.abs(values))


@pytest.mark.parametrize(
    ("f", "d", "evaluations"),
    [(pole, 4, 8_000), (pole, 6, 16_000), (corner, 6, 16_000), (chain, 5, 20_000)],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_many_variables_take_few_values(f, d, evaluations, seed):
    counted = []

    def counting(*x):
        counted.append(x[0].size)
        return f(*x)

    fit = chebyshev_tucker(counting, [(0, 1)] * d, rtol=1e-8, rng=seed)
    assert fit.status is Status.CONVERGED
    assert worst(f, fit.tensor, [(0, 1)] * d) <= 1e-7
    assert sum(counted) <= evaluations


def test_a_core_that_is_too_large_stays_a_train(monkeypatch):
    monkeypatch.setattr(_nodes, "_DENSE", 1000)
    box = [(0, 1)] * 5
    fit = chebyshev_tucker(pole, box, rtol=1e-8)
    f = fit.tensor
    assert type(f.core) is TensorTrain
    assert worst(pole, f, box) <= 1e-7
    assert worst(lambda *x: -(pole(*x) ** 2), diff(f, 2), box) <= 1e-5
    assert type(chebyshev_tucker(pole, box, rtol=1e-8, rank=3).tensor.core) is TensorTrain


def test_what_jumps_is_refused_of_many_variables_too(monkeypatch):
    monkeypatch.setattr(_fibres, "_MOST", 65)
    with pytest.raises(UnresolvedError, match="does not end") as info:
        chebyshev_tucker(lambda *x: pole(*x) + np.sign(x[0] - 0.4), [(0, 1)] * 6, rtol=1e-6)
    assert 0.1 < info.value.best.error < 2


def test_ten_and_twenty_variables():
    for d in (10, 20):
        fit = chebyshev_tucker(lambda *x: np.sin(sum(x)), [(0, 1)] * d, rtol=1e-8)
        assert fit.tensor.rank == (2,) * d
        assert worst(lambda *x: np.sin(sum(x)), fit.tensor, [(0, 1)] * d) <= 1e-8
        exact = np.imag(((np.exp(1j) - 1) / 1j) ** d)
        assert float(integrate(fit.tensor)) == pytest.approx(exact, abs=1e-9)


def test_more_variables_than_arrays_have_axes():
    fit = chebyshev_tucker(lambda *x: np.sin(x[0] + x[3]) + 0 * x[-1], [(-1, 1)] * 40)
    assert type(fit.tensor.core) is TensorTrain
    assert sorted(fit.tensor.rank, reverse=True)[:3] == [2, 2, 1]
    assert worst(lambda *x: np.sin(x[0] + x[3]), fit.tensor, [(-1, 1)] * 40) <= 1e-11
    with pytest.raises(UnresolvedError, match="too few for a first"):
        chebyshev_tucker(lambda *x: np.sin(sum(x)), [(-1, 1)] * 40, max_evals=2500)


@pytest.mark.parametrize("rtol", [None, 1e-12])
def test_rounding_is_met_or_refused_soon(rtol):
    counted = []

    def f(*x):
        counted.append(x[0].size)
        return 1 / (7 + sum(x))

    try:
        fit = chebyshev_tucker(f, [(-1, 1)] * 5, rtol=rtol)
    except UnresolvedError as refused:
        fit = refused.best
        assert rtol is not None
    assert worst(f, fit.tensor, [(-1, 1)] * 5) <= 3e-12
    assert sum(counted) <= 100_000


def test_other_libraries_get_trains_of_their_own(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(_nodes, "_DENSE", 1)
    like = torch.empty(0, dtype=torch.float64)
    fit = chebyshev_tucker(pole, [(0, 1)] * 5, rtol=1e-6, like=like)
    assert all(isinstance(core, torch.Tensor) for core in fit.tensor.core.cores)
    x = torch.full((1, 5), 0.3, dtype=torch.float64)
    assert abs(float(evaluate(fit.tensor, x)[0]) - 1 / 2.5) <= 1e-6


def test_points_to_begin_with_are_corners_and_others():
    rng = np.random.default_rng(0)
    for d in (4, 6, 12):
        seen = begun(d, rng)
        assert np.all(np.abs(seen) <= 1)
        corners = seen[np.all(np.abs(seen) == 1, axis=1)]
        assert len(np.unique(corners, axis=0)) == min(2**d, 64)
    found = scattered(8, 1000, rng)
    at_ends = np.mean(np.abs(found) == 1, axis=1)
    assert abs(at_ends[::2].mean() - 0.5) < 0.05
    assert np.all(at_ends[1::2] == 0)


def test_a_peak_is_climbed_to_from_fibres_that_miss_it():
    ask = Sampler(
        lambda *x: np.exp(-20 * sum((t - 0.5) ** 2 for t in x)),
        np.tile([-1.0, 1.0], (5, 1)),
        np.empty(0),
        10**6,
    )
    first = np.zeros((1, 5))
    lines = [Fibres(ask, k, first) for k in range(5)]
    seen, values = climbed(ask, lines, first, ask(first))
    assert values.max() > 0.5
    assert all(line.count == 2 for line in lines)
    looked = peaks(seen, values, 1)
    assert np.abs(looked[0] - 0.5).max() < 0.1
    assert looked.shape == (2, 5)


def asked(f, d=4):
    return Sampler(f, np.tile([-1.0, 1.0], (d, 1)), np.empty(0), 10**6)


def test_nodes_stay_when_fibres_join():
    line = Fibres(asked(pole_of_unit), 1, scattered(4, 3, np.random.default_rng(0)), stay=True)
    before = set(line.basis().nodes.tolist())
    line.append(scattered(4, 2, np.random.default_rng(1)))
    after = line.basis()
    assert before < set(after.nodes.tolist())
    assert len(after.nodes) == 5
    assert np.abs(after.values[after.nodes] - np.eye(5)).max() <= 1e-10
    line.refine()
    assert set(points(17)[sorted(before)]) <= set(points(33)[line.basis().nodes])


def pole_of_unit(*x):
    return 1 / (6 + sum((k + 1) * t for k, t in enumerate(x)) / 2)


def test_fibres_that_are_missed_are_told_before_values_at_combinations():
    ask = asked(lambda *x: x[0] * (2 + x[1] * x[2]) + x[3] * np.exp(x[0]))
    line = Fibres(ask, 0, np.zeros((1, 4)))
    basis = line.basis()
    table = Combinations(ask, np.random.default_rng(0))
    own, ends, middle = basis.nodes, np.array([0, 16]), np.array([8])
    for last, told in ((middle, False), (np.concatenate([middle, ends[1:]]), True)):
        numbers = [own, ends, ends, last]
        table.put([points(17)[number] for number in numbers], numbers)
        missed = missed_fibres(line, basis, table, np.ones((2, 4)), 1e-10)
        assert (len(missed) > 0) is told
        assert np.all(missed[:, 3] == 1)
