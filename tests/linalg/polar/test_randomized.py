"""The isometric factor on a sketched range: exact identities, and a bound that is true."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tdecomp as td
from tdecomp._random import normal
from tdecomp.linalg import RandomizedPolar, alignment
from tdecomp.linalg._polar._isometry import METHODS
from tdecomp.linalg._polar._randomized import _randomized_polar
from tdecomp.testing import gaussian, matrix

SKETCHES = ["gaussian", "kaczmarz", "sparse-sign", "srht", "countsketch"]
SPECTRA = {
    "fast": 0.7 ** np.arange(40.0),
    "slow": 1 / np.arange(1.0, 41),
    "flat": np.ones(40),
    "low rank": np.asarray([3.0, 2.0, 1.0, 0.5]),
}


def adjoint(x):
    return np.conj(x.T)


def problem(shape=(60, 40), spectrum="slow", dtype="float64", rng=0):
    return matrix(*shape, SPECTRA[spectrum][: min(shape)], dtype=dtype, rng=rng)


def nuclear(x):
    return np.linalg.norm(x, "nuc")


@pytest.mark.parametrize("power", [0, 1])
@pytest.mark.parametrize("sketch", SKETCHES)
@pytest.mark.parametrize("shape", [(60, 40), (40, 60), (45, 45)])
def test_it_is_the_polar_factor_of_the_projected_matrix(shape, sketch, power, dtype):
    g = problem(shape, dtype=dtype)
    u, inner, bound = td.randomized_polar(
        g, rank=5, oversample=3, power=power, sketch=sketch, rng=1
    )
    assert u.dtype == g.dtype
    slack = 100 * float(np.finfo(dtype).eps)
    projector = u @ adjoint(u)
    assert np.abs(projector @ u - u).max() <= slack
    assert np.trace(projector).real == pytest.approx(8, rel=slack)
    projected = projector @ g
    assert np.abs(u - td.polar(projected, rank=8).U).max() <= 10 * slack
    assert np.vdot(g, u).real == pytest.approx(float(inner), rel=slack)
    assert nuclear(projected) == pytest.approx(float(inner), rel=slack)
    assert np.linalg.norm(projected) <= float(inner)
    assert 0 < float(bound) <= float(alignment(g, u))


@given(
    shape=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    counts=st.tuples(st.integers(0, 4), st.integers(0, 2)),
    sketch=st.sampled_from(SKETCHES),
    dtype=st.sampled_from(["float32", "float64", "complex128"]),
    digits=st.integers(0, 12),
)
def test_the_alignment_is_never_less_than_said(shape, counts, sketch, dtype, digits):
    (m, n), (oversample, power) = shape, counts
    k = min(m, n)
    g = matrix(m, n, np.logspace(0, -digits, k), dtype=dtype, rng=m)
    rank = max(1, k - 2 * oversample)
    u, inner, bound = td.randomized_polar(
        g, rank=rank, oversample=oversample, power=power, sketch=sketch, rng=n
    )
    exact = np.vdot(g.astype("complex128"), u).real / nuclear(g.astype("complex128"))
    eps = float(np.finfo(dtype).eps)
    assert float(bound) <= exact + 4 * eps
    assert exact <= 1 + 10 * eps
    assert np.vdot(g, u).real == pytest.approx(float(inner), rel=100 * eps)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_bound_survives_cancellation(dtype):
    spectrum = 10.0 ** -np.arange(0.0, 16, 0.5)
    g = matrix(50, 40, spectrum, dtype=dtype)
    for rank in range(2, 30, 3):
        u, _, bound = td.randomized_polar(g, rank=rank, oversample=0, rng=rank)
        exact = np.vdot(g.astype(float), u.astype(float)) / nuclear(g.astype(float))
        assert 0.5 <= float(bound) <= exact


def test_the_bound_is_sharp_where_the_tail_is_flat():
    g = matrix(40, 40, np.concatenate([np.ones(8), np.full(32, 1e-2)]))
    _, inner, bound = td.randomized_polar(g, rank=8, oversample=0, power=8, rng=0)
    assert float(bound) == pytest.approx(8 / 8.32, rel=1e-4)
    assert float(inner) == pytest.approx(8, rel=1e-6)


@pytest.mark.parametrize("shape", [(9, 6), (6, 9), (7, 7)])
def test_with_all_directions_it_is_the_polar_factor(xp, shape):
    g = gaussian(shape)
    u, inner, bound = td.randomized_polar(xp.asarray(g), rank=min(shape), rng=0)
    assert np.abs(xp.to_numpy(u) - td.polar(g).U).max() <= 1e-12
    assert float(inner) == pytest.approx(nuclear(g), rel=1e-13)
    assert 1 - 1e-13 <= float(bound) <= 1


@pytest.mark.parametrize("sketch", SKETCHES)
def test_every_library_makes_the_same_of_a_seed(xp, sketch):
    g = problem(spectrum="fast", dtype="complex128" if sketch == "gaussian" else "float64")
    found = td.randomized_polar(xp.asarray(g), rank=6, sketch=sketch, rng=3)
    expected = td.randomized_polar(g, rank=6, sketch=sketch, rng=3)
    assert np.abs(xp.to_numpy(found.U) - expected.U).max() <= 1e-10
    assert float(found.inner) == pytest.approx(float(expected.inner), rel=1e-12)
    assert float(found.alignment) == pytest.approx(float(expected.alignment), rel=1e-10)


def test_power_steps_align_better_on_average():
    g = problem(spectrum="slow")
    means = [
        np.mean(
            [
                alignment(g, td.randomized_polar(g, rank=6, oversample=4, power=h, rng=k).U)
                for k in range(20)
            ]
        )
        for h in range(3)
    ]
    best = SPECTRA["slow"][:10].sum() / SPECTRA["slow"].sum()
    assert means[0] < means[1] < means[2] <= best
    assert means[2] >= 0.98 * best


def test_the_expected_residual_of_a_gaussian_sketch_is_bounded():
    g, s, p = problem(spectrum="slow"), 6, 4
    tail = np.linalg.norm(SPECTRA["slow"][s:])
    rests = []
    for seed in range(20):
        u = td.randomized_polar(g, rank=s, oversample=p, power=0, rng=seed).U
        rests.append(np.linalg.norm(g - u @ (u.T @ g)))
    assert np.mean(rests) <= np.sqrt(1 + s / (p - 1)) * tail


def test_columns_are_drawn_by_their_lengths_and_once():
    lengths = np.asarray([8.0, 4.0, 1e-3, 2.0, 0.0, 1.0])
    g = np.diag(lengths)
    heavy = np.zeros(6)
    for seed in range(200):
        u = td.randomized_polar(g, rank=2, oversample=0, power=0, sketch="kaczmarz", rng=seed).U
        drawn = np.diag(u) > 0.5
        assert drawn.sum() == 2
        heavy += drawn
    assert heavy[4] == 0
    assert heavy[2] <= 1
    assert heavy[0] > heavy[1] > heavy[3] > heavy[5]


def test_scale_and_rotation_go_through():
    g = problem((30, 20))
    y = g @ normal(np.random.default_rng(0), (20, 6), g, np)
    options = {"power": 1, "inner": "exact", "xp": td._xp.namespace(g)}
    u = _randomized_polar(g, y, **options).U
    q = np.linalg.qr(gaussian((30, 30)))[0]
    assert np.abs(_randomized_polar(q @ g, q @ y, **options).U - q @ u).max() <= 1e-12
    assert np.abs(_randomized_polar(8 * g, y, **options).U - u).max() <= 1e-12


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
def test_the_scale_goes_to_the_inner_product(xp, scale):
    g = problem((12, 10), "fast")
    plain, scaled = (
        td.randomized_polar(xp.asarray(x), rank=3, oversample=2, rng=0) for x in (g, scale * g)
    )
    assert np.abs(xp.to_numpy(plain.U) - xp.to_numpy(scaled.U)).max() <= 1e-12
    assert float(scaled.inner) / scale == pytest.approx(float(plain.inner), rel=1e-13)
    assert float(scaled.alignment) == pytest.approx(float(plain.alignment), rel=1e-10)


def test_a_matrix_of_low_rank_has_a_partial_isometry(xp):
    g = problem(spectrum="low rank")
    expected = td.polar(g, rank=4).U
    call = xp.jit(lambda g: td.randomized_polar(g, rank=10, rng=0))
    for found in (td.randomized_polar(xp.asarray(g), rank=10, rng=0), call(xp.asarray(g))):
        assert np.abs(xp.to_numpy(found.U) - expected).max() <= 1e-12
        assert 1 - 1e-13 <= float(found.alignment) <= 1


@pytest.mark.parametrize("sketch", ["gaussian", "kaczmarz"])
def test_the_zero_matrix_stays(xp, sketch):
    found = td.randomized_polar(xp.asarray(np.zeros((6, 5))), rank=2, sketch=sketch, rng=0)
    assert isinstance(found, RandomizedPolar)
    assert np.all(xp.to_numpy(found.U) == 0)
    assert (float(found.inner), float(found.alignment)) == (0, 1)


@pytest.mark.parametrize("sketch", ["gaussian", "kaczmarz"])
@pytest.mark.parametrize("xp", ["torch", "jax"], indirect=True)
def test_gradients_are_those_of_differences(xp, sketch):
    g, d = problem((9, 7), "fast"), gaussian((9, 7), rng=1)

    def number(x):
        found = td.randomized_polar(x, rank=3, oversample=1, sketch=sketch, rng=0)
        return (found.U**3).sum() + found.inner

    if xp.name == "jax":
        import jax

        slope = xp.to_numpy(jax.jit(jax.grad(number))(xp.asarray(g)))
    else:
        leaf = xp.asarray(g).requires_grad_()
        number(leaf).backward()
        slope = leaf.grad.numpy()
    h = 1e-6
    expected = (number(g + h * d) - number(g - h * d)) / (2 * h)
    assert np.vdot(slope, d) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("inner", METHODS[1:])
def test_polynomials_stand_in_and_the_bound_stays_true(inner):
    for spectrum in SPECTRA:
        g = problem(spectrum=spectrum)
        exact = td.randomized_polar(g, rank=8, rng=0)
        found = td.randomized_polar(g, rank=8, inner=inner, rng=0)
        assert np.vdot(g, found.U) == pytest.approx(float(found.inner), rel=1e-13)
        assert 0.2 * float(exact.alignment) <= float(found.alignment)
        assert float(found.alignment) <= float(alignment(g, found.U))
        assert np.linalg.norm(found.U, 2) <= 1.3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: td.randomized_polar(g[0], rank=1), "g must have 2 dimensions"),
        (lambda g: td.randomized_polar(g[None], rank=1), "g must have 2 dimensions"),
        (lambda g: td.randomized_polar(g[:0], rank=1), "g is empty"),
        (lambda g: td.randomized_polar(g * np.nan, rank=1), "g has 12 non-finite entries"),
        (lambda g: td.randomized_polar(g, rank=0), "rank must be an int between 1 and 3, got 0"),
        (lambda g: td.randomized_polar(g, rank=4), "between 1 and 3, got 4"),
        (lambda g: td.randomized_polar(g, rank=2.5), "2.5 of type float"),
        (lambda g: td.randomized_polar(g, rank=True), "got True"),
        (lambda g: td.randomized_polar(g, rank=1, oversample=-1), "oversample must be an int"),
        (lambda g: td.randomized_polar(g, rank=1, power=0.5), "power must be an int"),
        (lambda g: td.randomized_polar(g, rank=1, sketch="best"), "sketch must be one of 'gauss"),
        (lambda g: td.randomized_polar(g, rank=1, inner="svd"), "inner must be one of 'exact'"),
        (lambda g: td.randomized_polar(g, rank=1, rng="seed"), "rng must be an int"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call(gaussian((4, 3)))


@pytest.mark.parametrize("values", [[[1, 2], [3, 4]], np.float16([[1, 2], [3, 5]])])
def test_other_numbers_are_promoted(values):
    u = td.randomized_polar(values, rank=2, rng=0).U
    assert u.dtype == (np.float32 if getattr(values, "dtype", None) == np.float16 else np.float64)
    assert np.abs(u - td.polar(values).U).max() <= 100 * np.finfo(u.dtype).eps
