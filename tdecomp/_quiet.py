"""Pieces of work for which OpenBLAS wakes no threads.

Threads that have been woken go on spinning for a twentieth of a second, and compiled loops that
follow lose half of a core. Products that take less than that are made in pieces.
"""

from __future__ import annotations

from collections.abc import Iterator

from tdecomp._typing import Array

# Multiplications that wake nobody, not even of a matrix and its own transpose; measured for
# OpenBLAS 0.3.30, which counts complex ones eight times.
_MOST = 3 << 17


def multiplications(count: int, *arrays: Array) -> int:
    """Return what so many products of entries of NumPy's arrays count."""
    return count << (3 if any(array.dtype.kind == "c" for array in arrays) else 0)


def wakes(work: int) -> bool:
    """Tell whether so many multiplications at once may wake threads."""
    return work > _MOST


def quiet_runs(length: int, work: int) -> Iterator[slice]:
    """Cut a length, each unit of which takes so much work, into runs that wake nobody."""
    step = max(1, _MOST // work)
    return (slice(start, min(start + step, length)) for start in range(0, length, step))
