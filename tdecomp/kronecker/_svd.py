"""The Kronecker-product singular value decomposition of Van Loan and Pitsianis."""

from __future__ import annotations

from typing import Any

from tdecomp._errors import check_count
from tdecomp._iterate import Callback, Fit
from tdecomp._precision import full_precision
from tdecomp._typing import Seed
from tdecomp._xp import differentiated
from tdecomp.kronecker._facts import facts_of
from tdecomp.kronecker._format import KroneckerSum, of_vectors
from tdecomp.kronecker._metric import of_metric
from tdecomp.kronecker._operands import rearrangement, source_of
from tdecomp.kronecker._search import searched
from tdecomp.kronecker._structure import structured, with_signs
from tdecomp.kronecker._task import Task, check_task
from tdecomp.kronecker._terms import by_terms
from tdecomp.kronecker._traced import of_traced
from tdecomp.kronecker._weights import check_weights
from tdecomp.linalg._formats import SVD
from tdecomp.linalg._operand import Operand
from tdecomp.linalg._search import projection_error


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
    multiplied where `A` lies.

    Parameters
    ----------
    a : array, scipy.sparse matrix, or operator, shape (m, n)
        The matrix. Sparse ones stay sparse; of an operator (``shape``, ``dtype``, ``@``, an
        adjoint), for two factors, every product costs one with the identity, a few columns at a
        time.
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
        in closed form. For two factors.
    weights : array, broadcastable to (m, n), optional
        Minimise :math:`\sum_{ij} w_{ij} |a_{ij} - \hat a_{ij}|^2` with nonnegative weights by
        alternating least squares; 0 means missing, and what is missing may be NaN. For arrays.
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
    them. If the shorter side of the rearrangement is at most 128, its triangular factor is found
    in one reading, and with it all singular values; that takes :math:`2 m n` times the side flops
    and as many numbers as the factors hold.

    *Structure.* If `a` is real symmetric, and all factors square, so is every factor, or skew in
    both places; of a complex Hermitian `a` all factors are Hermitian, and the largest entry of the
    diagonal of each left one is positive. If `a` is positive semidefinite or nonnegative and
    :math:`\sigma_1 > \sigma_2`, so are the factors of the first term. That holds to rounding
    however far a search goes, of arrays, sparse matrices and operators (an operator is held for
    symmetric if it is on random vectors). Toeplitz blocks, bands and all other patterns that are
    linear in either factor are kept to rounding.

    *Three factors and more* are a CP decomposition of the rearranged tensor, from the leading
    singular vectors of its unfoldings, or with `weights` from random factors; there the best
    approximation need not exist, and a local minimum may be found.

    Under ``jit``, ``vmap`` and ``grad``, `rank` is required and the rearranged matrix decomposed;
    gradients are those of the leading terms wherever :math:`\sigma_r > \sigma_{r+1}`, of matrices
    of low rank, too.

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
    task = check_task(
        shapes, rank=rank, rtol=rtol, tol=tol, max_iter=max_iter, rng=rng, callback=callback
    )
    n_starts = check_count(n_starts, name="n_starts", least=1)
    if differentiated(a):
        given = (left, right, weights, callback)
        return of_traced(a, task, plain=not pad and all(x is None for x in given))
    if weights is not None or len(task.shapes) > 2:
        if left is not None or right is not None or rtol is not None:
            raise ValueError(
                "left=, right= and rtol= are for two factors without weights=; pass rank= alone"
            )
        return by_terms(a, weights, task, pad=pad, n_starts=n_starts)
    source = source_of(a, task.pair, pad=pad, rng=task.rng)
    metric = check_weights(left, right, task.pair, source.like)
    if metric is None:
        return _of_operand(rearrangement(source, task.pair), task)
    return of_metric(source, metric, task)


def _of_operand(op: Operand, task: Task) -> Fit[KroneckerSum]:
    """Decompose the rearranged matrix, and keep its structure."""
    xp, pair = op.xp, task.pair
    fit, facts = searched(op, task), facts_of(op, pair)
    svd, error = fit.tensor, fit.error
    if any(facts):
        every = structured(op, svd, facts, pair)
        most = every.rank if task.rank is None else min(task.rank, every.rank)
        for rank in range(svd.rank, most + 1):
            svd = SVD(every.U[:, :rank], every.S[:rank], every.Vh[:rank, :])
            error = projection_error(op, svd)
            if task.rtol is None or error <= task.rtol:
                break
        svd = svd._replace(S=svd.S * op.scale)
    svd = with_signs(svd, facts, pair, xp)
    found = of_vectors((svd.U, xp.matrix_transpose(svd.Vh)), svd.S, pair, xp)
    return Fit(found, error, fit.n_iter, fit.status)
