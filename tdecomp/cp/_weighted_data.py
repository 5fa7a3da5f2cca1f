"""What is observed, and how much it counts: data and weights checked and brought to one form."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import numpy as np

from tdecomp._errors import nonfinite
from tdecomp._kernels import accepts
from tdecomp._shim import index_add
from tdecomp._typing import Array, DType, Namespace
from tdecomp._weights import check_sign, elementwise
from tdecomp._xp import device, equilibrate, namespace, prepare, real_dtype
from tdecomp.cp._weighted_entries import Entries
from tdecomp.cp._weighted_grid import Grid
from tdecomp.cp._weighted_sorted import sorted_entries
from tdecomp.ops._coo import COO, check_coo
from tdecomp.ops._sparse_sort import canonical, positions

# Where a larger part than this of a larger array is observed, products of matrices are faster
# than loops over a list of entries, and need less memory.
_DENSE = 0.3
_DENSE_ENTRIES = 1 << 18
# The most entries that weights without coordinates may spread over.
_SPREAD = 1 << 28


class Observations(Protocol):
    """The least-squares problem, for factors that lie in one matrix, mode after mode.

    A `penalty` :math:`P` (r, r), semidefinite, adds :math:`a^* P a` for each row :math:`a`.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the modes."""

    @property
    def total(self) -> float:
        """The weighted sum of the squares of the data."""

    def solve(self, flat: Array, mode: int, penalty: Array) -> Array:
        """Return the factor of `mode` that fits best with all others fixed."""

    def solve_nonnegative(self, flat: Array, mode: int, penalty: Array, passes: int) -> Array:
        """Return what coordinate descent over nonnegative rows makes of the factor of `mode`."""

    def along(self, flat: Array, direction: Array) -> np.ndarray:
        """Return the Gram matrix of the coefficients of the misfit along a line."""

    def unweighted(self) -> Observations:
        """Return the same entries, all of weight one."""


class Observed(NamedTuple):
    """Observations of ``data / scale``, with weights divided by `heaviest`, powers of two."""

    problem: Observations
    scale: float
    heaviest: float
    dtype: DType
    xp: Namespace


def observe(x: Any, weights: Any) -> Observed:
    """Validate data and weights, and choose how to solve with them.

    Parameters
    ----------
    x : array, shape (n_0, ..., n_{d-1}), or COO
        The data. Entries of weight 0 are not looked at: they may be NaN.
    weights : array, broadcastable to the shape of `x`, or COO
        Nonnegative; entries that a COO does not store weigh 0.

    Returns
    -------
    Observed
        The problem at a safe scale.
    """
    if isinstance(x, COO) or isinstance(weights, COO):
        return _listed(*_entries(x, weights))
    xp, x = prepare(x, ndim=1, batch=True, check_finite=False, name="x")
    weights = elementwise(weights, x, x.shape, xp)
    seen = weights > 0
    check_observed(x, seen, xp, name="x")
    for mode in range(x.ndim):
        others = tuple(axis for axis in range(x.ndim) if axis != mode)
        _check_slices(xp.any(seen, axis=others) if others else seen, mode, xp)
    share = float(xp.mean(xp.astype(seen, weights.dtype)))
    few = share <= _DENSE or math.prod(x.shape) <= _DENSE_ENTRIES
    if few and accepts(x):
        places = np.nonzero(seen)
        return _listed(np.stack(places), x[places], weights[places], tuple(x.shape), xp)
    x, scale, weights, heaviest = _scaled(xp.where(seen, x, xp.zeros_like(x)), weights, xp)
    total = float(xp.sum(weights * xp.real(x * xp.conj(x))))
    return Observed(Grid(x, weights, total, xp), scale, heaviest, x.dtype, xp)


def check_observed(x: Array, seen: Array, xp: Namespace, *, name: str) -> None:
    """Refuse entries that are seen and not finite, and say where."""
    bad = xp.reshape(seen & ~xp.isfinite(x), (-1,))
    if bool(xp.any(bad)):
        count = xp.astype(bad, xp.int32)
        raise nonfinite(tuple(x.shape), int(xp.argmax(count)), int(xp.sum(count)), name=name)


def _listed(
    indices: Array, values: Array, weights: Array, shape: tuple[int, ...], xp: Namespace
) -> Observed:
    """Build the problem of a list of entries of positive weight."""
    for mode, n in enumerate(shape):
        hits = xp.zeros(n, dtype=weights.dtype, device=device(weights))
        if weights.shape[0]:
            hits = index_add(hits, indices[mode, :], xp.ones_like(weights), xp)
        _check_slices(hits > 0, mode, xp)
    values, scale, weights, heaviest = _scaled(values, weights, xp)
    if accepts(values, weights):
        problem: Observations = sorted_entries(indices, values, weights, shape)
    else:
        total = float(xp.sum(weights * xp.real(values * xp.conj(values))))
        problem = Entries(indices, values, weights, shape, total, xp)
    return Observed(problem, scale, heaviest, values.dtype, xp)


def _scaled(x: Array, weights: Array, xp: Namespace) -> tuple[Array, float, Array, float]:
    """Bring data and weights to a safe scale."""
    axes = tuple(range(x.ndim))
    x, scale = equilibrate(x, xp, axis=axes)
    weights, heaviest = equilibrate(weights, xp, axis=axes)
    return x, float(xp.reshape(scale, ())), weights, float(xp.reshape(heaviest, ()))


def _entries(x: Any, weights: Any) -> tuple[Array, Array, Array, tuple[int, ...], Namespace]:
    """Match data and weights of which one at least is listed by coordinates."""
    if not isinstance(weights, COO):
        xp, x = check_coo(x)
        weights = _spread(weights, x, xp)
    else:
        _, weights = check_coo(weights, name="weights")
        if isinstance(x, COO):
            xp, x = check_coo(x)
            namespace(x.values, weights.values)
        else:
            xp, x = prepare(
                x, ndim=1, batch=True, like=weights.values, check_finite=False, name="x"
            )
    shape = tuple(x.shape)
    if weights.shape != shape:
        raise ValueError(f"weights must have the shape of x, {shape}, got {weights.shape}")
    check_sign(weights.values, xp, indices=weights.indices)
    kept = xp.nonzero(weights.values > 0)[0]
    places, heavy = xp.take(weights.indices, kept, axis=1), xp.take(weights.values, kept, axis=0)
    if isinstance(x, COO):
        heavy = xp.astype(heavy, real_dtype(x.values.dtype, xp))
        return (*_matched(x, places, heavy, xp), shape, xp)
    values = xp.take(xp.reshape(x, (-1,)), positions(places, shape), axis=0)
    bad = ~xp.isfinite(values)
    if bool(xp.any(bad)):
        hits = xp.astype(bad, xp.int32)
        place = positions(places[:, int(xp.argmax(hits))][:, None], shape)
        raise nonfinite(shape, int(place[0]), int(xp.sum(hits)), name="x")
    return places, values, xp.astype(heavy, real_dtype(values.dtype, xp)), shape, xp


def _matched(x: COO, places: Array, heavy: Array, xp: Namespace) -> tuple[Array, Array, Array]:
    """Return places of positive weight with the entries there, 0 where none is stored.

    Both lists, padded with zeros, are sorted over the union of their coordinates.
    """
    if places.shape == x.indices.shape and bool(xp.all(places == x.indices)):
        return places, x.values, heavy
    joined = xp.concat([x.indices, places], axis=1)
    blank = xp.zeros(heavy.shape[0], dtype=x.values.dtype, device=device(x.values))
    values = xp.concat([x.values, blank])
    counts = xp.concat([xp.zeros(x.nnz, dtype=heavy.dtype, device=device(heavy)), heavy])
    union, values = canonical(joined, values, x.shape, xp=xp)
    _, counts = canonical(joined, counts, x.shape, xp=xp)
    kept = xp.nonzero(counts > 0)[0]
    union = xp.take(union, kept, axis=1)
    return union, xp.take(values, kept, axis=0), xp.take(counts, kept, axis=0)


def _spread(weights: Any, x: COO, xp: Namespace) -> COO:
    """List the coordinates of weights that cover a whole sparse tensor, its zeros included."""
    if math.prod(x.shape) > _SPREAD:
        raise ValueError(
            f"weights over all {math.prod(x.shape)} entries of a sparse x are too many to list; "
            "pass a COO of weights: entries that it does not store count as missing, as in "
            "x._replace(values=ones)"
        )
    weights = elementwise(weights, x.values, x.shape, xp)
    places = xp.nonzero(weights)
    flat = xp.reshape(weights, (-1,))
    indices = xp.astype(xp.stack(places), x.indices.dtype)
    return COO(indices, xp.take(flat, positions(indices, x.shape), axis=0), x.shape)


def _check_slices(seen: Array, mode: int, xp: Namespace) -> None:
    """Refuse a slice without observations: nothing tells its row of the factor."""
    missing = xp.astype(~seen, xp.int32)
    if bool(xp.any(missing)):
        first, count = int(xp.argmax(missing)), int(xp.sum(missing))
        others = "have 1 other" if count == 2 else f"have {count - 1} others"
        more = f", nor {others} of that mode" if count > 1 else ""
        raise ValueError(
            f"index {first} of mode {mode} has no observed entry{more}: all weights of the slice "
            "are 0, so that nothing determines its row of the factor; leave the slice out"
        )
