"""Least squares from few samples: a solution that is looked up and sampled, never formed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tdecomp._errors import check_size
from tdecomp._precision import full_precision
from tdecomp._random import generator, like
from tdecomp._typing import Array, Seed
from tdecomp._xp import adjoint, conj, equilibrate, floats, prepare
from tdecomp.completion.sampling._bilinear import estimated
from tdecomp.completion.sampling._combination import Combination
from tdecomp.completion.sampling._matrix import LengthSquaredMatrix, structure
from tdecomp.completion.sampling._means import counts_of
from tdecomp.completion.sampling._singular import SampledSVD, implicit
from tdecomp.completion.sampling._svd import sampled_svd
from tdecomp.completion.sampling._trees import scaled, shifted


@full_precision
def solve(
    a: Any,
    b: Any,
    /,
    *,
    rank: int,
    samples: int | tuple[int, int],
    ridge: float = 0.0,
    products: int | None = None,
    groups: int | None = None,
    rng: Seed = None,
) -> Combination:
    r"""Solve a least-squares problem of low rank, with a cost free of its dimensions.

    With singular values and vectors of `sampled_svd`, the leading `rank` of them,

    .. math:: x = \sum_l \frac{\langle A v_l, b \rangle}{\sigma_l^2 + \mathtt{ridge}}\, v_l
                \approx (A^* A + \mathtt{ridge}\, I)^{-1} A^* b .

    Parameters
    ----------
    a : LengthSquaredMatrix, or array or sparse matrix of shape (m, n)
        The matrix. Of an array the trees are built first.
    b : array, shape (m,)
        The right-hand side.
    rank : int
        How many singular values to invert: a threshold.
    samples : int or tuple of two ints
        Numbers `r` of rows and `c` of columns, drawn with replacement.
    ridge : float, optional
        A penalty on the squares of the solution.
    products : int, optional
        Estimate the inner products from `groups` groups of so many entries of `a`, as `bilinear`
        does. By default they are computed, at the cost of all entries.
    groups : int, optional
        Number of groups, of whose means the median is taken; 10 by default. Only with `products`.
    rng : int, numpy.random.Generator or None
        Where numbers come from.

    Returns
    -------
    Combination
        The solution: look up its entries, draw indices by their squares, or form it.

    Raises
    ------
    TypeError, ValueError
        If an argument is not valid, or `a` is zero.

    Notes
    -----
    The error is that of the sampled singular vectors, about :math:`1 / \sqrt r`, times the
    condition number of what is kept. Rows that hold little of :math:`\|A\|_F` are rarely drawn,
    and directions that only they determine are left out: even where equations agree, the solution
    depends on how each is scaled. With `products` nothing but the checks of `b` reads as many
    numbers as there are rows.

    References
    ----------
    .. [1] J. M. Arrazola, A. Delgado, B. R. Bardhan, S. Lloyd, "Quantum-inspired algorithms in
       practice", Quantum 4, 307 (2020). arXiv:1905.10415
    .. [2] A. Gilyen, S. Lloyd, E. Tang, "Quantum-inspired low-rank stochastic regression with
       logarithmic dependence on the dimension" (2018). arXiv:1811.04909

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion import sampling
    >>> a = np.outer(np.ones(100), np.arange(5.0))
    >>> x = sampling.solve(a, 30 * np.ones(100), rank=1, samples=10, rng=0)
    >>> np.round(x.to_array(), 12).tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0]
    """
    a, rng = structure(a), generator(rng)
    ridge = check_size(ridge, name="ridge")
    counts = counts_of(groups, products, 10, name="products")
    b = prepare(b, ndim=1, like=a._stored.values, name="b")[1]
    if b.shape[0] != a.shape[0]:
        raise ValueError(f"b must have shape ({a.shape[0]},), got {tuple(b.shape)}")
    xp = a._xp
    if xp.isdtype(b.dtype, "complex floating") and xp.isdtype(a.dtype, "real floating"):
        raise TypeError("b is complex and a is real: solve for either part of b on its own")
    found = sampled_svd(a, rank=rank, samples=samples, rng=rng)
    b, scale = equilibrate(xp.astype(b, a.dtype), xp, axis=0, always=True)
    exponent = math.frexp(floats(xp.abs(xp.asarray(scale)))[0])[1] - 1
    inner = _exact(found, b) if counts is None else _estimated(found, a, b, counts, rng)
    unit = found.rows.unit
    penalty = scaled(ridge, -2 * unit)
    # As numbers of Python: a penalty beyond the range of the dtype is infinite, and gives zero.
    gains = [1 / (size * (size**2 + penalty)) for size in floats(shifted(found.S, -unit, xp))]
    damped = inner * like(np.asarray(gains), inner, xp)
    return implicit(found.rows, (found.W @ damped[:, None])[:, 0], exponent - unit)


def _exact(found: SampledSVD, b: Array) -> Array:
    """Return the inner products of ``A v_l`` with `b`, for `A` over its unit."""
    xp = found._xp
    images = shifted(found.rows.matrix @ found.right(), -found.rows.unit, xp)
    return (adjoint(images, xp) @ b[:, None])[:, 0]


def _estimated(
    found: SampledSVD,
    a: LengthSquaredMatrix,
    b: Array,
    counts: tuple[int, int],
    rng: Any,
) -> Array:
    """Return estimates of the same: all from one set of draws."""
    xp = a._xp
    coefficients = found._coefficients()

    def right(columns: Array) -> Array:
        return found.rows.adjoint_entries(columns, coefficients)

    forms = estimated(lambda rows: xp.take(b, rows, axis=0), a, right, counts, rng)
    return conj(forms, xp)
