"""Rows of a tall matrix that span the others with small coefficients."""

from __future__ import annotations

from typing import Any

from tdecomp._errors import check_number
from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, eps, equilibrate, prepare

# A swap multiplies the volume by more than 1 + tol, so there cannot be many.
_SWAPS = 100


@full_precision
def maxvol(a: Any, /, *, tol: float = 0.05) -> tuple[tuple[int, ...], Array]:
    r"""Choose rows of a tall matrix whose square submatrix has nearly the largest volume.

    With the chosen rows :math:`A_I` all entries of the coefficients :math:`C = A A_I^{-1}` are at
    most :math:`1 + \mathtt{tol}` in magnitude: no swap of one row for another raises
    :math:`|\det A_I|` by more than that factor. Then :math:`\|C\|_2 \le (1 + \mathtt{tol})
    \sqrt{r (m - r) + 1}`, so that what holds for the rows chosen holds for all of them.

    Parameters
    ----------
    a : array, shape (m, r)
        A matrix of full column rank, ``m >= r``; best one with orthonormal columns.
    tol : float
        How far coefficients may exceed one.

    Returns
    -------
    rows : tuple of int
        The `r` rows.
    coefficients : array, shape (m, r)
        :math:`C`, the identity in the rows chosen.

    Raises
    ------
    TypeError, ValueError
        If `a` is no finite matrix, wide, or of deficient rank, or `tol` is negative.

    Notes
    -----
    Starts from Gaussian elimination with partial pivoting, :math:`2 m r^2` flops; each swap takes
    :math:`2 m r`.

    References
    ----------
    .. [1] S. A. Goreinov, I. V. Oseledets, D. V. Savostyanov, E. E. Tyrtyshnikov,
       N. L. Zamarashkin, "How to find a good submatrix", in Matrix Methods: Theory, Algorithms
       and Applications, 2010. doi:10.1142/9789812836021_0015

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import tt
    >>> rows, coefficients = tt.maxvol(np.array([[1.0, 0.0], [3.0, 1.0], [0.0, 2.0]]))
    >>> rows
    (1, 2)
    """
    xp, a = prepare(a, ndim=2)
    bound = check_number(tol, name="tol", legal="a number >= 0")
    if not bound >= 0:
        raise ValueError(f"tol must be a number >= 0, got {bound}")
    if a.shape[0] < a.shape[1]:
        raise ValueError(f"a must have as many rows as columns or more, got shape {a.shape}")
    a, _ = equilibrate(a, xp, axis=(0, 1))
    return _maxvol(a, bound, xp=xp)


def _maxvol(a: Array, tol: float, *, xp: Namespace) -> tuple[tuple[int, ...], Array]:
    """Eliminate with pivoting, then swap rows while that raises the volume."""
    rows = _eliminated(a, xp)
    chosen = xp.take(a, xp.asarray(rows, device=device(a)), axis=0)
    turned = xp.linalg.solve(xp.matrix_transpose(chosen), xp.matrix_transpose(a))
    c = xp.matrix_transpose(turned)
    r = len(rows)
    identity = xp.eye(r, dtype=c.dtype, device=device(c))
    for _ in range(_SWAPS * r):
        place = int(xp.argmax(xp.abs(c)))
        i, j = divmod(place, r)
        if bool(xp.abs(c[i, j]) <= 1 + tol):
            break
        step = (c[i, :] - identity[j, :]) / c[i, j]
        c = c - c[:, j][:, None] * step[None, :]
        rows[j] = i
    return tuple(rows), c


def _eliminated(a: Array, xp: Namespace) -> list[int]:
    """Return the pivots of Gaussian elimination by columns."""
    least = eps(a.dtype, xp) * max(a.shape) * xp.max(xp.abs(a))
    rows: list[int] = []
    rest = a
    for j in range(a.shape[1]):
        column = rest[:, 0]
        i = int(xp.argmax(xp.abs(column)))
        if not bool(xp.abs(column[i]) > least):
            raise ValueError(
                f"a must have full column rank, but column {j} depends on the ones before; pass "
                "an orthonormal basis of its range"
            )
        rest = rest[:, 1:] - (column / column[i])[:, None] * rest[i, 1:][None, :]
        rows.append(i)
    return rows
