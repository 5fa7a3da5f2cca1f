"""Norms and inner products of Tucker tensors keep the digits of their entries."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp import tucker
from tdecomp.testing import assert_isometry

EPS = float(np.finfo(float).eps)


@pytest.mark.parametrize("alone", [(), (1,), (0, 2)])
def test_norm_and_inner_product(tucker_of, brute, dtype, alone):
    a = tucker_of((4, 5, 6), (2, 3, 4), dtype=dtype, alone=alone)
    b = tucker_of((4, 5, 6), (3, 2, 2), dtype=dtype, seed=1)
    one, other = brute(a), brute(b)
    eps = float(np.finfo(dtype).eps)
    sizes = np.linalg.norm(one), np.linalg.norm(other)
    assert float(tucker.norm(a)) == pytest.approx(sizes[0], rel=20 * eps)
    found = tucker.inner(a, b)
    assert abs(found - np.vdot(one, other)) <= 20 * eps * sizes[0] * sizes[1]
    assert abs(tucker.inner(b, a) - np.conj(found)) <= 20 * eps * sizes[0] * sizes[1]


def test_every_library_has_the_same_norm_and_inner_product(xp, tucker_of, brute):
    a = tucker_of((4, 5, 6), (2, 3, 4), dtype="complex128", alone=(1,), xp=xp)
    b = tucker_of((4, 5, 6), (3, 2, 2), dtype="complex128", seed=1, xp=xp)
    one, other = brute(a, xp), brute(b, xp)
    assert float(tucker.norm(a)) == pytest.approx(np.linalg.norm(one), rel=20 * EPS)
    slack = 20 * EPS * np.linalg.norm(one) * np.linalg.norm(other)
    assert abs(xp.to_numpy(tucker.inner(a, b)) - np.vdot(one, other)) <= slack


def test_the_norm_of_a_small_difference_has_the_digits_of_the_difference(tucker_of, brute):
    a = tucker_of((9, 10, 11), (3, 3, 3))
    for gap in (1e-3, 1e-8, 1e-12):
        nudged = a._replace(core=a.core * (1 + gap))
        difference = tucker.add(nudged, tucker.scale(a, -1))
        exact = np.linalg.norm(brute(a)) * gap
        slack = 50 * EPS * np.linalg.norm(brute(a))
        assert float(tucker.norm(difference)) == pytest.approx(exact, abs=slack, rel=1e-3)


@pytest.mark.parametrize("size", [1e-300, 1e-200, 1e200, 1e300])
def test_scales_neither_overflow_nor_vanish(tucker_of, brute, size):
    a = tucker_of((4, 5, 6), (2, 3, 4))
    big = tucker.scale(a, size)
    norm = np.linalg.norm(brute(a))
    assert float(tucker.norm(big)) / size == pytest.approx(norm, rel=1e-13)
    hidden = a._replace(factors=(a.factors[0] * size, a.factors[1] / size, a.factors[2]))
    assert float(tucker.norm(hidden)) == pytest.approx(norm, rel=1e-13)
    assert float(tucker.inner(hidden, hidden)) == pytest.approx(norm**2, rel=1e-13)
    other = tucker.scale(a, 1 / size)
    assert float(tucker.inner(big, other)) == pytest.approx(norm**2, rel=1e-13)


def test_orthogonalising_changes_no_entry(tucker_of, brute, dtype):
    a = tucker_of((4, 2, 6), (2, 3, 4), dtype=dtype, alone=(2,))
    q = tucker.orthogonalise(a)
    assert q.rank == (2, 2, 6)
    assert q.factors[2] is None
    full = brute(a)
    for factor in q.factors[:2]:
        assert_isometry(factor)
    assert np.linalg.norm(brute(q) - full) <= 50 * np.finfo(dtype).eps * np.linalg.norm(full)
    assert np.linalg.norm(q.core) == pytest.approx(np.linalg.norm(full), rel=1e-5)


@given(
    sizes=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 6)), min_size=1, max_size=4),
    seed=st.integers(0, 99),
)
def test_the_parallelogram_law(tucker_of, sizes, seed):
    shape, rank = zip(*sizes, strict=True)
    a, b = tucker_of(shape, rank, seed=seed), tucker_of(shape, rank[::-1], seed=seed + 1)
    squares = [float(tucker.norm(x)) ** 2
               for x in (a, b, tucker.add(a, b), tucker.add(a, tucker.scale(b, -1)))]  # fmt: skip
    assert squares[2] + squares[3] == pytest.approx(2 * (squares[0] + squares[1]), rel=1e-12)


def test_the_norm_of_zero_is_zero():
    zero = tucker.Tucker(np.zeros((2, 2)), (np.ones((3, 2)), np.ones((4, 2))))
    assert float(tucker.norm(zero)) == 0


def test_shapes_must_be_one(tucker_of):
    with pytest.raises(ValueError, match="one shape"):
        tucker.inner(tucker_of((3, 4), (2, 2)), tucker_of((3, 5), (2, 2)))
