"""Functions from their values along fibres: exact to the tolerance, from few values."""

import numpy as np
import pytest

from tdecomp import Status
from tdecomp.chebyshev._sampling import _fibres
from tdecomp.chebyshev._sampling._nodes import core_of
from tdecomp.chebyshev._sampling._sampled import fibre_sampled
from tdecomp.chebyshev._sampling._sampler import Sampler
from tdecomp.chebyshev._values._evaluate import evaluate
from tdecomp.testing import functions
from tdecomp.tt._sampler import ExhaustedError

FUNCTIONS = {row.number: row for row in functions()}
RUNGE, WAVE, CORNER = (FUNCTIONS[number].f for number in (1, 48, 58))


def sampled(f, d=3, tol=1e-14, seed=0, limit=10**7):
    ask = Sampler(f, np.tile([-1.0, 1.0], (d, 1)), np.empty(0), limit)
    return fibre_sampled(ask, tol, np.random.default_rng(seed)), ask


def worst(f, found, d=3, count=2000):
    x = np.random.default_rng(99).uniform(-1, 1, (count, d))
    return float(np.max(np.abs(evaluate(found.tensor, x) - f(*x.T))))


# A spike of a millionth of the volume, and a kink, have tests of their own.
@pytest.mark.parametrize("number", sorted(FUNCTIONS.keys() - {40, 58}))
def test_errors_are_rounding_for_no_more_values_than_chebfun3f_asks_for(number):
    f, theirs = FUNCTIONS[number].f, FUNCTIONS[number].chebfun3f
    found, ask = sampled(f)
    assert found.status is Status.CONVERGED
    assert worst(f, found) <= 1e-12 * ask.largest
    assert found.error <= 6e-13
    assert ask.evaluations <= theirs
    # At most half as many, but for functions of few values in any case, and two that oscillate.
    assert ask.evaluations <= theirs / 2 or theirs < 2000 or number in {5, 37}


@pytest.mark.parametrize("number", [1, 2, 24, 34, 41, 49])
@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_points_are_drawn(number, seed):
    f, theirs = FUNCTIONS[number].f, FUNCTIONS[number].chebfun3f
    found, ask = sampled(f, seed=seed)
    assert worst(f, found) <= 1e-12 * ask.largest
    assert ask.evaluations <= theirs / 2


def test_a_coarse_tolerance_asks_for_less_and_keeps_it():
    f = RUNGE
    counts = []
    for tol in (1e-4, 1e-8, 1e-12):
        found, ask = sampled(f, tol=tol)
        assert found.status is Status.CONVERGED
        assert worst(f, found) <= 200 * tol
        counts.append(ask.evaluations)
    assert counts == sorted(counts)
    assert counts[0] < counts[2] / 4


def test_the_same_seed_gives_the_same_function():
    f = WAVE
    (one, first), (two, second) = (sampled(f, seed=7) for _ in range(2))
    assert first.evaluations == second.evaluations
    assert np.all(one.tensor.core == two.tensor.core)


def test_products_have_rank_one_and_sums_no_more_than_their_terms():
    found, _ = sampled(lambda x, y, z: np.exp(x) * np.cos(3 * y) / (2 + z))
    assert found.tensor.rank == (1, 1, 1)
    found, _ = sampled(lambda x, y, z: np.exp(x + y) + np.sin(y) * z)
    assert max(found.tensor.rank) == 2


def test_permuted_variables_have_permuted_ranks_and_lengths():
    f = WAVE
    one, _ = sampled(f)
    two, _ = sampled(lambda z, x, y: f(x, y, z))
    assert np.abs(np.subtract(two.tensor.rank, np.roll(one.tensor.rank, 1))).max() <= 1
    assert worst(lambda z, x, y: f(x, y, z), two) <= 1e-11


@pytest.mark.parametrize(
    ("d", "f"),
    [
        (1, lambda x: np.sin(20 * x) * np.exp(x)),
        (2, lambda x, y: np.cos(3 * x * y) + x),
        (4, lambda w, x, y, z: 1 / (5 + w * x + y * z)),
    ],
)
def test_any_number_of_variables(d, f):
    found, ask = sampled(f, d=d)
    assert found.status is Status.CONVERGED
    assert worst(f, found, d=d) <= 1e-12 * ask.largest


def test_constants_and_zero():
    for value in (0.0, 3.5):
        found, ask = sampled(lambda *_, value=value: value)
        assert found.status is Status.CONVERGED
        assert found.tensor.rank == (1, 1, 1)
        assert worst(lambda x, *_, value=value: value + 0 * x, found) <= 1e-14
        assert ask.evaluations < 2000


def test_the_scale_does_not_matter():
    f = FUNCTIONS[34].f
    plain, first = sampled(f)
    for scale in (2.0**-600, 2.0**600):
        found, ask = sampled(lambda *x, scale=scale: scale * f(*x))
        assert found.tensor.rank == plain.tensor.rank
        assert ask.evaluations == first.evaluations


def test_what_jumps_does_not_pass(monkeypatch):
    monkeypatch.setattr(_fibres, "_MOST", 129)
    found, _ = sampled(lambda x, y, z: np.sign(x + 0.3) * y + z)
    assert found.status is Status.STAGNATED


def test_the_limit_of_evaluations_is_kept():
    with pytest.raises(ExhaustedError):
        sampled(RUNGE, limit=200)
    found, ask = sampled(RUNGE, limit=30_000)
    assert found.status is Status.MAX_ITER
    assert ask.evaluations <= 30_000
    assert found.tensor.core.ndim == 3


@pytest.mark.parametrize("limit", [500, 1000, 3000])
@pytest.mark.parametrize("d", [3, 5])
def test_there_is_a_first_approximation_with_its_error_where_values_run_out(limit, d):
    def f(*x):
        return 1 / (len(x) + 1.5 + sum(x))

    found, ask = sampled(f, d=d, limit=limit)
    assert found.status is Status.MAX_ITER
    assert ask.evaluations <= limit
    assert worst(f, found, d=d) <= 10 * found.error * ask.largest
    assert found.error < 0.3


def test_noise_ends_the_growth_of_fibres():
    noise = np.random.default_rng(1)

    def f(x, y):
        return np.cos(3 * x * y) + 1e-6 * noise.standard_normal(x.size)

    found, ask = sampled(f, d=2, tol=1e-6)
    assert found.status is Status.CONVERGED
    assert worst(lambda x, y: np.cos(3 * x * y), found, d=2) <= 2e-5
    assert ask.evaluations <= 5000


def test_kinks_of_full_rank_take_no_more_than_a_grid():
    def f(x, y, z):
        return np.abs(x - y) + z

    found, ask = sampled(f, tol=2e-4)
    assert found.status is Status.CONVERGED
    assert worst(f, found) <= 2e-2
    assert ask.evaluations <= 65 * 65 * 17


def test_kinks_of_full_rank_are_refused_soon():
    found, ask = sampled(lambda x, y: np.abs(x - y), d=2)
    assert found.status is Status.STAGNATED
    assert 1e-6 < found.error < 1e-1
    assert ask.evaluations <= 10**6


def test_values_that_are_nearly_zero_are_resolved_as_far_as_their_digits():
    found, ask = sampled(lambda x, y, z: 1e-310 / (2.5 + x * y + z * z))
    assert found.status is Status.CONVERGED
    assert found.error <= 1e-10
    assert ask.evaluations <= 10_000


def test_rounds_without_new_values_keep_the_precision():
    def f(x, y, z):
        return np.sin(x * y) * z + x

    ask = Sampler(f, np.tile([-1.0, 1.0], (3, 1)), np.empty(0, np.float32), 10**7)
    found = fibre_sampled(ask, 1e-5, np.random.default_rng(0))
    assert found.tensor.dtype == np.float32
    lines = [_fibres.Fibres(ask, k, np.zeros((1, 3))) for k in range(3)]
    bases = [line.basis() for line in lines]
    core = core_of(ask, bases, None)
    before = ask.evaluations
    again = core_of(ask, bases, core)
    assert ask.evaluations == before
    assert again.values.dtype == np.float32
    assert np.all(again.values == core.values)


def test_a_kink_in_a_corner_is_resolved_as_far_as_its_series_falls():
    found, ask = sampled(CORNER, tol=2e-8)
    assert found.status is Status.CONVERGED
    assert worst(CORNER, found) <= 1e-6
    # Near the corner too, where almost no uniform point lies.
    x = 1 - 10.0 ** -np.random.default_rng(5).uniform(0, 6, (2000, 3))
    assert np.max(np.abs(evaluate(found.tensor, x) - CORNER(*x.T))) <= 1e-5
    assert ask.evaluations <= 500_000


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_spike_on_next_to_nothing_is_climbed(seed):
    # The first fibres pass far from it, and are resolved to few of their own digits.
    center, width = np.random.default_rng(seed).uniform(-1, 1, 3), 0.02

    def spike(x, y, z):
        return np.exp(
            -((x - center[0]) ** 2 + (y - center[1]) ** 2 + (z - center[2]) ** 2) / width**2
        )

    found, ask = sampled(spike)
    assert found.status is Status.CONVERGED
    x = center + width * np.random.default_rng(9).standard_normal((1000, 3))
    x = np.clip(x, -1, 1)
    assert np.max(np.abs(evaluate(found.tensor, x) - spike(*x.T))) <= 1e-12
    assert ask.evaluations <= 25_000


@pytest.mark.parametrize(
    "f",
    [lambda x, y: 1 / (1 + 100 * (x - y) ** 2), lambda x, y: np.cos(x * y)],
)
def test_high_ranks_take_the_whole_grid(f, monkeypatch):
    asked = []
    on_grid = Sampler.on_grid
    monkeypatch.setattr(Sampler, "on_grid", lambda *a: asked.append(a) or on_grid(*a))
    found, ask = sampled(f, d=2)
    assert len(asked) == 1
    assert found.status is Status.CONVERGED
    assert worst(f, found, d=2) <= 5e-13 * ask.largest


def test_whole_grids_keep_degrees_of_polynomials():
    found, _ = sampled(lambda x, y, z: x * x - y**3 + 1 / 8 + 0 * z)
    assert found.tensor.rank == (2, 2, 1)
    assert found.tensor.shape == (3, 4, 1)


def test_a_spike_of_a_millionth_of_the_volume_is_resolved():
    # Of the 30 points at which Chebfun3F judges none is near it: its error is 3.7e-3.
    f = FUNCTIONS[40].f
    found, ask = sampled(f, tol=1e-12)
    assert found.status is Status.CONVERGED
    x = (
        np.random.default_rng(8).standard_normal((2000, 3))
        * np.geomspace(1e-3, 0.3, 2000)[:, None]
    )
    x = np.clip(x, -1, 1)
    assert np.max(np.abs(evaluate(found.tensor, x) - f(*x.T))) <= 1e-10 * 1e4
    assert ask.evaluations <= FUNCTIONS[40].chebfun3f
