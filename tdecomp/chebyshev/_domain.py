"""Boxes, and what lies in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tdecomp._typing import Array, Namespace
from tdecomp._xp import concrete, device, eps, namespace, prepare

# By how many units of rounding a point may lie outside.
SLACK = 8.0
# Halves of intervals in between neither lose digits nor overflow.
_SHORTEST, _LONGEST = 2.0**-1000, 2.0**1021


def as_domain(domain: Any, d: int | None = None) -> npt.NDArray[np.float64]:
    """Return a box (d, 2) from a box, from one interval for all variables, or from nothing.

    Nothing is ``[-1, 1]``; without the number `d` of variables it takes a box.
    """
    try:
        given = np.asarray([-1.0, 1.0] if domain is None else domain)
    except (TypeError, ValueError):
        raise ValueError(
            f"domain must have an interval (a, b) in each row, got {domain}"
        ) from None
    if given.dtype.kind not in "iuf":
        raise TypeError(f"domain must hold real numbers, got {given.dtype}")
    box = given.astype(float)
    if box.shape == (2,) and d is not None:
        box = np.tile(box, (d, 1))
    if box.ndim != 2 or box.shape[1] != 2 or box.shape[0] != (box.shape[0] if d is None else d):
        wanted = "(d, 2)" if d is None else f"({d}, 2), or one interval for all variables"
        raise ValueError(f"domain must have shape {wanted}, got {box.shape}")
    if box.shape[0] == 0:
        raise ValueError("domain is empty: a function needs a variable")
    for k, (low, high) in enumerate(box.tolist()):
        if not (np.isfinite(low) and np.isfinite(high) and low < high):
            raise ValueError(
                f"domain[{k}] must be a finite interval (a, b) with a < b, got ({low}, {high})"
            )
        if not _SHORTEST <= high / 2 - low / 2 <= _LONGEST:
            raise ValueError(
                f"domain[{k}] is too {'short' if high - low < 1 else 'long'} to compute with: "
                f"({low}, {high})"
            )
    return box


def to_unit(x: Array, domain: Array, xp: Namespace, *, name: str = "points") -> Array:
    """Return points (N, d) of a box as those of ``[-1, 1]``; NaN for those outside, if traced.

    With an interval (2,) for a domain, points (N,) are those of one variable.
    """
    low, high = domain[..., 0], domain[..., 1]
    # Either difference is exact near its end: the ends themselves come out as -1 and 1.
    with np.errstate(over="ignore"):
        t = ((x - low) - (high - x)) / (high - low)
    inside = xp.abs(t) <= 1 + SLACK * eps(t.dtype, xp)
    verdict = concrete(xp.all(inside))
    if verdict is False:
        place = int(xp.argmax(xp.astype(xp.reshape(~inside, (-1,)), xp.int32)))
        if x.ndim == 1:
            raise ValueError(
                f"{name}[{place}] is {float(x[place])}, outside of the interval "
                f"[{float(low)}, {float(high)}] of its variable"
            )
        row, k = divmod(place, domain.shape[0])
        raise ValueError(
            f"{name}[{row}, {k}] is {float(x[row, k])}, outside of the domain "
            f"[{float(low[k])}, {float(high[k])}] of variable {k}"
        )
    one = xp.ones_like(t)
    # At an end the slope is one, of which a minimum would give half to the end.
    clipped = xp.where(t > 1, one, xp.where(t < -1, -one, t))
    return clipped if verdict else xp.where(inside, clipped, xp.nan * one)


def as_points(points: Any, domain: Array, xp: Namespace) -> Array:
    """Validate real points (..., d) for a box, of its library and dtype: there may be none."""
    d, shape = domain.shape[0], tuple(getattr(points, "shape", ()))
    if 0 in shape[:-1] and shape[-1] == d:
        namespace(points, domain)
        return xp.zeros(shape, dtype=domain.dtype, device=device(domain))
    _, x = prepare(points, ndim=1, batch=True, like=domain, name="points")
    if xp.isdtype(x.dtype, "complex floating"):
        raise TypeError(f"points must be real, got {x.dtype}")
    if x.shape[-1] != d:
        raise ValueError(
            f"points must have {d} coordinates, the last axis, got shape {tuple(x.shape)}"
        )
    return xp.astype(x, domain.dtype, copy=False)


def from_unit(t: Array, domain: Array, xp: Namespace) -> Array:
    """Return points (N, d) of ``[-1, 1]`` as those of a box."""
    one = xp.ones((1,), dtype=t.dtype, device=device(t))
    return domain[:, 0] * ((one - t) / 2) + domain[:, 1] * ((one + t) / 2)
