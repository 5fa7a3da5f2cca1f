"""Leading singular values and vectors from few rows and columns, at a cost free of dimensions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tdecomp._errors import check_count, check_rank
from tdecomp._precision import full_precision
from tdecomp._random import generator
from tdecomp._typing import Array, Seed
from tdecomp._xp import eps, floats
from tdecomp.completion.sampling._forest import moved
from tdecomp.completion.sampling._matrix import structure
from tdecomp.completion.sampling._rows import SampledRows, drawn_rows
from tdecomp.completion.sampling._singular import SampledSVD
from tdecomp.completion.sampling._trees import shifted, total
from tdecomp.linalg._signs import canonical_signs


@full_precision
def sampled_svd(
    a: Any,
    /,
    *,
    rank: int,
    samples: int | tuple[int, int],
    rng: Seed = None,
) -> SampledSVD:
    r"""Find leading singular values and right vectors from few rows and columns.

    Rows are drawn with chances :math:`\|A_{i:}\|^2 / \|A\|_F^2` and brought to the norm
    :math:`\|A\|_F / \sqrt r`; from these rows `R`, columns with chances :math:`q_j = \|R_{:j}\|^2
    / \|R\|_F^2`, rescaled by :math:`1 / \sqrt{c\, q_j}`. The singular values of the small matrix
    `C` that is left approximate those of `A`, and its left vectors `W` give
    :math:`V = R^* W \operatorname{diag}(S)^{-1}`. In the mean over draws

    .. math:: \mathbb E\, \|A^* A - R^* R\|_F^2 \le \frac{\|A\|_F^4}{r}, \qquad
              \mathbb E\, \|R R^* - C C^*\|_F^2 \le \frac{\|A\|_F^4}{c} .

    Parameters
    ----------
    a : LengthSquaredMatrix, or array or sparse matrix of shape (m, n)
        The matrix. Of an array the trees are built first.
    rank : int
        How many singular values, at most. Those of `C` that are zero up to rounding are left out.
    samples : int or tuple of two ints
        Numbers `r` of rows and `c` of columns, drawn with replacement.
    rng : int, numpy.random.Generator or None
        Where numbers come from.

    Returns
    -------
    SampledSVD
        Values, and vectors that are looked up or sampled when needed.

    Raises
    ------
    TypeError, ValueError
        If `a` is not valid or zero, `rank` is above the number of samples or the shape, or a
        singular value is above the range of the dtype.

    See Also
    --------
    tdecomp.randomized_svd : accurate to rounding, from a few passes over the matrix.

    Notes
    -----
    Costs the look-up of `r c` entries and an SVD of that size, whatever the shape: but the error
    falls only as :math:`1 / \sqrt r`. With :math:`E` the sum of the two differences above,
    whatever was drawn,

    .. math:: |S_l^2 - \sigma_l^2| \le E, \qquad
              \|A - \hat A\|_F^2 \le \|A - A_k\|_F^2 + 2 \sqrt k\, E

    for the values and for the matrix :math:`\hat A` of `lowrank`. So singular values far below
    :math:`\|A\|_F / r^{1/4}` may be missed, and rows that hold little of :math:`\|A\|_F` are
    rarely drawn at all: where rows differ by orders of magnitude and the small ones matter, scale
    them first. This pays where the matrix is held and updated in such a
    structure anyway, is far too large for one pass, and few digits of a low rank are enough.
    ``td.relative_error`` measures the error of what was found.

    References
    ----------
    .. [1] A. Frieze, R. Kannan, S. Vempala, "Fast Monte-Carlo algorithms for finding low-rank
       approximations", J. ACM 51(6), 1025-1041 (2004).
       doi:10.1145/1039488.1039494
    .. [2] J. M. Arrazola, A. Delgado, B. R. Bardhan, S. Lloyd, "Quantum-inspired algorithms in
       practice", Quantum 4, 307 (2020). arXiv:1905.10415

    Examples
    --------
    >>> import numpy as np
    >>> import tdecomp as td
    >>> from tdecomp.completion import sampling
    >>> rng = np.random.default_rng(0)
    >>> a = rng.standard_normal((500, 3)) @ rng.standard_normal((3, 400))
    >>> found = sampling.sampled_svd(a, rank=3, samples=200, rng=0)
    >>> exact = np.linalg.svd(a, compute_uv=False)[:3]
    >>> bool(np.max(np.abs(found.S / exact - 1)) < 0.2)
    True
    >>> bool(td.relative_error(a, found.lowrank()) < 1e-13)  # the rows span all there is
    True
    """
    a = structure(a)
    r, c = sizes_of(samples)
    rank = check_rank(rank, min(*a.shape, r, c), way="it counts singular values")
    return _sampled_svd(drawn_rows(a, r, rng := generator(rng)), rank, c, rng)


def sizes_of(samples: Any) -> tuple[int, int]:
    """Return the numbers of rows and of columns to draw."""
    pair = samples if isinstance(samples, tuple) else (samples, samples)
    if len(pair) != 2:
        raise ValueError(f"samples must be an int or a pair (rows, columns), got {samples!r}")
    r, c = (check_count(n, name="samples", least=1) for n in pair)
    return r, c


def small_matrix(rows: SampledRows, count: int, rng: np.random.Generator) -> Array:
    """Draw columns of rows of one norm by their squares, and rescale them: (r, c), unit scale."""
    a, xp = rows.matrix, rows.matrix._xp
    chosen = rng.integers(0, int(rows.indices.shape[0]), size=count)
    lines = xp.take(rows.indices, moved(chosen, rows.indices, xp), axis=0)
    columns = a._draw_columns(lines, rng.random(count))
    block = rows.columns(columns)
    norms = xp.linalg.vector_norm(block, axis=0)
    return block * xp.astype(math.sqrt(total(a._trees) / count) / norms, block.dtype)


def _sampled_svd(
    rows: SampledRows, rank: int, columns: int, rng: np.random.Generator
) -> SampledSVD:
    """Decompose the small matrix, and keep what is above rounding."""
    xp = rows.matrix._xp
    small = small_matrix(rows, columns, rng)
    left, values, right = xp.linalg.svd(small, full_matrices=False)
    sizes = floats(values)
    least = eps(values.dtype, xp) * max(small.shape) * sizes[0]
    kept = min(rank, sum(size > least for size in sizes))
    values = shifted(values[:kept], rows.unit, xp)
    if not bool(xp.all(xp.isfinite(values))):
        dtype = str(values.dtype).rsplit(".", maxsplit=1)[-1]
        raise ValueError(f"singular values of a leave the range of {dtype}: scale the data")
    left, _ = canonical_signs(left[:, :kept], right[:kept, :], xp)
    return SampledSVD(rows, values, left)
