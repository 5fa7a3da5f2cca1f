"""What a method of completion is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tdecomp._iterate import Step
from tdecomp._typing import Array, Namespace
from tdecomp.completion._observed import Observed, Side
from tdecomp.completion._together import facing, joined


class Problem(NamedTuple):
    r"""Known entries at unit scale, and what is to be minimised over two factors.

    .. math:: \sum_{(i,j) \in \Omega} w_{ij} |x_{ij} - u_i \cdot v_j|^2
              + \sum_{ir} \lambda_{ir} |u_{ir}|^2 + \sum_{jr} \lambda'_{jr} |v_{jr}|^2

    or, with offsets, the same over :math:`(u_i, b_i)` and :math:`(v_j, c_j)`, which each have one
    number more, where :math:`b_i + c_j` is subtracted too.

    Attributes
    ----------
    observed : Observed
        The known entries.
    rank : int
        The number of columns of each factor, offsets not counted.
    regularization : float
        The penalty :math:`\lambda`, of which those of the factors are multiples.
    row_penalty, column_penalty : array, shape (m, k) and (n, k)
        The penalty of each number of the factors.
    nonnegative : bool
        Whether no entry of a factor may be negative.
    offsets : bool
        Whether the last column of each factor holds offsets.
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
    offsets: bool
    left: Array
    right: Array
    total: float
    xp: Namespace

    @property
    def mT(self) -> Problem:
        """The same for the transpose, at no cost."""
        return self._replace(
            observed=self.observed.mT,
            row_penalty=self.column_penalty,
            column_penalty=self.row_penalty,
            left=self.right,
            right=self.left,
        )

    def facing(self, side: Side, right: Array) -> tuple[Side, Array]:
        """Return what the rows of one factor are fitted to and multiplied with, `right` fixed."""
        return facing(side, right, self.xp) if self.offsets else (side, right)

    def joined(self, left: Array, right: Array) -> tuple[Array, Array]:
        """Return the factors of the matrix that two factors, and offsets, stand for."""
        return joined(left, right, self.xp) if self.offsets else (left, right)


class Solver(NamedTuple):
    """An iteration: where it starts, how it goes on, and the factors of the matrix it stands for.

    Its steps tell the relative error on the known entries and, as merit, the square root of the
    objective over `total`. Where that error is `exact`, it is that of the factors to rounding.
    """

    state: Any
    step: Callable[[Any], Step[Any]]
    factors: Callable[[Any], tuple[Array, Array]]
    exact: bool = False
