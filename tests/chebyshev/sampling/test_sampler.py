"""Asking a function: in its library, one value for each point, counted, and refused by name."""

import math
import warnings

import numpy as np
import pytest

from tdecomp.chebyshev._sampling import _sampler
from tdecomp.chebyshev._sampling._sampler import Sampler
from tdecomp.tt._sampler import ExhaustedError

BOX = np.array([[0.0, 2.0], [-1.0, 1.0], [10.0, 30.0]])


def sampler(f, like=None, limit=10**6, box=BOX):
    return Sampler(f, box, np.empty(0) if like is None else like, limit)


def test_points_of_the_unit_box_become_those_of_the_domain(xp):
    seen = []

    def f(x, y, z):
        seen.append((x, y, z))
        return x + 10 * y + 100 * z

    like = xp.asarray(np.empty(0))
    ask = sampler(f, like)
    t = np.array([[[-1.0, 0.0, 1.0], [1.0, 1.0, -1.0]]])
    values = ask(t)
    assert type(values) is np.ndarray
    assert values.tolist() == [[3000.0, 1012.0]]
    assert all(type(a) is type(like) and a.shape == (2,) for a in seen[0])
    assert ask.evaluations == 2
    assert ask.largest == 3000.0
    assert ask.d == 3


def test_single_precision_and_complex_values_are_kept(xp):
    like = xp.asarray(np.empty(0, np.float32))
    assert sampler(lambda x, y, z: x * y * z, like)(np.zeros((2, 3))).dtype == np.float32
    complex_valued = sampler(lambda x, y, z: x * (1j * 1.0) + y + z)(np.zeros((2, 3)))
    assert complex_valued.tolist() == [20 + 1j, 20 + 1j]


def test_constants_are_spread_and_whole_numbers_promoted():
    ask = sampler(lambda *_: 3)
    assert ask(np.zeros((4, 5, 3))).tolist() == np.full((4, 5), 3.0).tolist()
    assert sampler(lambda *_: 3)(np.zeros((2, 3))).dtype == np.float64


def test_numbers_and_whole_numbers_get_the_precision_of_points(xp):
    for kind in (np.float32, np.float64):
        like = xp.asarray(np.empty(0, kind))
        whole = xp.asarray(np.array([3, 3]))
        for value in (True, 3, 3.0, np.float64(3), [3.0, 3.0], whole, whole == 3):
            found = sampler(lambda *_, value=value: value, like)(np.zeros((2, 3)))
            assert found.dtype == kind
        assert sampler(lambda *_: 3j, like)(np.zeros((2, 3))).dtype == np.result_type(kind, 1j)
    # What is known to fewer digits stays so.
    assert sampler(lambda *_: np.float32(3))(np.zeros((2, 3))).dtype == np.float32


def test_batches_agree_with_the_whole(monkeypatch):
    t = np.random.default_rng(0).uniform(-1, 1, (50, 3))
    whole = sampler(lambda x, y, z: x * y + z)(t)
    monkeypatch.setattr(_sampler, "_BATCH", 7)
    assert np.all(sampler(lambda x, y, z: x * y + z)(t) == whole)
    assert sampler(lambda x, *_: x)(np.empty((0, 3))).shape == (0,)


def test_a_function_of_numbers_is_wrapped_and_told_so_once():
    ask = sampler(lambda x, y, z: math.sin(x) + (y if y > 0 else z))
    t = np.random.default_rng(0).uniform(-1, 1, (5, 3))
    with pytest.warns(UserWarning, match="point by point"):
        first = ask(t)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.all(ask(t) == first)
    x = (t + 1) @ np.diag([1.0, 1.0, 10.0]) + [0, -1, 10]
    expected = [math.sin(a) + (b if b > 0 else c) for a, b, c in x]
    assert np.abs(first - expected).max() <= 1e-14


def test_errors_of_the_function_are_its_own():
    def fails(*_):
        raise TypeError("mine")

    with pytest.raises(TypeError, match="mine"):
        sampler(fails)(np.zeros((2, 3)))
    with pytest.raises(TypeError, match="argument"):
        sampler(lambda x, _: x)(np.zeros((2, 3)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_named_with_its_point(bad):
    def f(x, y, _):
        return np.where(x == 2.0, bad, y)

    t = np.array([[0.0, 0.0, 0.0], [1.0, 0.5, -1.0]])
    with pytest.raises(ValueError, match=rf"f returned {bad} at \(2, 0.5, 10\); it must be"):
        sampler(f)(t)


def test_values_of_which_sums_overflow_are_named_with_their_point():
    t = np.array([[0.0, 0.0, 0.0], [1.0, 0.5, -1.0]])
    for kind, scale in ((np.float64, 5e307), (np.float32, 1e38)):
        like = np.empty(0, kind)
        with pytest.raises(ValueError, match=r"at \(2, 0.5, 10\); sums of values above"):
            sampler(lambda x, *_, s=scale: np.where(x == 2, s * x, x).astype(x.dtype), like)(t)


def test_a_wrong_shape_is_named():
    with pytest.raises(ValueError, match=r"each of 4 points, or one for all, got shape \(3,\)"):
        sampler(lambda x, *_: x[:3])(np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"got shape \(4, 1\)"):
        sampler(lambda x, *_: x[:, None])(np.zeros((4, 3)))


def test_the_limit_comes_before_the_question():
    asked = []
    ask = sampler(lambda x, *_: asked.append(x.size) or x, limit=10)
    ask(np.zeros((6, 3)))
    with pytest.raises(ExhaustedError):
        ask(np.zeros((5, 3)))
    assert asked == [6]
    assert ask.evaluations == 6
    ask(np.zeros((4, 3)))
    assert ask.evaluations == 10


@pytest.mark.parametrize("cached", [1, 7, 20, 1000])
def test_values_on_grids_are_those_at_their_points(cached, monkeypatch):
    monkeypatch.setattr(_sampler, "_CACHED", cached)
    box = np.array([[0.0, 1.0], [-2.0, 3.0], [5.0, 9.0]])
    axes = [np.linspace(-1, 1, n) for n in (4, 3, 5)]

    def f(x, y, z):
        assert x.shape == y.shape == z.shape
        z *= 1.0  # what is given away may be written to
        return x + 10 * y + 100 * z

    ask = Sampler(f, box, np.empty(0), 100)
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    assert np.array_equal(ask.on_grid(axes), Sampler(f, box, np.empty(0), 100)(points))
    assert ask.evaluations == 60
    with pytest.raises(ExhaustedError):
        ask.on_grid(axes)
