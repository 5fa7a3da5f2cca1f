"""Charged particles, each maybe many times along the variables, and their Gaussians."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import array_api_compat as compat
import numpy as np
import numpy.typing as npt

from tdecomp._shim import host
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, differentiated, namespace, prepare
from tdecomp.chebyshev.potentials._gaussians import GaussianSum, gaussians
from tdecomp.ops._operands import promoted

# Entries of what is multiplied at a time.
_ENTRIES = 1 << 18


class Cloud(NamedTuple):
    """Particles at `positions` (N, d) with `charges` (N,), shifted by all combinations.

    ``shifts`` has for each variable an array of numbers by which it is shifted, of at least one.
    """

    positions: Array
    charges: Array
    shifts: tuple[Array, ...]

    def batches(self, count: int) -> Iterator[Cloud]:
        """Yield clouds of `count` particles or fewer."""
        total = int(self.charges.shape[0])
        for i in range(0, total, count):
            end = min(i + count, total)
            yield self._replace(positions=self.positions[i:end, :], charges=self.charges[i:end])

    def images(self) -> int:
        """Return the largest number of shifts."""
        return max(int(shifts.shape[0]) for shifts in self.shifts)

    def ranges(self) -> list[tuple[float, float]]:
        """Return where the particles are, a range for each variable."""
        x = known(self.positions)
        ends = zip(x.min(axis=0).tolist(), x.max(axis=0).tolist(), strict=True)
        shifts = [known(s) for s in self.shifts]
        return [
            (low + float(s.min()), high + float(s.max()))
            for (low, high), s in zip(ends, shifts, strict=True)
        ]


def known(x: Array) -> npt.NDArray[np.float64]:
    """Return values to decide by; gradients of PyTorch flow past what is decided."""
    if compat.is_jax_array(x) and differentiated(x):
        raise ValueError(
            "potentials are built by what positions are: in JAX there is no program (jit) or "
            "gradient of them; build outside, and trace evaluate, or call forces"
        )
    return host(x).astype(np.float64)


def columns(points: Array, centres: Array, shifts: Array, rate: Any, xp: Namespace) -> Array:
    """Return at points the Gaussians with given centres, each with all its shifts, (n, N)."""
    gaps = points[:, None, None] - (centres[:, None] + shifts)[None, :, :]
    return xp.sum(xp.exp(-((rate * gaps) ** 2)), axis=-1)


def cloud(
    positions: Any,
    charges: Any,
    *,
    like: Array | None = None,
) -> Cloud:
    """Validate particles, which lie where they are and nowhere else unless shifted.

    With `like`, positions of other particles, they have to fit those.
    """
    xp = namespace(positions, charges, like)
    arrays = (a for a in (like, positions, charges) if hasattr(a, "dtype"))
    _, x = prepare(positions, ndim=2, like=next(arrays, None), name="positions")
    _, q = prepare(charges, ndim=1, like=x, name="charges")
    for name, array in (("positions", x), ("charges", q)):
        if xp.isdtype(array.dtype, "complex floating"):
            raise TypeError(f"{name} must be real, got {array.dtype}")
    if q.shape[0] != x.shape[0]:
        raise ValueError(
            f"charges must be one for each of {x.shape[0]} positions, got {q.shape[0]}"
        )
    if like is not None and like.shape[1] != x.shape[1]:
        raise ValueError(
            f"positions must have {like.shape[1]} coordinates, as those before, got {x.shape[1]}"
        )
    x, q = promoted([x, q], xp)
    return Cloud(x, q, (xp.zeros_like(x[0, :1]),) * int(x.shape[1]))


def hull(clouds: list[Cloud]) -> list[tuple[float, float]]:
    """Return the range of all particles for each variable."""
    ranges = zip(*(one.ranges() for one in clouds), strict=True)
    return [(min(low for low, _ in r), max(high for _, high in r)) for r in ranges]


def direct(clouds: list[Cloud], g: GaussianSum, x: Array) -> Array:
    """Return the sum of all Gaussians of all particles at points (M, d), one by one."""
    xp = namespace(x)
    total = xp.zeros(x.shape[0], dtype=x.dtype, device=device(x))
    for whole in clouds:
        images = whole.images()
        for part in whole.batches(max(1, _ENTRIES // (int(x.shape[0]) * images))):
            total = total + (_shifted if images > 1 else _alone)(part, g, x, xp)
    return total


def _alone(part: Cloud, g: GaussianSum, x: Array, xp: Namespace) -> Array:
    """Return what particles make that come once each: from their distances."""
    squares = xp.zeros_like(x[:, :1])
    for k, shifts in enumerate(part.shifts):
        gaps = x[:, k : k + 1] - (part.positions[:, k] + shifts)[None, :]
        squares = squares + gaps * gaps
    return gaussians(g, squares, g.weights, xp) @ part.charges


def _shifted(part: Cloud, g: GaussianSum, x: Array, xp: Namespace) -> Array:
    """Return what particles make with all their images: the sums of each variable multiplied."""
    total = xp.zeros_like(x[:, 0])
    for weight, exponent in zip(g.weights.tolist(), g.exponents.tolist(), strict=True):
        product = weight * part.charges[None, :]
        for k, shifts in enumerate(part.shifts):
            centres = part.positions[:, k]
            product = product * columns(x[:, k], centres, shifts, math.sqrt(exponent), xp)
        total = total + xp.sum(product, axis=1)
    return total
