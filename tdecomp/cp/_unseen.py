"""Models that fit what was looked at, and are enormous where nobody looked."""

from __future__ import annotations

import math

from tdecomp._typing import Array, Namespace
from tdecomp._xp import real_dtype
from tdecomp.cp._algebra_norm import _norm
from tdecomp.cp._format import CP
from tdecomp.cp._weighted_data import Observations
from tdecomp.cp._weighted_solve import split

# Sizes within this factor of one another are alike: a sample tells no more.
_ALIKE = 3.0


def escapes(problem: Observations, flat: Array, xp: Namespace) -> bool:
    r"""Tell whether a model has escaped to where nothing is observed.

    Of a tensor :math:`X` with `N` entries, `n` of which are observed at random, the sample lets
    expect the norm :math:`(N / n)^{1/2} \|X\|_\Omega`. Let the model be :math:`\kappa` times that
    large, with a relative misfit :math:`\epsilon` on the sample. If its error grows off the sample
    as the model itself does, it is :math:`\kappa \epsilon` of the data there: where both

    .. math:: \kappa > 3, \qquad \kappa \epsilon > 1

    nothing is left of them. Recovered tensors fail one of the two: the norm of most is what the
    sample lets expect, and those with their largest entries off the sample fit it well.

    Parameters
    ----------
    problem : Observations
        The sample, whose weights do not matter here.
    flat : array, shape (sum of n_k, R)
        All factors of the model in one matrix.
    xp : namespace
        Their library.

    Returns
    -------
    bool
        False where everything is observed, and where the misfit is rounding.

    Notes
    -----
    Two passes over the sample.
    """
    sample = problem.unweighted()
    if sample.total == 0:
        return False
    misfit = sample.along(flat, xp.zeros_like(flat))[0, 0] / sample.total
    share = mass(sample, flat, xp) / math.prod(sample.shape)
    growth = math.sqrt(share / sample.total) * _size(sample, flat, xp)
    return growth > _ALIKE and growth * math.sqrt(max(misfit, 0.0)) > 1


def mass(problem: Observations, flat: Array, xp: Namespace) -> float:
    """Return the sum of all weights: the energy of a tensor of ones.

    Where each is one, that is the number of observed entries. `flat` is any matrix of factors.
    """
    ones, n = xp.ones_like(flat[:, :1]), problem.shape[0]
    first = xp.concat([ones[:n, :], xp.zeros_like(ones[n:, :])])
    return float(problem.along(ones - first, first)[1, 1])


def _size(sample: Observations, flat: Array, xp: Namespace) -> float:
    """Return the norm of a model over all entries."""
    factors = tuple(split(flat, sample.shape))
    weights = xp.ones_like(xp.astype(xp.abs(flat[0, :]), real_dtype(flat.dtype, xp)))
    return float(_norm(CP(weights, factors), xp=xp))
