"""Norms, inner products and sums: values by hand, axioms, and what rounding may cost."""

import math
import tracemalloc

import numpy as np
import pytest

from tdecomp import ToleranceError
from tdecomp.chebyshev import (
    ChebyshevTucker,
    add,
    chebyshev_tucker,
    evaluate,
    inner,
    integrate,
    norm,
    scale,
)
from tdecomp.testing import gaussian

NODES, WEIGHTS = np.polynomial.legendre.leggauss(12)
BOX = np.array([[-1.0, 2.0], [0.5, 3.0], [-4.0, -1.0]])


def function(xp=np, dtype="float64", seed=0, rank=(2, 3, 2), shape=(4, 6, 5)):
    core = gaussian(rank, rng=seed, dtype=dtype)
    sizes = list(zip(shape, rank, strict=True))
    factors = [gaussian(s, rng=seed + k + 1, dtype=dtype) for k, s in enumerate(sizes)]
    box = np.array([BOX[k % 3] for k in range(len(rank))], dtype=core.real.dtype)
    return ChebyshevTucker(xp.asarray(core), tuple(map(xp.asarray, factors)), xp.asarray(box))


def grid(f):
    """Points for quadrature, and their weights."""
    box = np.asarray(f.domain, dtype=float)
    axes = [(a + b) / 2 + (b - a) / 2 * NODES for a, b in box]
    weights = [(b - a) / 2 * WEIGHTS for a, b in box]
    x = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(box))
    w = np.prod(np.stack(np.meshgrid(*weights, indexing="ij")), axis=0).reshape(-1)
    return x, w


def on_grid(f):
    """Values at the points for quadrature, in double precision."""
    wide = "complex128" if f.core.dtype.kind == "c" else "float64"
    core, factors = f.core.astype(wide), tuple(v.astype(wide) for v in f.factors)
    return evaluate(ChebyshevTucker(core, factors, f.domain.astype(float)), grid(f)[0])


def coordinate(k, d=3):
    """The coordinate of one variable, as a function."""
    one, t = np.array([[1.0]]), np.array([[0.0], [1.0]])
    factors = tuple(t if j == k else one for j in range(d))
    return ChebyshevTucker(np.ones((1,) * d), factors, np.array([[-1.0, 1.0]] * d))


def test_norms_of_a_coordinate():
    x = coordinate(0)
    assert float(norm(x)) == pytest.approx(2 * np.sqrt(2 / 3), rel=1e-15)
    assert float(norm(x, 4)) == pytest.approx((8 / 5) ** 0.25, rel=1e-14)
    assert float(norm(x, ord=6)) == pytest.approx((8 / 7) ** (1 / 6), rel=1e-14)
    assert float(norm(scale(x, 1e-200), 4)) == pytest.approx(1e-200 * (8 / 5) ** 0.25, rel=1e-14)


@pytest.mark.when_compiled(dtype="complex128")
def test_inner_products_are_integrals(xp, dtype):
    cases = {"rank": (2, 3), "shape": (4, 6)}, {"rank": (3, 1), "shape": (3, 7), "seed": 9}
    f, g = (function(xp, dtype, **case) for case in cases)
    first, second = (on_grid(function(np, dtype, **case)) for case in cases)
    w = grid(function(np, dtype, **cases[0]))[1]
    one, other = (np.sqrt(w @ np.abs(v) ** 2) for v in (first, second))
    slack = 50 * np.finfo(dtype).eps
    assert np.abs(xp.to_numpy(norm(f)) - one) <= slack * one
    found = xp.to_numpy(inner(f, g))
    assert found.dtype == dtype
    assert np.abs(found - np.sum(w * first.conj() * second)) <= slack * one * other
    assert np.abs(found - xp.to_numpy(inner(g, f)).conj()) <= slack * one * other
    assert np.abs(xp.to_numpy(inner(f, f)) - one**2) <= slack * one**2


@pytest.mark.parametrize("exponent", [-900, 900])
def test_powers_of_two_change_nothing_else(exponent):
    f, g = function(), function(seed=4)
    power = 2.0**exponent
    hidden = g._replace(core=g.core * power, factors=(g.factors[0] / power, *g.factors[1:]))
    assert float(norm(scale(f, power))) == float(norm(f)) * power
    assert float(inner(scale(f, power), scale(g, 1 / power))) == pytest.approx(
        float(inner(f, g)), rel=1e-13
    )
    assert float(norm(hidden)) == pytest.approx(float(norm(g)), rel=1e-14)
    size = float(norm(f)) + float(norm(g))
    apart = add(scale(add(f, hidden), power), scale(f, -power), scale(g, -power))
    assert float(norm(apart)) <= 1e-14 * power * size
    assert float(norm(add(f, scale(g, 2.0**-1000)))) == pytest.approx(float(norm(f)), rel=1e-14)


@pytest.mark.when_compiled(dtype="float32")
def test_sums_are_those_of_values(xp, dtype):
    cases = {"rank": (2, 2), "shape": (4, 6)}, {"rank": (2, 2), "shape": (4, 5), "seed": 9}
    f, g = (function(xp, dtype, **case) for case in cases)
    total = add(f, g)
    assert total.rank == (4, 4)
    assert total.shape == (4, 6)
    assert total.dtype == f.dtype
    x = grid(function(**cases[0]))[0][::9].astype(np.empty(0, dtype).real.dtype)
    found, first, second = (xp.to_numpy(evaluate(h, xp.asarray(x))) for h in (total, f, g))
    slack = 1000 * np.finfo(dtype).eps * np.max(np.abs(first) + np.abs(second))
    assert np.abs(found - first - second).max() <= slack
    nothing = add(f, scale(f, -1))
    assert nothing.rank == (1, 1)
    assert float(norm(nothing)) <= 20 * np.finfo(dtype).eps * float(norm(f))


@pytest.mark.parametrize("d", [1, 2, 4])
def test_what_is_added_can_be_taken_away(d):
    rank, shape = (2, 3, 2, 2)[:d] if d > 1 else (1,), (4, 6, 5, 3)[:d]
    f, g = (scale(function(rank=rank, shape=shape, seed=s), c) for s, c in ((0, 1), (7, 1e3)))
    back = add(add(f, g), scale(g, -1))
    left = float(norm(add(back, scale(f, -1))))
    assert left <= 40 * np.finfo(float).eps * (float(norm(f)) + float(norm(g)))
    x, w = grid(f)
    total = add(f, g, f)
    expected = 2 * on_grid(f) + on_grid(g)
    assert np.sqrt(w @ (evaluate(total, x) - expected) ** 2) <= 1e-14 * float(norm(g))


def test_a_tolerance_of_sums_is_kept_or_refused():
    f = chebyshev_tucker(lambda x, y: np.exp(x * y), [(0, 2)] * 2).tensor
    g = chebyshev_tucker(lambda x, y: np.sin(3 * x + y), [(0, 2)] * 2).tensor
    exact = add(f, g)
    for rtol in (1e-2, 1e-6, 1e-12):
        found = add(f, g, rtol=rtol)
        assert float(norm(add(found, scale(exact, -1)))) <= rtol * float(norm(exact))
    assert max(add(f, g, rtol=1e-2).rank) < max(exact.rank)
    near = add(f, scale(g, 1e-9))
    with pytest.raises(ToleranceError, match="rounding alone may cost") as info:
        add(near, scale(f, -1), rtol=1e-9)
    assert 1e-9 < info.value.reachable < 1e-3
    rest = add(near, scale(f, -1), rtol=info.value.reachable * 1.01)
    left = add(rest, scale(g, -1e-9))
    assert float(norm(left)) <= 1.1 * info.value.reachable * 1e-9 * float(norm(g))


def test_zero_is_a_function():
    f, zero = function(), scale(function(seed=3), 0)
    assert float(norm(zero)) == float(inner(zero, f)) == 0
    assert add(zero, zero).rank == (1, 1, 1)
    assert float(norm(add(zero, f))) == pytest.approx(float(norm(f)), rel=1e-14)
    assert float(integrate(add(zero, zero))) == 0


def test_precisions_meet_in_the_wider_one():
    f, g = function(dtype="float32"), function(dtype="complex128", seed=2)
    total = add(f, g)
    assert total.dtype == np.complex128
    assert total.domain.dtype == np.float64
    assert inner(f, g).dtype == np.complex128
    assert scale(f, 2j).dtype == np.complex64


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda _: add(), ValueError, "functions is empty"),
        (lambda f: add(f, f.core), TypeError, r"functions\[1\] must be a ChebyshevTucker"),
        (
            lambda f: inner(f, f._replace(domain=np.array([(-1, 2), (0.5, 4), (-4, -1)]))),
            ValueError,
            r"variable 1 is in \[0.5, 3.0\] and \[0.5, 4.0\]; restrict",
        ),
        (
            lambda f: add(f, coordinate(0, 2)),
            ValueError,
            r"functions\[0\] has 3 variables, and functions\[1\] 2",
        ),
        (lambda f: add(f, f, rtol=2), ValueError, "rtol"),
        (lambda f: norm(f, 3), ValueError, "ord must be even"),
        (lambda f: norm(f, 0), ValueError, "ord"),
        (lambda f: norm(f, 2.5), TypeError, "ord must be an int"),
        (lambda f: norm(f, np.inf), ValueError, "sup_norm"),
        (lambda f: norm(f._replace(core=f.core * np.nan)), ValueError, "NaN"),
        (lambda f: scale(f, np.inf), ValueError, "factor"),
        (lambda f: scale(f, [1, 2]), ValueError, "factor"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call(function())


def test_where_ranks_cannot_depend_on_values_sums_are_exact():
    torch = pytest.importorskip("torch")
    f = function()
    core = torch.tensor(f.core, requires_grad=True)
    g = ChebyshevTucker(core, tuple(map(torch.tensor, f.factors)), torch.tensor(f.domain))
    total = add(g, g)
    assert total.rank == (4, 6, 4)
    norm(total).backward()
    slope = (float(norm(scale(f, 1 + 1e-6))) - float(norm(scale(f, 1 - 1e-6)))) / 2e-6
    assert float((core.grad * core).sum().detach()) == pytest.approx(2 * slope, rel=1e-8)
    with pytest.raises(ValueError, match="leave rtol out"):
        add(g, g, rtol=1e-3)


def test_long_series_cost_no_matrix():
    falls = np.exp(-np.arange(20_000.0) / 500)[:, None]
    f = ChebyshevTucker(np.ones((1, 1)), (falls, np.ones((1, 1))), np.array([[-1.0, 1.0]] * 2))
    tracemalloc.start()
    size = float(norm(f))
    nothing = add(f, scale(f, -1))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak <= 5e8
    # The sum of q^j cos(j s), squared and weighted by sin(s), on a grid that resolves it.
    q, (nodes, weights) = math.exp(-1 / 500), np.polynomial.legendre.leggauss(30)
    ends = np.append(0, np.geomspace(1e-6, math.pi, 60))
    half = np.diff(ends)[:, None] / 2
    angle = ends[:-1, None] + half * (1 + nodes)
    values = (1 - q * np.cos(angle)) / ((1 - q) ** 2 + 4 * q * np.sin(angle / 2) ** 2)
    exact = 2 * np.sum(half * weights * values**2 * np.sin(angle))
    assert size == pytest.approx(math.sqrt(exact), rel=1e-12)
    assert float(norm(nothing)) <= 1e-13 * size
