r"""Energies and forces of particles, from a smooth potential and from near pairs.

.. math:: E = \frac12 \sum_{i \ne j} q_i q_j\, g(r_{ij})
            = \frac12 \sum_i q_i \bigl( V(x_i) - q_i\, g_{\text{long}}(0) \bigr)
            + \sum_{i < j,\; r_{ij} < c} q_i q_j\, g_{\text{short}}(r_{ij}) ,

with the long-range potential :math:`V` of all particles, which acts on each of them itself too,
and the distance :math:`c` from which on the short-range part is below the tolerance.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tdecomp._precision import full_precision
from tdecomp._shim import host, index_add
from tdecomp._typing import Array
from tdecomp._xp import device, integers, namespace
from tdecomp.chebyshev._calculus import diff
from tdecomp.chebyshev._format import ChebyshevTucker
from tdecomp.chebyshev._values._evaluate import evaluate
from tdecomp.chebyshev.potentials._assembly import (
    assembled,
    box_around,
    check_distances,
    tolerance,
)
from tdecomp.chebyshev.potentials._clouds import Cloud, cloud
from tdecomp.chebyshev.potentials._gaussians import GaussianSum, gaussians
from tdecomp.chebyshev.potentials._split import as_sum, cutoff, split

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
        The length that separates ranges; by default a 20th of the longest side.
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
        If `rtol` is below what rounding allows.

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
    return _energy(parts, _pairs(parts))


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
    return _forces(parts, _pairs(parts))


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
    pairs = _pairs(parts)
    return _energy(parts, pairs), _forces(parts, pairs)


class _Parts(NamedTuple):
    """Particles, their long-range potential and its kernel, the short-range kernel, near pairs.

    A single particle has no potential that counts.
    """

    particles: Cloud
    f: ChebyshevTucker | None
    long: GaussianSum
    short: GaussianSum
    near: tuple[Array, Array] | None


class _Pairs(NamedTuple):
    """Differences (P, d) of positions of near pairs, their squares, and products of charges."""

    gaps: Array
    squares: Array
    charges: Array


def _energy(parts: _Parts, pairs: _Pairs | None) -> Array:
    """Return the energy of both ranges."""
    x, q, _ = parts.particles
    xp = namespace(q)
    if parts.f is None:
        return xp.sum(xp.zeros_like(q))
    own = float(np.sum(parts.long.weights))
    total = xp.sum(q * (evaluate(parts.f, x) - own * q)) / 2
    if pairs is None:
        return total
    values = gaussians(parts.short, pairs.squares, parts.short.weights, xp)
    return total + xp.sum(pairs.charges * values)


def _forces(parts: _Parts, pairs: _Pairs | None) -> Array:
    """Return the forces of both ranges."""
    x, q, _ = parts.particles
    xp = namespace(q)
    if parts.f is None:
        return xp.zeros_like(x)
    slopes = [evaluate(diff(parts.f, k), x) for k in range(int(x.shape[1]))]
    total = -q[:, None] * xp.stack(slopes, axis=1)
    if pairs is None or parts.near is None:
        return total
    # The derivative of exp(-p r^2) over r is -2 p exp(-p r^2).
    weights = 2 * parts.short.weights * parts.short.exponents
    slope = gaussians(parts.short, pairs.squares, weights, xp)
    pushes = (pairs.charges * slope)[:, None] * pairs.gaps
    total = index_add(total, parts.near[0], pushes, xp)
    return index_add(total, parts.near[1], -pushes, xp)


def _parts(particles: Cloud, g: GaussianSum, sigma: float | None, rtol: float | None) -> _Parts:
    """Separate ranges."""
    x = particles.positions
    xp, known = namespace(x), host(x).astype(float)
    rtol = tolerance(rtol, x.dtype, xp)
    if known.shape[0] == 1:
        return _Parts(particles, None, g, g, None)
    if sigma is None:
        sigma = float(np.max(np.ptp(known, axis=0))) / _LENGTHS or g.interval[0]
    check_distances([particles], g, np.stack([known.min(axis=0), known.max(axis=0)], axis=1))
    long, short = split(g, sigma=sigma)
    pairs = _near(known, max(cutoff(g, short, rtol), g.interval[0]))
    _check_apart(known, pairs, g.interval[0])
    f = assembled([particles], long, box_around([particles], long, None), rtol=rtol, rank=None)
    if not pairs.size or not short.rank:
        return _Parts(particles, f.tensor, long, short, None)
    first, second = (
        xp.asarray(np.ascontiguousarray(end), dtype=integers(xp), device=device(x))
        for end in pairs.T
    )
    return _Parts(particles, f.tensor, long, short, (first, second))


def _near(x: npt.NDArray[np.float64], distance: float) -> npt.NDArray[np.intp]:
    """Return all pairs (P, 2) of points within a distance."""
    from scipy.spatial import cKDTree

    pairs: npt.NDArray[np.intp] = cKDTree(x).query_pairs(distance, output_type="ndarray")
    return pairs


def _check_apart(x: npt.NDArray[np.float64], pairs: npt.NDArray[np.intp], least: float) -> None:
    """Refuse particles that are nearer than the kernel is known, or coincide."""
    if not pairs.size:
        return
    distances = np.linalg.norm(x[pairs[:, 0]] - x[pairs[:, 1]], axis=1)
    k = int(np.argmin(distances))
    i, j = sorted(pairs[k].tolist())
    if distances[k] == 0:
        raise ValueError(
            f"particles {i} and {j} are at the same place, {x[i].tolist()}: their energy is "
            "infinite; merge them into one"
        )
    if distances[k] < least * (1 - 1e-12):
        raise ValueError(
            f"particles {i} and {j} are {distances[k]:.6g} apart, but g is known from "
            f"{least:.6g} on only; make it with rmin={distances[k]:.6g}"
        )


def _pairs(parts: _Parts) -> _Pairs | None:
    """Return what both energies and forces take of near pairs, if there are any."""
    if parts.near is None:
        return None
    x, q, _ = parts.particles
    xp = namespace(q)
    (first, second) = ([xp.take(a, i, axis=0) for a in (x, q)] for i in parts.near)
    gaps = first[0] - second[0]
    return _Pairs(gaps, xp.sum(gaps * gaps, axis=1), first[1] * second[1])
