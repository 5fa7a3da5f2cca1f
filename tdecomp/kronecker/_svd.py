"""The Kronecker-product singular value decomposition of Van Loan and Pitsianis."""

from __future__ import annotations

import math
import sys
from typing import Any, NamedTuple

from tdecomp._errors import (
    check_callback,
    check_count,
    check_rank,
    check_reachable,
    check_size,
    check_target,
)
from tdecomp._iterate import Callback, Fit, Status
from tdecomp._precision import full_precision
from tdecomp._random import generator
from tdecomp._typing import Array, Namespace, Seed
from tdecomp._xp import differentiated, eps, equilibrate, prepare
from tdecomp.cp._weighted_data import _weights, check_observed
from tdecomp.kronecker._format import KroneckerSum, of_vectors
from tdecomp.kronecker._operands import of_matrix, padded
from tdecomp.kronecker._rearranged import Pair, Rearranged
from tdecomp.kronecker._structure import hermitian, symmetrised, turned
from tdecomp.kronecker._targets import Shapes, check_fit, check_shapes
from tdecomp.kronecker._terms import as_tensor, check_seen, fit_terms
from tdecomp.kronecker._weights import Weights, check_weights, factors_of, pushed, weighted
from tdecomp.linalg._formats import SVD
from tdecomp.linalg._operand import Operand
from tdecomp.linalg._randomized import Options, of_operand
from tdecomp.linalg._search import exact
from tdecomp.linalg._signs import canonical_signs
from tdecomp.linalg._start import Budget
from tdecomp.linalg._svd import robust_svd
from tdecomp.linalg._truncation import reachable_rtol

# Columns of the random block beyond the rank; blocks are filled up to whole vectors.
_OVERSAMPLE, _LANES = 3, 8
_MAX_ITER = 32
# The longest shorter side of a rearranged matrix whose whole SVD is as fast as any search.
_SMALL = 128


class _Task(NamedTuple):
    """What is asked for, validated."""

    shapes: Shapes
    rank: int | None
    rtol: float | None
    tol: float
    max_iter: int
    rng: Any
    callback: Callback | None

    @property
    def pair(self) -> Pair:
        """The shapes of two factors."""
        first, second = self.shapes
        return first, second


@full_precision
def kronecker_svd(
    a: Any,
    /,
    shapes: Any,
    *,
    rank: int | None = None,
    rtol: float | None = None,
    left: Any = None,
    right: Any = None,
    weights: Any = None,
    pad: bool = False,
    n_starts: int = 1,
    tol: float | None = None,
    max_iter: int | None = None,
    rng: Seed = 0,
    callback: Callback | None = None,
) -> Fit[KroneckerSum]:
    r"""Approximate a matrix by a sum of Kronecker products, the best one of so many terms.

    .. math:: \min_{L_k, R_k} \Bigl\| A - \sum_{k=1}^r L_k \otimes R_k \Bigr\|_F
              = \Bigl( \sum_{k > r} \sigma_k^2 \Bigr)^{1/2} ,

    with the singular values of the rearranged matrix :math:`\mathcal{R}(A)`, whose row
    :math:`(i_1, j_1)` is the block :math:`(i_1, j_1)` of `A`. The rearrangement is a view: it is
    multiplied where `A` lies, and is only copied where its shorter side is at most 128.

    Parameters
    ----------
    a : array, scipy.sparse matrix, or operator, shape (m, n)
        The matrix. Sparse ones stay sparse; of an operator (``shape``, ``dtype``, ``@``, an
        adjoint) every product costs one with the identity, a few columns at a time.
    shapes : ((m_1, n_1), (m_2, n_2), ...)
        Shapes of the factors, with :math:`m = \prod m_k`, :math:`n = \prod n_k`; see
        `suggest_shapes`.
    rank : int, optional
        The number of terms.
    rtol : float, optional
        Guarantee :math:`\|A - \hat A\|_F \le \mathtt{rtol}\, \|A\|_F` with as few terms as that
        takes; for two factors, without `weights`. With `rank` too, the smaller one wins.
    left, right : pair of arrays, optional
        Metric weights :math:`L_1 \otimes L_2` and :math:`R_1 \otimes R_2` of rows and columns,
        each part a vector (a diagonal), a matrix or None: minimise :math:`\|L (A - \hat A) R\|_F`
        in closed form. For arrays and two factors.
    weights : array, broadcastable to (m, n), optional
        Minimise :math:`\sum_{ij} w_{ij} |a_{ij} - \hat a_{ij}|^2` with nonnegative weights by
        alternating least squares; 0 means missing, and what is missing may be NaN.
    pad : bool
        Fill the matrix up with zeros, at the bottom and on the right, where `shapes` need more;
        the result has the larger shape.
    n_starts : int
        How many starts alternating least squares makes; see `tdecomp.cp_als`.
    tol : float, optional
        Two factors: the excess over the best error to stop at, 1e-4 by default. Alternating least
        squares: the relative change of the error to stop at, 1e-8 by default.
    max_iter : int, optional
        The largest number of products with the matrix, or of sweeps.
    rng : int, numpy.random.Generator or None
        Draws starting blocks. The default makes the result reproducible.
    callback : callable, optional
        Called with a `Progress` after each product that shows an error, or sweep; returning True
        stops.

    Returns
    -------
    Fit
        ``tensor``, a `KroneckerSum`: terms in the order of their norms :math:`\sigma_k`, which
        both factors share evenly, orthogonal to one another, the entry of largest magnitude of
        each left factor positive; ``error``, its relative error, in the weighted norm where there
        are weights; ``n_iter``; ``status``.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit (the nearest divisors are named), neither `rank` nor `rtol` is given,
        an option is out of range, or `a` is empty or not finite.
    ToleranceError
        If `rtol` is below what rounding allows in this precision.

    See Also
    --------
    suggest_shapes : which shapes to take.
    tdecomp.randomized_svd : the same search, of the matrix itself.

    Notes
    -----
    A product costs :math:`2 m n (r + 3)` flops and one reading of the matrix; three or four are
    usual. Memory beside the matrix: :math:`(m_1 n_1 + m_2 n_2)(r + 3)` numbers for every two of
    them. A rearranged matrix whose shorter side is at most 128 is formed, of sparse matrices and
    operators too, and decomposed at once.

    *Structure.* If `a` is real symmetric, and all factors square, so is every factor, or skew in
    both places. Of a complex Hermitian `a` with distinct singular values all factors are
    Hermitian, as accurately as the search goes, and the largest entry of the diagonal of each left
    one is positive. If `a` is positive semidefinite or nonnegative and
    :math:`\sigma_1 > \sigma_2`, so are the factors of the first term, of large matrices as
    accurately as the search goes, see `tol`. Toeplitz blocks, bands and all other patterns that
    are linear in either factor are kept to rounding.

    *Three factors and more* are a CP decomposition of the rearranged tensor, from the leading
    singular vectors of its unfoldings, or with `weights` from random factors; there the best
    approximation need not exist, and a local minimum may be found.

    Under ``jit``, ``vmap`` and ``grad``, `rank` is required and the rearranged matrix decomposed.

    References
    ----------
    .. [1] C. F. Van Loan, N. Pitsianis, "Approximation with Kronecker products", in Linear
       Algebra for Large Scale and Real-Time Applications, 1993, Theorems 2.1, 4.1 and 5.8.
       doi:10.1007/978-94-015-8196-7_17
    .. [2] C. F. Van Loan, "The ubiquitous Kronecker product", J. Comput. Appl. Math. 123, 2000.
       doi:10.1016/S0377-0427(00)00393-9

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import kronecker
    >>> a = np.kron([[1.0, 2.0], [3.0, 4.0]], np.eye(3)) + np.kron(np.eye(2), np.ones((3, 3)))
    >>> fit = kronecker.kronecker_svd(a, ((2, 2), (3, 3)), rtol=1e-12)
    >>> fit.tensor.rank, fit.tensor.n_parameters
    (2, 26)
    """
    task = _Task(
        check_shapes(shapes),
        rank,
        rtol,
        math.nan if tol is None else check_size(tol, name="tol"),
        sys.maxsize if max_iter is None else check_count(max_iter, name="max_iter", least=2),
        generator(rng),
        callback,
    )
    check_callback(callback)
    n_starts = check_count(n_starts, name="n_starts", least=1)
    if differentiated(a):
        given = (left, right, weights, callback)
        return _of_traced(a, task, plain=not pad and all(x is None for x in given))
    if weights is not None or len(task.shapes) > 2:
        if left is not None or right is not None or rtol is not None:
            raise ValueError(
                "left=, right= and rtol= are for two factors without weights=; pass rank= alone"
            )
        return _by_terms(a, weights, task, pad=pad, n_starts=n_starts)
    pair = task.pair
    op = of_matrix(a, pair, pad=pad, rng=task.rng)
    metric = check_weights(left, right, pair, op.like)
    if metric is None:
        return _of_operand(op, task)
    if not isinstance(op, Rearranged):
        raise TypeError("left= and right= are for arrays: they are multiplied into the matrix")
    return _of_metric(op, metric, task)


def _of_operand(op: Operand, task: _Task) -> Fit[KroneckerSum]:
    """Decompose the rearranged matrix, and keep its symmetry."""
    xp, pair = op.xp, task.pair
    fit = _searched(op, task)
    svd, error = fit.tensor, fit.error
    alike = isinstance(op, Rearranged) and op.total > 0 and hermitian(op.array, pair, xp)
    real = not xp.isdtype(svd.U.dtype, "complex floating")
    if alike and real:
        svd = symmetrised(op, svd, pair)
        error = math.sqrt(op.misfit(svd.U * svd.S, svd.Vh) / op.total)
        svd = svd._replace(S=svd.S * op.scale)
    u, vh = canonical_signs(svd.U, svd.Vh, xp)
    if alike and not real:
        u, vh = turned(u, vh, pair, xp)
    found = of_vectors((u, xp.matrix_transpose(vh)), svd.S, pair, xp)
    return Fit(found, error, fit.n_iter, fit.status)


def _searched(op: Operand, task: _Task) -> Fit[SVD]:
    """Find leading triplets: all of them where the matrix is small, else by blocks of vectors."""
    rank, rtol = check_target(task.rank, task.rtol, min(op.shape))
    if min(op.shape) <= _SMALL:
        if rtol is not None:
            floor = reachable_rtol(*op.shape, eps(op.like.dtype, op.xp))
            check_reachable(rtol, floor, dtype=op.like.dtype)
        return exact(op, rank, rtol)
    oversample = _OVERSAMPLE
    if rank is not None:
        oversample += -(rank + oversample) % _LANES
    tol = 1e-4 if math.isnan(task.tol) else task.tol
    most = _MAX_ITER if rank is not None else task.max_iter
    options = Options(
        rank,
        rtol,
        oversample,
        None,
        "krylov",
        "gaussian",
        tol,
        Budget(min(most, task.max_iter), task.callback),
    )
    return of_operand(op, options, task.rng)


def _of_metric(op: Rearranged, weights: Weights, task: _Task) -> Fit[KroneckerSum]:
    """Solve the problem of the weighted matrix, and lead back to the matrix itself."""
    xp, pair = op.xp, op.shapes
    a = weighted(op.array, weights, pair, xp)
    inner = of_matrix(a, weights.shapes(pair), pad=False, rng=task.rng)
    fit = _searched(inner, task)
    first, second = factors_of(op, fit.tensor, weights, pair)
    first, turned_second = canonical_signs(first, xp.matrix_transpose(second), xp)
    second = xp.matrix_transpose(turned_second)
    error = 0.0
    if inner.total > 0:
        rows, columns = pushed(first, second, weights, pair, xp)
        error = math.sqrt(inner.misfit(rows, xp.matrix_transpose(columns)) / inner.total)
    return Fit(of_vectors((first, second), op.scale, pair, xp), error, fit.n_iter, fit.status)


def _by_terms(a: Any, weights: Any, task: _Task, *, pad: bool, n_starts: int) -> Fit[KroneckerSum]:
    """Decompose the rearranged tensor term by term."""
    rank = check_rank(task.rank, way="rtol= is for two factors without weights=")
    xp, a = prepare(a, ndim=2, check_finite=weights is None)
    shape = check_fit(task.shapes, a.shape, pad=pad)
    if weights is not None:
        weights = _weights(weights, a, a.shape, xp, name="a")
        check_observed(a, weights > 0, xp, name="a")
        weights = padded(weights, shape, xp)
        check_seen(weights, task.shapes, xp)
    most = None if task.max_iter == sys.maxsize else task.max_iter
    options: dict[str, Any] = {"n_starts": n_starts, "max_iter": most}
    if not math.isnan(task.tol):
        options["tol"] = task.tol
    return fit_terms(
        padded(a, shape, xp),
        task.shapes,
        rank,
        weights=weights,
        rng=task.rng,
        callback=task.callback,
        xp=xp,
        **options,
    )


def _of_traced(a: Array, task: _Task, *, plain: bool) -> Fit[KroneckerSum]:
    """Serve a matrix under ``jit``, ``vmap`` or ``grad``: everything that has a shape is fixed."""
    if not plain or task.rank is None or task.rtol is not None or len(task.shapes) != 2:
        raise ValueError(
            "under tracing (jit, vmap, gradients) the rearranged matrix is decomposed as it is, "
            "at a fixed number of terms: pass rank= and two shapes; no rtol=, left=, right=, "
            "weights=, pad= or callback="
        )
    xp, a = prepare(a, ndim=2)
    check_fit(task.shapes, a.shape, pad=False)
    rank = check_rank(task.rank, min(math.prod(shape) for shape in task.shapes))
    a, scale = equilibrate(a, xp, axis=(0, 1))
    found = _kronecker_svd(a, task.shapes, rank, xp=xp)
    total = xp.linalg.vector_norm(a)
    gap = xp.linalg.vector_norm(a - found.to_array())
    error = gap / xp.where(total > 0, total, xp.ones_like(total))
    return Fit(found._replace(left=found.left * scale), error, 1, Status.CONVERGED)


def _kronecker_svd(a: Array, shapes: Shapes, rank: int, *, xp: Namespace) -> KroneckerSum:
    """Decompose the rearranged matrix at fixed rank."""
    u, s, vh = robust_svd(as_tensor(a, shapes, xp), xp)
    u, vh = canonical_signs(u[:, :rank], vh[:rank, :], xp)
    root = xp.astype(xp.sqrt(s[:rank]), u.dtype)
    stacks = xp.matrix_transpose(u * root), vh * root[:, None]
    left, right = (
        xp.reshape(stack, (rank, *shape)) for stack, shape in zip(stacks, shapes, strict=True)
    )
    return KroneckerSum(left, right)
