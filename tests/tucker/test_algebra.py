"""The algebra of Tucker tensors against that of their entries."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp import tucker
from tdecomp.testing import assert_isometry

EPS = float(np.finfo(float).eps)
ALONE = [(), (1,), (0, 2)]


@pytest.mark.parametrize("alone", ALONE)
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


@pytest.mark.parametrize("alone", ALONE)
def test_the_sum_is_the_sum_of_entries(tucker_of, brute, dtype, alone):
    a = tucker_of((4, 5, 6), (2, 3, 4), dtype=dtype, alone=alone)
    b = tucker_of((4, 5, 6), (1, 2, 3), dtype=dtype, alone=(1,), seed=1)
    full = brute(a) + brute(b)
    for c in (tucker.add(a, b), tucker.add(b, a)):
        assert np.linalg.norm(brute(c) - full) <= 50 * np.finfo(dtype).eps * np.linalg.norm(full)
        assert (c.factors[1] is None) == (1 in alone)


def test_every_library_adds_and_recompresses(xp, tucker_of, brute):
    a = tucker_of((4, 5, 6), (2, 3, 4), alone=(1,), xp=xp)
    b = tucker_of((4, 5, 6), (1, 2, 3), seed=1, xp=xp)
    full = brute(a, xp) + brute(b, xp)
    gap = np.linalg.norm(brute(tucker.add(a, b, rtol=1e-3), xp) - full)
    assert gap <= 1e-3 * np.linalg.norm(full)


def test_the_sum_of_one_and_itself_has_the_ranks_of_one(tucker_of, brute, dtype):
    a = tucker_of((7, 8, 9), (2, 3, 4), dtype=dtype)
    rtol = 1e3 * float(np.finfo(dtype).eps)
    twice = tucker.add(a, a, a, rtol=rtol)
    assert twice.rank == a.rank
    assert np.linalg.norm(brute(twice) - 3 * brute(a)) <= rtol * 3 * np.linalg.norm(brute(a))


@pytest.mark.parametrize("rtol", [0.5, 1e-2, 1e-10])
def test_truncation_keeps_its_promise(tucker_of, brute, rtol):
    a = tucker_of((9, 10, 11), (5, 6, 7), alone=(1,))
    full = brute(a)
    small = tucker.truncate(a, rtol=rtol)
    assert np.linalg.norm(brute(small) - full) <= rtol * np.linalg.norm(full)
    assert small.factors[1] is None
    lowered = tucker.truncate(a, rank=(2, 3))
    assert lowered.rank == (2, 10, 3)
    for factor in (lowered.factors[0], lowered.factors[2]):
        assert_isometry(factor)


def test_truncation_equals_the_decomposition_of_the_entries(tucker_of, brute):
    a = tucker_of((9, 10, 11), (4, 5, 6))
    small = tucker.truncate(a, rank=3)
    direct = tucker.sthosvd(brute(a), rank=3, order=(0, 1, 2), method="qr")
    gaps = [np.linalg.norm(brute(x) - brute(a)) for x in (small, direct)]
    assert gaps[0] == pytest.approx(gaps[1], rel=0.2)


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


def test_products_and_sections_commute_with_entries(xp, tucker_of, brute):
    a = tucker_of((4, 5, 6), (2, 3, 4), alone=(1,), xp=xp)
    full = brute(a, xp)
    matrix = np.random.default_rng(0).standard_normal((3, 5))
    product = tucker.mode_product(a, xp.asarray(matrix), -2)
    wanted = np.einsum("ijk,mj->imk", full, matrix)
    assert np.allclose(brute(product, xp), wanted, rtol=1e-12, atol=1e-12)
    for region in (slice(1, 3), (slice(None), 2, [5, 0]), (1, slice(1, 4), -1), ([0], 0, 0)):
        part = tucker.section(a, region)
        entries = xp.to_numpy(a.to_array(region))
        assert part.shape == entries.shape
        assert np.allclose(xp.to_numpy(part.to_array()), entries, rtol=1e-12, atol=1e-12)


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


def test_dtypes_meet_in_their_common_one(tucker_of):
    a, b = tucker_of((3, 4), (2, 2), dtype="float32"), tucker_of((3, 4), (1, 1))
    assert tucker.add(a, b).dtype == tucker.mode_product(a, np.eye(3), 0).dtype == np.float64
    assert tucker.scale(a, 2.0).dtype == np.float32
    assert tucker.scale(a, 1j).dtype == np.complex64


def test_zero_is_zero():
    zero = tucker.Tucker(np.zeros((2, 2)), (np.ones((3, 2)), np.ones((4, 2))))
    assert float(tucker.norm(zero)) == 0
    assert tucker.truncate(zero, rtol=0.1).rank == (1, 1)
    assert not np.any(tucker.add(zero, zero, rank=1).to_array())


def test_what_does_not_fit_is_refused(tucker_of):
    a, b = tucker_of((3, 4), (2, 2)), tucker_of((3, 5), (2, 2))
    with pytest.raises(ValueError, match="one shape"):
        tucker.add(a, b)
    with pytest.raises(ValueError, match="one shape"):
        tucker.inner(a, b)
    with pytest.raises(ValueError, match="at least one"):
        tucker.add()
    with pytest.raises(ValueError, match="4 columns"):
        tucker.mode_product(a, np.ones((2, 3)), 1)
    with pytest.raises(ValueError, match="single entry"):
        tucker.section(a, (0, 0))
    with pytest.raises(ValueError, match="keeps no index"):
        tucker.section(a, slice(2, 2))
    with pytest.raises(ValueError, match="pass rank="):
        tucker.truncate(a)
    with pytest.raises(TypeError, match="rank must be an int"):
        tucker.truncate(a, rank=2.5)
