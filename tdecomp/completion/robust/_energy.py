"""How much a map of measurements enlarges a matrix, on average."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tdecomp._random import signs
from tdecomp._typing import Array, Namespace
from tdecomp._xp import conj, device, eps, finite
from tdecomp.completion.robust._measurements import (
    EntryMeasurements,
    LinearMeasurements,
    MatrixMeasurements,
    Measurements,
    RankOneMeasurements,
)

# Random signs that tell the size of what only two functions know.
_PROBES = 4


def energy(operator: Measurements, y: Array, xp: Namespace) -> float:
    """Return the mean squared magnitude of all entries of all matrices of a map."""
    if isinstance(operator, LinearMeasurements):
        return _probed(operator, y, xp)
    if isinstance(operator, EntryMeasurements):
        return 1 / math.prod(operator.shape)
    if isinstance(operator, RankOneMeasurements):
        squares = [xp.sum(xp.abs(x) ** 2, axis=1) for x in operator]
        return float(xp.mean(squares[0] * squares[1])) / math.prod(operator.shape)
    assert isinstance(operator, MatrixMeasurements)
    norm = float(xp.linalg.vector_norm(operator.matrices))
    return norm**2 / operator.size / math.prod(operator.shape)


def unit_map(
    operator: LinearMeasurements, y: Array, xp: Namespace
) -> tuple[LinearMeasurements, float]:
    """Return the map at unit scale, and by what power of two it was made smaller.

    Only what it makes of a matrix tells the size of a map of two functions.
    """
    eye = xp.eye(operator.shape[1], dtype=y.dtype, device=device(y))
    x = signs(np.random.default_rng(0), operator.shape, y, xp)
    seen = _returned(operator.measure(x, eye), tuple(y.shape), xp, name="forward", of="x")
    peak = float(xp.max(xp.abs(seen)))
    scale = 2.0 ** (math.frexp(peak)[1] - 1) if peak > 0 else 1.0
    scaled = operator._replace(
        forward=_shrunk(operator.forward, scale), backward=_shrunk(operator.backward, scale)
    )
    return scaled, scale


def _shrunk(function: Callable[[Array], Array], scale: float) -> Callable[[Array], Array]:
    """Return a function divided by a number; what it returns and is no array stays as it is."""

    def divided(x: Array) -> Array:
        found = function(x)
        return found / scale if hasattr(found, "shape") else found

    return divided


def _probed(operator: LinearMeasurements, y: Array, xp: Namespace) -> float:
    """Estimate that mean from random signs: exact where every entry is seen by itself."""
    rng = np.random.default_rng(0)
    eye = xp.eye(operator.shape[1], dtype=y.dtype, device=device(y))
    back = _returned(operator.adjoint(y), operator.shape, xp, name="backward", of="y")
    total = 0.0
    for _ in range(_PROBES):
        x = signs(rng, operator.shape, y, xp)
        seen = _returned(operator.measure(x, eye), tuple(y.shape), xp, name="forward", of="x")
        _check_adjoint((seen, y), (x, back), xp)
        total += float(xp.linalg.vector_norm(seen)) ** 2
    return total / _PROBES / operator.size / math.prod(operator.shape)


def _returned(found: Array, shape: tuple[int, ...], xp: Namespace, *, name: str, of: str) -> Array:
    """Refuse what a function returns unless it is finite and of the right shape."""
    given = tuple(getattr(found, "shape", ()))
    if given != shape:
        raise ValueError(f"measurements.{name} must return shape {shape}, got {given}")
    return finite(found, xp, name=f"measurements.{name}({of})")


def _check_adjoint(seen: tuple[Array, Array], back: tuple[Array, Array], xp: Namespace) -> None:
    """Refuse a pair of functions unless <forward(x), y> is <x, backward(y)>."""
    products = [complex(xp.sum(conj(a, xp) * b)) for a, b in (seen, back)]
    size = sum(math.prod(float(xp.linalg.vector_norm(x)) for x in pair) for pair in (seen, back))
    if abs(products[0] - products[1]) > math.sqrt(eps(seen[1].dtype, xp)) * size:
        raise ValueError(
            "measurements.backward is not the adjoint of measurements.forward: the inner "
            f"products of forward(x) with y and of x with backward(y) are {products[0]:.6g} and "
            f"{products[1]:.6g}"
        )
