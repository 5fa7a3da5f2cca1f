"""Rows of ``A f(A^* A)``, from look-ups in one row of a matrix or draws from it."""

from __future__ import annotations

import numpy as np

from tdecomp._precision import full_precision
from tdecomp._random import generator
from tdecomp._typing import Array, Seed
from tdecomp._xp import adjoint, conj
from tdecomp.completion.sampling import _stored as store
from tdecomp.completion.sampling._combination import Combination
from tdecomp.completion.sampling._forest import moved
from tdecomp.completion.sampling._means import counts_of, median_of_means
from tdecomp.completion.sampling._rows import SampledRows
from tdecomp.completion.sampling._transformed import SampledTransform
from tdecomp.completion.sampling._trees import row_total, shifted
from tdecomp.ops._region import index_of


@full_precision
def recommend(
    f: SampledTransform,
    i: int,
    /,
    *,
    samples: int | None = None,
    groups: int | None = None,
    rng: Seed = None,
) -> Combination:
    r"""Return a row of :math:`A f(A^* A)`, to be looked up and sampled without forming it.

    .. math:: A_{i:} f(A^* A) \approx (A_{i:} R^*)\, U R + f(0) A_{i:}

    With a threshold for `f` this is a row of a low-rank approximation of `A`: its samples are
    recommendations for user `i`.

    Parameters
    ----------
    f : SampledTransform
        What `transform` has found.
    i : int
        Which row.
    samples : int, optional
        Estimate the inner products of the row with sampled rows from `groups` groups of so many
        of its entries. By default they are computed, at the cost of all entries of the row.
    groups : int, optional
        Number of groups, of whose means the median is taken; 9 by default. Only with `samples`.
    rng : int, numpy.random.Generator or None
        Where numbers come from.

    Returns
    -------
    Combination
        The row.

    Raises
    ------
    TypeError, ValueError
        If an argument is not valid.

    Notes
    -----
    With `samples` the cost does not depend on the shape of `A`. The errors of the inner products
    are those of `inner`.

    References
    ----------
    .. [1] E. Tang, "A quantum-inspired classical algorithm for recommendation systems", STOC,
       217-228 (2019). arXiv:1807.04271

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion import sampling
    >>> taste = np.repeat(np.eye(2), 50, axis=0) @ np.repeat(np.eye(2), 30, axis=1)
    >>> f = sampling.transform(taste, np.ones_like, samples=40, rank=2, at_zero=0.0, rng=0)
    >>> bool(np.all(sampling.recommend(f, 70).sample(10, rng=0) >= 30))
    True
    """
    if not isinstance(f, SampledTransform):
        raise TypeError(f"f must be a SampledTransform, got {type(f).__name__}")
    rows, xp, a = f.rows, f._xp, f.rows.matrix
    i = index_of(i, a.shape[0], "i")
    counts = counts_of(groups, samples, 9, name="samples")
    square, unit = row_total(a._trees, i)
    if counts is None:
        products = _exact_products(rows, i, unit)
    else:
        products = _estimated_products(rows, i, (square, unit), counts, generator(rng))
    pulled = (products[None, :] @ f.W) * f.gains @ adjoint(f.W, xp)
    # The coefficients act on rows over their unit, and the row that they tell of is over its own.
    mixed = rows._replace(weights=rows.weights * pulled[0, :])
    one = moved(np.asarray([i]), rows.weights, xp)
    itself = SampledRows(a, one, f.at_zero * xp.ones_like(rows.weights[:1]), 0)
    return Combination((mixed, itself), (unit, 0), False)


def _exact_products(rows: SampledRows, i: int, unit: int) -> Array:
    """Return ``A[i] R^*`` over the units of both."""
    xp, stored = rows.matrix._xp, rows.matrix._stored
    part = store.row(stored, i)
    entries = shifted(stored.values[part], -unit, xp)
    if stored.columns is None:
        columns = moved(np.arange(part.stop - part.start), entries, xp)
    else:
        columns = stored.columns[part]
    return conj(rows.columns(columns), xp) @ entries


def _estimated_products(
    rows: SampledRows,
    i: int,
    of_row: tuple[float, int],
    counts: tuple[int, int],
    rng: np.random.Generator,
) -> Array:
    """Return the same from samples of the row: all products from one set of draws."""
    a, xp, (square, unit) = rows.matrix, rows.matrix._xp, of_row
    if not square > 0:
        return rows.weights * 0

    def ratios(count: int) -> Array:
        lines = moved(np.full(count, i), rows.weights, xp)
        columns = a._draw_columns(lines, rng.random(count))
        entries = shifted(store.entries(a._stored, lines, columns, xp), -unit, xp)
        return xp.matrix_transpose(square * conj(rows.columns(columns) / entries, xp))

    return median_of_means(ratios, counts, xp)
