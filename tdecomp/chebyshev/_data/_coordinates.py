"""Where the values of a grid belong: Chebyshev points, equispaced ones, or others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tdecomp._shim import host
from tdecomp._xp import namespace, prepare
from tdecomp.chebyshev._domain import as_domain, to_unit

Line = npt.NDArray[np.float64]


def as_coordinates(
    points: Any, domain: Any, shape: Sequence[int]
) -> tuple[list[Line | None], npt.NDArray[np.float64]]:
    """Return the points along each variable in ``[-1, 1]``, None for Chebyshev points, and a box.

    Without a domain it is what coordinates span, and ``[-1, 1]`` where there are none.
    """
    d = len(shape)
    if points is None or isinstance(points, str):
        points = [points] * d
    if not isinstance(points, list | tuple) or len(points) != d:
        raise ValueError(
            f"points must be None for Chebyshev points, 'uniform', or a tuple with one entry for "
            f"each of {d} variables, got {type(points).__name__}"
        )
    lines = [_line(line, n, k) for k, (line, n) in enumerate(zip(points, shape, strict=True))]
    if domain is None:
        known = [isinstance(x, np.ndarray) and x.size > 1 for x in lines]
        domain = [(x[0], x[-1]) if y else (-1, 1) for x, y in zip(lines, known, strict=True)]
    box = as_domain(domain, d)
    return [
        _in_unit(line, n, box, k) for k, (line, n) in enumerate(zip(lines, shape, strict=True))
    ], box


def check_differentiable(lines: Sequence[Line | None]) -> None:
    """Refuse points whose series are found on the host."""
    if any(line is not None for line in lines):
        raise ValueError("gradients and tracing (jit, vmap) need Chebyshev points, points=None")


def _line(line: Any, n: int, k: int) -> Any:
    """Validate one entry: None, the name of a grid, or coordinates, brought to the host."""
    if line is None or isinstance(line, str):
        if line not in (None, "uniform"):
            raise ValueError(f"points must be None, 'uniform' or coordinates, got {line!r}")
        return line
    name = f"points[{k}]"
    xp, x = prepare(line, ndim=1, name=name)
    if xp.isdtype(x.dtype, "complex floating"):
        raise TypeError(f"{name} must be real, got {x.dtype}")
    found: Line = host(x).astype(float)
    if found.size != n:
        raise ValueError(f"{name} must have {n} coordinates, one for each value, got {found.size}")
    if np.any(np.diff(found) <= 0):
        place = int(np.argmax(np.diff(found) <= 0))
        raise ValueError(f"{name} must ascend, got {found[place]} before {found[place + 1]}")
    return found


def _in_unit(line: Any, n: int, box: npt.NDArray[np.float64], k: int) -> Line | None:
    """Return the points of one variable in ``[-1, 1]``."""
    if line is None:
        return None
    if isinstance(line, str):
        return np.linspace(-1, 1, n) if n > 1 else np.zeros(1)
    t = to_unit(line[:, None], box[k : k + 1], namespace(line), name=f"points[{k}]")
    return np.asarray(t[:, 0])
