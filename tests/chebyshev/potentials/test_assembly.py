"""Long-range potentials: those of direct summation, of ranks that hardly grow."""

import numpy as np
import pytest

from tdecomp import Status, ToleranceError
from tdecomp._xp import namespace
from tdecomp.chebyshev import ChebyshevTucker, evaluate
from tdecomp.chebyshev._legendre import root
from tdecomp.chebyshev.potentials import GaussianSum, _assembly, _clouds, long_range, newton, split
from tdecomp.chebyshev.potentials._assembly import _core, _variables
from tdecomp.chebyshev.potentials._clouds import cloud, direct

BOX = np.array([[-1.0, 1.0]] * 3)
G = newton(1 / 256, 4.0, rtol=1e-8).tensor
WIDE, _ = split(G, sigma=0.3)
FEW = GaussianSum(np.array([0.5, -0.2]), np.array([0.3, 6.0]), (0.1, 10.0))


def particles(count, d=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(-0.9, 0.9, (count, d)), rng.uniform(-1, 1, count)


def brute(x, q, g, points):
    r = np.linalg.norm(points[:, None, :] - x, axis=-1)
    return g(r) @ q


def deviation(fit, x, q, g, box=BOX):
    t = np.random.default_rng(9).uniform(box[:, 0], box[:, 1], (1000, box.shape[0]))
    expected = brute(x, q, g, t)
    return np.abs(evaluate(fit.tensor, t) - expected).max() / np.abs(expected).max()


def test_the_potential_is_that_of_direct_summation(xp):
    x, q = particles(20, 2)
    fit = long_range(xp.asarray(x), xp.asarray(q), FEW, domain=BOX[:2])
    assert fit.status is Status.CONVERGED
    assert type(fit.tensor) is ChebyshevTucker
    points = np.random.default_rng(1).uniform(-1, 1, (200, 2))
    expected = brute(x, q, FEW, points)
    found = xp.to_numpy(evaluate(fit.tensor, xp.asarray(points)))
    assert np.abs(found - expected).max() <= 1e-6 * np.abs(expected).max()
    assert fit.error <= 1e-6
    for factor in map(xp.to_numpy, fit.tensor.factors):
        scaled = root(factor.shape[0]) @ factor
        assert np.abs(scaled.T @ scaled - np.eye(factor.shape[1])).max() <= 1e-12


@pytest.mark.parametrize(
    ("sigma", "count", "rank"), [(0.3, 10, 16), (0.3, 300, 16), (0.15, 300, 33), (0.08, 300, 48)]
)
def test_ranks_are_near_the_published_ones_and_errors_below_a_millionth(sigma, count, rank):
    long, _ = split(G, sigma=sigma)
    x, q = particles(count)
    fit = long_range(x, q, long, domain=BOX, rtol=1e-7)
    assert max(fit.tensor.rank) <= 1.2 * rank
    assert deviation(fit, x, q, long) <= 1e-6


def test_ranks_saturate_with_the_number_of_particles():
    ranks = [max(long_range(*particles(n), WIDE, domain=BOX).tensor.rank) for n in (100, 1000)]
    assert ranks[1] <= ranks[0] + 1


def test_the_error_is_kept_and_ranks_grow_as_it_falls():
    x, q = particles(50)
    ranks = []
    for rtol in (1e-3, 1e-6, 1e-10):
        fit = long_range(x, q, WIDE, domain=BOX, rtol=rtol)
        assert deviation(fit, x, q, WIDE) <= 30 * rtol
        assert deviation(fit, x, q, WIDE) <= 3 * fit.error
        ranks.append(max(fit.tensor.rank))
    assert ranks == sorted(ranks)
    assert ranks[0] < ranks[2]
    assert long_range(x, q, WIDE, domain=BOX, rank=5).tensor.rank == (5, 5, 5)
    assert long_range(x, q, WIDE, domain=BOX, rank=(3, 9999, 4)).tensor.rank[::2] == (3, 4)


def test_one_particle_of_one_exponent_has_rank_one():
    g = GaussianSum(np.ones(1), np.array([3.0]), (0.1, 10.0))
    fit = long_range([[0.2, -0.3, 0.5]], [2.0], g, domain=BOX)
    assert fit.tensor.rank == (1, 1, 1)
    assert deviation(fit, np.array([[0.2, -0.3, 0.5]]), [2.0], g) <= 1e-7


@pytest.mark.parametrize("d", [1, 2, 4])
def test_any_number_of_variables(d):
    x, q = particles(7, d)
    long, _ = split(G, sigma=0.6)
    box = np.tile([-1.0, 1.0], (d, 1))
    fit = long_range(x, q, long, domain=box, rtol=1e-6)
    assert deviation(fit, x, q, long, box) <= 1e-5


def test_potentials_add_up_and_batches_do_not_matter(monkeypatch):
    x, q = particles(30)
    points = np.random.default_rng(2).uniform(-1, 1, (50, 3))
    whole = evaluate(long_range(x, q, WIDE, domain=BOX, rtol=1e-11).tensor, points)
    monkeypatch.setattr(_assembly, "_ENTRIES", 1)
    monkeypatch.setattr(_clouds, "_ENTRIES", 1)
    fits = [
        long_range(x[s], q[s], WIDE, domain=BOX, rtol=1e-11) for s in np.r_[:30].reshape(3, 10)
    ]
    parts = sum(evaluate(fit.tensor, points) for fit in fits)
    assert np.abs(whole - parts).max() <= 1e-9 * np.abs(whole).max()
    assert max(fit.error for fit in fits) <= 1e-9


def test_before_truncation_nothing_is_lost():
    x, q = particles(5)
    one = cloud(x, q)
    variables = _variables([one], WIDE, BOX, 1e-14)
    core = _core(one, WIDE, variables, namespace(x))
    f = ChebyshevTucker(core, tuple(v.factor for v in variables), BOX)
    points = np.random.default_rng(2).uniform(-1, 1, (50, 3))
    expected = direct([one], WIDE, points)
    assert np.abs(expected - brute(x, q, WIDE, points)).max() <= 1e-13
    assert np.abs(evaluate(f, points) - expected).max() <= 1e-12 * np.abs(expected).max()


def test_without_a_box_there_is_one_around_flat_molecules_too():
    x = np.array([[0.0, 0.0, 5.0], [2.0, 0.0, 5.0]])
    long, _ = split(newton(0.1, 20.0).tensor, sigma=1.0)
    fit = long_range(x, [1.0, -1.0], long)
    margin = long.exponents[-1] ** -0.5
    expected = [[-margin, 2 + margin], [-margin, margin], [5 - margin, 5 + margin]]
    assert np.abs(fit.tensor.domain - expected).max() <= 1e-14
    assert fit.error <= 1e-6


def test_boxes_far_from_cubes_and_from_the_origin():
    box = np.array([[100.0, 104.0], [-7.0, -6.5], [0.0, 40.0]])
    rng = np.random.default_rng(0)
    x = rng.uniform(box[:, 0], box[:, 1], (30, 3))
    q = rng.choice([-1.0, 1.0], 30)
    long, _ = split(newton(0.1, 50.0).tensor, sigma=2.0)
    fit = long_range(x, q, long, domain=box)
    assert fit.tensor.shape[1] < fit.tensor.shape[0] < fit.tensor.shape[2]
    assert deviation(fit, x, q, long, box) <= 1e-6


def test_no_charge_has_no_potential():
    fit = long_range(particles(3)[0], [0, 0, 0], WIDE, domain=BOX)
    assert fit.tensor.rank == (1, 1, 1)
    assert fit.error == 0
    assert float(evaluate(fit.tensor, [0.1, 0.2, 0.3])) == 0


@pytest.mark.parametrize("xp", ["numpy", "array-api-strict", "torch"], indirect=True)
def test_single_precision_stays_single(xp):
    x, q = particles(10)
    fit = long_range(xp.asarray(x, "float32"), xp.asarray(q, "float32"), FEW, domain=BOX)
    assert fit.tensor.core.dtype == fit.tensor.domain.dtype == xp.float32
    assert fit.error <= 1e-3
    with pytest.raises(ToleranceError, match="allows: ask for rtol"):
        long_range(xp.asarray(x, "float32"), xp.asarray(q, "float32"), FEW, rtol=1e-6)


X, Q = particles(4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: long_range(X, Q[:3], WIDE), ValueError, "one for each of 4 positions, got 3"),
        (lambda: long_range(X[0], Q, WIDE), ValueError, "positions must have 2 dimensions"),
        (lambda: long_range(X, Q[:, None], WIDE), ValueError, "charges must have 1 dimensions"),
        (lambda: long_range(X + np.nan, Q, WIDE), ValueError, r"positions\[0, 0\]"),
        (lambda: long_range(X, [1, np.inf, 0, 0], WIDE), ValueError, r"charges\[1\]"),
        (lambda: long_range(X, 1j * Q, WIDE), TypeError, "charges must be real"),
        (lambda: long_range(X * 1j, Q, WIDE), TypeError, "positions must be real"),
        (
            lambda: long_range(X, Q, WIDE, domain=[(0, 1)] * 3),
            ValueError,
            r"positions\[0, 1\] is .*outside of the domain",
        ),
        (lambda: long_range(X, Q, WIDE, domain=[(-9, 9)] * 3), ValueError, "make it with rmax="),
        (lambda: long_range(X, Q, WIDE, domain=[(-1, 1)] * 2), ValueError, "domain must have"),
        (lambda: long_range(X, Q, WIDE, rtol=1e-14), ToleranceError, "rtol >= 2.22e-13"),
        (lambda: long_range(X, Q, WIDE, rtol=2), ValueError, "rtol"),
        (lambda: long_range(X, Q, WIDE, rank=0), ValueError, "rank"),
        (lambda: long_range(X, Q, WIDE, rank=(2, 2)), ValueError, "one for each of 3 variables"),
        (lambda: long_range(X, Q, lambda r: 1 / r), TypeError, "g must be a GaussianSum"),
        (lambda: long_range(X, Q, G, domain=BOX), ValueError, "too many: split g by range first"),
        (lambda: long_range([], [], WIDE), ValueError, "positions"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
