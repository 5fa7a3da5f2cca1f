"""Tensor rings of given ranks, by alternating least squares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from tdecomp._errors import check_choice, check_count, check_number
from tdecomp._iterate import Callback, Fit, Step, iterate
from tdecomp._measure import relative_error
from tdecomp._precision import full_precision
from tdecomp._random import generator, normal
from tdecomp._shim import lstsq
from tdecomp._typing import Array, Namespace, Seed
from tdecomp._xp import device, eps, equilibrate, prepare
from tdecomp.tt._chain import as_chain
from tdecomp.tt._formats import TensorRing
from tdecomp.tt._ranks import number
from tdecomp.tt._ring_svd import _tr_svd, check_ring_ranks

# What fills up a start whose ranks are too small, relative to the entries that are there.
_FILL = 0.1
# An error of this many eps is rounding.
_EXACT = 100.0


class Frame(NamedTuple):
    """The subchain of all cores but one as ``Q @ R``, with `Q` as a chain of orthonormal steps.

    A step of None is an identity: it would not have made the chain narrower.
    """

    steps: list[Array | None]
    triangle: Array


@full_precision
def tr_als(
    x: Any,
    /,
    *,
    rank: int | Sequence[int] | None = None,
    init: str | TensorRing = "svd",
    tol: float = 1e-6,
    max_iter: int = 200,
    rng: Seed = None,
    callback: Callback | None = None,
) -> Fit[TensorRing]:
    r"""Fit a tensor ring of given ranks by alternating least squares.

    The cores are renewed one after the other. With all others fixed, the best core solves

    .. math:: \min_{G} \| X_{(k)} - G_{(2)}\, S^T \|_F, \qquad
              S = Q R ,

    where `S` holds the chain of the other cores. It is factored core by core without being
    formed, so that the condition of `S` enters once, not squared as in normal equations; where
    `R` is singular the solution of least norm is taken. The error never rises.

    Parameters
    ----------
    x : array, shape (n_0, ..., n_{d-1})
        The tensor, of one mode or more.
    rank : int or tuple of int, optional
        The rank of every bond, or one for each of the `d` bonds, :math:`r_k` before mode `k`. Not
        needed where `init` is a ring.
    init : {'svd', 'random'} or TensorRing
        Where to start: from `tr_svd`, filled up with small random numbers where that has smaller
        ranks; from Gaussian cores; or from a ring.
    tol : float
        Stop when the relative change of the error in a sweep is at most this.
    max_iter : int
        The largest number of sweeps.
    rng : int, numpy.random.Generator or None
        Where random numbers come from.
    callback : callable, optional
        Called with a `Progress` after each sweep; returning True stops.

    Returns
    -------
    Fit
        The ring, its true relative error, the number of sweeps, and why they stopped. Where no
        best ring exists, cores may grow and cancel while the error creeps.

    Raises
    ------
    TypeError, ValueError
        If `rank` is missing or out of range, `init` does not fit, or `x` is empty or not finite.

    See Also
    --------
    tr_svd : in one pass, to a guaranteed error.

    Notes
    -----
    A sweep costs about :math:`2 d r^2 \prod_k n_k` flops for the products with the tensor,
    :math:`O(d^2 n r^6)` for the factorisations, and :math:`2 r^2 \prod_k n_k` for the error. The
    tensor is not copied.

    References
    ----------
    .. [1] Q. Zhao, G. Zhou, S. Xie, L. Zhang, A. Cichocki, "Tensor ring decomposition", 2016,
       Algorithm 2. arXiv:1606.05535
    .. [2] Y. Yu, H. Li, "Practical alternating least squares for tensor ring decomposition",
       Numer. Linear Algebra Appl. 31, 2024. doi:10.1002/nla.2542

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import tt
    >>> rng = np.random.default_rng(0)
    >>> cores = tuple(rng.standard_normal((2, n, 2)) for n in (5, 6, 7, 4))
    >>> x = tt.TensorRing(cores).to_array()
    >>> bool(tt.tr_als(x, rank=2, rng=0).error < 1e-6)
    True
    """
    xp, x = prepare(x, ndim=1, batch=True, name="x")
    max_iter = check_count(max_iter, name="max_iter", least=1)
    tol = check_number(tol, name="tol", legal="a number >= 0")
    if not tol >= 0:
        raise ValueError(f"tol must be a number >= 0, got {tol}")
    unit, scale = equilibrate(x, xp, axis=tuple(range(x.ndim)))
    cores = _start(unit, rank, init, rng, xp)

    def sweep(state: tuple[Array, ...]) -> Step[tuple[Array, ...]]:
        state = _sweep(unit, state, xp)
        error = number(relative_error(unit, TensorRing(state)))
        exact = error <= _EXACT * eps(x.dtype, xp)
        return Step(state, error, 0.0 if exact else None)

    def show(state: tuple[Array, ...]) -> TensorRing:
        return TensorRing((*state[:-1], state[-1] * xp.reshape(scale, (1, 1, 1))))

    return iterate(sweep, cores, max_iter=max_iter, tol=tol, callback=callback, show=show)


def _start(
    x: Array,
    rank: int | Sequence[int] | None,
    init: str | TensorRing,
    rng: Seed,
    xp: Namespace,
) -> tuple[Array, ...]:
    """Return the cores to start from."""
    shape = tuple(map(int, x.shape))
    if not isinstance(init, str):
        _, cores = as_chain(init, name="init", like=x, ring=True)
        cores = tuple(xp.astype(core, x.dtype) for core in cores)
        found = tuple(int(core.shape[1]) for core in cores)
        if found != shape:
            raise ValueError(f"init must be a ring of shape {shape}, got {found}")
        ranks = tuple(int(core.shape[0]) for core in cores)
        if rank is not None and check_ring_ranks(rank, shape) != ranks:
            raise ValueError(f"init has ranks {ranks}, but rank={rank}; leave rank= out")
        return cores
    check_choice(init, ("svd", "random"), name="init")
    if rank is None:
        raise ValueError("pass rank= (an int, or one for each mode), or a ring as init=")
    ranks = check_ring_ranks(rank, shape)
    draws = generator(rng)
    ends = [(r, n, s) for r, n, s in zip(ranks, shape, ranks[1:] + ranks[:1], strict=True)]
    if init == "random":
        return tuple(normal(draws, end, x, xp) for end in ends)
    cores = tuple(_tr_svd(x, ranks, None, xp=xp))
    return tuple(
        _filled(core, end, normal(draws, end, x, xp), xp)
        for core, end in zip(cores, ends, strict=True)
    )


def _filled(core: Array, shape: tuple[int, int, int], noise: Array, xp: Namespace) -> Array:
    """Embed a core in a larger one of small random numbers."""
    r, _, s = core.shape
    entries = math.prod(core.shape)
    size = _FILL * xp.linalg.vector_norm(core) / math.sqrt(entries)
    noise = noise * xp.astype(size, noise.dtype)
    if s < shape[2]:
        core = xp.concat([core, noise[:r, :, s:]], axis=2)
    return core if r == shape[0] else xp.concat([core, noise[r:, :, :]], axis=0)


def _sweep(x: Array, cores: Sequence[Array], xp: Namespace) -> tuple[Array, ...]:
    """Renew all cores; each is scaled to norm one but the last, which thus has the norm of all."""
    renewed = list(cores)
    d = len(renewed)
    for k in range(d):
        core = _renewed(x, renewed, k, xp)
        if k < d - 1:
            size = xp.linalg.vector_norm(core)
            core = core / xp.astype(xp.where(size > 0, size, xp.ones_like(size)), core.dtype)
        renewed[k] = core
    return tuple(renewed)


def _renewed(x: Array, cores: Sequence[Array], k: int, xp: Namespace) -> Array:
    """Return the best core of mode `k`, all others fixed."""
    r, n, q = cores[k].shape
    if len(cores) == 1:
        # The trace of a slice: the same on the whole diagonal has the least norm.
        identity = xp.eye(r, dtype=x.dtype, device=device(x)) / r
        return x[None, :, None] * identity[:, None, :]
    frame = _frame([*cores[k + 1 :], *cores[:k]], xp)
    y = _projected(x, frame.steps, k, xp)
    solution = xp.reshape(lstsq(frame.triangle, y, xp), (q, r, n))
    return xp.permute_dims(solution, (1, 2, 0))


def _frame(chain: Sequence[Array], xp: Namespace) -> Frame:
    """Factor a chain (a, all modes, b), seen as a matrix of all modes times ``a * b``."""
    a = chain[0].shape[0]
    triangle = xp.eye(a, dtype=chain[0].dtype, device=device(chain[0]))[None, :, :]
    steps: list[Array | None] = []
    for core in chain:
        b, n, c = core.shape
        rho = triangle.shape[0]
        block = xp.reshape(triangle, (rho * a, b)) @ xp.reshape(core, (b, n * c))
        block = xp.permute_dims(xp.reshape(block, (rho, a, n, c)), (0, 2, 1, 3))
        block = xp.reshape(block, (rho * n, a * c))
        q = None
        if rho * n > a * c:
            q, block = xp.linalg.qr(block)
        steps.append(q)
        triangle = xp.reshape(block, (block.shape[0], a, c))
    return Frame(steps, xp.reshape(triangle, (triangle.shape[0], -1)))


def _projected(x: Array, steps: Sequence[Array | None], k: int, xp: Namespace) -> Array:
    """Return ``Q^* X_(k)^T``, modes contracted in the order k + 1, ..., d - 1, 0, ..., k - 1."""
    shape = tuple(map(int, x.shape))
    d, outer = len(shape), math.prod(shape[: k + 1])
    complex_ = xp.isdtype(x.dtype, "complex floating")
    duals = [
        None if q is None else xp.matrix_transpose(xp.conj(q) if complex_ else q) for q in steps
    ]
    rho = 1
    for mode, dual in zip(range(k + 1, d), duals[: d - k - 1], strict=True):
        rows = rho * shape[mode]
        x = xp.reshape(x, (outer, rows, math.prod(shape[mode + 1 :])))
        x, rho = (x, rows) if dual is None else (dual @ x, dual.shape[0])
    if k < d - 1:
        x = xp.matrix_transpose(xp.reshape(x, (outer, rho)))
    for mode, dual in zip(range(k), duals[d - k - 1 :], strict=True):
        rows = rho * shape[mode]
        x = xp.reshape(x, (rows, math.prod(shape[mode + 1 : k + 1])))
        x, rho = (x, rows) if dual is None else (dual @ x, dual.shape[0])
    return xp.reshape(x, (rho, shape[k]))
