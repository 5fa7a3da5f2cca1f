"""The algebra of functions whose cores are trains: that of the arrays they stand for."""

import numpy as np
import pytest

from tdecomp import ToleranceError
from tdecomp.chebyshev import (
    ChebyshevTucker,
    add,
    evaluate,
    fix,
    inner,
    laplacian,
    multiply,
    norm,
    permute,
    restrict,
    scale,
    simplify,
    to_tucker,
)
from tdecomp.testing import gaussian
from tdecomp.tt import TensorTrain

BOX = np.array([[-1.0, 2.0], [0.5, 3.0], [-4.0, -1.0], [0.0, 1.0]])


def function(xp, seed=0, ranks=(2, 3, 2, 3), bonds=(1, 2, 4, 3, 1), dtype="float64"):
    cores = tuple(
        xp.asarray(gaussian((bonds[k], ranks[k], bonds[k + 1]), rng=seed + k, dtype=dtype))
        for k in range(4)
    )
    factors = tuple(
        xp.asarray(gaussian((4 + seed + k, r), rng=seed + 9 + k, dtype=dtype))
        for k, r in enumerate(ranks)
    )
    box = xp.asarray(BOX.astype(np.empty(0, dtype).real.dtype))
    return ChebyshevTucker(TensorTrain(cores), factors, box)


def dense(f):
    return f._replace(core=f.core.to_array())


@pytest.mark.parametrize("xp", ["numpy", "array-api-strict", "torch"], indirect=True)
def test_norms_products_and_sums_are_those_with_arrays(xp, dtype):
    f, g = function(xp, dtype=dtype), function(xp, 5, dtype=dtype)
    slack = 500 * np.finfo(dtype).eps
    one, two = float(norm(f)), float(norm(dense(f)))
    assert abs(one - two) <= slack * two
    value, expected = (xp.to_numpy(inner(*pair)) for pair in ((f, g), (dense(f), dense(g))))
    assert abs(value - expected) <= slack * two * float(norm(dense(g)))
    assert abs(xp.to_numpy(inner(f, dense(g))) - expected) <= slack * two * float(norm(dense(g)))
    total = add(f, g)
    assert type(total.core) is TensorTrain
    assert max(np.subtract(total.rank, (4, 6, 4, 6))) <= 0
    x = xp.asarray(np.array([[0.3, 1.7, -2.2, 0.9]], np.empty(0, dtype).real.dtype))
    found, parts = (
        xp.to_numpy(evaluate(total, x)),
        [xp.to_numpy(evaluate(h, x)) for h in (f, g)],
    )
    assert abs(found - sum(parts)) <= slack * sum(map(abs, parts)) * 10
    doubled = xp.to_numpy(evaluate(scale(f, -2), x))
    assert abs(doubled + 2 * parts[0]) <= slack * abs(parts[0])


def test_a_function_less_itself_is_zero_to_rounding():
    class Plain:
        asarray = staticmethod(np.asarray)

    f = function(Plain)
    nothing = add(f, scale(f, -1))
    assert nothing.rank == (1, 1, 1, 1)
    assert float(norm(nothing)) <= 1e-13 * float(norm(f))
    twice = add(f, f)
    assert twice.rank == f.rank
    assert twice.core.rank == f.core.rank
    assert float(norm(twice)) == pytest.approx(2 * float(norm(f)), rel=1e-13)
    assert max(add(f, function(Plain, 5), rtol=0.5).rank) < 6
    with pytest.raises(ToleranceError):
        add(f, scale(f, -1 + 1e-12), rtol=1e-12)


@pytest.mark.parametrize("xp", ["torch"], indirect=True)
def test_sums_that_are_differentiated_are_exact(xp):
    f = function(xp)

    def value(x):
        g = f._replace(core=TensorTrain((x, *f.core.cores[1:])))
        return norm(add(f, g)) ** 2

    x = xp.to_numpy(f.core.cores[0])
    slope = xp.gradient(value, x)
    assert np.sum(slope * x) == pytest.approx(4 * float(norm(f)) ** 2, rel=1e-10)


def plain():
    class Plain:
        asarray = staticmethod(np.asarray)

    return function(Plain)


@pytest.mark.parametrize("size", [2.0**990, 2.0**-990])
def test_any_scale_is_safe(size):
    f = plain()
    first, *rest = f.core.cores
    large = f._replace(core=TensorTrain((first * size, *rest)))
    for change in (lambda f: add(f, f), laplacian):
        found = float(norm(change(large))) / size
        assert found == pytest.approx(float(norm(change(f))), rel=1e-12)


@pytest.mark.parametrize(
    "change",
    [
        laplacian,
        lambda f: laplacian(f, rtol=1e-9),
        lambda f: restrict(f, [(0, 1), (1, 2), (-3, -2), (0, 0.5)]),
        lambda f: fix(f, {1: 1.5, -1: 0.25}),
    ],
)
def test_what_trains_allow_is_what_arrays_give(change):
    f = plain()
    one, two = change(f), change(dense(f))
    assert type(one.core) is TensorTrain
    middle = two.domain.mean(axis=1)
    assert float(evaluate(one, middle)) == pytest.approx(float(evaluate(two, middle)), rel=1e-8)


@pytest.mark.parametrize(
    "call",
    [
        lambda f: multiply(f, f),
        simplify,
        lambda f: norm(f, 4),
        lambda f: permute(f, (1, 0, 2, 3)),
        lambda f: to_tucker(f, [0.0], [1.0], [-2.0], [0.5]),
    ],
)
def test_what_trains_do_not_allow_names_the_way_out(call):
    f = plain()
    with pytest.raises(TypeError, match=r"pass f._replace\(core=f.core.to_array\(\)\)"):
        call(f)
    call(dense(f))
