"""Vectors that can be sampled, put together to a linear combination."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tdecomp._precision import full_precision
from tdecomp._typing import Array, DType, Namespace
from tdecomp._xp import namespace, prepare
from tdecomp.completion.sampling._combination import Combination
from tdecomp.completion.sampling._forest import moved
from tdecomp.completion.sampling._matrix import LengthSquaredMatrix
from tdecomp.completion.sampling._rows import SampledRows
from tdecomp.completion.sampling._vector import LengthSquaredVector


@full_precision
def combine(
    coefficients: Any, vectors: LengthSquaredMatrix | Sequence[LengthSquaredVector], /
) -> Combination:
    r"""Combine vectors that can be sampled to one that can: :math:`u = \sum_k \lambda_k v_k`.

    Parameters
    ----------
    coefficients : array, shape (t,)
        The numbers :math:`\lambda_k`.
    vectors : LengthSquaredMatrix of t rows, or sequence of t LengthSquaredVector
        The vectors, all of one length, dtype and library.

    Returns
    -------
    Combination
        Their sum, which refers to them.

    Raises
    ------
    TypeError, ValueError
        If numbers and vectors are not equally many, or vectors differ in length or dtype.

    Notes
    -----
    No entry is read.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion import sampling
    >>> rows = sampling.LengthSquaredMatrix(np.eye(3))
    >>> u = sampling.combine([1.0, 0.0, 2.0], rows)
    >>> u.shape, u.query([0, 2]).tolist()
    ((3,), [1.0, 2.0])
    """
    groups = _grouped(vectors)
    first = groups[0][0]
    xp = namespace(*(matrix._stored.values for matrix, _ in groups))
    numbers = prepare(coefficients, ndim=1, like=first._stored.values, name="coefficients")[1]
    numbers = _narrowed(numbers, first.dtype, xp)
    if int(numbers.shape[0]) != sum(len(rows) for _, rows in groups):
        count = sum(len(rows) for _, rows in groups)
        raise ValueError(f"{numbers.shape[0]} coefficients do not fit {count} vectors")
    terms, begin = [], 0
    for matrix, rows in groups:
        part = numbers[begin : begin + len(rows)]
        index = moved(np.asarray(rows, dtype=np.int64), part, xp)
        terms.append(SampledRows(matrix, index, part, matrix._trees.unit))
        begin += len(rows)
    return Combination(tuple(terms), tuple(part.unit for part in terms), False)


def _narrowed(numbers: Array, dtype: DType, xp: Namespace) -> Array:
    """Return coefficients in a dtype that may hold fewer digits, but not fewer dimensions."""
    if xp.isdtype(numbers.dtype, "complex floating") and xp.isdtype(dtype, "real floating"):
        raise TypeError("coefficients are complex, the vectors are real")
    return xp.astype(numbers, dtype)


def _grouped(vectors: Any) -> list[tuple[LengthSquaredMatrix, list[int]]]:
    """Return neighbours that are rows of one matrix together."""
    if isinstance(vectors, LengthSquaredMatrix):
        return [(vectors, list(range(vectors.shape[0])))]
    groups: list[tuple[LengthSquaredMatrix, list[int]]] = []
    for k, vector in enumerate(vectors):
        if not isinstance(vector, LengthSquaredVector):
            raise TypeError(f"vectors[{k}] must be a LengthSquaredVector, got {type(vector)}")
        if not groups or groups[-1][0] is not vector._matrix:
            groups.append((vector._matrix, []))
        groups[-1][1].append(vector._row)
    if not groups:
        raise ValueError("there is nothing to combine: give at least one vector")
    kinds = {(matrix.shape[1], str(matrix.dtype)) for matrix, _ in groups}
    if len(kinds) > 1:
        raise ValueError(f"vectors must have one length and dtype, got {sorted(kinds)}")
    return groups
