"""Boxes: what is one, and the way to the unit box and back."""

import numpy as np
import pytest

from tdecomp._xp import namespace
from tdecomp.chebyshev._domain import as_domain, from_unit, to_unit


def test_boxes_intervals_and_nothing():
    assert as_domain(None, 2).tolist() == [[-1, 1], [-1, 1]]
    assert as_domain((0, 3), 2).tolist() == [[0, 3], [0, 3]]
    assert as_domain([(0, 3), (-2, 5)]).tolist() == [[0, 3], [-2, 5]]
    assert as_domain([(0, 3)], 1).shape == (1, 2)


@pytest.mark.parametrize(
    ("domain", "d", "message"),
    [
        ((1, 0), 2, r"domain\[0\] must be a finite interval .*, got \(1.0, 0.0\)"),
        ([(0, 1), (2, 2)], None, r"domain\[1\]"),
        ([(0, np.inf)], None, "finite"),
        ([(np.nan, 1)], 1, "finite"),
        ((0, 1), None, r"shape \(d, 2\), got \(2,\)"),
        ([(0, 1)] * 3, 2, r"shape \(2, 2\), or one interval .*, got \(3, 2\)"),
        (np.zeros((0, 2)), None, "empty"),
    ],
)
def test_what_is_no_box_is_refused(domain, d, message):
    with pytest.raises(ValueError, match=message):
        as_domain(domain, d)


@pytest.mark.parametrize("domain", [[(0, 1j)], [("a", "b")], [(None, 1)]])
def test_ends_are_real_numbers(domain):
    with pytest.raises(TypeError, match="real numbers"):
        as_domain(domain)


def test_rows_are_intervals():
    with pytest.raises(ValueError, match="in each row"):
        as_domain([(0, 1), (2, 3, 4)])


@pytest.mark.parametrize(
    "interval", [(0.1, 0.7), (-1e9, 3.0), (1e300, 1.5e300), (1.0, 1.0 + 1e-9)]
)
def test_ends_come_out_exactly_and_the_way_leads_back(xp, interval):
    box = xp.asarray(np.array([interval]))
    module = namespace(box)
    ends = to_unit(xp.asarray(np.array([[interval[0]], [interval[1]]])), box, module)
    assert xp.to_numpy(ends).tolist() == [[-1], [1]]
    t = np.linspace(-1, 1, 9)[:, None]
    x = from_unit(xp.asarray(t), box, module)
    width = (interval[1] - interval[0]) / max(map(abs, interval))
    assert np.abs(xp.to_numpy(to_unit(x, box, module)) - t).max() <= 4e-16 / min(width, 1)


def test_points_outside_are_named():
    box = as_domain([(0, 1), (2, 4)])
    x = np.array([[0.5, 3], [1 + 1e-16, 4 + 1e-15], [0.5, 4.1]])
    assert np.all(np.abs(to_unit(x[:2], box, namespace(x))) <= 1)
    with pytest.raises(ValueError, match=r"points\[2, 1\] is 4.1, outside of the domain \[2.0, 4"):
        to_unit(x, box, namespace(x))


def test_traced_points_outside_are_nan():
    jax = pytest.importorskip("jax")
    box = jax.numpy.asarray(as_domain((0, 1), 1))
    t = jax.jit(lambda x: to_unit(x, box, namespace(x)))(jax.numpy.asarray([[0.5], [2.0]]))
    assert t[0, 0] == 0
    assert np.isnan(t[1, 0])
