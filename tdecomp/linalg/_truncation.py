"""Which rank: the one place of the library that decides it, as plain functions of a spectrum."""

from __future__ import annotations

import math
from typing import Any

from tdecomp._errors import check_number, check_rank
from tdecomp._program import one_program
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, integers, namespace, prepare


def tail_norms(s: Array, /) -> Array:
    r"""Return the error of every truncation: :math:`t_r = (\sum_{i \ge r} s_i^2)^{1/2}`.

    Parameters
    ----------
    s : array, shape (..., n)
        Singular values, descending, real and nonnegative.

    Returns
    -------
    array, shape (..., n + 1)
        Entry `r` is the Frobenius norm of what rank `r` leaves out: the whole norm at 0, zero
        at `n`. Small values are added first and relative to the largest, so that every entry is
        accurate to rounding at any scale, down to 1e-150 (single precision: 1e-18) of it.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.linalg import tail_norms
    >>> tail_norms(np.array([12.0, 4.0, 3.0]))
    array([13.,  5.,  3.,  0.])
    """
    return _tail_norms(s, namespace(s))


@one_program
def _tail_norms(s: Array, xp: Namespace) -> Array:
    """Sum squares relative to the largest, the small ones first."""
    top = s[..., :1]
    unit = xp.where(top > 0, top, xp.ones_like(top))
    squares = xp.flip((s / unit) ** 2, axis=-1)
    sums = xp.flip(xp.cumulative_sum(squares, axis=-1), axis=-1)
    return unit * xp.sqrt(xp.concat([sums, xp.zeros_like(top)], axis=-1))


def truncation_rank(s: Array, /, *, rank: int | None = None, atol: float | Array = 0.0) -> int:
    r"""Return the smallest rank that leaves a tail of at most `atol` in the Frobenius norm.

    Parameters
    ----------
    s : array, shape (..., n)
        Singular values, descending; a batch shares the largest rank that one of its members
        needs.
    rank : int, optional
        An upper limit.
    atol : float or array of shape (...), optional
        The norm that may be left out.

    Returns
    -------
    int
        A rank between 1 and ``min(n, rank)``.

    Raises
    ------
    TypeError, ValueError
        If `rank` is not an int of at least 1, or `atol` is negative.

    Notes
    -----
    Optimal by Eckart and Young [1]_: no matrix of smaller rank is within `atol`.

    References
    ----------
    .. [1] C. Eckart, G. Young, "The approximation of one matrix by another of lower rank",
       Psychometrika 1, 1936. doi:10.1007/BF02288367

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.linalg import truncation_rank
    >>> truncation_rank(np.array([12.0, 4.0, 3.0]), atol=4.0)
    2
    """
    n = int(s.shape[-1])
    limit = n if rank is None else min(n, check_rank(rank))
    xp = namespace(s)
    if isinstance(atol, int | float) and not atol >= 0:
        raise ValueError(f"atol must be a norm >= 0, got {atol}")
    tails = tail_norms(s)
    bound: Array = atol
    if type(atol) is not type(s):  # of a copy of what gradients flow through PyTorch warns
        bound = xp.asarray(atol, dtype=tails.dtype, device=device(s))
    needed = xp.sum(xp.astype(tails > bound[..., None], integers(xp)), axis=-1)
    return max(1, min(limit, int(xp.max(needed))))


def energy_rank(s: Any, /, *, energy: float) -> int:
    r"""Return the smallest rank that keeps the fraction `energy` of :math:`\sum_i s_i^2`.

    Parameters
    ----------
    s : array, shape (..., n)
        Singular values, descending.
    energy : float
        Between 0 and 1. The relative error of the truncation is at most ``sqrt(1 - energy)``.

    Returns
    -------
    int
        A rank between 1 and `n`.

    Raises
    ------
    TypeError, ValueError
        If `energy` does not lie strictly between 0 and 1, or `s` is empty, not finite, complex,
        negative or not descending.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.linalg import energy_rank
    >>> energy_rank(np.array([12.0, 4.0, 3.0]), energy=0.9)
    2
    """
    _, s = spectrum_of(s)
    return truncation_rank(s, atol=rtol_of_energy(energy) * tail_norms(s)[..., 0])


def spectrum_of(s: Any) -> tuple[Namespace, Array]:
    """Validate singular values."""
    xp, s = prepare(s, ndim=1, batch=True, name="s")
    if xp.isdtype(s.dtype, "complex floating"):
        raise TypeError(f"s must hold singular values, which are real, got {s.dtype}")
    if bool(xp.any(s < 0)) or bool(xp.any(s[..., 1:] > s[..., :-1])):
        raise ValueError("s must hold singular values: none negative, in descending order")
    return xp, s


def rtol_of_energy(energy: object) -> float:
    """Return the relative error of what keeps a fraction of the squared norm."""
    part = check_number(energy, name="energy")
    if not 0.0 < part < 1.0:
        raise ValueError(f"energy must lie strictly between 0 and 1, got {part}")
    return math.sqrt(1.0 - part)


def reachable_rtol(m: int, n: int, eps: float) -> float:
    """Return the relative error below which a computed SVD of an ``m x n`` matrix stays.

    LAPACK proves a modest polynomial of the size times eps; measured on flat spectra, the worst
    ones, the error grows like the square root of the smaller side. The constant leaves a factor
    of four.
    """
    return eps * (16.0 + 8.0 * math.sqrt(min(m, n)))
