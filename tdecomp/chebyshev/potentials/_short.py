"""The short-range part of a potential at points, from the particles near each of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tdecomp._precision import full_precision
from tdecomp._shim import index_add
from tdecomp._typing import Array
from tdecomp._xp import device, integers, namespace, prepare
from tdecomp.chebyshev.potentials._assembly import tolerance
from tdecomp.chebyshev.potentials._clouds import cloud, known
from tdecomp.chebyshev.potentials._gaussians import GaussianSum, gaussians
from tdecomp.chebyshev.potentials._split import as_sum, cutoff, split

# Pairs of a point and a particle at a time.
_PAIRS = 1 << 20

Places = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.intp]


@full_precision
def short_range(
    points: Any,
    positions: Any,
    charges: Any,
    g: GaussianSum,
    /,
    *,
    sigma: float,
    rtol: float | None = None,
) -> Array:
    r"""Return what the short-range part of a kernel adds to a potential at points.

    Together with the long-range potential it is that of the kernel.

    Parameters
    ----------
    points : array, shape (M, d)
        Where to evaluate.
    positions : array, shape (N, d)
        Where the particles are.
    charges : array, shape (N,)
        Their charges.
    g : GaussianSum
        The whole kernel.
    sigma : float
        The length that separates ranges, as of `split`.
    rtol : float, optional
        Particles are left out from the distance on where the short-range part of the kernel is
        below that part of the whole. By default ``1e-7``, or a thousand eps.

    Returns
    -------
    array, shape (M,)
        The sums.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, an array is complex or not finite, a point is nearer to a particle
        than the distances that `g` is for, which are named, or an option is out of range.

    Examples
    --------
    >>> from tdecomp.chebyshev import evaluate
    >>> from tdecomp.chebyshev.potentials import long_range, newton, short_range, split
    >>> g, box = newton(0.1, 20.0).tensor, [(-5, 5)] * 3
    >>> x, q = [[0.0, 0.0, 0.0], [2.0, 0.0, 0.0]], [1.0, 1.0]
    >>> smooth = long_range(x, q, split(g, sigma=1.0)[0], domain=box).tensor
    >>> at = [[0.5, 0.0, 0.0]]
    >>> total = evaluate(smooth, at) + short_range(at, x, q, g, sigma=1.0)
    >>> print(f"{float(total[0]):.5f} {1 / 0.5 + 1 / 1.5:.5f}")
    2.66667 2.66667
    """
    particles, g = cloud(positions, charges), as_sum(g)
    x, q = particles.positions, particles.charges
    xp = namespace(x)
    _, at = prepare(points, ndim=2, like=x, name="points")
    if at.shape[1] != x.shape[1] or xp.isdtype(at.dtype, "complex floating"):
        raise ValueError(
            f"points must be real with {x.shape[1]} coordinates, got shape {tuple(at.shape)} "
            f"and dtype {at.dtype}"
        )
    at = xp.astype(at, x.dtype, copy=False)
    _, short = split(g, sigma=sigma)
    end = max(cutoff(g, short, tolerance(rtol, x.dtype, xp)), g.interval[0])
    total = xp.zeros_like(at[:, 0])
    places, centres = known(at), known(x)
    _check_apart(places, centres, g.interval[0])
    for rows, near in neighbours(places, centres, end):
        first, second = (xp.asarray(i, dtype=integers(xp), device=device(x)) for i in (rows, near))
        gaps = xp.take(at, first, axis=0) - xp.take(x, second, axis=0)
        values = gaussians(short, xp.sum(gaps * gaps, axis=1), short.weights, xp)
        total = index_add(total, first, values * xp.take(q, second, axis=0), xp)
    return total


def _check_apart(points: Places, x: Places, least: float) -> None:
    """Refuse points that are nearer to particles than the kernel is known."""
    from scipy.spatial import cKDTree

    nearest, which = cKDTree(x).query(points)
    k = int(np.argmin(nearest))
    if nearest[k] < least * (1 - 1e-12):
        raise ValueError(
            f"points[{k}] is {nearest[k]:.6g} from particle {int(which[k])}, but g is known from "
            f"{least:.6g} on only; make it with a smaller rmin="
        )


def neighbours(points: Places, x: Places, distance: float) -> Iterator[tuple[Numbers, Numbers]]:
    """Yield numbers of points, and of particles within a distance, some pairs at a time."""
    from scipy.spatial import cKDTree

    tree = cKDTree(x)
    total = np.cumsum(tree.query_ball_point(points, distance, return_length=True))
    start = 0
    while start < total.size:
        before = total[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(total, before + _PAIRS, side="right")))
        some = cKDTree(points[start:end])
        near = some.sparse_distance_matrix(tree, distance, output_type="ndarray")
        if near.size:
            yield start + near["i"], np.ascontiguousarray(near["j"])
        start = end
