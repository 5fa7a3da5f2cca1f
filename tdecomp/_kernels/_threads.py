"""How many threads a kernel may wake."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numba

# Flops for which waking a thread pays: some ten microseconds of work, and milliseconds where the
# machine is busy with something else.
_WORTH = 1 << 21


@contextmanager
def threads_for(work: float) -> Iterator[None]:
    """Run kernels on one thread where they make fewer than two million flops."""
    before = numba.get_num_threads()
    if work >= _WORTH or before == 1:
        yield
        return
    numba.set_num_threads(1)
    try:
        yield
    finally:
        numba.set_num_threads(before)
