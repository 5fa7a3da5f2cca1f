r"""Energies and forces of particles, from a smooth potential and from near pairs.

.. math:: E = \frac12 \sum_{i \ne j} q_i q_j\, g(r_{ij})
            = \frac12 \sum_i q_i \bigl( V(x_i) - q_i\, g_{\text{long}}(0) \bigr)
            + \sum_{i < j,\; r_{ij} < c} q_i q_j\, g_{\text{short}}(r_{ij}) ,

with the long-range potential :math:`V` of all particles, which acts on each of them itself too,
and the distance :math:`c` from which on the short-range part is below the tolerance.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tdecomp._errors import ToleranceError
from tdecomp._precision import full_precision
from tdecomp._shim import index_add
from tdecomp._typing import Array
from tdecomp._xp import device, eps, integers, namespace
from tdecomp.chebyshev._algebra._fields import gradient
from tdecomp.chebyshev._format import ChebyshevTucker
from tdecomp.chebyshev._values._evaluate import evaluate
from tdecomp.chebyshev.potentials._assembly import (
    LEAST,
    assembled,
    box_around,
    check_distances,
    tolerance,
)
from tdecomp.chebyshev.potentials._clouds import Cloud, cloud, known
from tdecomp.chebyshev.potentials._gaussians import GaussianSum, gaussians
from tdecomp.chebyshev.potentials._short import Places, neighbours
from tdecomp.chebyshev.potentials._split import as_sum, cutoff, sampled, split

# By default, how many lengths of separation the longest side of all particles has: series of some
# eighty coefficients.
_LENGTHS = 20


@full_precision
def energy(
    positions: Any,
    charges: Any,
    g: GaussianSum,
    /,
    *,
    sigma: float | None = None,
    rtol: float | None = None,
) -> Array:
    r"""Return the energy of all pairs of particles, :math:`\sum_{i<j} q_i q_j\, g(r_{ij})`.

    Parameters
    ----------
    positions : array, shape (N, d)
        Where the particles are.
    charges : array, shape (N,)
        Their charges.
    g : GaussianSum
        The kernel, for all distances of the particles and of the box around them.
    sigma : float, optional
        The length that separates ranges; by default a 20th of the longest side, or the least
        distance that `g` is for.
    rtol : float, optional
        The tolerance of the long-range potential, as of `long_range`, and of what the short-range
        part leaves at the distance where it is cut.

    Returns
    -------
    array, shape ()
        The energy.

    Raises
    ------
    TypeError, ValueError
        As `long_range` does; if two particles are nearer than the distances that `g` is for, which
        are named; or if `sigma` is out of range.
    ToleranceError
        If `rtol` is below what rounding allows, more so where Gaussians of both signs cancel.

    Notes
    -----
    The cost of `long_range`, and of the pairs within the cut, some `sigma` long. Up to some
    thousand particles all pairs cost less; the error is that of the long-range potential times
    the sum of the magnitudes of charges, at most.

    Examples
    --------
    >>> from tdecomp.chebyshev.potentials import energy, newton
    >>> g = newton(0.5, 10.0).tensor
    >>> found = energy([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0]], [1.0, -1.0], g)
    >>> print(f"{float(found):.6f}")
    -0.500000
    """
    parts = _parts(cloud(positions, charges), as_sum(g), sigma, rtol)
    total = _far_energy(parts)
    for pairs in _pairs(parts):
        total = total + _near_energy(parts.short, pairs)
    return total


@full_precision
def forces(
    positions: Any,
    charges: Any,
    g: GaussianSum,
    /,
    *,
    sigma: float | None = None,
    rtol: float | None = None,
) -> Array:
    r"""Return the forces on all particles, :math:`F_i = -\partial E / \partial x_i`.

    Parameters and errors are those of `energy`.

    Returns
    -------
    array, shape (N, d)
        The forces, which add up to zero within the tolerance.

    Notes
    -----
    The gradient of the long-range potential loses some digits of its tolerance, less the larger
    `sigma` is.

    Examples
    --------
    >>> from tdecomp.chebyshev.potentials import forces, newton
    >>> g = newton(0.5, 10.0).tensor
    >>> found = forces([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0]], [1.0, -1.0], g)
    >>> print(f"{found[0, 0]:.5f} {found[1, 0]:.5f}")  # they attract each other
    0.25000 -0.25000
    """
    parts = _parts(cloud(positions, charges), as_sum(g), sigma, rtol)
    found = _far_forces(parts)
    for pairs in _pairs(parts):
        found = _pushed(found, parts.short, pairs)
    return found


@full_precision
def energy_and_forces(
    positions: Any,
    charges: Any,
    g: GaussianSum,
    /,
    *,
    sigma: float | None = None,
    rtol: float | None = None,
) -> tuple[Array, Array]:
    """Return what `energy` and `forces` do, for little more than either of them costs.

    Parameters and errors are those of `energy`.

    Examples
    --------
    >>> from tdecomp.chebyshev.potentials import energy_and_forces, newton
    >>> g = newton(0.5, 10.0).tensor
    >>> e, f = energy_and_forces([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0]], [1.0, 1.0], g)
    >>> print(f"{float(e):.5f} {f[1, 0]:.5f}")
    0.50000 0.25000
    """
    parts = _parts(cloud(positions, charges), as_sum(g), sigma, rtol)
    total, found = _far_energy(parts), _far_forces(parts)
    for pairs in _pairs(parts):
        total = total + _near_energy(parts.short, pairs)
        found = _pushed(found, parts.short, pairs)
    return total, found


class _Parts(NamedTuple):
    """Particles, their long-range potential and its kernel, the short-range kernel and its end.

    A single particle has no potential that counts.
    """

    particles: Cloud
    f: ChebyshevTucker | None
    long: GaussianSum
    short: GaussianSum
    end: float


class _Pairs(NamedTuple):
    """Pairs (P,) of particles, differences (P, d) of their positions, squares, and charges."""

    first: Array
    second: Array
    gaps: Array
    squares: Array
    charges: Array


def _far_energy(parts: _Parts) -> Array:
    """Return the energy of the long range."""
    x, q, _ = parts.particles
    xp = namespace(q)
    if parts.f is None:
        return xp.sum(xp.zeros_like(q))
    own = float(np.sum(parts.long.weights))
    return xp.sum(q * (evaluate(parts.f, x) - own * q)) / 2


def _far_forces(parts: _Parts) -> Array:
    """Return the forces of the long range."""
    x, q, _ = parts.particles
    return namespace(x).zeros_like(x) if parts.f is None else -q[:, None] * gradient(parts.f, x)


def _near_energy(short: GaussianSum, pairs: _Pairs) -> Array:
    """Return the energy of near pairs."""
    xp = namespace(pairs.gaps)
    return xp.sum(pairs.charges * gaussians(short, pairs.squares, short.weights, xp))


def _pushed(forces: Array, short: GaussianSum, pairs: _Pairs) -> Array:
    """Return forces, and those of near pairs added."""
    xp = namespace(pairs.gaps)
    # The derivative of exp(-p r^2) over r is -2 p exp(-p r^2).
    slope = gaussians(short, pairs.squares, 2 * short.weights * short.exponents, xp)
    pushes = (pairs.charges * slope)[:, None] * pairs.gaps
    return index_add(index_add(forces, pairs.first, pushes, xp), pairs.second, -pushes, xp)


def _parts(particles: Cloud, g: GaussianSum, sigma: float | None, rtol: float | None) -> _Parts:
    """Separate ranges."""
    x = particles.positions
    xp, places = namespace(x), known(x)
    rtol = tolerance(rtol, x.dtype, xp)
    if places.shape[0] == 1:
        return _Parts(particles, None, g, g, 0.0)
    check_distances([particles], g, np.stack([places.min(axis=0), places.max(axis=0)], axis=1))
    _check_apart(places, g.interval[0])
    long, short = split(g, sigma=_length(places, g) if sigma is None else sigma)
    finer = _finer(rtol, long, g, LEAST * eps(x.dtype, xp))
    f = assembled([particles], long, box_around([particles], long, None), rtol=finer, rank=None)
    return _Parts(particles, f.tensor, long, short, cutoff(g, short, rtol))


def _length(places: Places, g: GaussianSum) -> float:
    """Return a length of separation: no shorter than distances, no longer than Gaussians."""
    length = max(float(np.max(np.ptp(places, axis=0))) / _LENGTHS, g.interval[0])
    return min(length, float(g.exponents[0]) ** -0.5) if g.exponents[0] else length


def _finer(rtol: float, long: GaussianSum, g: GaussianSum, least: float) -> float:
    """Return the tolerance of a potential whose terms cancel to no more than the kernel.

    What every particle does to itself is taken off, and Gaussians of both signs, sharper than
    distances are, may add up to little: errors of the potential are relative to what they are.
    """
    ratio = float(np.sum(np.abs(long.weights))) / float(np.max(np.abs(g(sampled(g)))))
    finer = rtol / max(1.0, ratio)
    if finer < least:
        raise ToleranceError(
            f"rtol={rtol:.3g} is lost where Gaussians cancel that add up to {ratio:.3g} times the "
            f"largest value of g: ask for a larger sigma, or rtol >= {least * ratio:.3g}",
            reachable=least * ratio,
        )
    return finer


def _check_apart(x: Places, least: float) -> None:
    """Refuse particles that are nearer than the kernel is known, or coincide."""
    from scipy.spatial import cKDTree

    distances, nearest = cKDTree(x).query(x, k=2)
    i = int(np.argmin(distances[:, 1]))
    apart = float(distances[i, 1])
    if apart >= least * (1 - 1e-12):
        return
    i, j = sorted({i, *nearest[i].tolist()})[:2]
    if apart == 0:
        raise ValueError(
            f"particles {i} and {j} are at the same place, {x[i].tolist()}: their energy is "
            "infinite; merge them into one"
        )
    raise ValueError(
        f"particles {i} and {j} are {apart:.6g} apart, but g is known from {least:.6g} on only; "
        f"make it with rmin={apart:.6g}"
    )


def _pairs(parts: _Parts) -> Iterator[_Pairs]:
    """Yield near pairs, some at a time."""
    if not parts.end:
        return
    x, q, _ = parts.particles
    xp, places = namespace(x), known(x)
    for rows, near in neighbours(places, places, parts.end):
        once = rows < near
        i, j = (xp.asarray(k[once], dtype=integers(xp), device=device(x)) for k in (rows, near))
        if i.shape[0]:
            gaps = xp.take(x, i, axis=0) - xp.take(x, j, axis=0)
            charges = xp.take(q, i, axis=0) * xp.take(q, j, axis=0)
            yield _Pairs(i, j, gaps, xp.sum(gaps * gaps, axis=1), charges)
