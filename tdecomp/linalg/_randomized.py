"""The leading singular triplets of a large matrix, by sketching, with a measured error."""

from __future__ import annotations

import math
import sys
from typing import Any, NamedTuple

import numpy as np

from tdecomp._errors import (
    check_callback,
    check_choice,
    check_count,
    check_number,
    check_rank,
    check_reachable,
    check_target,
)
from tdecomp._iterate import Callback, Fit, Status
from tdecomp._precision import full_precision
from tdecomp._random import generator, normal
from tdecomp._typing import Array, Namespace, Seed
from tdecomp._xp import adjoint, differentiated, eps, equilibrate, prepare
from tdecomp.linalg._formats import SVD
from tdecomp.linalg._operand import Operand, operand
from tdecomp.linalg._search import by_error, by_rank, exact
from tdecomp.linalg._signs import canonical_signs
from tdecomp.linalg._single_pass import single_pass
from tdecomp.linalg._sketch import SKETCHES, matrix_of
from tdecomp.linalg._start import Budget
from tdecomp.linalg._truncation import reachable_rtol

METHODS = ("krylov", "subspace", "single-pass")

_BLOCK = 32
_PROBES = 4
_MAX_ITER = 32


class Options(NamedTuple):
    """The validated options of `randomized_svd`."""

    rank: int | None
    rtol: float | None
    oversample: int
    power: int | None
    method: str
    sketch: str
    tol: float
    budget: Budget

    @property
    def keep(self) -> bool:
        """Whether blocks of the Krylov space are kept."""
        return self.method == "krylov"


@full_precision
def randomized_svd(
    a: Any,
    /,
    *,
    rank: int | None = None,
    rtol: float | None = None,
    oversample: int = 10,
    power: int | None = None,
    method: str = "krylov",
    sketch: str = "gaussian",
    tol: float = 1e-4,
    max_iter: int | None = None,
    rng: Seed = None,
    callback: Callback | None = None,
) -> Fit[SVD]:
    r"""Approximate the leading singular triplets of a large matrix, as well as one asks.

    A random block is multiplied by the matrix and its adjoint in turn; after every product the
    span of all that came out is a space :math:`Q` onto which the matrix is projected. With
    `rank`, products go on until the excess over the best error of that rank,
    :math:`\|A - \hat A\|_F / \|A - A_r\|_F - 1`, is estimated to be at most `tol`: an easy
    spectrum costs two or three, a hard one what it needs. With `rtol`, they go on until
    :math:`\|A - \hat A\|_F \le \mathtt{rtol}\,\|A\|_F`.

    Parameters
    ----------
    a : array, scipy.sparse matrix, or operator, shape (m, n)
        An array of any library; or a sparse matrix; or an object with ``shape``, ``dtype``,
        ``@`` and an adjoint ``mH`` or ``H``, such as ``scipy.sparse.linalg.LinearOperator``.
    rank : int, optional
        How many triplets, at most ``min(m, n)``.
    rtol : float, optional
        The relative error to stay below, with as few triplets as the projection allows. With
        `rank` too, the smaller rank wins.
    oversample : int
        How many columns the random block has beyond `rank`.
    power : int, optional
        Make exactly ``2 * power + 2`` products instead of measuring when to stop.
    method : {'krylov', 'subspace', 'single-pass'}
        Keep all blocks (fewest products), only the newest (least memory), or read the matrix
        once for three sketches at the same time (least access, least accurate; needs `rank`).
    sketch : {'gaussian', 'sparse-sign', 'srht', 'countsketch'}
        The distribution of the random block.
    tol : float
        The excess over the best error to stop at.
    max_iter : int, optional
        The largest number of products; by default 32 with `rank`, and with `rtol` alone as many
        as it takes.
    rng : int, numpy.random.Generator or None
        The same seed gives the same block on every library.
    callback : callable, optional
        Called with a `Progress` after each product that shows an error; returning True stops.

    Returns
    -------
    Fit
        ``tensor``, an `SVD` with canonical signs; ``error``, its relative error; ``n_iter``, the
        number of products with the matrix or its adjoint; ``status``.

    Raises
    ------
    ValueError, TypeError
        If an option is out of range, or `a` is empty, not finite or of another kind.
    ToleranceError
        If `rtol` is below what rounding allows in this precision.

    See Also
    --------
    truncated_svd : exact, for matrices of moderate size.

    Notes
    -----
    A product costs :math:`2 m n (r + p)` flops and one reading of the matrix; memory is
    :math:`(m + n)(r + p)` numbers for every two products with ``'krylov'``.

    *The error.* After a projection, :math:`\|A - \hat A\|_F^2 = \|A\|_F^2 - \|\hat A\|_F^2`.
    That difference is used only where cancellation leaves it six digits; elsewhere the
    difference of the matrices is formed, slab by slab. For an operator both norms come from 24
    Gaussian probes, and the error is an estimate within about a fifth.

    *The stopping rule.* By a theorem of Ky Fan the excess energy of a rank-`r` projection is at
    most the energy outside the space, :math:`\|A\|_F^2 - \|Q^* A\|_F^2`; where that is small, at
    most what of it passes through the newest block. When one of these is small enough, no further
    product is made. Otherwise gains of successive products, which shrink at least geometrically,
    are extrapolated. What lies below the digits of :math:`\|A\|_F^2` is told from four Gaussian
    probes and from residuals, so a `tol` of ``1e-12`` means what it says.

    *Precision.* For a large dense matrix in double precision, ``'krylov'`` searches in a single
    precision copy wherever rounding then costs less than `tol`, and makes the last product in
    double. Where there is no memory for that copy, ``'subspace'`` works without one.

    References
    ----------
    .. [1] N. Halko, P.-G. Martinsson, J. A. Tropp, "Finding structure with randomness", SIAM
       Rev. 53, 2011, Algorithms 4.4 and 5.1. doi:10.1137/090771806
    .. [2] C. Musco, C. Musco, "Randomized block Krylov methods for stronger and faster
       approximate singular value decomposition", NeurIPS 2015, Algorithm 2.
    .. [3] W. Yu, Y. Gu, Y. Li, "Efficient randomized algorithms for the fixed-precision low-rank
       matrix approximation", SIAM J. Matrix Anal. Appl. 39, 2018, Algorithm 2 (the down-date).

    Examples
    --------
    >>> import numpy as np
    >>> import tdecomp as td
    >>> rng = np.random.default_rng(0)
    >>> a = rng.standard_normal((300, 8)) @ rng.standard_normal((8, 200))
    >>> fit = td.randomized_svd(a, rank=8, rng=0)
    >>> U, S, Vh = fit.tensor
    >>> fit.error < 1e-14, fit.n_iter, fit.status.name
    (True, 2, 'CONVERGED')
    >>> td.randomized_svd(a, rtol=1e-6, rng=0).tensor.rank
    8
    """
    check_choice(method, METHODS, name="method")
    check_choice(sketch, SKETCHES, name="sketch")
    check_count(oversample, name="oversample")
    if not check_number(tol, name="tol") >= 0:
        raise ValueError(f"tol must be a number >= 0, got {tol}")
    check_callback(callback)
    if max_iter is None:
        max_iter = _MAX_ITER if rank is not None else sys.maxsize
    check_count(max_iter, name="max_iter", least=2)
    if power is not None:
        max_iter, tol = 2 * check_count(power, name="power") + 2, -math.inf
    options = Options(
        rank, rtol, oversample, power, method, sketch, tol, Budget(max_iter, callback)
    )
    if differentiated(a):
        return _of_traced(a, options, generator(rng))
    draws = generator(rng)
    return of_operand(operand(a, draws), options, draws)


def of_operand(op: Operand, options: Options, rng: np.random.Generator) -> Fit[SVD]:
    """Choose the search for a matrix whose values are known."""
    limit = min(op.shape)
    rank, rtol = check_target(options.rank, options.rtol, limit)
    if rtol is not None:
        floor = reachable_rtol(*op.shape, eps(op.like.dtype, op.xp))
        check_reachable(rtol, floor, dtype=op.like.dtype)
    if options.method == "single-pass":
        if rank is None or rtol is not None:
            raise ValueError("method='single-pass' needs rank= alone: it cannot adapt to rtol=")
        return single_pass(op, rank, sketch=options.sketch, rng=rng)
    width = _BLOCK if rank is None else rank + options.oversample
    if 2 * width > limit or op.total == 0:
        return exact(op, rank, rtol)

    test = matrix_of(options.sketch, rng, (op.shape[1], width), op.like, op.xp)
    if rank is None:
        return by_error(op, test, rtol=float(rtol or 0), budget=options.budget)
    probes = normal(rng, (op.shape[1], _PROBES), op.like, op.xp)
    fit = by_rank(
        op,
        test,
        probes,
        rank=rank,
        rtol=rtol,
        tol=options.tol,
        keep=options.keep,
        budget=options.budget,
    )
    if options.power is not None and fit.status is Status.MAX_ITER:
        return fit._replace(status=Status.CONVERGED)
    return fit


def _of_traced(a: Array, options: Options, rng: np.random.Generator) -> Fit[SVD]:
    """Serve a matrix under ``jit``, ``vmap`` or ``grad``: everything that has a shape is fixed."""
    rank, power = options.rank, options.power
    adaptive = options.rtol is not None or options.method == "single-pass"
    if rank is None or power is None or adaptive:
        raise ValueError(
            "under tracing (jit, vmap, gradients) the number of products is fixed: pass rank= and "
            "power=, no rtol=, and a method other than 'single-pass'"
        )
    xp, a = prepare(a, ndim=2)
    m, n = a.shape
    rank = check_rank(rank, min(m, n))
    a, scale = equilibrate(a, xp, axis=(0, 1))
    width = min(rank + options.oversample, m, n)
    test = matrix_of(options.sketch, rng, (n, width), a, xp)
    svd = _randomized_svd(a, test, rank, power, keep=options.keep, xp=xp)
    total = xp.linalg.vector_norm(a)
    gap = xp.linalg.vector_norm(a - svd.to_array())
    error = gap / xp.where(total > 0, total, xp.ones_like(total))
    return Fit(svd._replace(S=svd.S * scale[0]), error, 2 * power + 2, Status.CONVERGED)


def _randomized_svd(
    a: Array, test: Array, rank: int, power: int, *, keep: bool, xp: Namespace
) -> SVD:
    """Project onto the range of ``power + 1`` blocks (`keep`) or of the last one."""
    blocks = [xp.linalg.qr(a @ test)[0]]
    for _ in range(power):
        inner = xp.linalg.qr(adjoint(a, xp) @ blocks[-1])[0]
        blocks = [*(blocks if keep else []), xp.linalg.qr(a @ inner)[0]]
    q = xp.linalg.qr(xp.concat(blocks, axis=1))[0]
    u, s, vh = xp.linalg.svd(adjoint(q, xp) @ a, full_matrices=False)
    u, vh = canonical_signs((q @ u)[:, :rank], vh[:rank, :], xp)
    return SVD(u, s[:rank], vh)
