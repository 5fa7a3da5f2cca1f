"""The operands of a product: matrices of one library, arrays of one dtype."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tdecomp._typing import Array, Namespace
from tdecomp._xp import prepare


def first_array(values: Sequence[Any]) -> Array | None:
    """Return the first of `values` that is an array rather than a list of numbers."""
    return next((value for value in values if hasattr(value, "dtype")), None)


def as_matrix(value: Any, like: Array | None, index: int) -> Array:
    """Validate one of the matrices that an argument of that name holds."""
    return prepare(value, ndim=2, like=like, name=f"matrices[{index}]")[1]


def promoted(arrays: Sequence[Array], xp: Namespace) -> list[Array]:
    """Bring `arrays` to their common dtype."""
    dtype = xp.result_type(*(array.dtype for array in arrays))
    return [xp.astype(array, dtype, copy=False) for array in arrays]
