"""The operands of a product: matrices of one library, arrays of one dtype."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tdecomp._typing import Array, Namespace
from tdecomp._xp import namespace, prepare
from tdecomp.ops._unfold import check_mode


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


def along_mode(matrix: Any, mode: Any, shape: Sequence[int], *, like: Array) -> tuple[Array, int]:
    """Validate a matrix for the fibres of a tensor along a mode, and count that from the front."""
    _, matrix = prepare(matrix, ndim=2, like=like, name="matrix")
    namespace(matrix, like)
    mode = check_mode(mode, len(shape))
    if matrix.shape[1] != shape[mode]:
        raise ValueError(
            f"matrix must have {shape[mode]} columns for mode {mode}, got shape "
            f"{tuple(matrix.shape)}"
        )
    return matrix, mode


def with_number(factor: Any, arrays: Sequence[Array], xp: Namespace) -> tuple[Array, list[Array]]:
    """Validate a number, and bring it and `arrays` to the dtype of their product.

    That is theirs, whatever the precision of the number, but complex where the number is.
    """
    _, number = prepare(factor, ndim=0, like=arrays[0], name="factor")
    namespace(number, arrays[0])
    dtype = arrays[0].dtype
    if xp.isdtype(number.dtype, "complex floating"):
        dtype = xp.complex64 if dtype in (xp.float32, xp.complex64) else xp.complex128
    return xp.astype(number, dtype), [xp.astype(x, dtype, copy=False) for x in arrays]
