"""Gradients, Hessian matrices, Laplacians: derivatives by hand, and each by the other."""

import numpy as np
import pytest

from tdecomp import ToleranceError
from tdecomp.chebyshev import (
    ChebyshevTucker,
    add,
    chebyshev_tucker,
    diff,
    evaluate,
    gradient,
    hessian,
    laplacian,
    norm,
    scale,
)
from tdecomp.chebyshev._algebra import _fields
from tdecomp.chebyshev._values import _compiled
from tdecomp.testing import gaussian
from tdecomp.tt import tt_svd

BOX = np.array([[-1.0, 2.0], [0.5, 3.0], [-4.0, -1.0], [0.0, 0.1]])


def function(xp=np, dtype="float64", d=3):
    rank, shape = (2, 3, 2, 1)[:d], (4, 6, 5, 2)[:d]
    core = gaussian(rank, dtype=dtype)
    factors = [
        gaussian(s, rng=k, dtype=dtype) for k, s in enumerate(zip(shape, rank, strict=True))
    ]
    box = BOX[:d].astype(core.real.dtype)
    return ChebyshevTucker(xp.asarray(core), tuple(map(xp.asarray, factors)), xp.asarray(box))


def inside(d=3, count=6, dtype="float64"):
    u = np.random.default_rng(0).uniform(0.1, 0.9, size=(count, d))
    return (BOX[:d, 0] + (BOX[:d, 1] - BOX[:d, 0]) * u).astype(np.empty(0, dtype).real.dtype)


@pytest.mark.when_compiled(dtype="complex128", d=1)
@pytest.mark.parametrize("d", [1, 2, 4])
def test_derivatives_at_points_are_those_of_functions(xp, dtype, d):
    f, x = function(xp, dtype, d), inside(d, dtype=dtype)
    points = xp.asarray(x.reshape(2, 3, d))
    slopes, curves = xp.to_numpy(gradient(f, points)), xp.to_numpy(hessian(f, points))
    assert slopes.shape == (2, 3, d)
    assert curves.shape == (2, 3, d, d)
    assert slopes.dtype == curves.dtype == dtype
    assert np.array_equal(curves, np.swapaxes(curves, 2, 3))
    slack = 1e4 * np.finfo(dtype).eps
    for i in range(d):
        first = diff(f, i)
        found = xp.to_numpy(evaluate(first, points))
        assert np.abs(slopes[..., i] - found).max() <= slack * np.abs(slopes).max()
        for j in range(i, d):
            found = xp.to_numpy(evaluate(diff(first, j), points))
            assert np.abs(curves[..., i, j] - found).max() <= slack * np.abs(curves).max()


def test_derivatives_by_hand_and_in_blocks(monkeypatch):
    f = chebyshev_tucker(lambda x, y, z: np.exp(x * y) + z**3, BOX[:3]).tensor
    x, y, z = (points := inside(count=50)).T
    e = np.exp(x * y)
    slopes = np.stack([y * e, x * e, 3 * z**2], axis=-1)
    zero = np.zeros_like(x)
    curves = np.array([[y * y * e, (1 + x * y) * e, zero], [(1 + x * y) * e, x * x * e, zero]])
    for entries in (1 << 18, 100):
        monkeypatch.setattr(_fields, "_BLOCK_ENTRIES", entries)
        assert np.abs(gradient(f, points) - slopes).max() <= 1e-10 * slopes.max()
        found = np.moveaxis(hessian(f, points), 0, -1)
        assert np.abs(found[:2] - curves).max() <= 1e-8 * curves.max()
        assert np.abs(found[2, 2] - 6 * z).max() <= 1e-8 * curves.max()
    assert gradient(f, points[0]).shape == (3,)
    assert hessian(f, points[:0]).shape == (0, 3, 3)


def test_compiled_loops_and_trains_agree(monkeypatch):
    pytest.importorskip("numba")
    f, x = function(), inside(count=200)
    train = f._replace(core=tt_svd(f.core, rtol=1e-13))
    slopes, curves = gradient(f, x), hessian(f, x)
    asked = []
    monkeypatch.setattr(_compiled, "_KERNEL_WORK", 1)
    monkeypatch.setattr(_compiled, "_evaluated", _counted(_compiled._evaluated, asked))
    for g in (f, train):
        assert np.abs(gradient(g, x) - slopes).max() <= 1e-12 * np.abs(slopes).max()
        assert np.abs(hessian(g, x) - curves).max() <= 1e-12 * np.abs(curves).max()
    assert len(asked) == 2 * (3 + 6)
    few = gradient(train, x[:5])
    assert np.abs(few - slopes[:5]).max() <= 1e-12 * np.abs(slopes).max()


def _counted(call, asked):
    def counted(*args, **options):
        asked.append(call)
        return call(*args, **options)

    return counted


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_the_laplacian_is_the_divergence_of_the_gradient(d):
    f = function(d=d)
    found = laplacian(f)
    divergence = add(*(diff(diff(f, k), k) for k in range(d)))
    left = float(norm(add(found, scale(divergence, -1))))
    assert left <= 1e-12 * float(norm(divergence))
    assert all(a <= 2 * b for a, b in zip(found.rank, f.rank, strict=True))
    points = inside(d)
    trace = np.trace(hessian(f, points), axis1=-2, axis2=-1)
    assert np.abs(evaluate(found, points) - trace).max() <= 1e-12 * np.abs(trace).max()


def test_harmonic_functions_have_no_laplacian():
    def newton(x, y, z):
        return 1 / np.sqrt(x**2 + y**2 + (z - 2) ** 2)

    f = chebyshev_tucker(newton, [(-1, 1)] * 3).tensor
    second = float(norm(diff(f, 2, order=2)))
    assert float(norm(laplacian(f))) <= 2e-9 * second
    plane = chebyshev_tucker(lambda x, y: x**2 - y**2 + 3 * x, [(-1, 1)] * 2).tensor
    assert float(norm(laplacian(plane))) <= 1e-11


@pytest.mark.when_compiled(dtype="complex128")
def test_laplacians_stay_in_their_library(xp, dtype):
    d = 1 if xp.name == "jax" else 2
    found, known = laplacian(function(xp, dtype, d)), laplacian(function(np, dtype, d))
    x = inside(d, dtype=dtype)
    values, expected = xp.to_numpy(evaluate(found, xp.asarray(x))), evaluate(known, x)
    assert values.dtype == dtype
    assert np.abs(values - expected).max() <= 1e4 * np.finfo(dtype).eps * np.abs(expected).max()


def test_a_tolerance_of_laplacians_is_kept_or_refused():
    f = chebyshev_tucker(lambda x, y, z: np.sin(x * y + z), BOX[:3]).tensor
    exact = laplacian(f)
    found = laplacian(f, rtol=1e-4)
    assert float(norm(add(found, scale(exact, -1)))) <= 1e-4 * float(norm(exact))
    assert max(found.rank) < max(exact.rank)
    with pytest.raises(ToleranceError, match="rounding alone"):
        laplacian(f, rtol=1e-15)
    single = function(dtype="float32")
    wide = [x.astype(float) for x in (single.core, *single.factors, single.domain)]
    exact = laplacian(ChebyshevTucker(wide[0], tuple(wide[1:4]), wide[4]))
    with pytest.raises(ToleranceError) as info:
        laplacian(single, rtol=1e-8)
    found = laplacian(single, rtol=1.001 * info.value.reachable)
    left = float(norm(add(found, scale(exact, -1))))
    assert left <= info.value.reachable * float(norm(exact))


def test_where_ranks_cannot_depend_on_values_laplacians_are_exact():
    torch = pytest.importorskip("torch")
    f = function(d=2)
    core = torch.tensor(f.core, requires_grad=True)
    g = ChebyshevTucker(core, tuple(map(torch.tensor, f.factors)), torch.tensor(f.domain))
    found, x = laplacian(g), inside(2)
    assert found.rank == (4, 6)
    values = evaluate(found, torch.tensor(x))
    expected = evaluate(laplacian(f), x)
    assert np.abs(values.detach().numpy() - expected).max() <= 1e-12 * np.abs(expected).max()
    values.sum().backward()
    assert float((core.grad * core).sum().detach()) == pytest.approx(expected.sum(), rel=1e-10)
    with pytest.raises(ValueError, match="leave rtol out"):
        laplacian(g, rtol=1e-3)


def test_the_laplacian_of_what_is_linear_is_zero_within_any_tolerance():
    core, factors = gaussian((2, 2)), (gaussian((2, 2), rng=1), gaussian((2, 2), rng=2))
    f = ChebyshevTucker(core, factors, np.array([[0.0, 1.0], [0.0, 2.0]]))
    assert float(norm(laplacian(f, rtol=1e-3))) == 0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda f, x: gradient(f, x[:, :2]), ValueError, "points must have 3 coordinates"),
        (lambda f, x: hessian(f, x + 100), ValueError, r"points\[0, 0\] is .*, outside"),
        (lambda f, x: gradient(f, 1j * x), TypeError, "points must be real"),
        (lambda f, x: hessian(f, x * np.nan), ValueError, "NaN"),
        (lambda f, x: gradient(f.core, x), TypeError, "must be a ChebyshevTucker"),
        (lambda f, _: laplacian(f.core), TypeError, "must be a ChebyshevTucker"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call(function(), inside())
