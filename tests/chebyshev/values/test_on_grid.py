"""Values on grids of coordinates: those at the points of the grid."""

import numpy as np
import pytest

from tdecomp.chebyshev._format import ChebyshevTucker
from tdecomp.chebyshev._points import points
from tdecomp.chebyshev._values._evaluate import evaluate
from tdecomp.chebyshev._values._on_grid import evaluate_grid
from tdecomp.testing import gaussian
from tdecomp.tt import TensorTrain

BOX = np.array([[-1.0, 2.0], [0.0, 3.0], [-2.0, -1.0]])
AXES = (np.array([0.5, -1.0, 2.0, 0.0]), np.array([3.0]), np.array([-1.5, -2.0, -1.25]))


def function(xp=np, dtype="float64", d=3):
    core = gaussian((2, 3, 2)[:d], dtype=dtype)
    factors = [gaussian(s, rng=k, dtype=dtype) for k, s in enumerate([(4, 2), (6, 3), (5, 2)][:d])]
    box = BOX[:d].astype(core.real.dtype)
    return ChebyshevTucker(xp.asarray(core), tuple(map(xp.asarray, factors)), xp.asarray(box))


def coordinates(xp, f):
    return [xp.asarray(axis.astype(xp.to_numpy(f.domain).dtype)) for axis in AXES]


@pytest.mark.when_compiled(dtype="complex64")
def test_values_are_those_at_the_points_of_the_grid(xp, dtype):
    f = function(xp, dtype)
    found = evaluate_grid(f, *coordinates(xp, f))
    assert found.dtype == f.dtype
    grid = np.stack(np.meshgrid(*AXES, indexing="ij"), axis=-1)
    expected = evaluate(function(dtype=dtype), grid)
    assert found.shape == expected.shape == (4, 1, 3)
    assert np.abs(xp.to_numpy(found) - expected).max() <= 200 * np.finfo(dtype).eps


def test_one_variable_and_trains_and_the_grid_of_the_function():
    f = function(d=1)
    assert np.allclose(evaluate_grid(f, AXES[0].tolist()), evaluate(f, AXES[0][:, None]))
    f = function()
    own = [
        (a * (1 - points(m)) + b * (1 + points(m))) / 2
        for (a, b), m in zip(BOX, f.shape, strict=True)
    ]
    assert np.abs(evaluate_grid(f, *own) - f.to_array()).max() <= 1e-13
    cores = tuple(gaussian(s, rng=k) for k, s in enumerate([(1, 2, 4), (4, 3, 2), (2, 2, 1)]))
    train = f._replace(core=TensorTrain(cores))
    plain = f._replace(core=train.core.to_array())
    assert np.abs(evaluate_grid(train, *AXES) - evaluate_grid(plain, *AXES)).max() <= 1e-12


@pytest.mark.parametrize("xp", ["torch", "jax"], indirect=True)
def test_programs_compile_and_gradients_are_differences(xp):
    f, known = function(xp), function()
    axes = coordinates(xp, f)
    compiled = xp.jit(lambda x: evaluate_grid(f, x, *axes[1:]))
    assert np.abs(xp.to_numpy(compiled(axes[0])) - evaluate_grid(known, *AXES)).max() <= 1e-12
    x = AXES[0][:1] - 0.25
    slope = xp.gradient(lambda x: evaluate_grid(f, x, *axes[1:]).sum(), x)
    above, below = (evaluate_grid(known, x + h, *AXES[1:]).sum() for h in (1e-6, -1e-6))
    assert slope[0] == pytest.approx((above - below) / 2e-6, rel=1e-6)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda f, a: (f.core, *a), TypeError, "f must be a ChebyshevTucker"),
        (lambda f, a: (f, *a[:2]), ValueError, "3 variables, got 2 axes"),
        (lambda f, a: (f, a[0] * 1j, *a[1:]), TypeError, r"axes\[0\] must be real"),
        (lambda f, a: (f, *a[:2], 7), ValueError, r"axes\[2\] must have 1 dim"),
        (lambda f, a: (f, *a[:2], []), ValueError, r"axes\[2\] is empty"),
        (lambda f, a: (f, *a[:2], [np.inf]), ValueError, r"axes\[2\]"),
        (lambda f, a: (f, *a[:2], [-1.5, 0.5]), ValueError, r"axes\[2\]\[1\] is 0.5, outside"),
    ],
)
def test_bad_input_is_named(change, error, message):
    with pytest.raises(error, match=message):
        evaluate_grid(*change(function(), AXES))
