"""Lattices: what all their particles make one by one, at the rank of a cell."""

import numpy as np
import pytest

from tdecomp.chebyshev import evaluate
from tdecomp.chebyshev.potentials import lattice_sum, long_range, newton, split
from tdecomp.chebyshev.potentials._assembly import _variables
from tdecomp.chebyshev.potentials._clouds import cloud

G, _ = split(newton(0.1, 60.0, rtol=1e-9).tensor, sigma=1.0)
CELL = np.array([2.0, 3.0, 2.5])
X, Q = np.array([[0.5, 1.0, 0.7], [1.5, 2.2, 2.0]]), np.array([1.0, -0.6])


def images(repeats):
    shifts = np.stack(np.meshgrid(*map(np.arange, repeats), indexing="ij"), axis=-1)
    shifts = shifts.reshape(-1, 3) * CELL
    return (X[None] + shifts[:, None]).reshape(-1, 3), np.tile(Q, shifts.shape[0])


def points(box, count=300):
    box = np.asarray(box)
    return np.random.default_rng(4).uniform(box[:, 0], box[:, 1], (count, 3))


@pytest.mark.parametrize("xp", ["numpy", "array-api-strict", "torch"], indirect=True)
def test_the_lattice_is_the_sum_of_all_its_particles(xp):
    repeats = (4, 1, 3)
    fit = lattice_sum(xp.asarray(X), xp.asarray(Q), G, cell=CELL, repeats=repeats)
    x, q = images(repeats)
    one_by_one = long_range(x, q, G)
    box = xp.to_numpy(fit.tensor.domain)
    assert np.abs(box - one_by_one.tensor.domain).max() <= 1e-13
    t = points(box)
    found = xp.to_numpy(evaluate(fit.tensor, xp.asarray(t)))
    expected = G(np.linalg.norm(t[:, None] - x, axis=-1)) @ q
    assert np.abs(found - expected).max() <= 1e-6 * np.abs(expected).max()
    assert fit.error <= 1e-6
    assert np.abs(np.subtract(fit.tensor.rank, one_by_one.tensor.rank)).max() <= 1


def test_ranks_of_a_large_lattice_are_those_of_a_small_one():
    box = [(0.0, 6.0)] * 3
    wide, _ = split(newton(0.1, 3000.0).tensor, sigma=1.0)
    small, large = (lattice_sum(X, Q, wide, cell=CELL, repeats=n, domain=box) for n in (4, 300))
    assert max(large.tensor.rank) <= max(small.tensor.rank) + 2
    assert large.error <= 1e-6


def test_defects_come_once():
    box, repeats = [(0.0, 6.0)] * 3, (3, 2, 2)
    hole = X[:1] + CELL * [1, 0, 1]
    extra = np.array([[1.0, 4.0, 0.2]])
    defects = (np.concatenate([hole, extra]), [-Q[0], 2.0])
    fit = lattice_sum(X, Q, G, cell=CELL, repeats=repeats, defects=defects, domain=box)
    x, q = images(repeats)
    kept = np.linalg.norm(x - hole, axis=1) > 1e-9
    assert np.sum(~kept) == 1
    x, q = np.concatenate([x[kept], extra]), np.append(q[kept], 2.0)
    t = points(box)
    expected = G(np.linalg.norm(t[:, None] - x, axis=-1)) @ q
    assert np.abs(evaluate(fit.tensor, t) - expected).max() <= 1e-6 * np.abs(expected).max()


def test_a_lattice_moved_by_a_cell_is_the_same_in_the_box_moved():
    box = np.array([[1.0, 5.0], [2.0, 5.0], [0.0, 4.0]])
    here = lattice_sum(X, Q, G, cell=CELL, repeats=3, domain=box, rtol=1e-10)
    there = lattice_sum(
        X + CELL, Q, G, cell=CELL, repeats=3, domain=box + CELL[:, None], rtol=1e-10
    )
    t = points(box)
    values = evaluate(here.tensor, t)
    assert np.abs(evaluate(there.tensor, t + CELL) - values).max() <= 1e-9 * np.abs(values).max()


def test_bases_do_not_grow_with_the_lattice():
    exponents = G
    box = np.array([[0.0, 6.0]] * 3)
    sizes = []
    for n in (10, 10_000):
        particles = cloud(X, Q)._replace(shifts=(np.arange(float(n)),) * 3)
        sizes.append([v.factor.shape for v in _variables([particles], exponents, box, 1e-9)])
    assert np.abs(np.subtract(*sizes)).max() <= 2


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"cell": 0.0, "repeats": 2}, ValueError, r"cell\[0\] must be a positive length"),
        ({"cell": (1, 1, np.nan), "repeats": 2}, ValueError, r"cell\[2\]"),
        ({"cell": (1, 1), "repeats": 2}, ValueError, "cell must be one number, or one for each"),
        ({"cell": "abc", "repeats": 2}, TypeError, r"cell\[0\] must be a number"),
        ({"cell": 1, "repeats": (2, 0, 1)}, ValueError, r"repeats\[1\] must be an int >= 1"),
        ({"cell": 1, "repeats": 1.5}, TypeError, r"repeats\[0\]"),
        ({"cell": 1, "repeats": 2, "defects": 3}, TypeError, "defects must be a tuple"),
        ({"cell": 1, "repeats": 2, "defects": (X, Q[:1])}, ValueError, "one for each of 2"),
        ({"cell": 1, "repeats": 2, "defects": (X[:, :2], Q)}, ValueError, "3 coordinates"),
        ({"cell": 1, "repeats": 900}, ValueError, "make it with rmax="),
    ],
)
def test_bad_input_is_named(options, error, message):
    with pytest.raises(error, match=message):
        lattice_sum(X, Q, G, **options)
