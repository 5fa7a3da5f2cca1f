"""Pivots: columns that span the others, rows that interpolate what they span."""

import numpy as np
import pytest

from tdecomp.chebyshev._sampling._pivots import (
    cardinal,
    column_pivots,
    row_pivots,
    span,
    unspanned,
)


@pytest.fixture(params=[False, True])
def low_rank(request):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((30, 4)), rng.standard_normal((4, 12))
    return a @ b * (np.exp(1j * rng.uniform(size=12)) if request.param else 1)


def test_columns_span_all_of_them(low_rank):
    chosen = column_pivots(low_rank, 1e-10)
    assert chosen.size == 4
    q = span(low_rank[:, chosen])
    assert np.abs(low_rank - q @ (np.conj(q.T) @ low_rank)).max() <= 1e-12
    assert column_pivots(0 * low_rank, 1e-10).size == 0
    assert column_pivots(0 * low_rank, 1e-10, least=1).size == 1


def test_others_that_are_not_spanned_are_told(low_rank):
    new = np.random.default_rng(1).standard_normal((30, 1))
    others = np.concatenate([low_rank[:, :3], new, 2 * new], axis=1)
    assert unspanned(low_rank, others[:, :3], 1e-10).size == 0
    assert unspanned(low_rank, others, 1e-10).tolist() == [4]


def test_rows_interpolate_and_known_ones_stay(low_rank):
    q = span(low_rank[:, :4])
    for known in (np.empty(0, np.intp), np.array([7, 3])):
        rows = row_pivots(q, known)
        assert rows[: known.size].tolist() == known.tolist()
        assert np.unique(rows).size == 4
        c = cardinal(q, rows)
        assert np.abs(c[rows] - np.eye(4)).max() <= 1e-12
        assert np.abs(c @ low_rank[rows] - low_rank).max() <= 1e-11
