"""Functions on grids are tensors, from which other formats follow."""

import numpy as np
import pytest

import tdecomp.convert
from tdecomp.chebyshev import ChebyshevTucker, evaluate_grid, from_grid, to_tucker
from tdecomp.testing import gaussian
from tdecomp.tt import TensorTrain


def function(xp=np, dtype="float64"):
    core = gaussian((2, 3, 2), dtype=dtype)
    factors = [gaussian(s, rng=k, dtype=dtype) for k, s in enumerate([(4, 2), (6, 3), (5, 2)])]
    box = np.array([[-1.0, 2.0], [0.5, 3.0], [-4.0, -1.0]], dtype=core.real.dtype)
    return ChebyshevTucker(xp.asarray(core), tuple(map(xp.asarray, factors)), xp.asarray(box))


AXES = ([0.3, -1.0, 2.0], [1.7], [-2.2, -1.1])


@pytest.mark.when_compiled(dtype="float32")
def test_the_tensor_has_the_values_of_the_grid(xp, dtype):
    f = function(xp, dtype)
    tensor = to_tucker(f, *AXES)
    assert tensor.shape == (3, 1, 2)
    assert tensor.rank == f.rank
    assert tensor.dtype == f.dtype
    difference = xp.to_numpy(tensor.to_array()) - xp.to_numpy(evaluate_grid(f, *AXES))
    assert np.abs(difference).max() <= 500 * np.finfo(dtype).eps


def test_other_formats_follow_and_the_way_back():
    f = function()
    axes = [np.linspace(a, b, 30) for a, b in f.domain]
    tensor = to_tucker(f, *axes)
    train = tdecomp.convert.to_tt(tensor)
    assert np.abs(train.to_array() - tensor.to_array()).max() <= 1e-11
    back = from_grid(tensor.to_array(), f.domain, points="uniform", rtol=1e-11)
    assert back.rank == f.rank
    assert np.abs(evaluate_grid(back, *AXES) - evaluate_grid(f, *AXES)).max() <= 1e-9


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda f: to_tucker(f.core, *AXES), TypeError, "f must be a ChebyshevTucker"),
        (lambda f: to_tucker(f, *AXES[:2]), ValueError, "f has 3 variables, got 2 axes"),
        (lambda f: to_tucker(f, [9.0], *AXES[1:]), ValueError, "outside of the"),
        (
            lambda f: to_tucker(f._replace(core=TensorTrain((np.ones((1, 2, 1)),) * 3)), *AXES),
            TypeError,
            "core must be an array here",
        ),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call(function())
