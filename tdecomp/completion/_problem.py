"""What a method of completion is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tdecomp._iterate import Step
from tdecomp._typing import Array, Namespace
from tdecomp.completion._observed import Observed


class Problem(NamedTuple):
    r"""Known entries at unit scale, and what is to be minimised over two factors.

    .. math:: \sum_{(i,j) \in \Omega} w_{ij} |x_{ij} - u_i \cdot v_j|^2 + \sum_i \lambda_i |u_i|^2
              + \sum_j \lambda'_j |v_j|^2

    Attributes
    ----------
    observed : Observed
        The known entries.
    rank : int
        The number of columns of each factor.
    regularization : float
        The penalty :math:`\lambda`, of which those below are multiples.
    row_penalty, column_penalty : array, shape (m,) and (n,)
        The penalty of each row of the factors.
    nonnegative : bool
        Whether no entry of a factor may be negative.
    left, right : array, shape (m, k) and (n, k)
        Where to start.
    total : float
        The weighted sum of squares of all known entries.
    xp : namespace
        The library of the arrays.
    """

    observed: Observed
    rank: int
    regularization: float
    row_penalty: Array
    column_penalty: Array
    nonnegative: bool
    left: Array
    right: Array
    total: float
    xp: Namespace


class Solver(NamedTuple):
    """An iteration: where it starts, how it goes on, and the factors (m, k), (n, k) it stands for.

    Its steps tell the relative error on the known entries and, as merit, the square root of the
    objective over `total`.
    """

    state: Any
    step: Callable[[Any], Step[Any]]
    factors: Callable[[Any], tuple[Array, Array]]
