"""Tucker tensors of lower rank are as near as was asked for."""

import numpy as np
import pytest

from tdecomp import tucker
from tdecomp.testing import assert_isometry


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


def test_zero_has_rank_one():
    zero = tucker.Tucker(np.zeros((2, 2)), (np.ones((3, 2)), np.ones((4, 2))))
    assert tucker.truncate(zero, rtol=0.1).rank == (1, 1)


def test_ranks_that_make_no_sense_are_refused(tucker_of):
    a = tucker_of((3, 4), (2, 2))
    with pytest.raises(ValueError, match="pass rank="):
        tucker.truncate(a)
    with pytest.raises(TypeError, match="rank must be an int"):
        tucker.truncate(a, rank=2.5)
