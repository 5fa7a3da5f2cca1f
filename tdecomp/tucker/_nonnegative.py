"""Tucker decompositions whose core and factors have no negative entries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tdecomp._errors import check_count, check_number
from tdecomp._iterate import Callback, Fit, Step, iterate
from tdecomp._measure import relative_error
from tdecomp._precision import full_precision
from tdecomp._random import generator, like
from tdecomp._typing import Array, Namespace, Seed
from tdecomp._xp import eps, squared_norm
from tdecomp.ops._unfold import _unfold
from tdecomp.tucker._format import Tucker, as_tucker, expand
from tdecomp.tucker._hosvd import loaded, project
from tdecomp.tucker._starts import check_start, settled
from tdecomp.tucker._targets import check_modes, check_ranks

# Cheap turns for each expensive product with the tensor: columns of a factor, steps of the core.
_TURNS = 10
# A difference of squares below this many eps * norm(X)^2 has too few digits; it is formed then.
_DIGITS = 1e5


@full_precision
def nonnegative_tucker(
    x: Any,
    /,
    *,
    rank: int | Sequence[int],
    modes: Sequence[int] | None = None,
    init: Any = "random",
    max_iter: int = 500,
    tol: float = 1e-6,
    rng: Seed = None,
    callback: Callback | None = None,
) -> Fit[Tucker]:
    r"""Minimise the error over Tucker decompositions without negative entries.

    .. math:: \min_{G \ge 0,\, A_k \ge 0} \|X - G \times_0 A_0 \cdots \times_{d-1} A_{d-1}\|_F

    Blocks take turns. A factor is renewed column by column, each exactly (HALS); the core by
    projected gradient steps of length :math:`1 / \prod_k \|A_k^T A_k\|_2`, with momentum.
    Neither ever raises the error, and what no turn changes satisfies the conditions of Karush,
    Kuhn and Tucker.

    Parameters
    ----------
    x : array, shape (n_0, ..., n_{d-1})
        A real tensor. Negative entries are allowed; they are approximated by what is not.
    rank : int or tuple of int
        The rank of each of `modes`.
    modes : sequence of int, optional
        The modes to compress, by default all. The others get None for a factor.
    init : 'random' or Tucker
        Random nonnegative entries, or a previous result.
    max_iter : int
        The largest number of sweeps over factors and core.
    tol : float
        Stop when a sweep changes the error by at most this, relative to it.
    rng : int, numpy.random.Generator or None
        Draws the start.
    callback : callable, optional
        Called with a `Progress` after each sweep; returning True stops.

    Returns
    -------
    Fit
        Factors of columns of length one, their core, and the relative error, true to rounding.

    Raises
    ------
    TypeError, ValueError
        If an option is out of range, `init` does not fit or has negative entries, or `x` is
        complex, empty or not finite.

    See Also
    --------
    hooi : without the constraint.

    Notes
    -----
    A sweep makes one product of the tensor with all factors but one for every mode, and one with
    all of them: :math:`2 r P` flops each. The problem is not convex, and convergence linear at
    best; several seeds may be worth their time.

    References
    ----------
    .. [1] A. H. Phan, A. Cichocki, "Extended HALS algorithm for nonnegative Tucker
       decomposition and its applications for multiway analysis and classification",
       Neurocomputing 74, 2011. doi:10.1016/j.neucom.2010.06.031

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import tucker
    >>> i, j, k = np.ogrid[:6, :7, :8]
    >>> fit = tucker.nonnegative_tucker(1.0 * i + j + k, rank=2, rng=0, tol=1e-7)
    >>> bool(fit.error < 1e-2), bool(fit.tensor.core.min() >= 0)
    (True, True)
    """
    max_iter = check_count(max_iter, name="max_iter", least=1)
    tol = check_number(tol, name="tol")
    xp, x, scale, known = loaded(x)
    if xp.isdtype(x.dtype, "complex floating"):
        raise TypeError("x must be real: complex numbers have no sign")
    chosen = check_modes(modes, x.ndim)
    ranks = check_ranks(rank, tuple(map(int, x.shape)), chosen)
    wanted = dict(zip(chosen, ranks, strict=True))
    norm2 = squared_norm(x, xp) if known is None else known
    first = _start(x, wanted, init, rng, xp)

    def show(state: Tucker) -> Tucker:
        return state if scale is None else state._replace(core=state.core * scale)

    def step(state: Tucker) -> Step[Tucker]:
        for mode in wanted:
            state = _renew_factor(x, state, mode, xp)
        target = project(x, state.factors, xp)
        state = _renew_core(state, target, xp)
        error = _error(x, state, target, norm2, xp)
        return Step(state, error, settled(error, x.dtype, xp))

    if scale is not None and not isinstance(init, str):
        first = first._replace(core=first.core / scale)
    fit = iterate(step, first, max_iter=max_iter, tol=tol, callback=callback, show=show)
    unscaled = fit.tensor if scale is None else fit.tensor._replace(core=fit.tensor.core / scale)
    return fit._replace(error=float(relative_error(x, unscaled)))


def _start(x: Array, wanted: dict[int, int], init: Any, rng: Seed, xp: Namespace) -> Tucker:
    """Draw uniform entries at the scale of the data, or check a previous result."""
    if not isinstance(init, str):
        _, core, given = as_tucker(init, name="init", like=x)
        found = Tucker(core, tuple(given))
        check_start(found, tuple(map(int, x.shape)), wanted)
        if any(bool(xp.any(a < 0)) for a in (core, *given) if a is not None):
            raise ValueError("init has negative entries")
        cast = (None if a is None else xp.astype(a, x.dtype, copy=False) for a in given)
        return _unit_columns(Tucker(xp.astype(core, x.dtype, copy=False), tuple(cast)), xp)
    if init != "random":
        raise ValueError(f"init must be 'random' or a Tucker, got {init!r}")
    draws = generator(rng)
    sizes = tuple(wanted.get(k, int(n)) for k, n in enumerate(x.shape))
    core = like(draws.random(sizes), x, xp)
    factors = tuple(
        like(draws.random((int(n), wanted[k])), x, xp) if k in wanted else None
        for k, n in enumerate(x.shape)
    )
    state = _unit_columns(Tucker(core, factors), xp)
    size = float(xp.sum(state.core * _weighed(state, xp)))
    return state._replace(core=state.core * math.sqrt(squared_norm(x, xp) / size))


def _grams(state: Tucker, xp: Namespace) -> list[Array | None]:
    """Return the Gram matrices of the factors."""
    return [None if a is None else xp.matrix_transpose(a) @ a for a in state.factors]


def _weighed(state: Tucker, xp: Namespace, *, skip: int | None = None) -> Array:
    """Return the core multiplied by the Gram matrices of the factors."""
    return expand(state.core, _grams(state, xp), xp, skip=skip)


def _renew_factor(x: Array, state: Tucker, mode: int, xp: Namespace) -> Tucker:
    r"""Minimise over the columns of a factor in turn, several times over.

    With :math:`Y = X_{(k)} C^T` and :math:`H = C C^T` for the unfolding `C` of everything but
    the factor, column `j` is best at :math:`\max(0, a_j + (y_j - A h_j) / H_{jj})`.
    """
    others = [k for k in range(len(state.factors)) if k != mode]
    rows = _unfold(state.core, mode, xp=xp)
    y = _unfold(project(x, state.factors, xp, modes=others), mode, xp=xp)
    y = y @ xp.matrix_transpose(rows)
    h = _unfold(_weighed(state, xp, skip=mode), mode, xp=xp) @ xp.matrix_transpose(rows)
    factor: Array = state.factors[mode]
    columns = [factor[:, j] for j in range(factor.shape[1])]
    sizes = [float(h[j, j]) for j in range(len(columns))]
    least = eps(x.dtype, xp) * max(sizes)
    rest = y - factor @ h
    for _ in range(_TURNS):
        for j, size in enumerate(sizes):
            if size > least:
                new = columns[j] + rest[:, j] / size
                new = xp.where(new > 0, new, xp.zeros_like(new))
                rest = rest - (new - columns[j])[:, None] * h[j, :]
                columns[j] = new
    factors = list(state.factors)
    factors[mode] = xp.stack(columns, axis=1)
    return _unit_columns(state._replace(factors=tuple(factors)), xp, modes=(mode,))


def _unit_columns(state: Tucker, xp: Namespace, *, modes: Sequence[int] | None = None) -> Tucker:
    """Give the columns of factors length one, and the core their lengths; zero stays zero."""
    core, factors = state.core, list(state.factors)
    for mode in range(len(factors)) if modes is None else modes:
        factor = factors[mode]
        if factor is not None:
            lengths = xp.linalg.vector_norm(factor, axis=0)
            safe = xp.where(lengths > 0, lengths, xp.ones_like(lengths))
            factors[mode] = factor / safe
            across = (-1,) + (1,) * (core.ndim - mode - 1)
            core = core * xp.reshape(lengths, across)
    return Tucker(core, tuple(factors))


def _renew_core(state: Tucker, target: Array, xp: Namespace) -> Tucker:
    """Make projected gradient steps with the inverse of the largest curvature for their length.

    With the momentum of Nesterov, whose steps may raise the error: then one step without.
    """
    grams = _grams(state, xp)
    curvature = math.prod(
        float(xp.linalg.matrix_norm(gram, ord=2)) for gram in grams if gram is not None
    )
    if curvature == 0:
        return state

    def descend(core: Array) -> Array:
        core = core - (expand(core, grams, xp) - target) / curvature
        return xp.where(core > 0, core, xp.zeros_like(core))

    def value(core: Array) -> float:
        return float(xp.sum(core * (expand(core, grams, xp) - 2 * target)))

    core, ahead, pace = state.core, state.core, 1.0
    for _ in range(_TURNS):
        new, following = descend(ahead), (1 + math.sqrt(1 + 4 * pace**2)) / 2
        ahead = new + ((pace - 1) / following) * (new - core)
        core, pace = new, following
    if value(core) > value(state.core):
        core = descend(state.core)
    return state._replace(core=core)


def _error(x: Array, state: Tucker, target: Array, norm2: float, xp: Namespace) -> float:
    """Return the relative error from inner products where they leave digits, else the entries."""
    if norm2 == 0:
        return 0.0
    weighed = _weighed(state, xp)
    missed = norm2 + float(xp.sum(state.core * (weighed - 2 * target)))
    if missed > _DIGITS * eps(x.dtype, xp) * norm2:
        return math.sqrt(missed / norm2)
    return float(relative_error(x, state))
