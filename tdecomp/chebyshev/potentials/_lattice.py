"""Particles of a cell that is repeated along the variables: as many terms as of one cell."""

from __future__ import annotations

from typing import Any

import numpy as np

from tdecomp._errors import check_count, check_number
from tdecomp._iterate import Fit
from tdecomp._precision import full_precision
from tdecomp._random import like as moved
from tdecomp._xp import namespace
from tdecomp.chebyshev._format import ChebyshevTucker
from tdecomp.chebyshev.potentials._assembly import assembled, box_around, check_distances
from tdecomp.chebyshev.potentials._clouds import cloud
from tdecomp.chebyshev.potentials._gaussians import GaussianSum
from tdecomp.chebyshev.potentials._split import as_sum


@full_precision
def lattice_sum(
    positions: Any,
    charges: Any,
    g: GaussianSum,
    /,
    *,
    cell: Any,
    repeats: Any,
    defects: tuple[Any, Any] | None = None,
    domain: Any = None,
    rtol: float | None = None,
    rank: int | tuple[int, ...] | None = None,
) -> Fit[ChebyshevTucker]:
    r"""Return the potential of the particles of a cell, repeated on a lattice.

    As the Gaussians are products, the sum over the lattice is a product of sums,

    .. math:: \sum_{l_1, l_2, l_3} \prod_j e^{-p (x_j - y_j - l_j b_j)^2}
              = \prod_j \sum_{l_j} e^{-p (x_j - y_j - l_j b_j)^2} ,

    and a lattice of any size has as many terms as one cell.

    Parameters
    ----------
    positions : array, shape (N, d)
        Where the particles of the first cell are.
    charges : array, shape (N,)
        Their charges.
    g : GaussianSum
        The kernel: the long-range part of what `split` returns, or any other smooth one.
    cell : float or sequence of float
        The sides of the cell.
    repeats : int or sequence of int
        How many cells there are along each variable; the cell is repeated upwards.
    defects : tuple, optional
        Positions and charges of particles that come once, beside the lattice: an impurity, or
        with the opposite charge a vacancy.
    domain : array, shape (d, 2), optional
        The box; particles may be outside of it. By default the least one around all particles,
        wider by the width of the sharpest Gaussian on each side.
    rtol, rank : optional
        As of `long_range`.

    Returns
    -------
    Fit
        The potential in the box, as `long_range` returns it.

    Raises
    ------
    TypeError, ValueError
        As `long_range` does, but for particles outside of the box; if there are not as many sides
        or repeats as variables, or one is not positive.
    ToleranceError
        If `rtol` is below what rounding allows.

    Notes
    -----
    Of :math:`L_1 \times \dots \times L_d` cells, :math:`O(N m (L_1 + \dots + L_d))` values of each
    Gaussian. All else costs what one cell does in the same box.

    References
    ----------
    .. [1] V. Khoromskaia, B. N. Khoromskij, "Grid-based lattice summation of electrostatic
       potentials by assembled rank-structured tensor approximation", Comput. Phys. Commun. 185,
       2014. doi:10.1016/j.cpc.2014.08.015

    Examples
    --------
    >>> from tdecomp.chebyshev import evaluate
    >>> from tdecomp.chebyshev.potentials import lattice_sum, newton, split
    >>> long, _ = split(newton(0.1, 400.0).tensor, sigma=1.0)
    >>> salt = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]], [1.0, -1.0]
    >>> fit = lattice_sum(*salt, long, cell=(2.0, 1.0, 1.0), repeats=(100, 1, 1),
    ...                   domain=[(98.0, 102.0), (-2.0, 2.0), (-2.0, 2.0)])
    >>> max(fit.tensor.rank) <= 12, fit.error < 1e-6
    (True, True)
    """
    particles, g = cloud(positions, charges), as_sum(g)
    d = int(particles.positions.shape[1])
    sides = [_side(b, k) for k, b in enumerate(_each(cell, d, "cell"))]
    counts = [
        check_count(n, name=f"repeats[{k}]", least=1)
        for k, n in enumerate(_each(repeats, d, "repeats"))
    ]
    x = particles.positions
    xp = namespace(x)
    shifts = [moved(side * np.arange(n), x, xp) for side, n in zip(sides, counts, strict=True)]
    clouds = [particles._replace(shifts=tuple(shifts))]
    if defects is not None:
        clouds.append(cloud(*_pair(defects), like=x))
    box = box_around(clouds, g, domain)
    check_distances(clouds, g, box)
    return assembled(clouds, g, box, rtol=rtol, rank=rank)


def _each(value: Any, d: int, name: str) -> list[Any]:
    """Return one entry for each variable."""
    if not hasattr(value, "__len__"):
        return [value] * d
    if len(value) != d:
        raise ValueError(f"{name} must be one number, or one for each of {d} variables")
    return list(value)


def _side(value: object, k: int) -> float:
    side = check_number(value, name=f"cell[{k}]")
    if not 0 < side < np.inf:
        raise ValueError(f"cell[{k}] must be a positive length, got {side}")
    return side


def _pair(defects: Any) -> tuple[Any, Any]:
    if not isinstance(defects, tuple) or len(defects) != 2:
        raise TypeError("defects must be a tuple: positions, charges")
    return defects
