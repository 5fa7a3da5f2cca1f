"""Values of Chebyshev-Tucker functions: those of NumPy's series, wherever they are asked for."""

import numpy as np
import pytest
from numpy.polynomial import chebyshev

from tdecomp.chebyshev._domain import from_unit
from tdecomp.chebyshev._format import ChebyshevTucker
from tdecomp.chebyshev._points import points
from tdecomp.chebyshev._values import _evaluate
from tdecomp.chebyshev._values._evaluate import evaluate
from tdecomp.testing import gaussian

SIZES = [((3,), (2,)), ((4, 1), (2, 1)), ((3, 5, 2), (2, 3, 2)), ((2, 3, 2, 4), (1, 2, 2, 3))]


def function(sizes, rank, xp=np, dtype="float64"):
    core = gaussian(rank, dtype=dtype)
    factors = tuple(
        gaussian(s, rng=k, dtype=dtype) for k, s in enumerate(zip(sizes, rank, strict=True))
    )
    box = np.array([[-1.0 - k, 2.0 * k + 1] for k in range(len(sizes))])
    return ChebyshevTucker(
        xp.asarray(core), tuple(map(xp.asarray, factors)), xp.asarray(box.astype(core.real.dtype))
    )


def by_numpy(f, t):
    """Values at points of the unit box, by NumPy's series in one variable each."""
    total = 0
    for index in np.ndindex(*f.core.shape):
        terms = [chebyshev.chebval(t[:, k], f.factors[k][:, j]) for k, j in enumerate(index)]
        total = total + f.core[index] * np.prod(terms, axis=0)
    return total


@pytest.mark.when_compiled(sizes=(3, 5, 2))
@pytest.mark.parametrize(("sizes", "rank"), SIZES)
def test_values_are_those_of_series(xp, sizes, rank, dtype):
    f, known = function(sizes, rank, xp, dtype), function(sizes, rank, dtype=dtype)
    rng = np.random.default_rng(0)
    t = rng.uniform(-1, 1, (20, len(sizes))).astype(known.domain.dtype)
    x = from_unit(t, known.domain, np)
    found = evaluate(f, xp.asarray(x.reshape(4, 5, -1)))
    assert found.dtype == f.dtype
    assert found.shape == (4, 5)
    slack = 500 * np.finfo(dtype).eps
    assert np.abs(xp.to_numpy(found).reshape(-1) - by_numpy(known, t)).max() <= slack


@pytest.mark.when_compiled(sizes=(3, 5, 2), dtype="complex128")
@pytest.mark.parametrize(("sizes", "rank"), SIZES)
def test_the_grid_is_that_of_points(xp, sizes, rank, dtype):
    f, known = function(sizes, rank, xp, dtype), function(sizes, rank, dtype=dtype)
    grid = np.stack(np.meshgrid(*map(points, sizes), indexing="ij"), axis=-1)
    x = from_unit(grid.reshape(-1, len(sizes)).astype(known.domain.dtype), known.domain, np)
    on_grid = xp.to_numpy(f.to_array())
    assert on_grid.shape == f.shape == sizes
    found = xp.to_numpy(evaluate(f, xp.asarray(x))).reshape(sizes)
    assert np.abs(found - on_grid).max() <= 500 * np.finfo(dtype).eps


def test_blocks_and_single_points_agree(monkeypatch):
    f = function((3, 5, 2), (2, 3, 2))
    x = from_unit(np.random.default_rng(1).uniform(-1, 1, (50, 3)), f.domain, np)
    whole = evaluate(f, x)
    monkeypatch.setattr(_evaluate, "_BLOCK_ENTRIES", 70)
    assert np.abs(evaluate(f, x) - whole).max() <= 1e-13
    assert evaluate(f, x[0]).shape == ()
    assert float(evaluate(f, x[0].tolist())) == pytest.approx(whole[0])


def test_no_points_have_no_values(xp):
    f = function((3, 5, 2), (2, 3, 2), xp, "float32")
    for shape in ((0,), (4, 0)):
        found = evaluate(f, xp.asarray(np.empty((*shape, 3), np.float32)))
        assert found.shape == shape
        assert found.dtype == f.dtype
    with pytest.raises(ValueError, match="empty"):
        evaluate(f, xp.asarray(np.empty((3, 0), np.float32)))


@pytest.mark.parametrize("xp", ["torch", "jax"], indirect=True)
def test_programs_compile_and_gradients_are_differences(xp):
    """At the corners of the box too, where one half of a difference is missing."""
    f, known = function((4, 5), (2, 3), xp), function((4, 5), (2, 3))
    x = np.array([[0.3, -0.4], [-1.0, 3.0], [1.0, -2.0]])
    compiled = xp.jit(lambda x: evaluate(f, x))
    assert np.abs(xp.to_numpy(compiled(xp.asarray(x))) - evaluate(known, x)).max() <= 1e-13
    gradient = xp.gradient(lambda x: evaluate(f, x).sum(), x)
    inward = np.where(x > 0, -1e-5, 1e-5)
    for k in range(2):
        step = inward * np.eye(2)[k]
        near, far = evaluate(known, x + step), evaluate(known, x + 2 * step)
        slope = (4 * near - far - 3 * evaluate(known, x)) / (2 * inward[:, k])
        assert np.abs(gradient[:, k] - slope).max() <= 1e-5


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda f, x: (f.core, x), TypeError, "f must be a ChebyshevTucker"),
        (lambda f, x: (f, x[:, :2]), ValueError, "points must have 3 coordinates"),
        (lambda f, x: (f, x * 1j), TypeError, "points must be real"),
        (lambda f, x: (f, x * np.nan), ValueError, "points .*NaN"),
        (lambda f, x: (f, x + 100), ValueError, r"points\[0, 0\] is 100.0, outside"),
        (lambda f, x: (f._replace(factors=f.factors[:2]), x), ValueError, "core must have 2"),
        (lambda f, x: (f._replace(core=f.core[1:]), x), ValueError, "must have 1 columns"),
        (lambda f, x: (f, x + 1e308), ValueError, r"points\[0, 0\] is 1e\+308, outside"),
        (lambda f, x: (f._replace(domain=(1, 0)), x), ValueError, r"domain\[0\] must be"),
        (lambda f, x: (f._replace(domain=f.domain * 0), x), ValueError, r"domain\[0\] must be"),
        (lambda f, x: (f._replace(domain=f.domain * 1j), x), TypeError, "domain must be real"),
    ],
)
def test_bad_input_is_named(change, error, message):
    f = function((3, 5, 2), (2, 3, 2))
    with pytest.raises(error, match=message):
        evaluate(*change(f, np.zeros((4, 3))))
