"""Functions from callables: resolved on any box, in any library, or refused with the best."""

import numpy as np
import pytest

from tdecomp import Status, ToleranceError
from tdecomp.chebyshev import (
    ChebyshevTucker,
    UnresolvedError,
    chebyshev_tucker,
    diff,
    evaluate,
    integrate,
)
from tdecomp.chebyshev._legendre import root
from tdecomp.chebyshev._sampling import _fibres

BOX = np.array([[0.0, 2.0], [-1.0, 3.0], [5.0, 6.0]])


def smooth(x, y, z):
    return 1 / (1 + x * y**2 + z)


def inside(count=500, seed=3):
    return BOX[:, 0] + (BOX[:, 1] - BOX[:, 0]) * np.random.default_rng(seed).uniform(
        size=(count, 3)
    )


def test_values_anywhere_in_the_box_are_those_of_the_function(xp):
    like = xp.asarray(np.empty(0))
    fit = chebyshev_tucker(smooth, BOX, like=like)
    assert fit.status is Status.CONVERGED
    assert type(fit.tensor) is ChebyshevTucker
    assert all(type(a) is type(like) for a in (fit.tensor.core, *fit.tensor.factors))
    assert xp.to_numpy(fit.tensor.domain).tolist() == BOX.tolist()
    x = inside()
    found = xp.to_numpy(evaluate(fit.tensor, xp.asarray(x)))
    assert np.abs(found - smooth(*x.T)).max() <= 2e-12
    assert fit.error <= 2e-12
    for factor in map(xp.to_numpy, fit.tensor.factors):
        scaled = root(factor.shape[0]) @ factor
        assert np.abs(scaled.T @ scaled - np.eye(factor.shape[1])).max() <= 1e-12


def test_single_precision_stays_single(xp):
    d = 1 if xp.name == "jax" else 3

    def f(*x):
        return smooth(*x, *BOX[d:, 0].tolist())

    like = xp.asarray(np.empty(0, np.float32))
    fit = chebyshev_tucker(f, BOX[:d], like=like)
    assert fit.tensor.core.dtype == fit.tensor.domain.dtype == like.dtype
    x = inside()[:, :d].astype(np.float32)
    found = xp.to_numpy(evaluate(fit.tensor, xp.asarray(x)))
    assert np.abs(found - f(*x.T)).max() <= 1e-3
    double = chebyshev_tucker(f, BOX[:d]).tensor
    assert max(fit.tensor.shape) < max(double.shape)
    assert d == 1 or max(fit.tensor.rank) < max(double.rank)


def test_functions_of_other_libraries_are_asked_there():
    torch = pytest.importorskip("torch")
    fit = chebyshev_tucker(
        lambda x, y: torch.exp(x) * torch.cos(y),
        [(0, 1)] * 2,
        like=torch.empty(0, dtype=torch.float64),
    )
    assert fit.tensor.rank == (1, 1)
    assert isinstance(fit.tensor.core, torch.Tensor)


def test_a_tolerance_and_a_rank_are_kept():
    x = inside()
    ranks = []
    for rtol in (1e-3, 1e-6, 1e-9):
        fit = chebyshev_tucker(smooth, BOX, rtol=rtol)
        assert np.abs(evaluate(fit.tensor, x) - smooth(*x.T)).max() <= 4 * rtol
        ranks.append(max(fit.tensor.rank))
    assert ranks == sorted(ranks)
    fit = chebyshev_tucker(smooth, BOX, rank=2)
    assert fit.tensor.rank == (2, 2, 2)
    error = np.abs(evaluate(fit.tensor, x) - smooth(*x.T)).max()
    assert 1e-6 < error <= 3 * fit.error


def test_one_variable_and_calculus():
    fit = chebyshev_tucker(lambda x: np.sin(x) * x, [(0, np.pi)])
    assert fit.tensor.rank == (1,)
    assert float(integrate(fit.tensor)) == pytest.approx(np.pi, rel=1e-12)
    assert float(evaluate(diff(fit.tensor, 0), [1.0])) == pytest.approx(
        np.sin(1) + np.cos(1), rel=1e-10
    )


def test_complex_functions():
    fit = chebyshev_tucker(lambda x, y: np.exp(1j * x * y), [(-2, 2)] * 2)
    x = np.random.default_rng(0).uniform(-2, 2, (100, 2))
    assert np.abs(evaluate(fit.tensor, x) - np.exp(1j * x[:, 0] * x[:, 1])).max() <= 1e-12


def test_a_callback_sees_functions_of_the_box_and_may_stop():
    seen = []

    def callback(progress):
        seen.append(progress)
        return True

    fit = chebyshev_tucker(smooth, BOX, callback=callback)
    assert len(seen) == 1
    assert seen[0].tensor.domain.tolist() == BOX.tolist()
    assert fit.n_iter == 1
    assert fit.status in (Status.CONVERGED, Status.INTERRUPTED)


def test_what_jumps_is_refused_with_the_best(monkeypatch):
    monkeypatch.setattr(_fibres, "_MOST", 129)
    with pytest.raises(UnresolvedError, match="series of a fibre does not end") as info:
        chebyshev_tucker(lambda x, y: np.sign(x - 0.3) + y, [(0, 1)] * 2)
    best = info.value.best
    assert info.value.reachable == best.error > 1e-3
    assert abs(float(evaluate(best.tensor, [0.9, 0.5])) - 1.5) < 0.2


def test_a_budget_is_kept_and_refused_with_the_best():
    counted = []

    def f(x, y, z):
        counted.append(x.size)
        return 1 / (1 + 25 * (x * x + y * y + z * z))

    with pytest.raises(UnresolvedError, match="raise max_evals=") as info:
        chebyshev_tucker(f, [(-1, 1)] * 3, max_evals=30_000)
    assert sum(counted) <= 30_000
    assert info.value.best.error < 1
    with pytest.raises(UnresolvedError, match="too few for a first") as info:
        chebyshev_tucker(f, [(-1, 1)] * 3, max_evals=100)
    assert info.value.best is None
    assert info.value.reachable == np.inf


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: chebyshev_tucker(3, BOX), TypeError, "f must be callable"),
        (lambda: chebyshev_tucker(smooth, [(1, 0)] * 3), ValueError, r"domain\[0\]"),
        (lambda: chebyshev_tucker(smooth, [(0, np.inf)] * 3), ValueError, "finite interval"),
        (lambda: chebyshev_tucker(smooth, [(-1e308, 1e308)] * 3), ValueError, "too long"),
        (lambda: chebyshev_tucker(smooth, [(0, 1e-310)] * 3), ValueError, "too short"),
        (lambda: chebyshev_tucker(smooth, (0, 1)), ValueError, r"shape \(d, 2\)"),
        (lambda: chebyshev_tucker(smooth, BOX, rtol=1e-15), ToleranceError, "rtol >= 2.22e-13"),
        (lambda: chebyshev_tucker(smooth, BOX, rtol=2), ValueError, "rtol"),
        (lambda: chebyshev_tucker(smooth, BOX, max_evals=0), ValueError, "max_evals"),
        (lambda: chebyshev_tucker(smooth, BOX, rank=0), ValueError, "rank"),
        (lambda: chebyshev_tucker(smooth, BOX, rank=(2, 0, 2)), ValueError, "rank"),
        (lambda: chebyshev_tucker(smooth, BOX, rank=(2, 2)), ValueError, "rank .* 3 entries"),
        (
            lambda: chebyshev_tucker(smooth, BOX, callback=3),
            TypeError,
            "callback must be callable",
        ),
        (lambda: chebyshev_tucker(smooth, BOX, like="torch"), TypeError, "like must be an array"),
        (lambda: chebyshev_tucker(lambda x, *_: x[:2], BOX), ValueError, "one value for each"),
        (lambda: chebyshev_tucker(lambda *x: np.log(x[0] - 1), BOX), ValueError, "f returned"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*encountered in log")
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_given_size_takes_the_whole_grid():
    asked = []

    def f(x, y):
        asked.append(x.size)
        return np.exp(x * y)

    fit = chebyshev_tucker(f, [(-1, 1), (0, 2)], size=(20, 24))
    assert fit.tensor.shape == (20, 24)
    assert sum(asked) == 20 * 24 + 1000
    assert fit.error <= 1e-13
    # Too small a size is told by the error.
    coarse = chebyshev_tucker(f, [(-1, 1), (0, 2)], size=5)
    assert coarse.tensor.shape == (5, 5)
    assert 1e-4 < coarse.error < 1e-1
    for size, message in [((4, 4, 4), "2 entries"), (0, "size"), (2.5, "size")]:
        with pytest.raises((TypeError, ValueError), match=message):
            chebyshev_tucker(f, [(-1, 1), (0, 2)], size=size)
    with pytest.raises(UnresolvedError, match="grid of size"):
        chebyshev_tucker(f, [(-1, 1), (0, 2)], size=40, max_evals=1000)
