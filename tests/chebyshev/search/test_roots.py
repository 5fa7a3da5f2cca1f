"""Common roots: all of known systems, each once, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tdecomp.chebyshev._calculus import diff
from tdecomp.chebyshev._construct import chebyshev_tucker
from tdecomp.chebyshev._format import ChebyshevTucker
from tdecomp.chebyshev._search import _isolate
from tdecomp.chebyshev._search._roots import roots
from tdecomp.chebyshev._values._evaluate import evaluate
from tdecomp.tt import tt_svd


def made(d, *functions, interval=(-1, 1)):
    return [chebyshev_tucker(f, [interval] * d).tensor for f in functions]


def series(c, domain=(-1, 1), xp=np):
    """The function of one variable with given coefficients."""
    c = np.asarray(c)[:, None]
    core, box = np.ones(1, c.dtype), np.array([domain], c.real.dtype)
    return ChebyshevTucker(xp.asarray(core), (xp.asarray(c),), xp.asarray(box))


def agree(found, expected, slack=1e-12):
    expected = np.asarray(expected, dtype=float).reshape(-1, found.shape[1])
    assert found.shape == expected.shape
    order = np.lexsort(np.round(expected, 6).T[::-1])
    assert np.abs(found - expected[order]).max(initial=0) <= slack


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=8, unique=True), st.floats(0.5, 2))
@settings(max_examples=15)
def test_roots_of_one_variable_are_those_it_was_made_of(numbers, scale):
    wanted = np.sort(numbers) / 50
    c = scale * np.polynomial.chebyshev.chebfromroots(wanted)
    agree(roots(series(c)), wanted, 1e-13 * 50.0 ** min(len(numbers), 6))


def test_roots_of_one_variable_are_those_of_the_colleague_matrix():
    f = series(np.random.default_rng(3).standard_normal(41))
    found = np.polynomial.chebyshev.chebroots(f.factors[0][:, 0])
    real = found[(np.abs(found.imag) < 1e-10) & (np.abs(found.real) <= 1)].real
    assert real.size >= 3
    agree(roots(f), real, 1e-11)


def test_a_hundred_roots_of_a_wave():
    found = roots(*made(1, lambda x: np.sin(x) ** 2 - 0.25, interval=(0, 157)))
    k = np.arange(50) * np.pi
    agree(found, np.concatenate([k + np.pi / 6, k + 5 * np.pi / 6]), 1e-11)


def test_slopes_of_a_narrow_peak():
    """Thousands of coefficients, of which the last are noise."""
    f = chebyshev_tucker(
        lambda x: np.exp(-(((x - 0.123456) / 3e-3) ** 2)) + 0.1 * np.cos(30 * x), [(-1, 1)]
    ).tensor
    assert f.shape[0] > 2000
    found = roots(diff(f, 0))
    values = evaluate(f, found)
    assert np.abs(found[np.argmax(values)] - 0.123456).max() <= 1e-4
    assert len(found) == 21


def test_roots_of_two_functions_on_the_boundary_and_inside():
    f, g = made(
        2, lambda x, y: np.sin(5 * np.pi * x + 0 * y), lambda x, y: np.cos(3 * np.pi * y + 0 * x)
    )
    grid = np.meshgrid(np.arange(-5, 6) / 5, np.arange(-5, 6, 2) / 6, indexing="ij")
    agree(roots(f, g), np.stack(grid, axis=-1))
    circle, line = made(2, lambda x, y: x**2 + y**2 - 1, lambda x, y: y - 2 * x)
    agree(roots(circle, line), np.array([[-1, -2], [1, 2]]) / np.sqrt(5))
    agree(roots(line, circle), np.array([[-1, -2], [1, 2]]) / np.sqrt(5))
    corner = made(2, lambda x, y: x + y - 2, lambda x, y: np.exp(x) - np.e * y)
    agree(roots(*corner), [[1, 1]], 1e-7)


def test_roots_of_three_functions():
    functions = (
        lambda x, y, z: x**2 + y**2 + z**2 - 1,
        lambda x, y, z: x - y + 0 * z,
        lambda x, y, z: z - x * y,
    )
    z = np.sqrt(2) - 1
    agree(
        roots(*made(3, *functions)), [[-np.sqrt(z), -np.sqrt(z), z], [np.sqrt(z), np.sqrt(z), z]]
    )
    waves = (
        lambda x, y, z: np.sin(6 * x + y) * np.cos(z),
        lambda x, y, z: np.cos(5 * y + z * x),
        lambda x, y, z: np.sin(7 * z - x * y) + 0.2,
    )
    tensors = made(3, *waves)
    found = roots(*tensors)
    assert max(np.abs(f(*found.T)).max() for f in waves) <= 1e-12
    assert len(found) == 68
    grid = np.stack(np.meshgrid(*[np.linspace(-0.99, 0.99, 12)] * 3), axis=-1).reshape(-1, 3)
    newton = _isolate._Newton(tensors, [1e-12] * 3)
    t, converged = newton(grid)
    inside = converged & np.all(np.abs(t) < 1, axis=1)
    assert inside.sum() > 200
    gaps = np.abs(t[inside][:, None, :] - found).max(axis=2).min(axis=1)
    assert gaps.max() <= 1e-9


def test_where_there_are_none():
    f, g = made(2, lambda x, y: x**2 + y**2 + 1e-9, lambda x, y: x - y)
    assert roots(f, g).shape == (0, 2)
    assert roots(series([3.0, 1.0, -1.0])).shape == (0, 1)
    assert roots(series([2.0])).shape == (0, 1)


def test_multiple_roots_are_one_with_half_of_the_digits():
    double = np.polynomial.chebyshev.poly2cheb(np.poly([0.25, 0.25, -0.5])[::-1])
    agree(roots(series(double)), [[-0.5], [0.25]], 1e-6)
    agree(roots(*made(2, lambda x, y: x**2 + y**2, lambda x, y: x * y)), [[0, 0]], 1e-6)


def test_roots_that_are_not_isolated_are_refused():
    f, g = made(2, lambda x, y: (x - 0.3) * (y + 0.2), lambda x, y: (x - 0.3) * (x + y))
    with pytest.raises(ValueError, match=r"more than 2000 boxes .* not isolated"):
        roots(f, g, max_boxes=2000)
    with pytest.raises(ValueError, match="not isolated"):
        roots(series([0.0, 0.0]), max_boxes=1000)


def test_every_library_keeps_its_arrays(xp):
    for dtype in ("float32", "float64"):
        f = series(np.array([-1, 2, 0, 4], dtype), (0, 3), xp)
        found = roots(f)
        assert found.dtype == f.dtype
        known = np.polynomial.chebyshev.chebroots([-1, 2, 0, 4])
        real = 1.5 * (1 + known[np.abs(known.imag) < 1e-12].real)
        agree(xp.to_numpy(found), real, 8 * np.finfo(dtype).eps)
        none = roots(series(np.array([2], dtype), xp=xp))
        assert none.shape == (0, 1)


def test_scales_are_no_matter():
    f, g = made(2, lambda x, y: x * y - 0.2, lambda x, y: np.sin(3 * x) - y, interval=(-2, 2))
    found = roots(f, g)
    assert len(found) >= 2
    for j, scale in enumerate((1e-290, 1e290)):
        pair = [f, g]
        pair[j] = pair[j]._replace(core=pair[j].core * scale)
        agree(roots(*pair), found)
    assert np.abs(evaluate(f, found)).max() <= 1e-13


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda _: roots(), ValueError, "got none"),
        (roots, ValueError, r"got 1 functions, and functions\[0\] is of 2"),
        (lambda f: roots(f, f.core), TypeError, r"functions\[1\] must be a ChebyshevTucker"),
        (
            lambda f: roots(f, f._replace(core=1j * f.core)),
            TypeError,
            "must be real",
        ),
        (lambda f: roots(f, f._replace(domain=[(0, 1), (0, 2)])), ValueError, "one domain"),
        (lambda f: roots(f, f._replace(core=tt_svd(f.core, rank=1))), TypeError, "an array here"),
        (lambda f: roots(f, f, max_boxes=0), ValueError, "max_boxes"),
    ],
)
def test_bad_input_is_named(call, error, message):
    f = ChebyshevTucker(np.ones((1, 1)), (np.ones((2, 1)),) * 2, np.array([[-1.0, 1]] * 2))
    with pytest.raises(error, match=message):
        call(f)
