"""Kronecker terms by alternating least squares: three factors and more, or weighted entries.

The rearranged matrix, or tensor of as many modes as there are factors, has one mode of length
``m_k n_k`` for each factor; a sum of Kronecker products is its CP decomposition.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from tdecomp._errors import check_rank
from tdecomp._iterate import Callback, Fit, Progress
from tdecomp._typing import Array, Namespace
from tdecomp._weights import elementwise
from tdecomp._xp import floats, namespace, prepare
from tdecomp.cp._als import cp_als
from tdecomp.cp._format import CP
from tdecomp.cp._normalise import phase_of
from tdecomp.cp._weighted_data import check_observed
from tdecomp.kronecker._format import KroneckerSum, of_vectors
from tdecomp.kronecker._operands import padded
from tdecomp.kronecker._targets import Shapes, check_fit
from tdecomp.kronecker._task import Task
from tdecomp.ops._coo import COO, coo
from tdecomp.ops._sparse_convert import from_sparse


def by_terms(a: Any, weights: Any, task: Task, *, pad: bool, n_starts: int) -> Fit[KroneckerSum]:
    """Decompose the rearranged tensor term by term."""
    way = "rtol= is for two factors without weights="
    rank = check_rank(task.rank, most_terms(task.shapes), way=way)
    if type(a).__module__.startswith("scipy.sparse") and hasattr(a, "tocsr"):
        if weights is not None:
            raise TypeError("weights= are for arrays: what a sparse matrix does not store is zero")
        xp, tensor = namespace(), _sparse_tensor(a, task.shapes, pad=pad)
    else:
        xp, tensor, weights = _dense_tensors(a, weights, task.shapes, pad=pad)
    most = None if task.max_iter == sys.maxsize else task.max_iter
    options: dict[str, Any] = {"n_starts": n_starts, "max_iter": most}
    if not math.isnan(task.tol):
        options["tol"] = task.tol
    return fit_terms(
        tensor,
        task.shapes,
        rank,
        weights=weights,
        rng=task.rng,
        callback=task.callback,
        xp=xp,
        **options,
    )


def most_terms(shapes: Shapes) -> int:
    """Return how many terms are enough for every matrix: one for each fibre of the longest mode.

    The rearranged tensor is the sum, over the indices of all other modes, of a fibre times unit
    vectors; for two factors that is the rank which a matrix of these sides has at most.
    """
    sizes = [m * n for m, n in shapes]
    return math.prod(sizes) // max(sizes)


def _dense_tensors(
    a: Any, weights: Any, shapes: Shapes, *, pad: bool
) -> tuple[Namespace, Array, Array | None]:
    """Validate a matrix and its weights, and rearrange both."""
    xp, a = prepare(a, ndim=2, check_finite=weights is None)
    shape = check_fit(shapes, a.shape, pad=pad)
    tensor = as_tensor(padded(a, shape, xp), shapes, xp)
    if weights is None:
        return xp, tensor, None
    weights = elementwise(weights, a, a.shape, xp, name="a")
    check_observed(a, weights > 0, xp, name="a")
    weights = padded(weights, shape, xp)
    check_seen(weights, shapes, xp)
    return xp, tensor, as_tensor(weights, shapes, xp)


def _sparse_tensor(a: Any, shapes: Shapes, *, pad: bool) -> COO:
    """Move the stored entries of a sparse matrix to where the rearranged tensor has them."""
    stored = from_sparse(a)
    check_fit(shapes, stored.shape, pad=pad)
    i, j = np.asarray(stored.indices)
    places = []
    for m, n in reversed(shapes):
        i, row = np.divmod(i, m)
        j, column = np.divmod(j, n)
        places.append(row * n + column)
    return coo(places[::-1], stored.values, tuple(m * n for m, n in shapes))


def fit_terms(
    tensor: Any,
    shapes: Shapes,
    rank: int,
    *,
    weights: Array | None,
    rng: np.random.Generator,
    callback: Callback | None,
    xp: Namespace,
    **options: Any,
) -> Fit[KroneckerSum]:
    """Return the sum that alternating least squares ends at."""

    def watch(progress: Progress) -> object:
        shown = progress._replace(tensor=_of_cp(progress.tensor, shapes, xp))
        return callback(shown) if callback is not None else None

    fit = cp_als(
        tensor,
        rank=rank,
        weights=weights,
        init="hosvd" if weights is None else "random",
        rng=rng,
        callback=None if callback is None else watch,
        **options,
    )
    return Fit(_of_cp(fit.tensor, shapes, xp), fit.error, fit.n_iter, fit.status)


def check_seen(weights: Array, shapes: Shapes, xp: Namespace) -> None:
    """Refuse weights that leave an entry of some factor without a single observation."""
    t = as_tensor(weights, shapes, xp)
    for k, (_, n) in enumerate(shapes):
        others = tuple(axis for axis in range(len(shapes)) if axis != k)
        bare = [i for i, seen in enumerate(floats(xp.max(t, axis=others))) if seen == 0]
        if bare:
            raise ValueError(
                f"weights leave {len(bare)} entries of factor {k} without an observation, the "
                f"first at {divmod(bare[0], n)}: every entry of a that it multiplies has weight 0"
            )


def as_tensor(a: Array, shapes: Shapes, xp: Namespace) -> Array:
    """Return the rearranged matrix as a tensor of shape ``(m_1 n_1, m_2 n_2, ...)``."""
    count = len(shapes)
    rows, columns = zip(*shapes, strict=True)
    order = [k + count * side for k in range(count) for side in (0, 1)]
    t = xp.permute_dims(xp.reshape(a, (*rows, *columns)), tuple(order))
    return xp.reshape(t, tuple(math.prod(shape) for shape in shapes))


def _of_cp(cp: CP, shapes: Shapes, xp: Namespace) -> KroneckerSum:
    phases = xp.astype(phase_of(cp.weights, xp), cp.dtype)
    first, *others = cp.factors
    return of_vectors([first * phases, *others], xp.abs(cp.weights), shapes, xp)
