"""Extrema: those of known functions, and bounds that no value passes."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp.chebyshev._construct import chebyshev_tucker
from tdecomp.chebyshev._domain import from_unit
from tdecomp.chebyshev._format import ChebyshevTucker
from tdecomp.chebyshev._search._extrema import maximum, minimum, sup_norm
from tdecomp.chebyshev._values._evaluate import evaluate
from tdecomp.testing import gaussian
from tdecomp.tt import tt_svd


def made(f, d, interval=(-1, 1)):
    return chebyshev_tucker(f, [interval] * d).tensor


def random(shape, rank, seed=0, dtype="float64", xp=np):
    core = gaussian(rank, rng=seed, dtype=dtype)
    factors = [
        gaussian((m, r), rng=seed + k + 1, dtype=dtype) / (1 + np.arange(m)[:, None]).astype("f4")
        for k, (m, r) in enumerate(zip(shape, rank, strict=True))
    ]
    box = np.array([[-1.0 - k, 0.5 + k] for k in range(len(shape))], core.real.dtype)
    return ChebyshevTucker(xp.asarray(core), tuple(map(xp.asarray, factors)), xp.asarray(box))


def sampled(f, count=20_000):
    t = np.random.default_rng(1).uniform(-1.02, 1.02, (count, len(f.factors))).clip(-1, 1)
    return evaluate(f, from_unit(t, f.domain, np))


# What is lowest, the points where, and the name of the place.
KNOWN = {
    "inside": (lambda x, y: 100 * (y - x**2) ** 2 + (1 - x) ** 2, 2, (-2, 2), 0, [1, 1]),
    "corner": (lambda x, y, z: np.exp(x + 2 * y) * (z + 2), 3, (-1, 1), np.exp(-3), [-1] * 3),
    "edge": (lambda x, y, z: (x - 0.3) ** 2 + y - z, 3, (-1, 1), -2, [0.3, -1, 1]),
    "face": (lambda x, y, z: (x - y) ** 2 + (x + 0.1) ** 2 - z, 3, (0, 1), -0.99, [0, 0, 1]),
    "one variable": (lambda x: np.cos(40 * x) + x**2, 1, (-1, 1), None, None),
    "four": (lambda x, y, z, w: (x - y) ** 2 + (z * w - 0.5) ** 2 + w + x, 4, (0, 1), None, None),
}


@pytest.mark.parametrize("name", KNOWN)
def test_extrema_are_found_wherever_they_are(name):
    f, d, interval, value, point = KNOWN[name]
    found = minimum(made(f, d, interval))
    values = sampled(made(f, d, interval))
    if value is not None:
        assert float(found.value) == pytest.approx(value, abs=1e-11)
        assert np.abs(found.point - point).max() <= 1e-5
    assert found.value <= values.min()
    assert found.value - 1.01e-6 * np.ptp(values) - 1e-8 <= found.bound <= found.value
    turned = maximum(made(lambda *x: 3 - 2 * f(*x), d, interval))
    assert float(turned.value) == pytest.approx(3 - 2 * float(found.value), abs=1e-10)
    assert turned.value <= turned.bound


def test_the_point_has_the_value():
    for seed in range(3):
        f = random((7, 8, 6), (3, 2, 3), seed)
        for search in (minimum, maximum, sup_norm):
            found = search(f)
            assert abs(evaluate(f, found.point)) == pytest.approx(abs(found.value), rel=1e-12)


@given(
    st.integers(1, 4).flatmap(lambda d: st.lists(st.integers(1, 7), min_size=d, max_size=d)),
    st.integers(1, 3),
    st.integers(0, 10**6),
    st.sampled_from(["float32", "float64", "complex128"]),
)
def test_no_value_passes_a_bound_and_bounds_are_near(shape, rank, seed, dtype):
    f = random(shape, [rank] * len(shape), seed, dtype)
    values = sampled(f, 3000).astype(np.result_type(dtype, "f8"))
    slack = 1e4 * np.finfo(dtype).eps * np.abs(values).max()
    size = sup_norm(f, tol=1e-3)
    assert np.abs(values).max() <= size.bound + slack
    assert size.bound <= 1.01 * size.value + slack
    assert np.abs(values).max() <= size.value * (1 + 1e-6) + slack
    if dtype != "complex128":
        low, high = minimum(f, tol=1e-3), maximum(f, tol=1e-3)
        span = high.value - low.value
        assert low.bound - slack <= values.min() <= values.max() <= high.bound + slack
        assert low.value - low.bound <= 0.01 * span + slack
        assert high.bound - high.value <= 0.01 * span + slack
        assert low.value <= values.min() + slack


def test_many_equal_minima_and_narrow_ones():
    waves = minimum(made(lambda x, y: np.cos(9 * np.pi * x) * np.cos(8 * np.pi * y), 2))
    assert waves.value == pytest.approx(-1, abs=1e-11)
    assert -1 - 3e-6 < waves.bound <= waves.value
    # Trefethen's challenge, with its 2720 local minima, here on a wider box.
    rugged = minimum(
        made(
            lambda x, y: (
                np.exp(np.sin(50 * x))
                + np.sin(60 * np.exp(y))
                + np.sin(70 * np.sin(x))
                + np.sin(np.sin(80 * y))
                - np.sin(10 * (x + y))
                + (x**2 + y**2) / 4
            ),
            2,
        )
    )
    assert float(rugged.value) == pytest.approx(-3.306868647475, abs=1e-11)
    assert np.abs(rugged.point - [-0.024403079743, 0.210612427155]).max() <= 1e-9


@pytest.mark.parametrize("constant", [0.0, -3.0, 7.5])
def test_flat_functions_have_one_value(constant):
    f = made(lambda x, y: constant + 0 * x * y, 2)
    for found in (minimum(f), maximum(f)):
        assert float(found.value) == pytest.approx(constant, abs=1e-13)
        assert abs(found.bound - found.value) <= 1e-12
    size = sup_norm(f)
    assert abs(constant) - 1e-13 <= size.value <= size.bound <= abs(constant) + 1e-12


def test_magnitudes_that_only_turn():
    f = chebyshev_tucker(lambda x, y: np.exp(2j * x * y), [(-1, 1)] * 2, rtol=1e-11).tensor
    found = sup_norm(f, max_points=2_000_000)
    assert 1 - 1e-10 <= found.value <= 1 + 1e-10
    assert found.value <= found.bound <= 1.001


def test_little_work_gives_a_bound_that_holds():
    f = random((9, 9, 9), (3, 3, 3))
    best, bounds = minimum(f), []
    for limit in (1, 1000, 10_000, 100_000):
        found = minimum(f, max_points=limit)
        assert found.value >= best.bound
        bounds.append(float(found.bound))
    assert bounds == sorted(bounds)
    assert bounds[0] < bounds[-1] <= best.value


def test_scales_are_no_matter():
    f = random((5, 6), (2, 2))
    found = minimum(f)
    for scale in (1e-290, 1e290):
        scaled = minimum(f._replace(core=f.core * scale, domain=f.domain * 1e100))
        assert scaled.value / scale == pytest.approx(found.value, rel=1e-12)
        assert scaled.bound <= scaled.value
    far = minimum(f._replace(domain=np.array([[1e308, 1.2e308]] * 2)))
    assert far.value == pytest.approx(found.value, rel=1e-12)
    assert np.all((far.point >= 1e308) & (far.point <= 1.2e308))
    steep = minimum(
        f._replace(factors=tuple(1e160 * factor for factor in f.factors), core=f.core * 1e-300)
    )
    assert steep.value / 1e20 == pytest.approx(found.value, rel=1e-12)


def test_bounds_hold_where_terms_cancel_and_where_they_are_denormal():
    """For constants, exactly: what a sum of products is in fractions."""
    rng = np.random.default_rng(0)
    cases = [
        ([-s, s], [v, v + 1 / s])
        for s, v in zip(10.0 ** np.arange(12), rng.random(12), strict=True)
    ]
    cases += [([v], [1e-320]) for v in rng.random(9)]
    for core, values in cases:
        f = ChebyshevTucker(np.array(core), (np.array([values]),), np.array([[-1.0, 1.0]]))
        exact = sum(Fraction(a) * Fraction(b) for a, b in zip(core, values, strict=True))
        low, high, size = (Fraction(float(g(f).bound)) for g in (minimum, maximum, sup_norm))
        assert low <= exact <= high
        assert abs(exact) <= size


def test_trains_are_searched_along_lines():
    def f(*x):
        return sum((t - 0.1 * k) ** 2 for k, t in enumerate(x))

    whole = made(f, 4)
    train = whole._replace(core=tt_svd(whole.core, rtol=1e-13))
    found = minimum(train)
    assert float(found.value) == pytest.approx(0, abs=1e-11)
    assert np.abs(found.point - [0, 0.1, 0.2, 0.3]).max() <= 1e-6
    assert found.bound <= -1
    assert sup_norm(train).bound >= sup_norm(whole).value


def test_every_library_keeps_its_arrays(xp, dtype):
    f, known = random((4, 5), (2, 2), 0, dtype, xp), random((4, 5), (2, 2), 0, dtype)
    searches = [sup_norm] if "complex" in dtype else [minimum, sup_norm]
    for search in searches:
        found, expected = search(f), search(known)
        for x, y in zip(found, expected, strict=True):
            assert x.dtype == f.domain.dtype
            assert np.abs(xp.to_numpy(x) - y).max() <= 8 * np.finfo(dtype).eps


@pytest.mark.parametrize("xp", ["torch", "jax"], indirect=True)
def test_derivatives_are_those_of_values_at_a_fixed_point(xp):
    f, known = random((4, 5), (2, 2), xp=xp), random((4, 5), (2, 2))
    with pytest.raises(ValueError, match=r"under tracing .* search outside"):
        xp.gradient(lambda core: minimum(f._replace(core=core)).value, known.core)
    point = minimum(f).point
    slope = xp.gradient(lambda core: evaluate(f._replace(core=core), point), known.core)
    step = 1e-5 * gaussian((2, 2), rng=9)
    ahead, behind = (
        float(minimum(known._replace(core=known.core + sign * step)).value) for sign in (1, -1)
    )
    assert float(np.sum(slope * step)) == pytest.approx((ahead - behind) / 2, rel=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda f: minimum(f.core), TypeError, "f must be a ChebyshevTucker"),
        (
            lambda f: maximum(f._replace(core=f.core * 1j)),
            TypeError,
            "f must be real, got complex",
        ),
        (lambda f: minimum(f, tol=0), ValueError, "tol"),
        (lambda f: sup_norm(f, max_points=0), ValueError, "max_points"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call(random((3, 3), (2, 2)))
