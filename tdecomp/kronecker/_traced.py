"""The Kronecker-product SVD under ``jit``, ``vmap`` and gradients: at fixed rank."""

from __future__ import annotations

import math

from tdecomp._errors import check_rank
from tdecomp._iterate import Fit, Status
from tdecomp._typing import Array, Namespace
from tdecomp._xp import equilibrate, prepare
from tdecomp.kronecker._format import KroneckerSum
from tdecomp.kronecker._targets import Shapes, check_fit
from tdecomp.kronecker._task import Task
from tdecomp.kronecker._terms import as_tensor
from tdecomp.linalg._signs import canonical_signs
from tdecomp.linalg._smooth import leading_svd


def of_traced(a: Array, task: Task, *, plain: bool) -> Fit[KroneckerSum]:
    """Decompose the rearranged matrix: everything that has a shape is fixed."""
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
    u, s, vh = leading_svd(as_tensor(a, shapes, xp), rank, xp)
    u, vh = canonical_signs(u, vh, xp)
    root = xp.astype(xp.sqrt(s), u.dtype)
    stacks = xp.matrix_transpose(u * root), vh * root[:, None]
    left, right = (
        xp.reshape(stack, (rank, *shape)) for stack, shape in zip(stacks, shapes, strict=True)
    )
    return KroneckerSum(left, right)
