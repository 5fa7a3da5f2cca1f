r"""Columns that span others, and rows at which what they span is interpolated: QR with pivoting.

.. math:: v \approx C\, v_I , \qquad C = Q\, (Q_I)^{-1} ,

holds for all `v` in the range of `Q`. The larger :math:`\|(Q_I)^{-1}\|`, the more what is missing
is amplified; pivots of the adjoint of `Q` keep it small (Q-DEIM).

References
----------
.. [1] Z. Drmac, S. Gugercin, "A new selection operator for the discrete empirical interpolation
   method", SIAM J. Sci. Comput. 38, 2016. doi:10.1137/15M1019271
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[Any]
Indices = npt.NDArray[np.intp]


def column_pivots(a: Matrix, tol: float, *, least: int = 0) -> Indices:
    """Return which columns span all of them up to `tol`, those that add most first."""
    from scipy.linalg import qr

    triangle, order = qr(a, mode="r", pivoting=True, check_finite=False)
    found: Indices = order[: max(int(np.sum(np.abs(np.diagonal(triangle)) > tol)), least)]
    return found


def unspanned(a: Matrix, others: Matrix, tol: float) -> Indices:
    """Return which of `others` are needed to span these, beside the columns of `a`."""
    q = span(a)
    return column_pivots(others - q @ (np.conj(q.T) @ others), tol)


def span(a: Matrix) -> Matrix:
    """Return orthonormal columns that span those of a matrix."""
    from scipy.linalg import qr

    q: Matrix = qr(a, mode="economic", check_finite=False)[0]
    return q


def row_pivots(q: Matrix, known: Indices) -> Indices:
    """Return as many rows as there are columns: `known` ones, and pivots of what these leave."""
    from scipy.linalg import qr

    spanned = span(np.conj(q[known].T))
    rest = q - (q @ spanned) @ np.conj(spanned.T)
    _, order = qr(np.conj(rest.T), mode="r", pivoting=True, check_finite=False)
    found: Indices = np.concatenate([known, order[: q.shape[1] - known.size]])
    return found


def cardinal(q: Matrix, rows: Indices) -> Matrix:
    """Return what has the range of `q`, and rows of the identity at some of its rows."""
    from scipy.linalg import solve

    found: Matrix = solve(q[rows].T, q.T, check_finite=False).T
    return found
