"""Tucker decompositions in a weighted norm: weighted least squares, block by block."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from tdecomp._iterate import Callback, Fit, Step, iterate
from tdecomp._typing import Array, Namespace, Seed
from tdecomp._xp import conj, device, eps, equilibrate, finite, namespace, prepare
from tdecomp.linalg._unfolded import ENTRIES, columns, slabs, spans
from tdecomp.ops._mode_products import _mode_product
from tdecomp.tucker._format import Tucker, expand
from tdecomp.tucker._hosvd import project
from tdecomp.tucker._starts import settled, start
from tdecomp.tucker._targets import check_modes, check_ranks

# Above this many unknowns a matrix of normal equations costs more than conjugate gradients.
_DIRECT = 1024
_CONJUGATE_STEPS = 10


class Weighted(NamedTuple):
    """Data with zeros where they are missing, weights of the same shape, and their energy."""

    x: Array
    w: Array
    total: float
    xp: Namespace


def fit_weighted(
    x: Any,
    weights: Any,
    rank: int | Sequence[int],
    modes: Sequence[int] | None,
    init: Any,
    *,
    max_iter: int,
    tol: float,
    rng: Seed,
    callback: Callback | None,
) -> Fit[Tucker]:
    """Alternate over factors and core; see `hooi`."""
    data, scale = _observed(x, weights)
    x, xp = data.x, data.xp
    chosen = check_modes(modes, x.ndim)
    ranks = check_ranks(rank, tuple(map(int, x.shape)), chosen)
    wanted = dict(zip(chosen, ranks, strict=True))
    # An unbiased estimate of the data: what is missing counts as zero, the rest the more.
    guess = x * data.w / xp.mean(data.w)
    factors = start(guess, wanted, init, rng, xp)
    first = Tucker(project(guess, factors, xp), tuple(factors))

    def show(state: Tucker) -> Tucker:
        return state._replace(core=state.core * scale)

    def step(state: Tucker) -> Step[Tucker]:
        for mode in wanted:
            state = _renew_factor(data, state, mode)
        state = _renew_core(data, state)
        error = weighted_error(data, state)
        return Step(state, error, settled(error, x.dtype, xp))

    return iterate(step, first, max_iter=max_iter, tol=tol, callback=callback, show=show)


def _observed(x: Any, weights: Any) -> tuple[Weighted, Array]:
    """Validate data and weights, and bring both to a safe scale."""
    like = next((a for a in (x, weights) if hasattr(a, "dtype")), None)
    xp, x = prepare(x, ndim=1, batch=True, like=like, check_finite=False, name="x")
    _, w = prepare(weights, ndim=0, batch=True, like=x, name="weights")
    namespace(x, w)
    if xp.isdtype(w.dtype, "complex floating") or bool(xp.any(w < 0)):
        raise ValueError("weights must be real and not negative; 0 means missing")
    try:
        w = xp.broadcast_to(w, x.shape)
    except Exception:  # each library has a class of its own
        raise ValueError(
            f"weights of shape {tuple(w.shape)} cannot be broadcast to x of shape {tuple(x.shape)}"
        ) from None
    _check_slices(w, xp)
    x = finite(xp.where(w > 0, x, xp.zeros_like(x)), xp, name="x")
    axes = tuple(range(x.ndim))
    x, scale = equilibrate(x, xp, axis=axes)
    real = xp.float32 if x.dtype in (xp.float32, xp.complex64) else xp.float64
    w, _ = equilibrate(w, xp, axis=axes, always=True)
    w = xp.astype(w, real)
    total = float(xp.sum(w * xp.abs(x) ** 2))
    return Weighted(x, w, total, xp), scale


def _check_slices(w: Array, xp: Namespace) -> None:
    """Refuse weights that leave out a whole slice: nothing tells what it should be."""
    for mode in range(w.ndim):
        others = tuple(k for k in range(w.ndim) if k != mode)
        seen = xp.any(w > 0, axis=others) if others else w > 0
        if not bool(xp.all(seen)):
            index = int(xp.argmin(xp.astype(seen, xp.int32)))
            count = int(xp.sum(xp.astype(~seen, xp.int32)))
            place = ", ".join(str(index) if k == mode else ":" for k in range(w.ndim))
            raise ValueError(
                f"weights are 0 on all of x[{place}], so that nothing tells its values ({count} "
                f"such slices of mode {mode}); leave them out of x"
            )


def weighted_error(data: Weighted, state: Tucker) -> float:
    """Return the relative error in the weighted norm, the difference formed slab by slab."""
    xp, shape = data.xp, data.x.shape
    if data.total == 0:
        return 0.0
    step = max(1, ENTRIES * shape[0] // math.prod(shape))
    misfit = 0.0
    for first in range(0, shape[0], step):
        slab = slice(first, min(first + step, shape[0]))
        gap = data.x[slab, ...] - state.to_array(slab)
        misfit += float(xp.sum(data.w[slab, ...] * xp.abs(gap) ** 2))
    return math.sqrt(misfit / data.total)


def _renew_factor(data: Weighted, state: Tucker, mode: int) -> Tucker:
    r"""Solve for every row of a factor, then make its columns orthonormal.

    With the rows :math:`c_m` of the other parts, row `u` of the factor minimises
    :math:`\sum_m w_m |x_m - u c_m|^2`, plus :math:`\mu |u - u_{old}|^2` for the rows that the
    data do not determine. That keeps the error from growing, and changes no fixed point.
    """
    x, w, xp = data.x, data.w, data.xp
    old: Array = state.factors[mode]
    n, r = old.shape
    parts = slabs(expand(state.core, list(state.factors), xp, skip=mode), mode, xp)
    entries, counts = slabs(x, mode, xp), slabs(w, mode, xp)
    normal = xp.zeros((n, r * r), dtype=x.dtype, device=device(x))
    right = xp.zeros((n, r), dtype=x.dtype, device=device(x))
    before, after = parts.shape[0], parts.shape[2]
    for rows, run in spans((before, max(n, r * r), after)):
        c, b, v = (columns(t[rows, :, run], xp) for t in (parts, entries, counts))
        dual = xp.conj(c) if xp.isdtype(c.dtype, "complex floating") else c
        pairs = xp.reshape(c[:, None, :] * dual[None, :, :], (r * r, c.shape[1]))
        normal += xp.astype(v, x.dtype, copy=False) @ xp.matrix_transpose(pairs)
        right += (v * b) @ xp.matrix_transpose(dual)
    matrices = xp.reshape(normal, (n, r, r))
    rest = right - (old[:, None, :] @ matrices)[:, 0, :]
    change = _solved(xp.matrix_transpose(matrices), rest, xp)
    q, triangle = xp.linalg.qr(old + change)
    factors = list(state.factors)
    factors[mode] = q
    return Tucker(_mode_product(state.core, triangle, mode, xp=xp), tuple(factors))


def _solved(matrices: Array, right: Array, xp: Namespace) -> Array:
    """Solve (b, r, r) normal equations for (b, r) right sides, bent where they are singular."""
    r = matrices.shape[-1]
    trace = xp.real(xp.linalg.trace(matrices)) if r else 0
    bend = eps(matrices.dtype, xp) ** 0.5 * trace / r
    floor = xp.max(bend) * eps(matrices.dtype, xp)
    bend = xp.where(bend > floor, bend, xp.where(floor > 0, floor, xp.ones_like(floor)))
    identity = xp.eye(r, dtype=matrices.dtype, device=device(matrices))
    bent = matrices + xp.astype(bend, matrices.dtype)[:, None, None] * identity
    return xp.linalg.solve(bent, right[..., None])[..., 0]


def _renew_core(data: Weighted, state: Tucker) -> Tucker:
    """Minimise over the core with the factors fixed."""
    unknowns = math.prod(
        r for r, factor in zip(state.rank, state.factors, strict=True) if factor is not None
    )
    renew = _core_direct if unknowns <= _DIRECT else _core_conjugate
    return state._replace(core=renew(data, state))


def _core_direct(data: Weighted, state: Tucker) -> Array:
    r"""Solve the normal equations of the core, one system for each index of modes left alone.

    Their matrix is :math:`\sum_i w_i\, \bar\varphi_i \varphi_i^T` with
    :math:`\varphi_i` the Kronecker product of rows of the factors, and so the tensor of weights
    multiplied along each mode by products of pairs of columns.
    """
    x, xp, factors, rank = data.x, data.xp, state.factors, state.rank
    d = len(factors)
    products = xp.astype(data.w, x.dtype)
    for mode, factor in enumerate(factors):
        if factor is not None:
            n, r = factor.shape
            pairs = xp.reshape(conj(factor, xp)[:, :, None] * factor[:, None, :], (n, r * r))
            products = _mode_product(products, xp.matrix_transpose(pairs), mode, xp=xp)
    alone = [k for k in range(d) if factors[k] is None]
    real = [k for k in range(d) if factors[k] is not None]
    split: list[int] = []
    place: list[int] = []
    for mode in range(d):
        place.append(len(split))
        split += [rank[mode]] if mode in alone else [rank[mode], rank[mode]]
    order = [place[k] for k in alone] + [place[k] for k in real] + [place[k] + 1 for k in real]
    many = math.prod(rank[k] for k in alone)
    size = math.prod(rank[k] for k in real)
    ordered = xp.permute_dims(xp.reshape(products, tuple(split)), tuple(order))
    matrices = xp.reshape(ordered, (many, size, size))
    front = tuple(alone + real)
    right = project(x * data.w, factors, xp)
    right, old = (xp.reshape(xp.permute_dims(a, front), (many, size)) for a in (right, state.core))
    new = old + _solved(matrices, right - (matrices @ old[..., None])[..., 0], xp)
    back = tuple(front.index(k) for k in range(d))
    return xp.permute_dims(xp.reshape(new, tuple(rank[k] for k in front)), back)


def _core_conjugate(data: Weighted, state: Tucker) -> Array:
    """Improve the core by conjugate gradients from where it is; every step lowers the error."""
    xp, factors, core = data.xp, list(state.factors), state.core
    rest = project(data.w * (data.x - expand(core, factors, xp)), factors, xp)
    direction, size = rest, _square(rest, xp)
    stop = eps(core.dtype, xp) * size
    for _ in range(_CONJUGATE_STEPS):
        if size <= stop:
            break
        image = project(data.w * expand(direction, factors, xp), factors, xp)
        curvature = float(xp.real(xp.sum(conj(direction, xp) * image)))
        if curvature <= 0:
            break
        core = core + (size / curvature) * direction
        rest = rest - (size / curvature) * image
        size, before = _square(rest, xp), size
        direction = rest + (size / before) * direction
    return core


def _square(a: Array, xp: Namespace) -> float:
    return float(xp.sum(xp.abs(a) ** 2))
