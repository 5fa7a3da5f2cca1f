"""Higher-order singular value decompositions: finite, within a factor of the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import array_api_compat as compat
import numpy as np

from tdecomp._errors import check_choice
from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace, Seed
from tdecomp._xp import device, differentiated, equilibrate, finite, prepare, squared_norm, traced
from tdecomp.linalg._fibres import project_fibres
from tdecomp.linalg._left_basis import ROUTES, _left_basis, left_basis
from tdecomp.linalg._unfolded import double
from tdecomp.tucker._format import Tucker
from tdecomp.tucker._targets import check_modes, check_tucker_target, precision_for


@full_precision
def sthosvd(
    x: Any,
    /,
    *,
    rank: int | Sequence[int] | None = None,
    rtol: float | None = None,
    modes: Sequence[int] | None = None,
    order: Sequence[int] | None = None,
    method: str = "auto",
    rng: Seed = 0,
) -> Tucker:
    r"""Compress a tensor mode by mode within a guaranteed error: the sequentially truncated HOSVD.

    Each mode in turn gets the leading left singular vectors of the unfolding of what the modes
    before have left, and the tensor is projected onto them. The projections are orthogonal and
    nested, so with the tails :math:`\tau_k` of singular values that the steps leave out

    .. math:: \|X - \hat X\|_F^2 = \sum_k \tau_k^2
              \le d \min_{\operatorname{rank} Y \le r} \|X - Y\|_F^2 .

    Parameters
    ----------
    x : array, shape (n_0, ..., n_{d-1})
        The tensor.
    rank : int or tuple of int, optional
        The rank of each of `modes`. An int serves all of them; modes shorter than that are kept
        whole. Ranks that no tensor has, above the product of the others, are lowered.
    rtol : float, optional
        Guarantee :math:`\|X - \hat X\|_F \le \mathtt{rtol}\, \|X\|_F`. Each step may use an equal
        share of what the steps before left over. With `rank` too, the smaller ranks win.
    modes : sequence of int, optional
        The modes to compress, by default all. The others get None for a factor.
    order : sequence of int, optional
        In which order to take `modes`; by default the one that needs the fewest flops.
    method : {'auto', 'gram', 'qr', 'randomized'}
        How to find bases: from Gram matrices; from QR decompositions, which keep all digits;
        from sketches with a measured residual. ``'auto'`` takes the fastest that can prove the
        tolerance or, at fixed rank, six digits of the error. ``'gram'`` at fixed rank may lose
        what lies below the square root of eps.
    rng : int, numpy.random.Generator or None
        Draws sketches. The default makes the result reproducible.

    Returns
    -------
    Tucker
        Factors with orthonormal columns, core :math:`X \times_k A_k^*`.

    Raises
    ------
    TypeError, ValueError
        If neither `rank` nor `rtol` is given, an option is out of range, or `x` is empty, a
        number or not finite.
    ToleranceError
        If `rtol` is below what rounding allows in this precision.

    See Also
    --------
    hooi : reduce the error further at the same rank.
    hosvd : all bases from the full tensor; slower, never better by much.

    Notes
    -----
    With :math:`P` entries, Gram matrices take :math:`n_k P` flops for the first mode `k`, QR
    twice that, a sketch about :math:`6 (r_k + 8) P`; the projection :math:`2 r_k P`. What follows
    works on a tensor smaller by :math:`r_k / n_k`. Besides the tensor there is never more than
    one projection of it and a block of a few million entries. A tolerance that single precision
    cannot guarantee is met by computing in double, if the library has it, and rounding once.
    Modes whose rank equals their size get the identity for a factor. Under tracing (``jit``,
    ``vmap``) `rank` is required.

    References
    ----------
    .. [1] N. Vannieuwenhoven, R. Vandebril, K. Meerbergen, "A new truncation strategy for the
       higher-order singular value decomposition", SIAM J. Sci. Comput. 34, 2012, Algorithm 1 and
       Theorem 5.1. doi:10.1137/110836067

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import tucker
    >>> i, j, k = np.ogrid[:6, :7, :8]
    >>> tucker.sthosvd(1.0 * i + j + k, rtol=1e-12).rank
    (2, 2, 2)
    """
    return _friendly(x, rank, rtol, modes, order, method, rng, nested=True)


@full_precision
def hosvd(
    x: Any,
    /,
    *,
    rank: int | Sequence[int] | None = None,
    rtol: float | None = None,
    modes: Sequence[int] | None = None,
    method: str = "auto",
    rng: Seed = 0,
) -> Tucker:
    r"""Compress a tensor with the leading left singular vectors of each of its unfoldings.

    With the tails :math:`\tau_k` of the singular values of the unfoldings,

    .. math:: \|X - \hat X\|_F^2 \le \sum_k \tau_k^2
              \le d \min_{\operatorname{rank} Y \le r} \|X - Y\|_F^2 .

    Parameters
    ----------
    x : array, shape (n_0, ..., n_{d-1})
        The tensor.
    rank : int or tuple of int, optional
        The rank of each of `modes`, as in `sthosvd`.
    rtol : float, optional
        Guarantee :math:`\|X - \hat X\|_F \le \mathtt{rtol}\, \|X\|_F`, of which each mode gets an
        equal share. With `rank` too, the smaller ranks win.
    modes : sequence of int, optional
        The modes to compress, by default all. The others get None for a factor.
    method : {'auto', 'gram', 'qr', 'randomized'}
        How to find bases, as in `sthosvd`.
    rng : int, numpy.random.Generator or None
        Draws sketches. The default makes the result reproducible.

    Returns
    -------
    Tucker
        Factors with orthonormal columns, core :math:`X \times_k A_k^*`. At full rank the slices
        of the core along each mode are orthogonal and ordered by their norms.

    Raises
    ------
    TypeError, ValueError
        If neither `rank` nor `rtol` is given, an option is out of range, or `x` is empty, a
        number or not finite.
    ToleranceError
        If `rtol` is below what rounding allows in this precision.

    See Also
    --------
    sthosvd : faster, with the same bound; the default choice.

    Notes
    -----
    The cost of the first step of `sthosvd` for every mode.

    References
    ----------
    .. [1] L. De Lathauwer, B. De Moor, J. Vandewalle, "A multilinear singular value
       decomposition", SIAM J. Matrix Anal. Appl. 21, 2000, Theorem 2 and Property 10.
       doi:10.1137/S0895479896305696

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import tucker
    >>> i, j, k = np.ogrid[:6, :7, :8]
    >>> tucker.hosvd(1.0 * i + j + k, rank=2).core.shape
    (2, 2, 2)
    """
    return _friendly(x, rank, rtol, modes, None, method, rng, nested=False)


class Plan(NamedTuple):
    """What a finite decomposition is asked for: one rank for each mode in turn, one error."""

    modes: tuple[int, ...]
    ranks: tuple[int, ...] | None
    atol: float | None
    method: str
    rng: Seed
    nested: bool
    norm2: float | None = None


def _friendly(  # noqa: PLR0917 - two functions above name every one of them
    x: Any, rank: Any, rtol: Any, modes: Any, order: Any, method: str, rng: Seed, *, nested: bool
) -> Tucker:
    """Validate, choose order and precision, scale to where squares are safe, decompose."""
    check_choice(method, ROUTES, name="method")
    data = loaded(x)
    x, xp = data.x, data.xp
    shape = tuple(map(int, x.shape))
    chosen = check_modes(modes, x.ndim)
    ranks, rtol = check_tucker_target(rank, rtol, shape, chosen)
    turn = _turn(shape, chosen, ranks, order)
    if ranks is not None:
        ranks = tuple(ranks[chosen.index(mode)] for mode in turn)
    values = x.detach() if hasattr(x, "detach") else x
    if rtol is not None and (traced(x) or differentiated(values)):
        raise ValueError("under tracing (jit, vmap) the rank must be fixed: pass rank= alone")
    plan = Plan(turn, ranks, None, method, rng, nested)
    if not differentiated(x):
        return _planned(data, plan, rtol)
    if rtol is not None:
        found = _planned(Loaded(xp, values, None, None), plan, rtol)
        ranks = tuple(found.rank[mode] for mode in turn)
    core, factors = (_sthosvd if nested else _hosvd)(x, ranks or (), turn, xp=xp)
    return Tucker(core if data.scale is None else core * data.scale, factors)


def _planned(data: Loaded, plan: Plan, rtol: float | None) -> Tucker:
    """Decompose in the precision that the tolerance needs, and store in that of the data."""
    xp, x, scale, norm2 = data
    dtype, atol = x.dtype, None
    if rtol is not None:
        shape = tuple(map(int, x.shape))
        work, floor = precision_for(
            rtol, shape, plan.modes, dtype=dtype, wide=double(x, xp), xp=xp
        )
        if work != dtype or norm2 is None:
            x = xp.astype(x, work, copy=False)
            norm2 = squared_norm(x, xp)
        atol = (rtol - floor) * math.sqrt(norm2)
    core, factors = decompose(x, plan._replace(atol=atol, norm2=norm2), xp)[0]
    core = xp.astype(core, dtype, copy=False)
    if scale is not None:
        core = core * scale
    stored = (None if u is None else xp.astype(u, dtype, copy=False) for u in factors)
    return Tucker(core, tuple(stored))


class Loaded(NamedTuple):
    """A tensor of safe scale, the power of two taken out of it, its sum of squares if known."""

    xp: Namespace
    x: Array
    scale: Array | None
    norm2: float | None


def loaded(x: Any) -> Loaded:
    """Validate a tensor, and bring it to a scale where squares are safe.

    The sum of squares tells in one reading that all entries are finite and of moderate size;
    only where it does not, they are looked at one by one.
    """
    xp, x = prepare(x, ndim=1, batch=True, check_finite=False, name="x")
    if not differentiated(x):
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            total = squared_norm(x, xp)
        bound = float(xp.finfo(x.dtype).max) ** 0.25
        if 1 / bound < total / math.prod(x.shape) and total < bound:
            return Loaded(xp, x, None, total)
    x = finite(x, xp, name="x")
    x, scale = equilibrate(x, xp, axis=tuple(range(x.ndim)))
    return Loaded(xp, x, scale, None)


def _turn(
    shape: tuple[int, ...],
    modes: tuple[int, ...],
    ranks: tuple[int, ...] | None,
    order: Sequence[int] | None,
) -> tuple[int, ...]:
    r"""Return the modes in the order asked for, or in that of fewest flops.

    A step on a tensor of `P` entries costs about :math:`c_k P`, with :math:`c_k = n_k + 2 r_k`,
    and leaves :math:`\rho_k P` entries, :math:`\rho_k = r_k / n_k`. Swapping neighbours shows
    that `k` comes before `l` where :math:`c_k / (1 - \rho_k) < c_l / (1 - \rho_l)`; sorting by
    that is optimal. While ranks are unknown all modes are taken to shrink alike. Of equals the
    last mode comes first, whose fibres lie in one piece, then the first, whose unfolding does.
    """
    if order is not None:
        turn = check_modes(order, len(shape), name="order")
        if sorted(turn) != sorted(modes):
            raise ValueError(f"order must hold the modes {modes}, each once, got {order!r}")
        return turn
    last = len(shape) - 1
    ends = sorted(modes, key=lambda mode: (mode != last, mode))
    if ranks is None:
        return tuple(sorted(ends, key=lambda mode: shape[mode]))

    def price(mode: int) -> float:
        n, r = shape[mode], ranks[modes.index(mode)]
        return math.inf if r == n else (n + 2 * r) / (1 - r / n)

    return tuple(sorted(ends, key=price))


def decompose(x: Array, plan: Plan, xp: Namespace) -> tuple[Tucker, list[float]]:
    """Return the decomposition of a safe tensor, and the tail that each step left out."""
    if _fortran(x):
        d = x.ndim
        mirrored = plan._replace(modes=tuple(d - 1 - mode for mode in plan.modes))
        tucker, tails = decompose(x.T, mirrored, xp)
        return Tucker(tucker.core.T, tucker.factors[::-1]), tails
    factors: list[Array | None] = [None] * x.ndim
    core, tails, spent = x, [], 0.0
    for step, mode in enumerate(plan.modes):
        rank = None if plan.ranks is None else plan.ranks[step]
        n = x.shape[mode]
        if rank == n and plan.atol is None and plan.nested:
            factors[mode] = xp.eye(n, dtype=x.dtype, device=device(x))
            tails.append(0.0)
            continue
        atol, share = None, math.inf
        if plan.atol is not None:
            share = max(0.0, (plan.atol**2 - spent) / (len(plan.modes) - step))
            atol = math.sqrt(share)
        basis = left_basis(
            core if plan.nested else x,
            mode,
            rank=rank,
            atol=atol,
            route=plan.method,
            rng=plan.rng,
            norm2=plan.norm2 if core is x else None,
            xp=xp,
        )
        factors[mode] = basis.U
        tails.append(basis.error)
        # Where a rank forbids the tolerance, the other modes keep their shares.
        spent += min(share, basis.error**2)
        if plan.nested:
            core = basis.core
    if not plan.nested:
        core = project(x, factors, xp)
    return Tucker(core, tuple(factors)), tails


def _fortran(x: Array) -> bool:
    """Tell whether a NumPy array is laid out in the order of its transpose."""
    return compat.is_numpy_array(x) and x.flags.f_contiguous and not x.flags.c_contiguous


def project(
    x: Array, factors: Sequence[Array | None], xp: Namespace, *, modes: Sequence[int] | None = None
) -> Array:
    """Multiply by the adjoints of factors along their modes, what shrinks most first."""
    known = [
        (factor.shape[1] / factor.shape[0], mode)
        for mode, factor in enumerate(factors)
        if factor is not None and (modes is None or mode in modes)
    ]
    for _, mode in sorted(known):
        x = project_fibres(x, factors[mode], mode, xp)
    return x


def _sthosvd(
    x: Array, ranks: Sequence[int], modes: Sequence[int], *, xp: Namespace
) -> tuple[Array, tuple[Array | None, ...]]:
    """Truncate `modes` in turn to fixed `ranks`: for jit, vmap and gradients."""
    factors: list[Array | None] = [None] * x.ndim
    for mode, rank in zip(modes, ranks, strict=True):
        factors[mode], x = _left_basis(x, mode, rank, xp=xp)
    return x, tuple(factors)


def _hosvd(
    x: Array, ranks: Sequence[int], modes: Sequence[int], *, xp: Namespace
) -> tuple[Array, tuple[Array | None, ...]]:
    """Find all bases in the full tensor, at fixed `ranks`: for jit, vmap and gradients."""
    factors: list[Array | None] = [None] * x.ndim
    for mode, rank in zip(modes, ranks, strict=True):
        factors[mode], _ = _left_basis(x, mode, rank, xp=xp)
    return project(x, factors, xp), tuple(factors)
