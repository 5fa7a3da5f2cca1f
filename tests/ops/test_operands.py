"""Operands of a product meet in one dtype, and what does not fit is named."""

import numpy as np
import pytest

from tdecomp.ops._operands import along_mode, with_number


@pytest.mark.parametrize(
    ("dtype", "factor", "wanted"),
    [
        ("float32", 2.0, "float32"),
        ("float32", 1j, "complex64"),
        ("float64", 1j, "complex128"),
        ("complex64", 3, "complex64"),
    ],
)
def test_a_number_changes_the_kind_of_arrays_and_never_their_precision(xp, dtype, factor, wanted):
    arrays = [xp.asarray(np.ones(2), dtype), xp.asarray(np.zeros((2, 1)), dtype)]
    number, cast = with_number(factor, arrays, xp.namespace)
    assert all(x.dtype == getattr(xp, wanted) for x in (number, *cast))
    assert complex(number) == factor


def test_a_matrix_must_have_a_column_for_each_index_of_its_mode():
    like = np.ones(1)
    matrix, mode = along_mode([[1, 2, 3]], -1, (2, 3), like=like)
    assert (matrix.shape, mode) == ((1, 3), 1)
    with pytest.raises(ValueError, match="matrix must have 3 columns for mode 1, got shape"):
        along_mode(np.ones((3, 2)), -1, (2, 3), like=like)
    with pytest.raises(ValueError, match="mode"):
        along_mode(np.ones((3, 3)), 2, (2, 3), like=like)
