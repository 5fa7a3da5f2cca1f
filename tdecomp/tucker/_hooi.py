"""Higher-order orthogonal iteration: a Tucker decomposition of least error, mode by mode."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from tdecomp._errors import check_count, check_number
from tdecomp._iterate import Callback, Fit, Step, iterate
from tdecomp._measure import relative_error
from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace, Seed
from tdecomp._xp import differentiated, eps, squared_norm
from tdecomp.linalg._left_basis import _left_basis, left_basis
from tdecomp.tucker._format import Tucker
from tdecomp.tucker._hosvd import Plan, decompose, loaded, project
from tdecomp.tucker._starts import settled, start
from tdecomp.tucker._targets import check_modes, check_ranks
from tdecomp.tucker._weighted import fit_weighted

# A difference of squares below this many eps * norm(X)^2 has too few digits; it is formed then.
_DIGITS = 1e5

Basis = Callable[[Array, int, int], tuple[Array, Array]]


@full_precision
def hooi(
    x: Any,
    /,
    *,
    rank: int | Sequence[int],
    modes: Sequence[int] | None = None,
    init: Any = "sthosvd",
    weights: Any = None,
    max_iter: int = 100,
    tol: float = 1e-6,
    rng: Seed = None,
    callback: Callback | None = None,
) -> Fit[Tucker]:
    r"""Minimise the error of a Tucker decomposition of given rank by alternating over the modes.

    For orthonormal factors the best core is the projection, and
    :math:`\|X - \hat X\|^2 = \|X\|^2 - \|X \times_k A_k^*\|^2`. With all other factors fixed, the
    best :math:`A_k` holds the leading left singular vectors of the unfolding of
    :math:`X \times_{j \ne k} A_j^*`: the error never grows.

    With weights, :math:`\sum_i w_i |x_i - \hat x_i|^2` is minimised over core and factors in
    turn, each a weighted linear least-squares problem that is solved as such: rows of a factor
    by their normal equations, the core by its own. Missing entries, of weight 0, are left out and
    not imputed. The error never grows either.

    Parameters
    ----------
    x : array, shape (n_0, ..., n_{d-1})
        The tensor. With `weights`, entries of weight 0 may be NaN.
    rank : int or tuple of int
        The rank of each of `modes`, as in `sthosvd`.
    modes : sequence of int, optional
        The modes to compress, by default all. The others get None for a factor.
    init : {'sthosvd', 'random'} or Tucker
        Where to start: a finite decomposition, random factors, or any previous result of this
        rank.
    weights : array, broadcastable to the shape of `x`, optional
        Nonnegative; 0 means missing. Bool is allowed.
    max_iter : int
        The largest number of sweeps over the modes.
    tol : float
        Stop when a sweep changes the error by at most this, relative to it.
    rng : int, numpy.random.Generator or None
        Draws random starts.
    callback : callable, optional
        Called with a `Progress` after each sweep; returning True stops.

    Returns
    -------
    Fit
        Orthonormal factors, their core, and the relative error: of the weighted norm with
        `weights`, true to rounding.

    Raises
    ------
    TypeError, ValueError
        If an option is out of range, `init` does not fit, or `x` is empty or not finite; with
        `weights`, if one is negative or a slice of `x` has no positive one.

    See Also
    --------
    sthosvd : within a promised error, without iterating.
    nonnegative_tucker : of nonnegative factors.

    Notes
    -----
    A sweep reads the tensor twice: modes are halved, and the products along one half are shared
    by the modes of the other. That is :math:`2 r P` flops for each, after which tensors are small.
    With weights a mode costs about :math:`2 r_k^2 P` flops and the core as much; a core of more
    than a thousand entries is improved by conjugate gradients, which need no matrix. The problem
    is not convex: another start may end in a lower error. Under tracing ``_hooi`` makes a fixed
    number of sweeps.

    References
    ----------
    .. [1] L. De Lathauwer, B. De Moor, J. Vandewalle, "On the best rank-1 and
       rank-(R1, R2, ..., RN) approximation of higher-order tensors", SIAM J. Matrix Anal. Appl.
       21, 2000, Algorithm 4.2. doi:10.1137/S0895479898346995
    .. [2] C. A. Andersson, R. Bro, "Improving the speed of multi-way algorithms: Part I. Tucker3",
       Chemometr. Intell. Lab. Syst. 42, 1998. doi:10.1016/S0169-7439(98)00010-0

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import tucker
    >>> i, j, k = np.ogrid[:6, :7, :8]
    >>> fit = tucker.hooi(1.0 / (1 + i + j + k), rank=2)
    >>> fit.status.name, round(fit.error, 4)
    ('CONVERGED', 0.0268)

    One entry in three is missing:

    >>> x = 1.0 * i + j + k
    >>> x[(i + j + k) % 3 == 0] = np.nan
    >>> fit = tucker.hooi(x, rank=2, weights=~np.isnan(x), tol=1e-9, max_iter=1000)
    >>> bool(abs(fit.tensor.to_array() - (i + j + k)).max() < 1e-3)
    True
    """
    if differentiated(x):
        raise ValueError(
            "under tracing (jit, vmap, gradients) sweeps cannot be ended by their values; "
            "use sthosvd"
        )
    max_iter = check_count(max_iter, name="max_iter", least=1)
    tol = check_number(tol, name="tol")
    if weights is not None:
        return fit_weighted(
            x, weights, rank, modes, init, max_iter=max_iter, tol=tol, rng=rng, callback=callback
        )
    xp, x, scale, known = loaded(x)
    shape = tuple(map(int, x.shape))
    chosen = check_modes(modes, x.ndim)
    ranks = check_ranks(rank, shape, chosen)
    wanted = dict(zip(chosen, ranks, strict=True))
    factors = start(x, wanted, init, rng, xp)
    norm2 = squared_norm(x, xp) if known is None else known
    if norm2 == 0:
        zero = decompose(x, Plan(chosen, ranks, None, "qr", 0, nested=True), xp)[0]
        return iterate(lambda state: Step(state, 0.0, 0.0), zero, max_iter=1, tol=tol)

    def show(state: Tucker) -> Tucker:
        return state if scale is None else state._replace(core=state.core * scale)

    def step(state: Tucker) -> Step[Tucker]:
        core, swept = _sweep(x, state.factors, tuple(wanted), _leading(xp), xp)
        following = Tucker(core, swept)
        error = _error(x, following, norm2, xp)
        return Step(following, error, settled(error, x.dtype, xp))

    first = Tucker(project(x, factors, xp), tuple(factors))
    fit = iterate(step, first, max_iter=max_iter, tol=tol, callback=callback, show=show)
    unscaled = fit.tensor if scale is None else fit.tensor._replace(core=fit.tensor.core / scale)
    return fit._replace(error=float(relative_error(x, unscaled)))


def _leading(xp: Namespace) -> Basis:
    """Return how to find leading left singular vectors, and the projection onto them."""

    def basis(t: Array, mode: int, rank: int) -> tuple[Array, Array]:
        found = left_basis(t, mode, rank=rank, xp=xp)
        return found.U, found.core

    return basis


def _sweep(
    x: Array,
    factors: Sequence[Array | None],
    modes: tuple[int, ...],
    basis: Basis,
    xp: Namespace,
) -> tuple[Array, tuple[Array | None, ...]]:
    """Renew the factors of `modes` in turn; return the core and all factors.

    `visit` gets the tensor multiplied by the current factors of all modes but those it names. It
    multiplies by one half to renew the other: each half is contracted once.
    """
    current = list(factors)

    def visit(t: Array, group: tuple[int, ...]) -> Array:
        if len(group) == 1:
            (mode,) = group
            rank = current[mode].shape[-1]  # type: ignore[union-attr]
            current[mode], core = basis(t, mode, rank)
            return core
        half = len(group) // 2
        first, second = group[:half], group[half:]
        visit(project(t, current, xp, modes=second), first)
        return visit(project(t, current, xp, modes=first), second)

    core = visit(x, modes)
    return core, tuple(current)


def _error(x: Array, state: Tucker, norm2: float, xp: Namespace) -> float:
    """Return the relative error, by Pythagoras where that leaves digits, else by the entries."""
    missed = norm2 - squared_norm(state.core, xp)
    if missed > _DIGITS * eps(x.dtype, xp) * norm2:
        return math.sqrt(missed / norm2)
    return float(relative_error(x, state))


def _hooi(
    x: Array, ranks: Sequence[int], modes: Sequence[int], *, sweeps: int, xp: Namespace
) -> tuple[Array, tuple[Array | None, ...]]:
    """Start from the ST-HOSVD and make a fixed number of sweeps: for jit, vmap and gradients."""
    factors: list[Array | None] = [None] * x.ndim
    core = x
    for mode, rank in zip(modes, ranks, strict=True):
        factors[mode], core = _left_basis(core, mode, rank, xp=xp)

    def basis(t: Array, mode: int, rank: int) -> tuple[Array, Array]:
        return _left_basis(t, mode, rank, xp=xp)

    out = tuple(factors)
    for _ in range(sweeps):
        core, out = _sweep(x, out, tuple(modes), basis, xp)
    return core, out
