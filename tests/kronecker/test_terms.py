"""How many Kronecker terms a matrix can need."""

import numpy as np
import pytest

from tdecomp.kronecker import KroneckerSum, kronecker_svd
from tdecomp.kronecker._terms import most_terms
from tdecomp.testing import gaussian

SHAPES = [((2, 3), (4, 5)), ((2, 1), (3, 2), (1, 2)), ((1, 1), (2, 2), (1, 1)), ((2, 2),) * 3]


@pytest.mark.parametrize("shapes", SHAPES)
def test_one_term_for_each_fibre_of_the_longest_mode_is_enough(shapes):
    rows, columns = zip(*shapes, strict=True)
    a = gaussian((int(np.prod(rows)), int(np.prod(columns))))
    blocks, d = a.reshape(*rows, *columns), len(shapes)
    longest = int(np.argmax(np.prod(shapes, axis=1)))
    stacks = [[] for _ in shapes]
    free = [(1, 1) if k == longest else shape for k, shape in enumerate(shapes)]
    for places in np.ndindex(*(side for shape in free for side in shape)):
        pairs = [places[2 * k : 2 * k + 2] for k in range(d)]
        at = [
            slice(None) if k == longest else p
            for side in (0, 1)
            for k, p in enumerate(pair[side] for pair in pairs)
        ]
        for k, (pair, shape) in enumerate(zip(pairs, shapes, strict=True)):
            unit = np.zeros(shape)
            unit[pair] = 1.0
            stacks[k].append(blocks[tuple(at)] if k == longest else unit)
    left, right, *rest = map(np.stack, stacks)
    k = KroneckerSum(left, right, tuple(rest))
    assert k.rank == most_terms(shapes)
    assert np.array_equal(k.to_array(), a)


def test_more_terms_than_any_matrix_needs_are_refused():
    a = gaussian((8, 8))
    with pytest.raises(ValueError, match="rank must be an int between 1 and 16, got 17"):
        kronecker_svd(a, ((2, 2),) * 3, rank=17)
    with pytest.raises(ValueError, match="rank must be an int between 1 and 4, got 5"):
        kronecker_svd(a, ((2, 2), (4, 4)), rank=5, weights=np.ones((8, 8)))
    for wrong in (0, -1):
        with pytest.raises(ValueError, match=f"between 1 and 16, got {wrong}"):
            kronecker_svd(a, ((2, 2),) * 3, rank=wrong)
    for wrong in (2.5, True, None):
        with pytest.raises(TypeError, match="between 1 and 16, got"):
            kronecker_svd(a, ((2, 2),) * 3, rank=wrong)
