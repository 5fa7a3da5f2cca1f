"""Completion of a matrix whose rows and columns are described by features."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from tdecomp._errors import check_callback, check_count, check_number, check_rank, check_size
from tdecomp._iterate import Callback, Fit, Status, Step, iterate
from tdecomp._precision import full_precision
from tdecomp._random import generator
from tdecomp._typing import Array, DType, Namespace, Seed
from tdecomp._xp import adjoint, conj, device, eps, namespace, prepare, squared_norm
from tdecomp.completion._entries import read
from tdecomp.completion._inner import inner
from tdecomp.completion._masked import entries as model_entries
from tdecomp.completion._masked import misfit, times, weighted_squares
from tdecomp.completion._methods._spectral import spectral
from tdecomp.completion._observed import Observed, Side, group
from tdecomp.completion._units import in_units, rounding
from tdecomp.linalg._formats import LowRank

# By how much a half sweep shrinks the slope, and the most steps that takes.
_SHRINK, _STEPS = 1e-2, 30


class Inductive(NamedTuple):
    r"""A matrix of low rank between features of rows and features of columns.

    .. math:: Z = X A B Y^T

    Attributes
    ----------
    row_features : array, shape (m, d)
        What is known of each row: `X`.
    left : array, shape (d, k)
        The tall factor `A`.
    right : array, shape (k, e)
        The wide factor `B`.
    column_features : array, shape (n, e)
        What is known of each column: `Y`.

    See Also
    --------
    inductive : makes one from the entries that are known.

    Notes
    -----
    New rows need no fit: ``z._replace(row_features=new)`` holds what is said of them.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion import Inductive
    >>> z = Inductive(np.ones((3, 1)), np.ones((1, 1)), np.ones((1, 2)), np.eye(2))
    >>> z.lowrank.shape
    (3, 2)
    >>> z._replace(row_features=np.array([[5.0]])).to_array()
    array([[5., 5.]])
    """

    row_features: Array
    left: Array
    right: Array
    column_features: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape ``(m, n)`` of the matrix."""
        return (self.row_features.shape[0], self.column_features.shape[0])

    @property
    def modes(self) -> int:
        """Two: a matrix."""
        return 2

    @property
    def rank(self) -> int:
        """Number of columns of `left`."""
        return int(self.left.shape[1])

    @property
    def dtype(self) -> DType:
        """The dtype of the matrix."""
        return self.left.dtype

    @property
    def lowrank(self) -> LowRank:
        """The same matrix as a product of two factors, which `predict` and `top_n` take."""
        xp = namespace(self.left)
        wide = self.right @ xp.matrix_transpose(self.column_features)
        return LowRank(self.row_features @ self.left, wide)

    @full_precision
    def to_array(self, region: slice | None = None) -> Array:
        """Return the matrix, or the rows of it in `region`."""
        rows = self.row_features if region is None else self.row_features[region, :]
        return self._replace(row_features=rows).lowrank.to_array()

    @full_precision
    def __matmul__(self, x: Array) -> Array:
        """Multiply by a vector or a matrix, without forming the matrix."""
        return self.lowrank @ x


# Else NumPy would take the tuple for a stack of arrays in ``array @ format``.
setattr(Inductive, "__array_ufunc__", None)  # noqa: B010 - NamedTuple takes no other attribute


class _Basis(NamedTuple):
    """An orthonormal basis of features, and what turns its coefficients into theirs."""

    basis: Array
    back: Array


@full_precision
def inductive(
    x: Any,
    row_features: Any,
    column_features: Any,
    /,
    *,
    rank: int,
    regularization: float = 0.0,
    weights: Any = None,
    duplicates: str = "error",
    max_iter: int = 100,
    tol: float = 1e-5,
    rng: Seed = None,
    callback: Callback | None = None,
) -> Fit[Inductive]:
    r"""Complete a matrix of low rank whose row and column spaces are known from features.

    .. math:: \min_{A, B} \sum_{(i,j) \in \Omega} w_{ij} |x_{ij} - p_i^T A B q_j|^2
              + \lambda \bigl( \|P A\|_F^2 + \|Q B^T\|_F^2 \bigr)

    with features :math:`p_i` and :math:`q_j` of rows and columns [1]_. Entries in proportion to
    the number of features determine it, not to that of rows and columns, and it has something to
    say of rows that were never seen. With ``numpy.eye`` for both it is `complete`.

    Parameters
    ----------
    x : COO, sparse matrix or array, shape (m, n)
        What is known, as in `complete`.
    row_features : array, shape (m, d)
        What describes the rows; columns may depend on one another.
    column_features : array, shape (n, e)
        What describes the columns.
    rank : int
        The rank `k`, at most the number of independent features of either kind.
    regularization : float
        The penalty :math:`\lambda \ge 0`: of the factors of the matrix, whatever the features
        are measured in.
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
        If features have another number of rows, are all zero, or are refused like any array, or
        another argument as in `complete`.

    See Also
    --------
    complete : without features; what these do not explain it fits to the residual.

    Notes
    -----
    The features are made orthonormal first. A half sweep solves for all coefficients of one side
    together, by conjugate gradients that start from the last ones, in the metric in which entries
    known at random make the system the identity: a few steps of
    :math:`4 |\Omega| k + 2 m d k` multiplications. It stops when the slope has shrunk a
    hundredfold: no step raises the objective.

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
        _prepared(features, size, entries.values, name)
        for features, size, name in zip(
            (row_features, column_features), entries.shape, names, strict=True
        )
    ]
    kind = xp.result_type(entries.values.dtype, *(part.dtype for part in pair))
    pair = [xp.astype(part, kind, copy=False) for part in pair]
    entries = entries._replace(values=xp.astype(entries.values, kind, copy=False))
    bases = [_orthonormal(part, name, xp) for part, name in zip(pair, names, strict=True)]
    k = check_rank(rank, min(b.basis.shape[1] for b in bases), way="pass a rank")
    entries, units = in_units(entries, xp)
    observed = group(entries, xp)
    ridge = check_size(regularization, name="regularization")
    ridge = ridge / units.scale / units.heaviest
    check_callback(callback)
    root = units.root

    def shown(state: tuple[Array, Array]) -> Inductive:
        a, b = (root * (base.back @ part) for base, part in zip(bases, state, strict=True))
        return Inductive(pair[0], a, xp.matrix_transpose(b), pair[1])

    total = max(weighted_squares(entries.values, observed.rows, xp), math.ulp(0.0))
    task = _Task(observed, bases[0].basis, bases[1].basis, ridge, total, xp)
    return iterate(
        lambda state: _sweep(task, *state),
        _start(task, k, generator(rng)),
        max_iter=check_count(max_iter, name="max_iter", least=1),
        tol=check_number(tol, name="tol"),
        callback=callback,
        show=shown,
    )


class _Task(NamedTuple):
    """What is known, in unit scale, and orthonormal features of both sides."""

    observed: Observed
    rows: Array
    columns: Array
    ridge: float
    total: float
    xp: Namespace


def _prepared(features: Any, size: int, like: Array, name: str) -> Array:
    """Return features as a finite matrix with that many rows."""
    _, features = prepare(features, ndim=2, like=like, name=name)
    if features.shape[0] != size:
        raise ValueError(f"{name} must have {size} rows, got shape {tuple(features.shape)}")
    return features


def _orthonormal(features: Array, name: str, xp: Namespace) -> _Basis:
    """Return a basis of the independent features."""
    u, s, vh = xp.linalg.svd(features, full_matrices=False)
    cut = eps(features.dtype, xp) * max(features.shape) * xp.max(s)
    kept = int(xp.sum(xp.astype(s > cut, xp.int32)))
    if not kept:
        raise ValueError(f"{name} are all zero: they describe nothing")
    return _Basis(u[:, :kept], adjoint(vh[:kept, :], xp) / s[:kept])


def _start(task: _Task, rank: int, rng: Any) -> tuple[Array, Array]:
    """Return the coefficients that are closest to a spectral start."""
    xp = task.xp
    left, right = spectral(task.observed, rank, rng, xp)
    return adjoint(task.rows, xp) @ left, adjoint(task.columns, xp) @ right


def _sweep(task: _Task, a: Array, b: Array) -> Step[tuple[Array, Array]]:
    """Solve for one side, and then for the other."""
    (rows, columns, _), xp = task.observed, task.xp
    a = _solved(rows, task.rows, a, task.columns @ b, task)
    b = _solved(columns, task.columns, b, task.rows @ a, task)
    loss = misfit(rows, task.rows @ a, task.columns @ b, xp)
    penalty = task.ridge * (squared_norm(a, xp) + squared_norm(b, xp))
    error, merit = (math.sqrt(part / task.total) for part in (loss, loss + penalty))
    exact = merit <= rounding(a.dtype, xp)
    return Step((a, b), error, merit=merit, verdict=Status.CONVERGED if exact else None)


def _solved(side: Side, basis: Array, a: Array, right: Array, task: _Task) -> Array:
    """Lower the objective over the coefficients of one side by conjugate gradients."""
    xp = task.xp
    weights = xp.ones_like(xp.abs(side.values)) if side.weights is None else side.weights

    def projected(values: Array) -> Array:
        return adjoint(basis, xp) @ times(side, weights * values, conj(right, xp), xp)

    def curved(direction: Array) -> Array:
        seen = model_entries(side, basis @ direction, right, xp)
        return projected(seen) + task.ridge * direction

    slope = projected(side.values) - curved(a)
    metric = _metric(side, weights, right, task)
    z = slope @ metric
    energy = first = inner(slope, z, xp)
    along = z
    for _ in range(_STEPS):
        bend_of = curved(along)
        bend = inner(along, bend_of, xp)
        if bend <= 0 or energy <= 0:
            break
        a, slope = a + energy / bend * along, slope - energy / bend * bend_of
        z = slope @ metric
        before, energy = energy, inner(slope, z, xp)
        if energy <= _SHRINK**2 * first:
            break
        along = z + energy / before * along
    return a


def _metric(side: Side, weights: Array, right: Array, task: _Task) -> Array:
    """Return the inverse of what the normal equations are where entries are known at random."""
    xp, k = task.xp, right.shape[1]
    m = side.starts.shape[0] - 1
    share = float(xp.sum(weights)) / (m * right.shape[0])
    gram = xp.matrix_transpose(right) @ conj(right, xp) * share
    scale = float(xp.max(xp.abs(gram)))
    shift = task.ridge + k * eps(right.dtype, xp) * scale
    identity = xp.eye(k, dtype=right.dtype, device=device(right))
    return xp.linalg.inv(gram + (shift or 1.0) * identity)
