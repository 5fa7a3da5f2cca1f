r"""Products :math:`a_i b_j` above the weights, with which the problem has a closed solution.

Where :math:`w_{ij} \le a_i b_j`, the misfit of :math:`z` is at most

.. math:: \sum_{ij} a_i b_j \, |y_{ij} - z_{ij}|^2 + \text{const} , \qquad
          y = z_0 + \frac{w}{a b} (x - z_0) ,

and equal to it at :math:`z_0`. With constant `a` and `b` that is the EM algorithm for data of
which a part is missing [1]_; the closer the product to the weights, the longer the steps.

References
----------
.. [1] N. Srebro, T. Jaakkola, "Weighted low-rank approximations", ICML 2003, section 4.
"""

from __future__ import annotations

from typing import NamedTuple

from tdecomp._program import one_program
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, conj, eps
from tdecomp.completion._dense._objective import Objective

# Directions in which the factor is smaller than that many eps are left alone.
_LOST = 64.0


class Majorant(NamedTuple):
    """The factors of rows (m,) and of columns (n,)."""

    rows: Array
    columns: Array
    xp: Namespace

    @classmethod
    def of(cls, weights: Array, xp: Namespace) -> Majorant:
        """Return a product above the weights, of which no factor can be smaller."""
        return cls(*_equilibrium(weights, xp), xp)

    @property
    def turned(self) -> Majorant:
        """The same product above the transposed weights."""
        return Majorant(self.columns, self.rows, self.xp)

    def solved(self, objective: Objective, right: Array, slopes: Array) -> Array:
        """Return the step to the left factor that fits the majorant best."""
        return _solved(slopes, right, *self[:2], objective.penalty, xp=self.xp)


@one_program
def _equilibrium(weights: Array, xp: Namespace) -> tuple[Array, Array]:
    """Return the smaller of two products, in the mean of logarithms over all entries.

    After one round from any columns the largest quotient of each row and of each column is one.
    """
    pairs, sizes = [], []
    for begin in (xp.max(weights, axis=0), xp.mean(weights, axis=0)):
        rows = _positive(xp.max(weights / _positive(begin, xp), axis=1), xp)
        columns = _positive(xp.max(weights / rows[:, None], axis=0), xp)
        pairs.append((rows, columns))
        sizes.append(xp.mean(xp.log(rows)) + xp.mean(xp.log(columns)))
    rows, columns = (
        xp.where(sizes[0] <= sizes[1], first, second) for first, second in zip(*pairs, strict=True)
    )
    return _raised(rows, xp), _raised(columns, xp)


def _raised(x: Array, xp: Namespace) -> Array:
    """Raise the smallest factors, so that the rounding of what their roots divide is no data."""
    return xp.maximum(x, eps(x.dtype, xp) ** 2 * xp.max(x))


def _positive(x: Array, xp: Namespace) -> Array:
    """Replace zeros by ones: what has no weight takes part in nothing."""
    return xp.where(x > 0, x, xp.ones_like(x))


@one_program
def _solved(
    slopes: Array, right: Array, rows: Array, columns: Array, penalty: Array, *, xp: Namespace
) -> Array:
    """Solve for all rows by one decomposition, since their matrices differ by a factor."""
    heavy = xp.astype(columns, right.dtype)[:, None] * right
    values, vectors = xp.linalg.eigh(adjoint(right, xp) @ heavy)
    top = xp.max(values)
    top = xp.where(top > 0, top, xp.ones_like(top))
    floor = _LOST * right.shape[1] * eps(values.dtype, xp) * top
    inverse = 1 / (rows[:, None] * xp.maximum(values, floor) + penalty)
    inner = (slopes @ conj(vectors, xp)) * xp.astype(inverse, slopes.dtype)
    return inner @ xp.matrix_transpose(vectors)
