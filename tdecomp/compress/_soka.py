"""Adapters that are sums of Kronecker products and start at the principal part of a weight."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace, Seed
from tdecomp._xp import equilibrate, prepare
from tdecomp.compress._adapted import Adapted, Size, split
from tdecomp.kronecker import kronecker_svd
from tdecomp.kronecker._divisors import splits
from tdecomp.kronecker._targets import Shapes, check_fit, check_shapes
from tdecomp.kronecker._terms import as_tensor


@full_precision
def soka(
    w: Any,
    /,
    shapes: Any = None,
    *,
    rank: int | None = None,
    n_parameters: int | None = None,
    energy: float | None = None,
    elbow: bool = False,
    min_rank: int = 1,
    rng: Seed = 0,
) -> Adapted:
    r"""Split a weight into its principal Kronecker products, to be trained, and a frozen rest.

    .. math:: W = W_{\mathrm{res}} + \sum_{k=1}^r L_k \otimes R_k , \qquad
              L_k = \sigma_k^{1/2} U_k , \quad R_k = \sigma_k^{1/2} V_k ,

    with the leading triplets of the rearranged matrix, see `tdecomp.kronecker.kronecker_svd`.
    Nothing has changed at the start, and of all sums of :math:`r` such products this one holds
    the most of :math:`\|W\|_F^2`, the part
    :math:`\sum_{k \le r} \sigma_k^2 / \sum_k \sigma_k^2`.

    Parameters
    ----------
    w : array, shape (m, n)
        The weights.
    shapes : ((m_1, n_1), (m_2, n_2)), optional
        Shapes of the factors, with :math:`m = m_1 m_2` and :math:`n = n_1 n_2`. By default those
        whose term takes the fewest numbers; among equals, of sides that are alike in ratio: what
        `tdecomp.kronecker.suggest_shapes` puts first, but never with padding.
    rank : int, optional
        The number :math:`r` of terms, at most :math:`\min(m_1 n_1, m_2 n_2)`.
    n_parameters : int, optional
        At most so many numbers to train: :math:`r (m_1 n_1 + m_2 n_2)`.
    energy : float, optional
        The part of :math:`\|W\|_F^2` that the adapter shall hold, between 0 and 1; see
        `tdecomp.linalg.energy_rank`.
    elbow : bool
        Stop where the spectrum :math:`\sigma` turns; see `tdecomp.linalg.elbow_rank`. Of all that
        is asked for, the smallest rank wins.
    min_rank : int
        However early `energy` and `elbow` would stop.
    rng : int, numpy.random.Generator or None
        Draws the starting block of `tdecomp.kronecker.kronecker_svd`.

    Returns
    -------
    Adapted
        ``residual`` (m, n), in the dtype of `w`, and ``adapter``, a `KroneckerSum`.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit (the nearest divisors are named), no size is asked for or one is out
        of range, or `w` is empty or not finite.

    See Also
    --------
    pissa : the same with outer products, which are the shapes ``((m, 1), (1, n))``.
    tdecomp.kronecker.suggest_shapes : the shapes that hold the most of a matrix.

    Notes
    -----
    A term of `pissa` is a matrix of rank one, at :math:`m + n` numbers; a term here may have full
    rank, at :math:`2 \sqrt{mn}` numbers or more. But outer products do not mind in which order
    inputs and outputs come, and Kronecker products do: where the order means nothing, they hold
    less of the weight. The gallery compares the two on a trained model.

    With `energy` or `elbow` all singular values of the rearranged matrix are computed first, in
    :math:`O(mn \min(m_1 n_1, m_2 n_2))` flops. Of float16 and bfloat16 only the residual is
    rounded back; the factors are float32, for an optimiser to change.

    References
    ----------
    .. [1] Y. H. Chong, P. Qu, "Singular value decomposition on Kronecker adaptation for large
       language model", 2025, Algorithm 1. arXiv:2506.15251
    .. [2] C. F. Van Loan, N. Pitsianis, "Approximation with Kronecker products", 1993.
       doi:10.1007/978-94-015-8196-7_17

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import compress
    >>> w = np.kron([[4.0, 0.0], [0.0, 4.0]], np.eye(3)) + 0.01 * np.arange(36.0).reshape(6, 6)
    >>> adapted = compress.soka(w, ((2, 2), (3, 3)), rank=1)
    >>> adapted.n_parameters, np.allclose(adapted.to_array(), w)
    (13, True)
    >>> bool(np.linalg.norm(adapted.residual) < 0.1 * np.linalg.norm(w))
    True
    """
    dtype = getattr(w, "dtype", None)
    xp, w = prepare(w, ndim=2, name="w")
    pair = _pair(shapes, w.shape)
    lengths = [math.prod(shape) for shape in pair]
    size = Size(rank, n_parameters, energy, elbow, min_rank)
    rank = size.choose(min(lengths), sum(lengths), lambda: _singular_values(w, pair, xp))
    return split(w, kronecker_svd(w, pair, rank=rank, rng=rng).tensor, dtype)


def _pair(shapes: Any, shape: tuple[int, ...]) -> Shapes:
    """Return the shapes of two factors of a matrix of this shape."""
    if shapes is None:
        return _cheapest(*shape)
    pair = check_shapes(shapes)
    if len(pair) != 2:
        raise ValueError(f"shapes must be those of two factors, got {len(pair)}: {pair}")
    check_fit(pair, shape, pad=None, name="w")
    return pair


def _cheapest(m: int, n: int) -> Shapes:
    """Return the shapes of the cheapest term without padding, of sides alike in ratio."""

    def cost(pair: Shapes) -> tuple[int, float]:
        ratios = [math.log(p / q) for p, q in pair]
        return sum(p * q for p, q in pair), round(max(ratios) - min(ratios), 9)

    pairs = product(splits(m, 2), splits(n, 2))
    return min((tuple(zip(*sides, strict=True)) for sides in pairs), key=cost)


def _singular_values(w: Array, shapes: Shapes, xp: Namespace) -> Array:
    """Return those of the rearranged matrix, at a safe scale: ratios are all that is asked."""
    return xp.linalg.svdvals(as_tensor(equilibrate(w, xp, axis=(0, 1))[0], shapes, xp))
