"""The leading singular triplets of a rearranged matrix: all of a short one, else a search."""

from __future__ import annotations

import math

from tdecomp._errors import check_reachable, check_target
from tdecomp._iterate import Fit
from tdecomp._xp import eps
from tdecomp.kronecker._short import short_svd
from tdecomp.kronecker._task import Task
from tdecomp.linalg._formats import SVD
from tdecomp.linalg._operand import Operand
from tdecomp.linalg._randomized import Options, of_operand
from tdecomp.linalg._search import exact
from tdecomp.linalg._start import Budget
from tdecomp.linalg._truncation import reachable_rtol

# Columns of the random block beyond the rank; blocks are filled up to whole vectors.
_OVERSAMPLE, _LANES = 3, 8
_MAX_ITER = 32
# The longest shorter side of which all triplets are found as fast as some; entries of a matrix
# that is rather formed than read in pieces.
_SHORT, _ENTRIES = 128, 1 << 18


def searched(op: Operand, task: Task) -> Fit[SVD]:
    """Find leading triplets: of all where a side is short, else by blocks of vectors."""
    rank, rtol = check_target(task.rank, task.rtol, min(op.shape))
    if min(op.shape) <= _SHORT:
        if rtol is not None:
            floor = reachable_rtol(*op.shape, eps(op.like.dtype, op.xp))
            check_reachable(rtol, floor, dtype=op.like.dtype)
        small = math.prod(op.shape) <= _ENTRIES
        return exact(op, rank, rtol) if small else short_svd(op, rank, rtol)
    oversample = _OVERSAMPLE
    if rank is not None:
        oversample += -(rank + oversample) % _LANES
    most = task.max_iter if rank is None else min(_MAX_ITER, task.max_iter)
    options = Options(
        rank,
        rtol,
        oversample,
        None,
        "krylov",
        "gaussian",
        1e-4 if math.isnan(task.tol) else task.tol,
        Budget(most, task.callback),
    )
    return of_operand(op, options, task.rng)
