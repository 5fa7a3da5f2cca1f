r"""The space of the leading singular vectors, found cheaply in single precision.

On the longer side of the matrix an orthonormal basis costs as much as a product. Here it is never
made: block Golub-Kahan runs as block Lanczos for :math:`A^* A` [1]_, with a basis :math:`P` on the
shorter side only, the images :math:`W = A P` as they come, and their Gram matrix
:math:`T = W^* W = Y \Theta Y^*`. The basis on the longer side is
:math:`Q = W Y \Theta^{-1/2}`, and every product shows the singular values of a projection,

.. math:: A P P^* = Q \, \Theta^{1/2} (P Y)^*, \qquad
          A^* Q = \begin{bmatrix} P Y & P_+ \end{bmatrix}
                  \begin{bmatrix} \Theta^{1/2} \\ R Y_- \Theta^{-1/2} \end{bmatrix},

with the newest block :math:`P_+`, the triangular factor :math:`R` it came with, and the last rows
:math:`Y_-` of :math:`Y`. Squares of singular values lose digits, so a draft stays a draft: a
search in full precision makes the last product.

References
----------
.. [1] G. H. Golub, R. Underwood, "The block Lanczos method for computing eigenvalues",
   Mathematical Software III, 1977.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tdecomp._typing import Array, DType, Namespace
from tdecomp._xp import adjoint, device, eps, floats, integers
from tdecomp.linalg._operand import Operand
from tdecomp.linalg._orth import extend, orthonormalize
from tdecomp.linalg._thin import thin_product


class Draft(NamedTuple):
    """What the products with a tall matrix showed, `from_left` if the last one was with ``A``.

    `basis` is the right one, `images` those of its blocks that were multiplied, `gram` their Gram
    matrix and `vectors` its eigenvectors; `axes` are the coordinates of the left basis in the
    images, `values` the singular values of ``A`` on it, as far as rounding of squares lets one
    see them, and `below` what the newest block of the basis adds. `fresh` is the block to
    multiply next.
    """

    basis: Array
    fresh: Array
    from_left: bool = False
    images: Array = None
    gram: Array = None
    vectors: Array = None
    axes: Array = None
    values: Array = None
    factor: Array = None
    below: Array = None

    def core(self, xp: Namespace) -> tuple[Array, Array]:
        """Return left singular vectors and singular values of what ``A^* Q`` is made of."""
        square = xp.astype(_diagonal(self.values, xp), self.below.dtype)
        u, s, _ = xp.linalg.svd(xp.concat([square, self.below]), full_matrices=False)
        return u, s

    def squares(self, xp: Namespace) -> np.ndarray:
        """Return the squared singular values of the newest projection."""
        values = self.values if self.from_left else self.core(xp)[1]
        return np.asarray(floats(values)) ** 2

    def sees(self, width: int) -> bool:
        """Tell whether so many leading singular values stand out of rounding."""
        return int(self.values.shape[0]) >= width

    def block(self, width: int, xp: Namespace) -> tuple[Array, bool]:
        """Return leading singular vectors, and whether they are left ones.

        They are on the side of the newest product where that one sees them all, else right ones.
        """
        dtype = self.basis.dtype
        if not self.sees(width):
            inner = xp.astype(self.vectors[:, :width], dtype)
            return thin_product(self.basis[:, : inner.shape[0]], inner, xp), False
        if self.from_left:
            return thin_product(self.images, xp.astype(self.axes[:, :width], dtype), xp), True
        u = self.core(xp)[0][:, :width]
        inner = self.values.shape[0]
        turned = (self.axes * xp.astype(self.values, self.axes.dtype)) @ u[:inner, :]
        inside = xp.astype(xp.concat([turned, u[inner:, :]]), dtype)
        return thin_product(self.basis, inside, xp), False


def begin(a: Operand, test: Array, *, turned: bool) -> Draft:
    """Span ``A^* A @ test``; for a tall adjoint of a wide matrix, ``A^* @ test``."""
    xp = a.xp
    block = a.rmatmat(test if turned else a.matmat(test))
    # The matrix came twice: columns may be too close to one another for single precision.
    q = orthonormalize(xp.astype(block, _double(block, xp)), xp).Q
    q = xp.astype(q, block.dtype)
    return Draft(q, q)


def proceed(a: Operand, d: Draft) -> Draft:
    """Make one product with the newest block."""
    return _backward(a, d) if d.from_left else _forward(a, d)


def _forward(a: Operand, d: Draft) -> Draft:
    """Multiply the newest block of the basis by ``A``."""
    xp, double = a.xp, _double(d.basis, a.xp)
    images = a.matmat(d.fresh)
    gram = xp.astype(adjoint(images, xp) @ images, double)
    fresh = images
    if d.images is not None:
        gap = d.gram.shape[0] - d.factor.shape[1]
        zeros = xp.zeros((d.factor.shape[0], gap), dtype=double, device=device(gram))
        side = xp.concat([zeros, d.factor], axis=1)
        upper = xp.concat([d.gram, adjoint(side, xp)], axis=1)
        gram = xp.concat([upper, xp.concat([side, gram], axis=1)])
        images = xp.concat([d.images, images], axis=1)
    theta, vectors = xp.linalg.eigh(gram)
    known = int(xp.sum(xp.astype(theta > theta[-1] * _lost(gram, d.basis, xp), integers(xp))))
    values = xp.sqrt(xp.flip(theta[-known:]))
    vectors = xp.flip(vectors, axis=1)
    return d._replace(
        fresh=fresh,
        from_left=True,
        images=images,
        gram=gram,
        vectors=vectors,
        axes=vectors[:, :known] / xp.astype(values, double),
        values=values,
    )


def _backward(a: Operand, d: Draft) -> Draft:
    """Multiply the newest images by ``A^*``, and extend the basis by what comes out."""
    xp = a.xp
    q, _, r = extend(d.basis, a.rmatmat(d.fresh), xp)
    factor = xp.astype(r, d.gram.dtype)
    below = factor @ d.axes[-factor.shape[1] :, :]
    basis = xp.concat([d.basis, q], axis=1)
    return d._replace(basis=basis, fresh=q, from_left=False, factor=factor, below=below)


def hidden_gain(old: Draft, new: Draft, rank: int, xp: Namespace) -> float:
    """Return what the last product added to the leading triplets, to first order.

    It is the energy of what they lacked, which no cancellation hides.
    """
    if not new.from_left:
        return float(xp.linalg.vector_norm(new.below[:, :rank])) ** 2
    size = old.below.shape[0]
    part = old.core(xp)[0][-size:, :rank]
    beyond = new.gram[-size:, -size:] - old.below @ adjoint(old.below, xp)
    found = xp.linalg.trace(adjoint(part, xp) @ (beyond @ part))
    return max(complex(found).real, 0.0)


def _lost(gram: Array, basis: Array, xp: Namespace) -> float:
    """Return the relative size below which an eigenvalue of `gram` is rounding."""
    return float(gram.shape[0]) * eps(basis.dtype, xp)


def _double(basis: Array, xp: Namespace) -> DType:
    """Return the double precision of the kind of `basis`."""
    return xp.complex128 if xp.isdtype(basis.dtype, "complex floating") else xp.float64


def _diagonal(values: Array, xp: Namespace) -> Array:
    """Return a diagonal matrix."""
    return xp.eye(values.shape[0], dtype=values.dtype, device=device(values)) * values
