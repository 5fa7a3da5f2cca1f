r"""Monarch matrices: block-diagonal, a permutation, block-diagonal.

Their blocks, of rows at equal distances and columns in a row, have low rank each, so that the
nearest one is found block by block.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tdecomp._errors import check_reachable, check_target
from tdecomp._iterate import Fit, Status
from tdecomp._measure import relative_error
from tdecomp._precision import full_precision
from tdecomp._typing import Array, DType, Namespace
from tdecomp._xp import differentiated, eps, equilibrate, namespace, prepare, traced
from tdecomp.kronecker._apply import operands
from tdecomp.kronecker._butterfly import blocks_of
from tdecomp.kronecker._butterfly_format import Butterfly, chosen, on_columns
from tdecomp.kronecker._operands import padded
from tdecomp.kronecker._rearranged import Pair
from tdecomp.kronecker._targets import check_fit, check_shapes
from tdecomp.linalg._formats import SVD
from tdecomp.linalg._signs import canonical_signs
from tdecomp.linalg._smooth import leading_svd
from tdecomp.linalg._truncation import reachable_rtol, tail_norms, truncation_rank


class Monarch(NamedTuple):
    r"""A matrix held as two block-diagonal factors with a permutation between them.

    .. math:: A_{(i_1 i_2), (j_1 j_2)} = \sum_{k=1}^{r} S_{i_2, i_1, (j_1 k)} F_{j_1, (k i_2), j_2}

    with pairs of indices in row-major order: `first` multiplies the :math:`n_1` runs of a vector
    by one block each, `second` what has the same :math:`i_2` in all of them. A Kronecker product
    has equal blocks in either.

    Attributes
    ----------
    first : array, shape (n_1, r m_2, n_2)
        The blocks that are multiplied first.
    second : array, shape (m_2, m_1, n_1 r)
        The blocks that are multiplied then.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.kronecker import Monarch
    >>> a = Monarch(np.ones((2, 3, 3)), np.ones((3, 2, 2)))
    >>> a.shape, a.rank, a.n_parameters
    ((6, 6), 1, 30)
    >>> a @ np.arange(6.0)
    array([15., 15., 15., 15., 15., 15.])
    """

    first: Array
    second: Array

    @property
    def shapes(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Shapes ``((m_1, n_1), (m_2, n_2))``, as for `monarch`."""
        m2, m1, _ = self.second.shape
        n1, _, n2 = self.first.shape
        return (int(m1), int(n1)), (int(m2), int(n2))

    @property
    def shape(self) -> tuple[int, int]:
        """Shape ``(m_1 m_2, n_1 n_2)`` of the matrix."""
        (m1, n1), (m2, n2) = self.shapes
        return m1 * m2, n1 * n2

    @property
    def modes(self) -> int:
        """Two: a matrix."""
        return 2

    @property
    def rank(self) -> int:
        """The rank of each of the ``n_1 m_2`` blocks of shape ``(m_1, n_2)``."""
        return int(self.first.shape[1]) // int(self.second.shape[0])

    @property
    def dtype(self) -> DType:
        """The dtype of the matrix."""
        return self.first.dtype

    @property
    def n_parameters(self) -> int:
        """Number of entries that are held: ``r n_1 m_2 (m_1 + n_2)``."""
        (m1, n1), (m2, n2) = self.shapes
        return self.rank * n1 * m2 * (m1 + n2)

    @property
    def mT(self) -> Butterfly:
        """The transpose, whose permutation is at the other end: a `Butterfly` of two factors."""
        return self._butterfly().mT

    @property
    def mH(self) -> Butterfly:
        """The adjoint, whose permutation is at the other end: a `Butterfly` of two factors."""
        return self._butterfly().mH

    def _butterfly(self) -> Butterfly:
        """Return the same matrix without a permutation: the supports are spread instead."""
        xp = namespace(*self)
        left = xp.permute_dims(self.second, (1, 2, 0))
        return Butterfly((left[None, ...], self.first[..., None]))

    @full_precision
    def to_array(self, region: Any = None) -> Array:
        """Return the matrix, or rows and columns of it.

        Parameters
        ----------
        region : slice or tuple, optional
            A slice of the rows, or one entry for rows and one for columns: a slice, an int (which
            drops the axis), or a 1-d array of indices.

        Returns
        -------
        array
            The entries, each a sum of `rank` products.
        """
        xp = namespace(*self)
        if region is None:
            return self._everything(xp)
        rows, columns, sizes = chosen(region, self.shape, self.first, xp)
        return xp.reshape(self._entries(rows, columns, xp), sizes)

    def _everything(self, xp: Namespace) -> Array:
        """Return the whole matrix, from one product for each of its blocks."""
        (m1, n1), (m2, n2) = self.shapes
        left = xp.reshape(self.second, (m2, m1, n1, self.rank))
        right = xp.reshape(self.first, (n1, self.rank, m2, n2))
        blocks = xp.permute_dims(left, (2, 0, 1, 3)) @ xp.permute_dims(right, (0, 2, 1, 3))
        return xp.reshape(xp.permute_dims(blocks, (2, 1, 0, 3)), self.shape)

    def _entries(self, rows: Array, columns: Array, xp: Namespace) -> Array:
        """Return the entries of some rows and columns, summed over the rank."""
        (m1, n1), (m2, n2) = self.shapes
        left = xp.reshape(xp.permute_dims(self.second, (1, 0, 2)), (m1 * m2, n1, self.rank))
        right = xp.reshape(self.first, (n1, self.rank, m2, n2))
        right = xp.reshape(xp.permute_dims(right, (1, 2, 0, 3)), (self.rank, m2, n1 * n2))
        total = 0.0
        for k in range(self.rank):
            thin = xp.take(xp.take(left[:, :, k], rows, axis=0), columns // n2, axis=1)
            wide = xp.take(xp.take(right[k, :, :], columns, axis=1), rows % m2, axis=0)
            total = total + thin * wide
        return total

    @full_precision
    def __matmul__(self, x: Any) -> Array:
        """Multiply by a vector, a matrix or a batch, without forming the matrix.

        A vector costs as many multiplications as there are parameters.
        """
        (m1, n1), (m2, n2) = self.shapes
        xp, x, (first, second) = operands(self, x, n1 * n2)

        def product(y: Array) -> Array:
            *batch, _, count = y.shape
            z = first @ xp.reshape(y, (*batch, n1, n2, count))
            z = xp.moveaxis(xp.reshape(z, (*batch, n1 * self.rank, m2, count)), -2, -3)
            return xp.reshape(xp.moveaxis(second @ z, -2, -3), (*batch, m1 * m2, count))

        return on_columns(product, x)


# Else NumPy would take the tuple for a stack of arrays in ``array @ format``.
setattr(Monarch, "__array_ufunc__", None)  # noqa: B010 - NamedTuple takes no other attribute


@full_precision
def monarch(
    a: Any,
    /,
    shapes: Any,
    *,
    rank: int | None = None,
    rtol: float | None = None,
    pad: bool = False,
) -> Fit[Monarch]:
    r"""Return the Monarch matrix that is nearest to a matrix, in the Frobenius norm.

    The :math:`n_1 m_2` blocks :math:`A_{j_1 i_2} = (a_{(i_1 i_2), (j_1 j_2)})_{i_1 j_2}` share
    no entry and no parameter, so that the Eckart-Young theorem holds for each alone:

    .. math:: \min_{\text{Monarch } M} \|A - M\|_F^2
              = \sum_{j_1, i_2} \sum_{k > r} \sigma_k(A_{j_1 i_2})^2 .

    Parameters
    ----------
    a : array, shape (m, n)
        The matrix.
    shapes : ((m_1, n_1), (m_2, n_2))
        How its sides are made up: :math:`m = m_1 m_2`, :math:`n = n_1 n_2`; the same as for
        `kronecker_svd`, whose result for one term is such a matrix. Sides of one size,
        :math:`m_1 \approx n_2`, have the fewest parameters.
    rank : int, optional
        The rank of the blocks, at most ``min(m_1, n_2)``; 1 if `rtol` is not given either.
    rtol : float, optional
        Guarantee :math:`\|A - M\|_F \le \mathtt{rtol}\, \|A\|_F` with the smallest rank, one for
        all blocks. With `rank` too, the smaller one wins.
    pad : bool
        Fill the matrix up with zeros, at the bottom and on the right, where `shapes` need more;
        the result has the larger shape.

    Returns
    -------
    Fit
        ``tensor``, a `Monarch`: the two parts of a block have singular values of one size, and
        the entry of largest magnitude of the left vectors is positive; ``error``, its relative
        error; ``n_iter``, which is 1; ``status``.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit (the nearest divisors are named), `rank` or `rtol` is out of range,
        or `a` is empty or not finite.
    ToleranceError
        If `rtol` is below what rounding allows in this precision.

    See Also
    --------
    butterfly : more than two factors.
    kronecker_svd : all blocks of either factor equal, but several terms.

    Notes
    -----
    The discrete Fourier transform of size :math:`p q`, its columns in the order
    ``arange(p * q).reshape(q, p).T.reshape(-1)``, and the Hadamard transform are Monarch matrices
    of shapes ``((p, p), (q, q))``. The cost is that of :math:`n_1 m_2` singular value
    decompositions of shape :math:`(m_1, n_2)`: :math:`O(n^{5/2})` for square shapes. Under
    ``jit``, ``vmap`` and ``grad`` the rank is fixed, and the error an array.

    References
    ----------
    .. [1] T. Dao, B. Chen, N. Sohoni, A. Desai, M. Poli, J. Grogan, A. Liu, A. Rao, A. Rudra,
       C. Re, "Monarch: expressive structured matrices for efficient and accurate training",
       ICML 2022. arXiv:2204.00595

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.kronecker import monarch
    >>> dft = np.fft.fft(np.eye(12))
    >>> fit = monarch(dft[:, np.arange(12).reshape(3, 4).T.reshape(-1)], ((4, 4), (3, 3)))
    >>> fit.tensor.n_parameters, fit.error < 1e-14
    (84, True)
    """
    xp, a = prepare(a, ndim=2)
    pair = _pair(shapes)
    a = padded(a, check_fit(pair, a.shape, pad=pad), xp)
    (m1, _), (_, n2) = pair
    if rank is not None or rtol is not None:
        rank, rtol = check_target(rank, rtol, min(m1, n2))
    if rtol is not None and (traced(a) or differentiated(a)):
        raise ValueError(
            "under tracing (jit, vmap, gradients) the rank is fixed: pass rank= alone"
        )
    safe, scale = equilibrate(a, xp, axis=(0, 1))
    if rtol is None:
        found = _monarch(safe, pair, rank or 1, xp=xp)
    else:
        found = _of_blocks(_cut(_blocks(safe, pair, None, xp), rank, rtol, pair, xp), xp)
    root = xp.astype(xp.sqrt(scale[0, 0]), a.dtype)
    found = Monarch(found.first * root, found.second * root)
    error = relative_error(a, found)
    return Fit(found, error if differentiated(a) else float(error), 1, Status.CONVERGED)


def _pair(shapes: Any) -> Pair:
    """Return two shapes."""
    pairs = check_shapes(shapes)
    if len(pairs) != 2:
        raise ValueError(
            f"shapes must be two, ((m1, n1), (m2, n2)), got {len(pairs)}; butterfly takes more"
        )
    return pairs[0], pairs[1]


def _monarch(a: Array, shapes: Pair, rank: int, *, xp: Namespace) -> Monarch:
    """Replace each block of finite `a`, at a safe scale, by the best one of fixed rank."""
    return _of_blocks(_blocks(a, shapes, rank, xp), xp)


def _blocks(a: Array, shapes: Pair, rank: int | None, xp: Namespace) -> SVD:
    """Decompose the blocks: a batch (n_1, m_2) of matrices (m_1, n_2)."""
    (m1, n1), _ = shapes
    u, s, vh = leading_svd(blocks_of(a, m1, n1, xp), rank, xp)
    u, vh = canonical_signs(u, vh, xp)
    return SVD(u, s, vh)


def _cut(blocks: SVD, rank: int | None, rtol: float, shapes: Pair, xp: Namespace) -> SVD:
    """Keep the rank that all blocks together need."""
    (m1, n1), (m2, n2) = shapes
    floor = reachable_rtol(m1 * m2, n1 * n2, eps(blocks.U.dtype, xp))
    check_reachable(rtol, floor, dtype=blocks.U.dtype)
    # Squares of a whole level add up to those of one descending spectrum, with the same tails.
    joint = xp.linalg.vector_norm(xp.reshape(blocks.S, (n1 * m2, -1)), axis=0)
    r = truncation_rank(joint, rank=rank, atol=(rtol - floor / 4) * float(tail_norms(joint)[0]))
    return SVD(blocks.U[..., :r], blocks.S[..., :r], blocks.Vh[..., :r, :])


def _of_blocks(blocks: SVD, xp: Namespace) -> Monarch:
    """Share singular values evenly, and put the parts of all blocks where they belong."""
    root = xp.astype(xp.sqrt(blocks.S), blocks.U.dtype)
    left = xp.permute_dims(blocks.U * root[..., None, :], (1, 2, 0, 3))
    right = xp.permute_dims(blocks.Vh * root[..., :, None], (0, 2, 1, 3))
    m2, m1, n1, r = left.shape
    n2 = right.shape[-1]
    first, second = xp.reshape(right, (n1, r * m2, n2)), xp.reshape(left, (m2, m1, n1 * r))
    return Monarch(first, second)
