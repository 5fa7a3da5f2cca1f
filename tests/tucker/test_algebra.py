"""Sums, products and sections of Tucker tensors against those of their entries."""

import numpy as np
import pytest

from tdecomp import tucker

ALONE = [(), (1,), (0, 2)]


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


def test_dtypes_meet_in_their_common_one(tucker_of):
    a, b = tucker_of((3, 4), (2, 2), dtype="float32"), tucker_of((3, 4), (1, 1))
    assert tucker.add(a, b).dtype == tucker.mode_product(a, np.eye(3), 0).dtype == np.float64
    assert tucker.scale(a, 2.0).dtype == np.float32
    assert tucker.scale(a, 1j).dtype == np.complex64


def test_zero_is_zero():
    zero = tucker.Tucker(np.zeros((2, 2)), (np.ones((3, 2)), np.ones((4, 2))))
    assert not np.any(tucker.add(zero, zero, rank=1).to_array())


def test_what_does_not_fit_is_refused(tucker_of):
    a, b = tucker_of((3, 4), (2, 2)), tucker_of((3, 5), (2, 2))
    with pytest.raises(ValueError, match="one shape"):
        tucker.add(a, b)
    with pytest.raises(ValueError, match="at least one"):
        tucker.add()
    with pytest.raises(ValueError, match="4 columns"):
        tucker.mode_product(a, np.ones((2, 3)), 1)
    with pytest.raises(ValueError, match="single entry"):
        tucker.section(a, (0, 0))
    with pytest.raises(ValueError, match="keeps no index"):
        tucker.section(a, slice(2, 2))
