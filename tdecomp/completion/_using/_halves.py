"""Half a sweep of a fit with features: the coefficients of one side, and what is left of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, conj, eps
from tdecomp.completion._inner import inner
from tdecomp.completion._masked import entries as model_entries
from tdecomp.completion._masked import times
from tdecomp.completion._methods._spectral import heaviness
from tdecomp.completion._observed import Side

# By how much a half sweep shrinks the slope, and the most steps that takes.
_SHRINK, _STEPS = 1e-2, 30

# The coefficients (d, k) of an orthonormal basis of features, and where it is fitted the
# residual (m, r).
Half = tuple[Array, ...]
Map = Callable[[Half], Half]


class Sought(NamedTuple):
    """What half a sweep fits: to which entries, in which basis, against which penalties."""

    side: Side
    basis: Array
    ridges: tuple[float, ...]

    def rows(self, half: Half, xp: Namespace) -> Array:
        """Return the rows of a factor of the matrix, (m, k + r)."""
        described = self.basis @ half[0]
        return described if len(half) == 1 else xp.concat([described, half[1]], axis=1)

    def parts(self, rows: Array, rank: int, xp: Namespace) -> Half:
        """Return what is adjoint to that."""
        described = adjoint(self.basis, xp) @ rows[:, :rank]
        return (described,) if len(self.ridges) == 1 else (described, rows[:, rank:])


def improved(sought: Sought, half: Half, other: Array, xp: Namespace) -> Half:
    """Lower the objective over one side, `other` rows (n, k + r) fixed, by conjugate gradients.

    They start from the last solution, in the metric in which entries known at random make the
    normal equations of the coefficients, and those of each row of the residual, the identity.
    """
    side, _, ridges = sought
    weights = xp.ones_like(xp.abs(side.values)) if side.weights is None else side.weights
    rank = half[0].shape[1]

    def projected(values: Array) -> Half:
        return sought.parts(times(side, weights * values, conj(other, xp), xp), rank, xp)

    def curved(along: Half) -> Half:
        seen = projected(model_entries(side, sought.rows(along, xp), other, xp))
        return tuple(s + ridge * a for s, ridge, a in zip(seen, ridges, along, strict=True))

    slope = _plus(projected(side.values), -1.0, curved(half))
    metric = _metric(sought, other[:, :rank], other[:, rank:], xp)
    z = along = metric(slope)
    energy = first = _inner(slope, z, xp)
    for _ in range(_STEPS):
        bend_of = curved(along)
        bend = _inner(along, bend_of, xp)
        if bend <= 0 or energy <= 0:
            break
        half, slope = _plus(half, energy / bend, along), _plus(slope, -energy / bend, bend_of)
        z = metric(slope)
        before, energy = energy, _inner(slope, z, xp)
        if energy <= _SHRINK**2 * first:
            break
        along = _plus(z, energy / before, along)
    return half


def _plus(x: Half, factor: float, y: Half) -> Half:
    """Return ``x + factor * y``, part by part."""
    return tuple(a + factor * b for a, b in zip(x, y, strict=True))


def _inner(x: Half, y: Half, xp: Namespace) -> float:
    return sum(inner(a, b, xp) for a, b in zip(x, y, strict=True))


def _metric(sought: Sought, described: Array, residual: Array, xp: Namespace) -> Map:
    """Return the inverse of what the normal equations are where entries are known at random."""
    heavy = heaviness(sought.side, xp) / described.shape[0]
    kind = described.dtype
    shared = xp.mean(heavy)
    inverses = [_inverse(described, shared[None], sought.ridges[0], xp)]
    if len(sought.ridges) == 2:
        inverses.append(_inverse(residual, heavy, sought.ridges[1], xp))

    def applied(slopes: Half) -> Half:
        return tuple(
            ((slope @ axes) * xp.astype(inverse, kind)) @ adjoint(axes, xp)
            for slope, (axes, inverse) in zip(slopes, inverses, strict=True)
        )

    return applied


def _inverse(rows: Array, heavy: Array, ridge: float, xp: Namespace) -> tuple[Array, Array]:
    """Return the axes of a Gram matrix, and the inverses of curvatures along them for each row."""
    gram = xp.matrix_transpose(rows) @ conj(rows, xp)
    values, axes = xp.linalg.eigh(gram)
    curvature = heavy[:, None] * xp.clip(values, min=0.0)[None, :]
    shift = ridge + rows.shape[1] * eps(rows.dtype, xp) * float(xp.max(curvature))
    return axes, 1 / (curvature + (shift or 1.0))
