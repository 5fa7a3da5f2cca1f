r"""The potential of many particles as one Chebyshev-Tucker function.

Of every Gaussian the variables separate. For each exponent, and each variable, the particles have
coordinates in a basis that does not depend on them, and what they add up to is a matrix product:

.. math:: G_k = a_k \sum_\nu q_\nu\, z_{k\nu}^{(1)} \otimes z_{k\nu}^{(2)} \otimes
          z_{k\nu}^{(3)} .

Sharp Gaussians take long coordinates, wide ones short ones: as the exponents are in geometric
progression, all of them together cost little more than the sharpest. Nothing is truncated before
the end, whatever the number of particles.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tdecomp._errors import ToleranceError, check_rank, check_rtol
from tdecomp._iterate import Fit, Status
from tdecomp._precision import full_precision
from tdecomp._program import one_program
from tdecomp._random import like as moved
from tdecomp._typing import Array, DType, Namespace
from tdecomp._xp import eps, namespace
from tdecomp.chebyshev._domain import as_domain, to_unit
from tdecomp.chebyshev._format import ChebyshevTucker
from tdecomp.chebyshev._values._evaluate import evaluate
from tdecomp.chebyshev.potentials._basis import Scale, Variable, Vector, length, size, variable
from tdecomp.chebyshev.potentials._clouds import Cloud, cloud, columns, direct, hull, known
from tdecomp.chebyshev.potentials._gaussians import GaussianSum
from tdecomp.chebyshev.potentials._split import as_sum
from tdecomp.ops._mode_products import _mode_product
from tdecomp.tucker import sthosvd

# The usual tolerance; the least in units of eps; and how much finer bases are than the result.
_USUAL, LEAST, _FINER = 1e-7, 1e3, 0.01
# Entries of coordinates multiplied with one another, for a batch of particles.
_ENTRIES = 1 << 20
# More coefficients of one variable, or of all together, take hours, or do not fit in memory.
_LONGEST, _LARGEST = 1 << 13, 1 << 30
# Random points of the box, and as many particles, at which the result is compared.
_JUDGED = 500


@full_precision
def long_range(
    positions: Any,
    charges: Any,
    g: GaussianSum,
    /,
    *,
    domain: Any = None,
    rtol: float | None = None,
    rank: int | tuple[int, ...] | None = None,
) -> Fit[ChebyshevTucker]:
    r"""Return the potential :math:`\sum_\nu q_\nu\, g(|x - x_\nu|)` of particles in a box.

    Parameters
    ----------
    positions : array, shape (N, d)
        Where the particles are.
    charges : array, shape (N,)
        Their charges, of either sign.
    g : GaussianSum
        The kernel: the long-range part of what `split` returns, or any other smooth one.
    domain : array, shape (d, 2), optional
        The box, with all particles inside; by default the least one around them, wider by the
        width of the sharpest Gaussian on each side.
    rtol : float, optional
        The error of truncation, relative in the norm of L2; what is left out of single Gaussians
        before is a hundredth of that. By default ``1e-7``, or a thousand eps.
    rank : int or tuple of int, optional
        The largest ranks.

    Returns
    -------
    Fit
        The potential, with factors that are orthonormal on the unit box. `error` is the largest
        error at hundreds of random points of the box and of particles, of the sum particle by
        particle, over the largest magnitude there. `n_iter` is 1.

    Raises
    ------
    TypeError, ValueError
        If there are not as many charges as positions, any is complex or not finite, a particle is
        outside of the box, the box is larger than the distances that `g` is for, or so large
        that the sharpest Gaussian of `g` takes too many coefficients, or an option is out of
        range.
    ToleranceError
        If `rtol` is below what rounding allows.

    Notes
    -----
    With :math:`m = 2 h \sqrt{p \log(1/\epsilon)}` coefficients for the sharpest exponent
    :math:`p` and half a side :math:`h` of the box, of which :math:`s < m` coordinates are left,
    about :math:`3 N s^d` flops for `N` particles and :math:`O(s^{d+1})` for the truncation, in
    memory for :math:`s^d` numbers and a batch of particles. Ranks hardly depend on `N`.

    Charges of both signs may cancel in the smooth part, as in a crystal: errors are then larger
    relative to what is left, as `error` says.

    References
    ----------
    .. [1] P. Benner, B. N. Khoromskij, V. Khoromskaia, B. Sun, "A mesh-free hybrid
       Chebyshev-Tucker tensor format with applications to multi-particle modelling", 2025,
       arXiv:2503.01696.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.chebyshev import evaluate
    >>> from tdecomp.chebyshev.potentials import long_range, newton, split
    >>> long, short = split(newton(0.1, 40.0).tensor, sigma=2.0)
    >>> fit = long_range([[0.0, 0.0, 0.0], [3.0, 0.0, 0.0]], [1.0, -1.0], long,
    ...                  domain=[(-10, 10)] * 3)
    >>> fit.error < 1e-6
    True
    >>> far = float(evaluate(fit.tensor, [-9.0, 0.0, 0.0]))
    >>> print(f"{far:.5f} {1 / 9 - 1 / 12:.5f}")  # what is short-range has vanished
    0.02778 0.02778
    """
    particles, g = cloud(positions, charges), as_sum(g)
    xp = namespace(particles.positions)
    box = box_around([particles], g, domain)
    to_unit(particles.positions, moved(box, particles.positions, xp), xp, name="positions")
    check_distances([particles], g, box)
    return assembled([particles], g, box, rtol=rtol, rank=rank)


def box_around(clouds: list[Cloud], g: GaussianSum, domain: Any) -> Vector:
    """Return the box that is asked for, or one around all particles."""
    ranges = hull(clouds)
    if domain is not None:
        return as_domain(domain, len(ranges))
    margin = float(g.exponents[-1]) ** -0.5
    return as_domain([(low - margin, high + margin) for low, high in ranges])


def assembled(
    clouds: list[Cloud], g: GaussianSum, box: Vector, *, rtol: float | None, rank: Any
) -> Fit[ChebyshevTucker]:
    """Return the potential of clouds in a box, with its error at some points."""
    like = clouds[0].positions
    xp = namespace(like)
    rtol = tolerance(rtol, like.dtype, xp)
    variables = _variables(clouds, g, box, _FINER * rtol)
    core, *more = (_core(one, g, variables, xp) for one in clouds)
    for part in more:
        core = core + part
    found = sthosvd(core, rtol=rtol, rank=_ranks(rank, tuple(core.shape)))
    factors = tuple(
        moved(v.factor, like, xp) @ u for v, u in zip(variables, found.factors, strict=True)
    )
    f = ChebyshevTucker(found.core, factors, moved(box, like, xp))
    return Fit(f, _error(f, clouds, g, box), 1, Status.CONVERGED)


def tolerance(rtol: float | None, dtype: DType, xp: Namespace) -> float:
    """Return a tolerance above rounding."""
    least = LEAST * eps(dtype, xp)
    if rtol is None:
        return max(_USUAL, least)
    rtol = check_rtol(rtol)
    if rtol < least:
        raise ToleranceError(
            f"rtol={rtol:.3g} is below what rounding of sums allows: ask for rtol >= {least:.3g}",
            reachable=least,
        )
    return rtol


def _ranks(rank: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the largest ranks that are allowed, and can be."""
    if rank is None:
        return shape
    each = tuple(rank) if isinstance(rank, tuple | list) else (rank,) * len(shape)
    if len(each) != len(shape):
        raise ValueError(f"rank must be one int, or one for each of {len(shape)} variables")
    return tuple(min(check_rank(r), n) for r, n in zip(each, shape, strict=True))


def check_distances(clouds: list[Cloud], g: GaussianSum, box: Vector) -> None:
    """Refuse a box with points farther from a particle than the kernel is known."""
    sides = [
        max(high - low, b - low, high - a)
        for (low, high), (a, b) in zip(hull(clouds), box.tolist(), strict=True)
    ]
    farthest = math.hypot(*sides)
    if farthest > g.interval[1] * (1 + 1e-12):
        raise ValueError(
            f"points of the box are up to {farthest:.6g} from particles, but g is known to "
            f"distances of {g.interval[1]:.6g} only; make it with rmax={farthest:.6g}"
        )


def _variables(clouds: list[Cloud], g: GaussianSum, box: Vector, tol: float) -> list[Variable]:
    """Return a basis for each variable."""
    rates = np.sqrt(g.exponents)[:, None] * (box[:, 1] - box[:, 0]) / 2
    lengths = [length(rate, tol) for rate in rates[-1].tolist()]
    if max(lengths) > _LONGEST or math.prod(lengths) > _LARGEST:
        width = float(g.exponents[-1]) ** -0.5
        raise ValueError(
            f"the sharpest Gaussian of g has a width of {width:.3g}, which takes {lengths} "
            "coefficients in this box, too many: split g by range first, or at a larger sigma, or "
            "ask for a smaller box"
        )
    norms = np.asarray([[size(rate) for rate in row] for row in rates.tolist()])
    sizes = np.abs(g.weights) * np.prod(norms, axis=1)
    return [
        variable(tuple(row), centres, g.exponents, sizes, tol)
        for row, centres in zip(box.tolist(), hull(clouds), strict=True)
    ]


def _core(particles: Cloud, g: GaussianSum, variables: list[Variable], xp: Namespace) -> Array:
    """Return the coefficients of all particles in the bases of the variables."""
    like, total = particles.positions, None
    for j, weight in enumerate(g.weights.tolist()):
        scales = [v.scales[j] for v in variables]
        points = tuple(moved(v.points(j), like, xp) for v in variables)
        projections = tuple(moved(scale.projection, like, xp) for scale in scales)
        embeddings = tuple(moved(scale.embedding, like, xp) for scale in scales)
        rate = moved(np.sqrt(g.exponents[j : j + 1]), like, xp)
        core = None
        for part in particles.batches(_count(scales, particles.images())):
            values = _columns(part, points, rate, xp)
            term = _summed(weight * part.charges, values, projections, xp)
            core = term if core is None else core + term
        core = _embedded(core, embeddings, xp)
        total = core if total is None else total + core
    return total


def _count(scales: list[Scale], images: int) -> int:
    """Return how many particles keep what is multiplied at a time small."""
    others = math.prod(int(s.projection.shape[0]) for s in scales[1:])
    longest = max(int(s.points.size) for s in scales)
    return max(1, _ENTRIES // max(others, longest * images))


@one_program
def _columns(
    particles: Cloud, points: tuple[Array, ...], rate: Array, xp: Namespace
) -> list[Array]:
    """Return the Gaussians of particles at the points of each variable."""
    x, shifts = particles.positions, particles.shifts
    return [columns(t, x[:, k], shifts[k], rate, xp) for k, t in enumerate(points)]


@one_program
def _summed(
    charges: Array, values: list[Array], projections: tuple[Array, ...], xp: Namespace
) -> Array:
    """Return the sum over particles of outer products of their coordinates."""
    first, *others = (p @ column for p, column in zip(projections, values, strict=True))
    rest = xp.ones_like(charges)[None, :]
    for z in others:
        rest = xp.reshape(rest[:, None, :] * z[None, :, :], (-1, charges.shape[0]))
    core = (first * charges[None, :]) @ xp.matrix_transpose(rest)
    return xp.reshape(core, tuple(p.shape[0] for p in projections))


@one_program
def _embedded(core: Array, embeddings: tuple[Array, ...], xp: Namespace) -> Array:
    """Return coordinates in bases of one scale as those in bases of all."""
    for k, embedding in enumerate(embeddings):
        core = _mode_product(core, embedding, k, xp=xp)
    return core


def _error(f: ChebyshevTucker, clouds: list[Cloud], g: GaussianSum, box: Vector) -> float:
    """Return the largest error at some points, over the largest magnitude there."""
    like = clouds[0].positions
    xp = namespace(like)
    random = np.random.default_rng(0).uniform(box[:, 0], box[:, 1], (_JUDGED, box.shape[0]))
    x = moved(random, like, xp)
    places = known(like)
    inside = np.flatnonzero(np.all((places >= box[:, 0]) & (places <= box[:, 1]), axis=1))
    if inside.size:
        some = inside[:: -(-inside.size // _JUDGED)]
        x = xp.concat([x, moved(places[some], like, xp)])
    expected = direct(clouds, g, x)
    error = float(np.max(np.abs(known(evaluate(f, x) - expected))))
    largest = float(np.max(np.abs(known(expected))))
    return error / largest if largest else error
