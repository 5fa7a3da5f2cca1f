"""Completion of a matrix whose rows and columns are described by features."""

from __future__ import annotations

from typing import Any

from tdecomp._errors import check_callback, check_count, check_number, check_rank, check_size
from tdecomp._iterate import Callback, Fit, iterate
from tdecomp._precision import full_precision
from tdecomp._random import generator
from tdecomp._typing import Seed
from tdecomp.completion._entries import read
from tdecomp.completion._masked import weighted_squares
from tdecomp.completion._observed import group
from tdecomp.completion._units import in_units
from tdecomp.completion._using._bases import orthonormal_basis, prepared
from tdecomp.completion._using._described import State, Task, start, sweep
from tdecomp.completion._using._halves import Sought
from tdecomp.completion._using._inductive import Inductive


@full_precision
def inductive(
    x: Any,
    row_features: Any,
    column_features: Any,
    /,
    *,
    rank: int,
    regularization: float = 0.0,
    residual_rank: int = 0,
    residual_regularization: float | None = None,
    weights: Any = None,
    duplicates: str = "error",
    max_iter: int = 100,
    tol: float = 1e-5,
    rng: Seed = None,
    callback: Callback | None = None,
) -> Fit[Inductive]:
    r"""Complete a matrix of low rank from features of its rows and columns, and what these leave.

    .. math:: \min_{A, B, U, V} \sum_{(i,j) \in \Omega} w_{ij}
              |x_{ij} - p_i^T A B q_j - u_i \cdot v_j|^2
              + \lambda \bigl( \|P A\|_F^2 + \|Q B^T\|_F^2 \bigr)
              + \lambda_r \bigl( \|U\|_F^2 + \|V\|_F^2 \bigr)

    with features :math:`p_i` and :math:`q_j` of rows and columns [1]_. Without :math:`U` and
    :math:`V`, entries in proportion to the number of features determine it, not to that of rows
    and columns. It has something to say of rows that were never seen: these have :math:`u_i = 0`.
    With ``numpy.eye`` for both features it is `complete`.

    Parameters
    ----------
    x : COO, sparse matrix or array, shape (m, n)
        What is known, as in `complete`.
    row_features : array or sparse matrix, shape (m, d)
        What describes the rows, in any units; columns may depend on one another. Sparse ones are
        made dense.
    column_features : array or sparse matrix, shape (n, e)
        What describes the columns.
    rank : int
        The rank `k`, at most the number of independent features of either kind.
    regularization : float
        The penalty :math:`\lambda \ge 0`: of the factors of the matrix, whatever the features
        are measured in.
    residual_rank : int
        The rank `r` of what features do not explain: not fitted where 0.
    residual_regularization : float
        The penalty :math:`\lambda_r`, needed with a `residual_rank`. What both parts can say, the
        one of the smaller penalty says: up to :math:`\lambda`, a residual of large rank leaves
        nothing to features.
    weights, duplicates, max_iter, tol, rng, callback
        As in `complete`.

    Returns
    -------
    Fit
        ``tensor``, an `Inductive`; ``error``, the relative residual on the known entries;
        ``n_iter``; ``status``.

    Raises
    ------
    ValueError
        If features have another number of rows, are all zero, or are refused like any array, if
        one of `residual_rank` and `residual_regularization` comes without the other, or another
        argument as in `complete`.

    See Also
    --------
    complete : without features.
    unseen : the rows and columns of which features alone speak.

    Notes
    -----
    The features are made orthonormal first. A half sweep solves for all coefficients of one side
    and its residual together, by conjugate gradients that start from the last ones, in the metric
    in which entries known at random make the system the identity: a few steps of
    :math:`4 |\Omega| (k + r) + 2 m d k` multiplications. It stops when the slope has shrunk a
    hundredfold: no step raises the objective. Where :math:`\lambda_r \le \lambda` and `r` is
    large enough, ``complete(regularization=residual_regularization)`` has the same minimum, by
    the triangle inequality of the nuclear norm.

    References
    ----------
    .. [1] P. Jain, I. S. Dhillon, "Provable inductive matrix completion", 2013. arXiv:1306.0626,
       algorithm 1

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion import inductive
    >>> rng = np.random.default_rng(0)
    >>> p, q = rng.standard_normal((200, 4)), rng.standard_normal((300, 5))
    >>> truth = p @ np.outer([1.0, 2, 3, 4], [5.0, 4, 3, 2, 1]) @ q.T
    >>> x = np.where(rng.random(truth.shape) < 0.01, truth, np.nan)
    >>> fit = inductive(x, p, q, rank=1, tol=1e-12, rng=0)
    >>> bool(np.linalg.norm(fit.tensor.to_array() - truth) < 1e-8 * np.linalg.norm(truth))
    True
    """
    xp, entries = read(x, weights, duplicates=duplicates)
    names = "row_features", "column_features"
    pair = [
        prepared(features, size, entries.values, name)
        for features, size, name in zip(
            (row_features, column_features), entries.shape, names, strict=True
        )
    ]
    kind = xp.result_type(entries.values.dtype, *(part.dtype for part in pair))
    pair = [xp.astype(part, kind, copy=False) for part in pair]
    entries = entries._replace(values=xp.astype(entries.values, kind, copy=False))
    bases = [orthonormal_basis(part, name, xp) for part, name in zip(pair, names, strict=True)]
    k = check_rank(rank, min(b.basis.shape[1] for b in bases), way="pass a rank")
    r = _residual_rank(residual_rank, residual_regularization, min(entries.shape))
    entries, units = in_units(entries, xp)
    observed = group(entries, xp)
    ridges = tuple(
        units.penalty(ridge, by_count=False)
        for ridge in _penalties(regularization, residual_regularization)
    )
    check_callback(callback)
    root = units.root

    def shown(state: State) -> Inductive:
        a, b = (root * (base.back @ half[0]) for base, half in zip(bases, state, strict=True))
        left = (
            () if not r else (root * state.rows[1], root * xp.matrix_transpose(state.columns[1]))
        )
        return Inductive(pair[0], a, xp.matrix_transpose(b), pair[1], *left)

    total = weighted_squares(entries.values, observed.rows, xp) or 1.0
    rows, columns = (
        Sought(side, base.basis, ridges)
        for side, base in zip((observed.rows, observed.columns), bases, strict=True)
    )
    task = Task(observed, rows, columns, total, xp)
    return iterate(
        lambda state: sweep(task, state),
        start(task, k, r, generator(rng)),
        max_iter=check_count(max_iter, name="max_iter", least=1),
        tol=check_number(tol, name="tol"),
        callback=callback,
        show=shown,
    )


def _residual_rank(rank: int, penalty: float | None, limit: int) -> int:
    """Return the rank of what features leave, which needs a penalty and is needed for one."""
    r = check_count(rank, name="residual_rank")
    if r > limit:
        raise ValueError(f"residual_rank must be an int between 0 and {limit}, got {r}")
    if r and penalty is None:
        raise ValueError(
            "residual_rank needs residual_regularization=, above regularization= so that features "
            "say what they can"
        )
    if penalty is not None and not r:
        raise ValueError("residual_regularization needs residual_rank= of 1 or more")
    return r


def _penalties(penalty: float, residual: float | None) -> tuple[float, ...]:
    """Return the penalty of features, and that of what they leave where there is one."""
    first = check_size(penalty, name="regularization")
    if residual is None:
        return (first,)
    return first, check_size(residual, name="residual_regularization")
