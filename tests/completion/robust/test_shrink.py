"""Shrunk singular values are the proximal map of the nuclear norm."""

import array_api_compat
import numpy as np
import pytest

import tdecomp as td
from tdecomp.completion.robust import _shrink

XP = array_api_compat.array_namespace(np.empty(0))


@pytest.mark.parametrize("threshold", [0.02, 0.4, 2.0])
def test_shrinking_is_the_proximal_map_of_the_nuclear_norm(threshold):
    a = td.testing.matrix(150, 140, 0.9 ** np.arange(140.0), rng=0)
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    expected = (u * np.maximum(s - threshold, 0)) @ vh
    found = _shrink.shrink(a, threshold, None, atol=1e-9, xp=XP)
    again = _shrink.shrink(a, threshold, found.basis, atol=1e-9, xp=XP)
    for shrunk in (found, again):
        assert np.linalg.norm(shrunk.dense() - expected) <= 2e-9
        assert shrunk.U.shape[1] == max(1, int(np.sum(s > threshold)))
