"""Functions from values on grids: exact where values determine them, honest where not."""

import numpy as np
import pytest

from tdecomp._errors import ToleranceError
from tdecomp._xp import namespace
from tdecomp.chebyshev import evaluate, from_cp, from_grid
from tdecomp.chebyshev._data import _gridded
from tdecomp.chebyshev._domain import from_unit
from tdecomp.chebyshev._legendre import root
from tdecomp.chebyshev._points import points
from tdecomp.chebyshev._transform import coefficients
from tdecomp.testing import gaussian

BOX = np.array([[0.0, 2.0], [-1.0, 1.0], [3.0, 4.0]])


def function(x, y, z):
    return 1 / (3 + x + 0.5 * y * z) + np.sin(x * y)


def grid(f, lines, box=BOX):
    axes = [(a * (1 - t) + b * (1 + t)) / 2 for (a, b), t in zip(box, lines, strict=True)]
    return f(*np.meshgrid(*axes, indexing="ij"))


def inside(count=200, box=BOX):
    return from_unit(np.random.default_rng(0).uniform(-1, 1, (count, len(box))), box, np)


def in_l2(c, factors):
    """A tensor whose norm is that of the function of given coefficients."""
    for k, factor in enumerate(factors):
        scaled = root(factor.shape[0]) @ factor
        c = np.moveaxis(np.tensordot(scaled, c, (1, k)), 0, k)
    return c


@pytest.mark.when_compiled(shape=(6, 1, 5), dtype="complex128")
@pytest.mark.parametrize("shape", [(6, 1, 5), (3, 4, 2, 3)])
def test_the_grid_comes_back(xp, shape, dtype):
    values = gaussian(shape, dtype=dtype)
    f = from_grid(xp.asarray(values))
    assert f.dtype == xp.asarray(values).dtype
    assert f.shape == shape
    found = xp.to_numpy(f.to_array())
    slack = 2000 * np.finfo(dtype).eps * np.linalg.norm(values)
    assert np.linalg.norm(found - values) <= slack
    for factor in map(xp.to_numpy, f.factors):
        scaled = root(factor.shape[0]) @ factor
        assert np.abs(scaled.conj().T @ scaled - np.eye(factor.shape[1])).max() <= slack


@pytest.mark.parametrize("rtol", [1e-2, 1e-6, 1e-11])
@pytest.mark.parametrize("smooth", [True, False])
def test_the_error_is_guaranteed_in_l2(rtol, smooth):
    sizes = (17, 16, 15)
    values = grid(function, list(map(points, sizes))) if smooth else gaussian(sizes)
    f = from_grid(values, BOX, rtol=rtol)
    transforms = [coefficients(np.eye(m), namespace(values)) for m in sizes]
    expected = in_l2(values, transforms)
    error = np.linalg.norm(in_l2(f.core, f.factors) - expected)
    assert error <= rtol * np.linalg.norm(expected)
    assert (f.rank != sizes) == smooth
    assert np.array_equal(f.domain, BOX)


def test_norms_of_weighted_values_grow_as_documented():
    assert _gridded._growth(9) <= 1.2
    exact = [
        np.linalg.norm(
            root(n) @ coefficients(np.eye(n), namespace(np.empty(0))) / _gridded._weights(n), 2
        )
        for n in (200, 300)
    ]
    assert exact[0] <= _gridded._growth(200)
    assert exact[1] <= _gridded._growth(300) <= 1.05 * exact[1]
    assert _gridded._growth(1000) <= 2.45


@pytest.mark.parametrize("xp", ["numpy-readonly", "array-api-strict", "torch"], indirect=True)
@pytest.mark.parametrize("where", ["uniform", "given"])
def test_other_points_are_matched_within_the_tolerance(xp, where):
    rng = np.random.default_rng(0)
    sizes = (40, 50, 30)
    lines = [np.linspace(-1, 1, n) for n in sizes]
    if where == "given":
        lines = [
            np.sort(np.r_[-1, 1, t[1:-1] + rng.uniform(-0.01, 0.01, t.size - 2)]) for t in lines
        ]
    axes = [((a + b) + (b - a) * t) / 2 for (a, b), t in zip(BOX, lines, strict=True)]
    values = function(*np.meshgrid(*axes, indexing="ij"))
    if where == "uniform":
        f = from_grid(xp.asarray(values), BOX, points="uniform", rtol=1e-8)
    else:
        f = from_grid(xp.asarray(values), points=[xp.asarray(x) for x in axes], rtol=1e-8)
    assert np.abs(xp.to_numpy(f.domain) - BOX).max() <= 1e-15
    on_grid = xp.asarray(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1))
    difference = xp.to_numpy(evaluate(f, on_grid)) - values
    assert np.linalg.norm(difference) <= 1e-8 * np.linalg.norm(values)
    x = inside()
    between = xp.to_numpy(evaluate(f, xp.asarray(x))) - function(*x.T)
    assert np.abs(between).max() <= 1e-7 * np.abs(values).max()
    assert all(m <= n for m, n in zip(f.shape, sizes, strict=True))


def test_each_variable_may_have_points_of_its_own():
    x, y, z = np.geomspace(1, 3, 30), np.linspace(-1, 1, 35), (points(20) + 7) / 2
    values = function(x[:, None, None] - 1, y[:, None], z)
    box = [(1, 3), (-1, 1), (3, 4)]
    f = from_grid(values, box, points=(x, "uniform", None), rtol=1e-7)
    at = inside(box=np.array(box, float))
    assert np.abs(evaluate(f, at) - function(at[:, 0] - 1, at[:, 1], at[:, 2])).max() <= 1e-6


def test_splines_resolve_what_polynomials_do_not():
    """Polynomials of 129 equispaced values miss 6e-3 of this one; splines of degree 9, 3e-12."""
    x = np.linspace(-1, 1, 129)
    f = from_grid(1 / (1 + 25 * x**2), points="uniform")
    t = np.linspace(-1, 1, 1000)[:, None]
    assert np.abs(evaluate(f, t) - 1 / (1 + 25 * t[:, 0] ** 2)).max() <= 1e-11


def test_few_coefficients_average_noise():
    x = np.linspace(-1, 1, 200)
    noise = np.random.default_rng(0).standard_normal((200, 200))
    values = np.exp(x[:, None] * x)
    f = from_grid(values + 0.01 * noise, points="uniform")
    assert max(f.shape) <= 10
    at = inside(box=np.array([[-1, 1]] * 2))
    assert np.abs(evaluate(f, at) - np.exp(at[:, 0] * at[:, 1])).max() <= 0.005
    with pytest.raises(ToleranceError, match="values that are left out are missed") as caught:
        from_grid(values + 0.01 * noise, points="uniform", rtol=1e-6)
    assert 1e-3 < caught.value.reachable < 0.05


def test_data_that_are_too_coarse_are_refused():
    x = np.linspace(-1, 1, 33)
    values = 1 / (1 + 25 * x**2) * np.ones((2, 1))
    with pytest.raises(ToleranceError, match="too far apart"):
        from_grid(values, points=(None, "uniform"), rtol=1e-8)


def test_noise_is_called_noise():
    values = gaussian((20, 20))
    with pytest.raises(ToleranceError, match="noisy, or too far apart; leave rtol out"):
        from_grid(values, points="uniform", rtol=1e-3)
    assert from_grid(values, points="uniform").rank == (1, 1)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_few_values_are_interpolated(n):
    x = np.linspace(0, 1, n) if n > 1 else np.array([0.5])
    f = from_grid(x ** (n - 1), (0, 1), points=(x,))
    assert np.abs(evaluate(f, x[:, None]) - x ** (n - 1)).max() <= 1e-14
    assert np.abs(from_grid(x).to_array() - x).max() <= 1e-14
    assert float(evaluate(f, [0.3])) == pytest.approx(0.3 ** (n - 1))


def test_ranks_are_limits_and_scales_are_safe():
    values = grid(function, [points(12)] * 3)
    f = from_grid(values, BOX, rank=(2, 30 // 3, 1))
    assert f.rank == (2, 2, 1)
    uniform = grid(function, [np.linspace(-1, 1, 20)] * 3)
    assert max(from_grid(uniform, BOX, points="uniform", rank=20).rank) <= 20
    tiny = from_grid(values * 2.0**-900, BOX, rtol=1e-10)
    plain = from_grid(values, BOX, rtol=1e-10)
    assert np.array_equal(tiny.core * 2.0**900, plain.core)
    zero = from_grid(np.zeros((4, 5)))
    assert zero.rank == (1, 1)
    assert not np.any(zero.to_array())
    assert from_grid(np.zeros((40, 5)), points="uniform").rank == (1, 1)


@pytest.mark.parametrize("xp", ["torch", "jax"], indirect=True)
def test_programs_compile_and_have_gradients(xp):
    values = gaussian((5, 4))

    def energy(v):
        core = from_grid(v, rank=2).core
        return (core * core).sum()

    plain = from_grid(values, rank=2).core
    assert float(xp.jit(energy)(xp.asarray(values))) == pytest.approx(np.sum(plain**2))
    slope = xp.gradient(energy, values)
    assert np.sum(slope * values) == pytest.approx(2 * np.sum(plain**2))
    with pytest.raises(ValueError, match="gradients and tracing"):
        xp.gradient(lambda v: from_grid(v, points="uniform", rank=2).core.sum(), values)
    with pytest.raises(ValueError, match="pass rank="):
        xp.gradient(lambda v: from_grid(v).core.sum(), values)


X = np.linspace(0, 1, 5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: from_grid(np.array([1.0, np.nan])), ValueError, "values .*NaN"),
        (lambda: from_grid(np.empty((0, 2))), ValueError, "values is empty"),
        (lambda: from_grid(X, (1, 0)), ValueError, r"domain\[0\]"),
        (lambda: from_grid(X, rtol=2), ValueError, "rtol is a relative error"),
        (lambda: from_grid(X, rtol=1e-17), ToleranceError, "rounding alone"),
        (lambda: from_grid(X, rank=0), ValueError, "rank must be"),
        (lambda: from_grid(X, points="even"), ValueError, "points must be None, 'uniform'"),
        (lambda: from_grid(X, points=(X, X)), ValueError, "one entry for each of 1 variables"),
        (lambda: from_grid(X, points=(X[:3],)), ValueError, "must have 5 coordinates"),
        (lambda: from_grid(X, points=(X[::-1],)), ValueError, "must ascend, got 1.0 before"),
        (lambda: from_grid(X, points=(X * 1j,)), TypeError, "must be real"),
        (lambda: from_grid(X, (0, 0.5), points=(X,)), ValueError, "outside of the"),
        (
            lambda: from_cp((np.ones(2), (np.ones((3, 2)),)), series=True, points="uniform"),
            ValueError,
            "not both",
        ),
        (lambda: from_cp(X), TypeError, "cp must be a CP"),
        (lambda: from_cp((np.ones(2), (np.ones((3, 2)),)), rank=9), ValueError, "rank must be"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
