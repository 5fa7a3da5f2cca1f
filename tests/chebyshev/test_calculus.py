"""Derivatives and integrals: the theorems of calculus."""

import numpy as np
import pytest

from tdecomp._xp import namespace
from tdecomp.chebyshev._calculus import cumulative_integral, diff, integrate
from tdecomp.chebyshev._compress import orthonormal, recompress
from tdecomp.chebyshev._format import ChebyshevTucker
from tdecomp.chebyshev._values._evaluate import evaluate
from tdecomp.testing import gaussian


def function(xp=np, dtype="float64"):
    core = gaussian((2, 3, 2), dtype=dtype)
    factors = [gaussian(s, rng=k, dtype=dtype) for k, s in enumerate([(4, 2), (6, 3), (5, 2)])]
    box = np.array([[-1.0, 2.0], [0.5, 3.0], [-4.0, -1.0]], dtype=core.real.dtype)
    return ChebyshevTucker(xp.asarray(core), tuple(map(xp.asarray, factors)), xp.asarray(box))


@pytest.mark.when_compiled(dtype="complex128")
def test_derivatives_are_those_of_the_function(xp, dtype):
    f, known = function(xp, dtype), function()
    x = np.array([[0.3, 1.7, -2.2], [-0.9, 0.6, -1.1]])
    if dtype == "float64":
        for k in range(3):
            step = 1e-6 * np.eye(3)[k]
            slope = (evaluate(known, x + step) - evaluate(known, x - step)) / 2e-6
            found = xp.to_numpy(evaluate(diff(f, k), xp.asarray(x)))
            assert np.abs(found - slope).max() <= 1e-7
    assert diff(f, 1).shape == (4, 5, 5)
    assert diff(f, 1).dtype == f.dtype
    assert diff(f, -1, order=2).shape == (4, 6, 3)
    constant = diff(f, 0, order=9)
    assert constant.shape == (1, 6, 5)
    assert np.all(xp.to_numpy(constant.factors[0]) == 0)


@pytest.mark.when_compiled(dtype="complex128")
def test_integrals_and_derivatives_undo_each_other(xp, dtype):
    f = function(xp, dtype)
    eps = np.finfo(dtype).eps
    for k in range(3):
        back = diff(cumulative_integral(f, k), k)
        difference = xp.to_numpy(back.factors[k]) - xp.to_numpy(f.factors[k])
        assert np.abs(difference).max() <= 200 * eps
        start = np.array([[0.1, 1.0, -2.0]], dtype=np.empty(0, dtype).real.dtype)
        start[0, k] = xp.to_numpy(f.domain)[k, 0]
        assert np.abs(xp.to_numpy(evaluate(cumulative_integral(f, k), xp.asarray(start)))) <= (
            500 * eps
        )


@pytest.mark.when_compiled(dtype="complex128")
def test_integrals_over_some_variables_are_iterated(xp, dtype):
    f = function(xp, dtype)
    whole = xp.to_numpy(integrate(f))
    rest = integrate(f, [2, 0])
    assert rest.rank == (3,)
    assert rest.shape == (6,)
    assert xp.to_numpy(rest.domain).tolist() == [[0.5, 3.0]]
    slack = 2000 * np.finfo(dtype).eps
    assert np.abs(xp.to_numpy(integrate(rest)) - whole) <= slack
    assert np.abs(xp.to_numpy(integrate(integrate(f, -1), (0, 1))) - whole) <= slack


@pytest.mark.when_compiled(dtype="complex128")
def test_orthonormal_factors_keep_the_function_and_show_its_norm(xp, dtype):
    f, eps = function(xp, dtype), np.finfo(dtype).eps
    core, factors = orthonormal(f.core, f.factors, namespace(f.core))
    same = ChebyshevTucker(core, factors, f.domain)
    x = np.array([[0.3, 1.7, -2.2]], dtype=np.empty(0, dtype).real.dtype)
    before, after = (xp.to_numpy(evaluate(g, xp.asarray(x))) for g in (f, same))
    assert np.abs(before - after).max() <= 1000 * eps
    small = recompress(f, rank=1)
    assert small.rank == (1, 1, 1)
    assert np.linalg.norm(xp.to_numpy(small.core)) <= np.linalg.norm(xp.to_numpy(core))
    again = recompress(f, rtol=float(2000 * eps))
    assert again.rank == f.rank


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda f: diff(f, 3), ValueError, "variable 3 is outside of -3 ... 2"),
        (lambda f: diff(f, 0.5), TypeError, "a variable is an int, got float"),
        (lambda f: diff(f, 0, order=-1), ValueError, "order"),
        (lambda f: integrate(f, [0, -3]), ValueError, "variables must differ"),
        (lambda f: integrate(f.core), TypeError, "must be a ChebyshevTucker"),
        (lambda f: cumulative_integral(f, -4), ValueError, "outside"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call(function())
