"""Half a sweep over all entries of a matrix, most of which are zeros that are not stored."""

from __future__ import annotations

from typing import NamedTuple

from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, eps
from tdecomp.completion._masked import solve_rows
from tdecomp.completion._observed import Side
from tdecomp.completion._using._crushed import in_unit_of
from tdecomp.completion._using._model import in_unit
from tdecomp.linalg._thin import inner_product, mixed_columns


class Shared(NamedTuple):
    r"""What all rows share: coordinates in which :math:`V^T V + \lambda I` is the identity.

    `V` is divided by its `length` and then by `unit` (k,), and turned to `axes` (k, k), of which
    `root` (k,) are the square roots of the eigenvalues and `inverse` (k,) those over one, both
    zero in directions that `V` does not have. Solutions are divided by `over`, and `kept` tells
    whether the ridge leaves anything of a row to start from.
    """

    length: Array
    unit: Array
    axes: Array
    root: Array
    inverse: Array
    over: float
    kept: bool

    def turned(self, right: Array) -> Array:
        """Return rows, divided by the length, in these coordinates."""
        return mixed_columns(right / self.unit, self.axes) * self.inverse


def solve_everywhere(side: Side, left: Array, right: Array, ridge: float, xp: Namespace) -> Array:
    r"""Minimise over the rows of `left`, `right` fixed, from `left` on.

    .. math:: \min_{u_i} \sum_j (1 + w_{ij}) (p_{ij} - u_i \cdot v_j)^2 + \lambda |u_i|^2

    over all `j`: `w` are the values that are stored, and `p` is one there and zero elsewhere. In
    coordinates in which :math:`V^T V + \lambda I`, which all rows share, is the identity, the
    targets :math:`1 + 1 / w` and a ridge of one give that sum over what is stored, but for a
    constant. Directions that `right` does not have stay out.
    """
    right, length = in_unit(right, xp)
    shared = shared_by(right, length, ridge, xp)
    return solve_sharing(shared, side, left, shared.turned(right), xp)


def shared_by(right: Array, length: Array, ridge: float, xp: Namespace) -> Shared:
    """Return what all rows share, of a factor that has been divided by its length."""
    k = right.shape[1]
    shift, over = in_unit_of(float(length), ridge)
    gram = inner_product(right, right, xp)
    gram = gram + shift * xp.eye(k, dtype=right.dtype, device=device(right))
    # Of columns far smaller than others, eigenvalues would see nothing.
    unit = xp.sqrt(xp.linalg.diagonal(gram))
    small = (unit > 0) & (unit < eps(right.dtype, xp) ** 0.25 * xp.max(unit))
    unit = xp.where(small, unit, xp.ones_like(unit))
    values, axes = xp.linalg.eigh(gram / unit[:, None] / unit)
    seen = values > k * eps(right.dtype, xp) * xp.max(values)
    root = xp.sqrt(xp.where(seen, values, 0.0))
    inverse = xp.where(seen, 1 / xp.where(seen, root, 1.0), 0.0)
    return Shared(length, unit, axes, root, inverse, over, over == float(length))


def solve_sharing(shared: Shared, side: Side, left: Array, fixed: Array, xp: Namespace) -> Array:
    """Do what `solve_everywhere` does with rows that are in the coordinates of what is shared."""
    _, unit, axes, root, inverse, over, kept = shared
    # What a ridge leaves nothing of would be no start, but rounding.
    left = left * shared.length if kept else xp.zeros_like(left)
    targets = side._replace(values=1 + 1 / side.values, weights=side.values)
    start = mixed_columns(left * unit, axes) * root
    found = solve_rows(targets, start, fixed, xp.ones_like(left), xp)
    over = min(over, float(xp.finfo(left.dtype).max))
    return mixed_columns(found * inverse, xp.matrix_transpose(axes)) / unit / over
