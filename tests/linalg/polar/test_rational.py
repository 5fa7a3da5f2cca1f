"""Rational iterations: backward stable at every condition, with the best coefficients."""

import numpy as np
import pytest

import tdecomp as td
from tdecomp.linalg._polar._qdwh import coefficients
from tdecomp.linalg._polar._zolo import steps
from tdecomp.linalg._polar._zolotarev import order_for, zolotarev
from tdecomp.testing import gaussian

METHODS = ("qdwh", "zolo", "newton")
UNIT = float(np.finfo(float).eps)


@pytest.mark.parametrize("method", METHODS)
def test_all_are_backward_stable_on_every_library(xp, dtype, method, graded, certified):
    a = graded(9, 6, 1e6, dtype=dtype)
    found = td.polar(xp.asarray(a), method=method)
    certified(a, type(found)(*map(xp.to_numpy, found)))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (3, 7), (60, 60), (200, 50)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
def test_so_they_are_up_to_the_last_digit(method, shape, dtype, graded, certified):
    conditions = (1e2, 1e6) if dtype == "float32" else (1e4, 1e8, 1e12, 1e15)
    unit = float(np.finfo(dtype).eps)
    for condition in conditions:
        a = graded(*shape, condition, dtype=dtype)
        found = td.polar(a, method=method)
        certified(a, found)
        n = min(shape)
        if condition < 1 / (100 * n * unit):
            gap = np.linalg.norm(found.U - td.polar(a, method="svd").U)
            assert gap <= 20 * n * unit * condition


@pytest.mark.parametrize("method", METHODS)
def test_a_large_one_is_too(method, graded, certified):
    a = graded(400, 400, 1e10)
    certified(a, td.polar(a, method=method))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("side", ["right", "left"])
def test_batches_sides_and_scales(xp, method, side):
    a = gaussian((2, 3, 5, 4), dtype="complex128")
    found = td.polar(xp.asarray(a * 1e250), method=method, side=side)
    for i in range(2):
        alone = td.polar(a[i, 1], method="svd", side=side)
        assert np.abs(xp.to_numpy(found.U)[i, 1] - alone.U).max() <= 1e-13
        assert np.abs(xp.to_numpy(found.H)[i, 1] / 1e250 - alone.H).max() <= 1e-13


def test_halley_with_weights_takes_everything_to_one_in_six_steps():
    assert len(coefficients(UNIT)) <= 6
    low = UNIT
    x = np.geomspace(UNIT, 1.0, 20001)
    for a, b, c in coefficients(UNIT):
        x = x * (a + b * x * x) / (1 + c * x * x)
        low = low * (a + b * low * low) / (1 + c * low * low)
        # The best function of its kind: it has its least value at the ends of the interval.
        assert x.min() == pytest.approx(low, rel=1e-10)
        assert x.max() <= 1 + 1e-14
    assert abs(x - 1).max() <= 1e-14
    assert coefficients(UNIT)[-1] == pytest.approx((3.0, 1.0, 3.0), rel=1e-2)


@pytest.mark.parametrize(("lower", "order"), [(1e-16, 8), (1e-8, 5), (1e-2, 3), (0.5, 2)])
def test_functions_of_zolotarev_alternate(lower, order):
    found = zolotarev(lower, order)
    x = np.geomspace(lower, 1.0, 400001)
    y = (
        found.factor
        * x
        * (1 + sum(w / (x * x + c) for c, w in zip(found.poles, found.weights, strict=True)))
    )
    inner = np.flatnonzero((y[1:-1] - y[:-2]) * (y[2:] - y[1:-1]) < 0) + 1
    extremes = np.concatenate([y[:1], y[inner], y[-1:]])
    assert extremes.size == 2 * order + 2
    assert extremes[::2] == pytest.approx(found.lower, rel=1e-6)
    assert extremes[1::2] == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize("lower", [0.5, 1e-3, 1e-8, 1e-16, 1e-30])
@pytest.mark.parametrize("unit", [1e-2, 1e-7, 1e-16])
def test_an_order_is_enough_and_not_too_large(lower, unit):
    order = order_for(lower, unit)
    found = zolotarev(lower, order)
    x = np.geomspace(lower, 1.0, 2001)
    terms = [w / (x * x + c) for c, w in zip(found.poles, found.weights, strict=True)]
    y = found.factor * x * (1 + sum(terms))
    assert np.abs(y - 1).max() <= unit + 4e-16 * np.sqrt(order)
    if unit > 1e-16 and order > 2:
        assert 1 - zolotarev(lower, order - 2).lower > unit


def test_the_golden_coefficients_of_zolotarev_come_out():
    """Computed with sixty digits."""
    found = zolotarev(1e-2, 3)
    poles = (9.300089283695973e-5, 4.208002698323454e-3, 0.1392445018449807)
    weights = (0.02778624422928093, 0.1315466576588304, 0.7968624914983061)
    assert found.poles == pytest.approx(poles, rel=1e-12)
    assert found.weights == pytest.approx(weights, rel=1e-12)
    assert found.factor == pytest.approx(0.538142223126145, rel=1e-12)
    assert found.lower == pytest.approx(0.97524059399, rel=1e-11)

    found = zolotarev(1e-16, 8)
    assert found.poles[0] == pytest.approx(2.194798753045788e-31, rel=1e-12)
    assert found.poles[-1] == pytest.approx(4.963644834042024e-4, rel=1e-12)
    assert found.weights[0] == pytest.approx(9.580811558622345e-16, rel=1e-12)
    assert found.weights[-1] == pytest.approx(0.04456953493607882, rel=1e-12)
    assert found.factor == pytest.approx(0.9568926977933505, rel=1e-12)
    assert found.lower == pytest.approx(0.404053821196, rel=1e-11)
    assert 1 - steps(UNIT)[-1].lower <= 1e-14


def test_the_golden_coefficients_of_halley_come_out():
    """Of double and single precision, in six digits."""
    double = [
        (6.87195e10, 1.18059e21, 1.18059e21),
        (4096, 4.19226e6, 4.19635e6),
        (16.1252, 57.1933, 72.3185),
        (3.37256, 1.40726, 3.77981),
        (3.00028, 1.00028, 3.00055),
    ]
    found = coefficients(UNIT)
    assert np.array(found[:5]) == pytest.approx(np.array(double), rel=5e-6)
    single = coefficients(float(np.finfo(np.float32).eps))
    assert [a for a, _, _ in single[:4]] == pytest.approx(
        [104032, 47.074, 4.1847, 3.0055], rel=2e-5
    )


@pytest.mark.parametrize("method", METHODS)
def test_the_golden_factors_come_out(method):
    u, h = td.polar(np.array([[1.0, 2.0], [3.0, 4.0]]), method=method)
    golden = [[-0.5144957554275266, 0.8574929257125443], [0.8574929257125443, 0.5144957554275266]]
    assert u == pytest.approx(np.array(golden), abs=2e-15)
    golden = [[2.0579830217101063, 2.4009801919951244], [2.4009801919951244, 3.7729688731351945]]
    assert h == pytest.approx(np.array(golden), abs=1e-14)


@pytest.mark.parametrize("method", ["qdwh", "zolo"])
def test_programs_compile_and_gradients_flow(xp, method):
    a, seed, direction = (gaussian((5, 3), rng=k) for k in range(3))
    step = 1e-5
    ends = [td.polar(a + t * direction).U for t in (step, -step)]
    slope = np.sum((ends[0] - ends[1]) * seed) / (2 * step)

    def loss(x):
        return (td.polar(x, method=method).U * xp.asarray(seed)).sum()

    assert np.sum(xp.gradient(loss, a) * direction) == pytest.approx(slope, rel=1e-6)


def test_newton_refuses_what_has_no_inverse():
    singular = np.diag([1.0, 1.0, 0.0])
    for bad in (singular, singular + np.diag([0, 0, 1e-17]), np.zeros((3, 3)), np.ones((4, 3))):
        with pytest.raises(ValueError, match="is singular, or nearly so"):
            td.polar(bad, method="newton")


def test_the_others_leave_behind_what_is_not_there(certified):
    a = np.diag([3.0, 2.0, 0.0])
    for method in ("qdwh", "zolo"):
        found = td.polar(a, method=method)
        assert np.abs(found.U[:2, :2] - np.eye(2)).max() <= 1e-14
        assert np.abs(found.to_array() - a).max() <= 1e-14
        assert np.all(td.polar(0 * a, method=method).H == 0)
    certified(a, td.polar(a))
