"""What is asked of a Kronecker-product SVD, validated."""

from __future__ import annotations

import math
import sys
from typing import Any, NamedTuple

from tdecomp._errors import check_callback, check_count, check_size
from tdecomp._iterate import Callback
from tdecomp._random import generator
from tdecomp._typing import Seed
from tdecomp.kronecker._rearranged import Pair
from tdecomp.kronecker._targets import Shapes, check_shapes


class Task(NamedTuple):
    """Shapes and options; `tol` is NaN, and `max_iter` the largest int, where none is given."""

    shapes: Shapes
    rank: int | None
    rtol: float | None
    tol: float
    max_iter: int
    rng: Any
    callback: Callback | None

    @property
    def pair(self) -> Pair:
        """The shapes of two factors."""
        first, second = self.shapes
        return first, second


def check_task(
    shapes: Any,
    *,
    rank: int | None,
    rtol: float | None,
    tol: float | None,
    max_iter: int | None,
    rng: Seed,
    callback: Callback | None,
) -> Task:
    """Validate what does not depend on the matrix."""
    check_callback(callback)
    return Task(
        check_shapes(shapes),
        rank,
        rtol,
        math.nan if tol is None else check_size(tol, name="tol"),
        sys.maxsize if max_iter is None else check_count(max_iter, name="max_iter", least=2),
        generator(rng),
        callback,
    )
