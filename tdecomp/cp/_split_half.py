"""Split-half analysis: whether half of the data give the components of the other half."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tdecomp._errors import check_count
from tdecomp._precision import full_precision
from tdecomp._random import generator
from tdecomp._typing import Namespace, Seed
from tdecomp.cp._alignment import factor_match_score
from tdecomp.cp._als import cp_als
from tdecomp.cp._format import CP
from tdecomp.cp._initial import check_components
from tdecomp.cp._observed import as_observed, taken
from tdecomp.ops._unfold import check_mode


class SplitHalf(NamedTuple):
    """What the halves of the data say to one another.

    Attributes
    ----------
    score : float
        The median of `scores`.
    scores : tuple of float
        For each split the factor match score of its halves, between 0 and 1.
    halves : tuple of (CP, CP)
        Their decompositions.
    """

    score: float
    scores: tuple[float, ...]
    halves: tuple[tuple[CP, CP], ...]


@full_precision
def split_half(
    x: Any,
    /,
    *,
    rank: int,
    mode: int = 0,
    n_splits: int = 4,
    weights: Any = None,
    nonnegative: bool | Sequence[int] = False,
    n_starts: int = 4,
    tol: float = 1e-6,
    max_iter: int | None = None,
    rng: Seed = None,
) -> SplitHalf:
    r"""Fit the halves of a tensor on their own, and tell how alike their components are.

    Cut one mode in two at random. If :math:`X = \sum_r a_r \otimes b_r \otimes c_r` holds for all
    samples :math:`i` of the first mode, each half of them has the same :math:`b_r` and
    :math:`c_r`, up to scale and order. Components that describe noise, or one of many
    equally good solutions, differ [1]_ [2]_.

    Parameters
    ----------
    x : array, shape (n_0, ..., n_{d-1}), or COO
        The tensor, of two modes at least.
    rank : int
        The number of components.
    mode : int
        The mode of samples, which is cut in two; of size two at least. Negative ones count from
        the end.
    n_splits : int
        How many times to cut, each time at random.
    weights, nonnegative, n_starts, tol, max_iter : optional
        As in `cp_als`.
    rng : int, numpy.random.Generator or None
        Where splits and starts come from.

    Returns
    -------
    SplitHalf
        ``score``, the median over the splits of the `factor_match_score` of the two halves, over
        all modes but `mode` and without comparing weights; ``scores``; ``halves``.

    Raises
    ------
    TypeError, ValueError
        If `x` or an option is not one, `mode` is too short to be cut, or `rank` is above what
        the halves allow.

    See Also
    --------
    suggest_rank : this and other evidence, for several ranks.

    Notes
    -----
    A score is a mean of products of cosines: with ``d - 1`` modes to compare, cosines of 0.95
    give :math:`0.95^{d-1}`. A cosine above 0.95 is commonly read as "equal", one above 0.85 as
    "similar" [3]_. The cost is that of `n_splits` fits of the whole tensor. A matrix has no
    unique components unless they are nonnegative or the like: expect low scores.

    References
    ----------
    .. [1] R. A. Harshman, "How can I know if it's real? A catalog of diagnostics for use with
       three-mode factor analysis and multidimensional scaling", in: Research Methods for
       Multimode Data Analysis, Praeger, 1984.
    .. [2] R. A. Harshman, W. S. DeSarbo, "An application of PARAFAC to a small sample problem,
       demonstrating preprocessing, orthogonality constraints, and split-half diagnostic
       techniques", ibid.
    .. [3] U. Lorenzo-Seva, J. M. F. ten Berge, "Tucker's congruence coefficient as a meaningful
       index of factor similarity", Methodology 2, 2006. doi:10.1027/1614-2241.2.2.57

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import cp
    >>> rng = np.random.default_rng(0)
    >>> truth = cp.CP(np.ones(2), tuple(rng.standard_normal((n, 2)) for n in (20, 11, 12)))
    >>> noisy = truth.to_array() + 0.2 * rng.standard_normal((20, 11, 12))
    >>> [cp.split_half(noisy, rank=r, rng=0).score > 0.9 for r in (2, 3)]
    [True, False]
    """
    xp, x, weights = as_observed(x, weights)
    shape = tuple(map(int, x.shape))
    mode = check_mode(mode, len(shape))
    if len(shape) < 2 or shape[mode] < 2:
        raise ValueError(
            f"x must have two modes or more, and a mode {mode} of size two or more to cut in "
            f"halves, got shape {shape}"
        )
    rank = check_components(rank, half_limit(shape, mode))
    draws = generator(rng)
    n_splits = check_count(n_splits, name="n_splits", least=1)
    halves = []
    for order in [draws.permutation(shape[mode]) for _ in range(n_splits)]:
        parts = np.sort(order[: shape[mode] // 2]), np.sort(order[shape[mode] // 2 :])
        first, second = (
            cp_als(
                taken(x, mode, part, xp),
                rank=rank,
                weights=None if weights is None else taken(weights, mode, part, xp),
                init="hosvd",
                n_starts=n_starts,
                nonnegative=nonnegative,
                tol=tol,
                max_iter=max_iter,
                rng=draws,
            ).tensor
            for part in parts
        )
        halves.append((first, second))
    scores = tuple(_match(first, second, mode, xp) for first, second in halves)
    return SplitHalf(float(np.median(scores)), scores, tuple(halves))


def half_limit(shape: Sequence[int], mode: int) -> int:
    """Return the largest rank that the smaller half allows."""
    half = [*shape[:mode], shape[mode] // 2, *shape[mode + 1 :]]
    return math.prod(half) // max(half)


def _match(first: CP, second: CP, mode: int, xp: Namespace) -> float:
    """Return the factor match score over all modes but one."""
    one, other = (
        CP(xp.ones_like(half.weights), half.factors[:mode] + half.factors[mode + 1 :])
        for half in (first, second)
    )
    return factor_match_score(one, other, compare_weights=False)
