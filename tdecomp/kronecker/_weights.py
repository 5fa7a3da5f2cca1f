r"""Metric weights that are Kronecker products themselves: a closed form.

With :math:`L = L_1 \otimes L_2` and :math:`R = R_1 \otimes R_2` the weighted matrix is rearranged
into

.. math:: \mathcal{R}(L A R) = P\, \mathcal{R}(A)\, Q^T , \qquad
          P = L_1 \otimes R_1^T , \quad Q = L_2 \otimes R_2^T ,

so that the weighted problem is that of a low-rank matrix with a row and a column weight, whose
minimiser inverts neither: see `tdecomp.weighted_svd`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, conj, eps, equilibrate, prepare
from tdecomp.kronecker._rearranged import Pair
from tdecomp.linalg._formats import SVD
from tdecomp.linalg._operand import Operand

Weight = tuple[Array | None, Array | None]


class Weights(NamedTuple):
    """A row weight and a column weight, each a pair of matrices, vectors or None."""

    left: Weight
    right: Weight

    def shapes(self, shapes: Pair) -> Pair:
        """Return the shapes of the factors of the weighted matrix."""
        first, second = (
            (
                m if left is None or left.ndim == 1 else int(left.shape[0]),
                n if right is None or right.ndim == 1 else int(right.shape[1]),
            )
            for (m, n), left, right in zip(shapes, self.left, self.right, strict=True)
        )
        return first, second


def check_weights(left: Any, right: Any, shapes: Pair, like: Array) -> Weights | None:
    """Validate two pairs of weights; None where there are none."""
    if left is None and right is None:
        return None
    pairs: list[Weight] = []
    for name, weight, axis in (("left", left, 0), ("right", right, 1)):
        sizes = tuple(shape[axis] for shape in shapes)
        try:
            first, second = (None, None) if weight is None else weight
        except (TypeError, ValueError):
            raise ValueError(
                f"{name} must be a pair, the weights of sizes {sizes} whose Kronecker product it "
                f"is, each a vector, a matrix or None, got {type(weight).__name__}"
            ) from None
        one, two = (
            _checked(part, size, like, name=f"{name}[{j}]", axis=1 - axis)
            for j, (part, size) in enumerate(zip((first, second), sizes, strict=True))
        )
        pairs.append((one, two))
    return Weights(*pairs)


def _checked(weight: Any, size: int, like: Array, *, name: str, axis: int) -> Array | None:
    """Validate one weight, whose `axis` meets the matrix, at a safe scale."""
    if weight is None:
        return None
    xp, weight = prepare(weight, ndim=1, batch=True, like=like, name=name)
    if weight.ndim > 2 or weight.shape[axis if weight.ndim == 2 else 0] != size:
        matrix = f"(p, {size})" if axis else f"({size}, q)"
        raise ValueError(
            f"{name} must have shape ({size},) or {matrix}, got {tuple(weight.shape)}"
        )
    return equilibrate(weight, xp, axis=tuple(range(weight.ndim)), always=True)[0]


def weighted(a: Array, weights: Weights, shapes: Pair, xp: Namespace) -> Array:
    """Return ``L @ a @ R``."""
    (m1, n1), (m2, n2) = shapes
    t = xp.reshape(a, (m1, m2, n1, n2))
    sides = (*weights.left, *(turned(w, xp) for w in weights.right))
    for axis, weight in enumerate(sides):
        t = along(weight, t, axis, xp)
    p1, p2, q1, q2 = t.shape
    return xp.reshape(t, (p1 * p2, q1 * q2))


def factors_of(op: Operand, svd: SVD, weights: Weights, shapes: Pair) -> tuple[Array, Array]:
    """Return vectorised factors of the minimiser from triplets of the weighted problem."""
    xp = op.xp
    first, second = weights.shapes(shapes)
    rows = _pulled(adjoint(svd.Vh, xp), second, 1, weights, xp)
    columns = conj(_pulled(conj(svd.U, xp), first, 0, weights, xp), xp)
    cut = svd.S[:1] * eps(svd.S.dtype, xp) * max(op.shape)
    safe = xp.where(svd.S > cut, svd.S, xp.ones_like(svd.S))
    inverse = xp.astype(xp.where(svd.S > cut, 1 / safe, 0 * safe), svd.U.dtype)
    return op.matmat(rows) * inverse, conj(op.rmatmat(columns), xp)


def pushed(
    first: Array, second: Array, weights: Weights, shapes: Pair, xp: Namespace
) -> tuple[Array, Array]:
    """Return the vectorised factors ``L_k @ F @ R_k`` of the weighted matrix."""
    found = []
    for k, (columns, shape) in enumerate(zip((first, second), shapes, strict=True)):
        t = xp.reshape(columns, (*shape, columns.shape[1]))
        t = along(weights.left[k], t, 0, xp)
        t = along(turned(weights.right[k], xp), t, 1, xp)
        found.append(xp.reshape(t, (-1, columns.shape[1])))
    return found[0], found[1]


def _pulled(
    columns: Array, shape: tuple[int, int], k: int, weights: Weights, xp: Namespace
) -> Array:
    """Return ``L_k^T @ V @ R_k^T`` of the matrices `V` that are columns, vectorised."""
    t = xp.reshape(columns, (*shape, columns.shape[1]))
    t = along(turned(weights.left[k], xp), t, 0, xp)
    t = along(weights.right[k], t, 1, xp)
    return xp.reshape(t, (-1, columns.shape[1]))


def turned(weight: Array | None, xp: Namespace) -> Array | None:
    """Return the transpose of a weight."""
    return weight if weight is None or weight.ndim == 1 else xp.matrix_transpose(weight)


def along(weight: Array | None, t: Array, axis: int, xp: Namespace) -> Array:
    """Multiply an axis of a tensor by a weight."""
    if weight is None:
        return t
    if weight.ndim == 1:
        return t * xp.reshape(weight, (-1,) + (1,) * (t.ndim - 1 - axis))
    return xp.moveaxis(xp.tensordot(weight, t, axes=((1,), (axis,))), 0, axis)
