"""Smaller boxes, fixed variables, other orders: the same function."""

import numpy as np
import pytest

from tdecomp.chebyshev import ChebyshevTucker, evaluate, fix, permute, restrict
from tdecomp.testing import gaussian

BOX = np.array([[-1.0, 2.0], [0.5, 3.0], [-4.0, -1.0]])
INNER = np.array([[-1.0, 0.25], [1.0, 1.001], [-2.0, -1.0]])


def function(xp=np, dtype="float64"):
    core = gaussian((2, 3, 2), dtype=dtype)
    factors = [gaussian(s, rng=k, dtype=dtype) for k, s in enumerate([(4, 2), (6, 3), (1, 2)])]
    box = BOX.astype(core.real.dtype)
    return ChebyshevTucker(xp.asarray(core), tuple(map(xp.asarray, factors)), xp.asarray(box))


def inside(box, dtype="float64"):
    u = np.random.default_rng(0).uniform(size=(50, len(box)))
    x = np.clip(box[:, 0] + (box[:, 1] - box[:, 0]) * u, box[:, 0], box[:, 1])
    return x.astype(np.empty(0, dtype).real.dtype)


@pytest.mark.when_compiled(dtype="complex128")
def test_on_a_smaller_box_a_function_is_the_same(xp, dtype):
    d = 1 if xp.name == "jax" else 3
    f = fix(function(xp, dtype), {k: BOX[k, 0] for k in range(d, 3)})
    found = restrict(f, INNER[:d])
    assert (found.rank, found.shape, found.dtype) == (f.rank, f.shape, f.dtype)
    assert np.allclose(xp.to_numpy(found.domain), INNER[:d], rtol=1e-7)
    x = np.clip(inside(INNER[:d], dtype), *xp.to_numpy(found.domain).T)
    one, other = (xp.to_numpy(evaluate(g, xp.asarray(x))) for g in (f, found))
    # Where a point lies in a short interval is known as well as the point is.
    assert np.abs(one - other).max() <= 2000 * np.finfo(dtype).eps * np.abs(one).max()


def test_restriction_goes_all_the_way():
    f = function()
    same = restrict(f, BOX)
    for a, b in zip(f.factors, same.factors, strict=True):
        assert np.abs(a - b).max() <= 1e-14 * np.abs(a).max() * a.shape[0]
    twice = restrict(restrict(f, [(-1, 1), (0.5, 2), (-4, -2)]), [(0, 1), (1, 2), (-3, -2)])
    once = restrict(f, [(0, 1), (1, 2), (-3, -2)])
    for a, b in zip(once.factors, twice.factors, strict=True):
        assert np.abs(a - b).max() <= 1e-13
    tiny = restrict(f, BOX[:, :1] + [[0, 1e-12]])
    x = tiny.domain[:, 0]
    assert float(evaluate(tiny, x)) == pytest.approx(float(evaluate(f, x)), rel=1e-12)
    alone = ChebyshevTucker(np.ones(2), (f.factors[0],), BOX[:1])
    assert float(evaluate(restrict(alone, (0, 1)), [0.5])) == pytest.approx(
        float(evaluate(alone, [0.5])), rel=1e-13
    )


@pytest.mark.when_compiled(dtype="complex128")
def test_fixed_variables_leave_the_function_of_the_others(xp, dtype):
    f, x = function(xp, dtype), inside(BOX, dtype)
    expected = xp.to_numpy(evaluate(f, xp.asarray(x)))
    slack = 500 * np.finfo(dtype).eps * np.abs(expected).max()
    for k, values in enumerate(x[:1] if xp.name == "jax" else x[:3]):
        middle = fix(f, {0: float(values[0]), -1: xp.asarray(values[2])})
        assert middle.rank == (3,)
        assert xp.to_numpy(middle.domain).tolist() == BOX[1:2].tolist()
        rest = xp.to_numpy(evaluate(middle, xp.asarray(values[1:2])))
        assert np.abs(rest - expected[k]) <= slack
    number = fix(f, dict(enumerate(map(float, x[0]))))
    assert number.shape == ()
    assert np.abs(xp.to_numpy(number) - expected[0]) <= slack
    assert fix(f, {}).rank == f.rank


def test_permuted_variables_are_permuted_points(xp):
    f, x = function(xp), inside(BOX)
    turned = permute(f, (2, 0, -2))
    assert turned.rank == (2, 2, 3)
    assert turned.shape == (1, 4, 6)
    found = xp.to_numpy(evaluate(turned, xp.asarray(x[:, [2, 0, 1]])))
    expected = xp.to_numpy(evaluate(f, xp.asarray(x)))
    assert np.abs(found - expected).max() <= 1e-13 * np.abs(expected).max()
    back = permute(turned, (1, 2, 0))
    for a, b in zip((back.core, *back.factors), (f.core, *f.factors), strict=True):
        assert np.array_equal(xp.to_numpy(a), xp.to_numpy(b))
    assert np.array_equal(xp.to_numpy(back.domain), xp.to_numpy(f.domain))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda f: restrict(f, [(-1, 2), (0.5, 4), (-4, -1)]),
            ValueError,
            r"domain\[1\] = \[0.5, 4.0\] is not inside of \[0.5, 3.0\], where f is known",
        ),
        (lambda f: restrict(f, [(0, 0), (1, 2), (-2, -1)]), ValueError, r"domain\[0\] must be"),
        (lambda f: restrict(f, [(0, 1)]), ValueError, r"shape \(3, 2\)"),
        (lambda f: restrict(f, BOX * np.nan), ValueError, "finite interval"),
        (lambda f: restrict(f, None), TypeError, "domain must be a box"),
        (lambda f: restrict(f.core, BOX), TypeError, "must be a ChebyshevTucker"),
        (lambda f: fix(f, {3: 0.0}), ValueError, "variable 3 is outside"),
        (lambda f: fix(f, {0: 0.0, -3: 1.0}), ValueError, "variables must differ"),
        (lambda f: fix(f, {1: 0.0}), ValueError, r"values\[0, 1\] is 0.0, outside of the domain"),
        (lambda f: fix(f, {1: 1j}), TypeError, "must be real"),
        (lambda f: fix(f, {1: [1.0]}), ValueError, r"values\[1\]"),
        (lambda f: fix(f, {0.5: 1.0}), TypeError, "a variable is an int"),
        (lambda f: fix(f, [1.0]), TypeError, "dict of variables, got list"),
        (lambda f: permute(f, 0), TypeError, "order must be a sequence of ints, got int"),
        (lambda f: permute(f, (0, 1)), ValueError, "each of 3 variables once"),
        (lambda f: permute(f, (0, 1, -2)), ValueError, r"once, got \(0, 1, -2\)"),
        (lambda f: permute(f, (0, 1, 3)), ValueError, "variable 3 is outside"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call(function())


def test_boxes_that_single_precision_makes_points_are_refused():
    f = function(dtype="float32")
    with pytest.raises(ValueError, match=r"domain\[0\] is shorter than float32 can tell: fix"):
        restrict(f, [(1, 1 + 1e-9), (1, 2), (-3, -2)])


def test_long_series_are_restricted_without_a_matrix():
    c = np.zeros((3000, 1))
    c[[0, 2999]] = 1.0
    f = ChebyshevTucker(np.ones(1), (c,), np.array([[-1.0, 1.0]]))
    part = restrict(f, (0.0, 0.25))
    x = np.linspace(0, 0.25, 7)[:, None]
    assert np.abs(evaluate(part, x) - 1 - np.cos(2999 * np.arccos(x[:, 0]))).max() <= 1e-11
