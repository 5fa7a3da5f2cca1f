"""The projection of a matrix to butterflies, by splitting off one factor after the other."""

from __future__ import annotations

import math
from typing import Any

from tdecomp._iterate import Fit, Status
from tdecomp._measure import relative_error
from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import differentiated, equilibrate, prepare
from tdecomp.kronecker._butterfly_format import Butterfly
from tdecomp.kronecker._divisors import primes
from tdecomp.kronecker._operands import padded
from tdecomp.kronecker._targets import Shapes, check_fit, check_shapes
from tdecomp.linalg._signs import canonical_signs
from tdecomp.linalg._smooth import leading_svd


@full_precision
def butterfly(a: Any, /, shapes: Any = None, *, pad: bool = False) -> Fit[Butterfly]:
    r"""Approximate a matrix by `s` sparse factors, within :math:`\sqrt{s - 1}` of the best ones.

    With :math:`m = m_1 \cdots m_s` and :math:`n = n_1 \cdots n_s` the factors are supported as

    .. math:: \operatorname{supp} X_k = I_{n_1 \cdots n_{k-1}} \otimes 1_{m_k \times n_k}
              \otimes I_{m_{k+1} \cdots m_s} , \qquad
              \|A - X_1 \cdots X_s\|_F \le \sqrt{s - 1}\, \min_B \|A - B\|_F .

    A butterfly comes back as it was, to rounding; for two factors, the `monarch` of rank 1, the
    result is the best one.

    Parameters
    ----------
    a : array, shape (m, n)
        The matrix.
    shapes : ((m_1, n_1), (m_2, n_2), ...), optional
        Shapes of the blocks. Of a square matrix by default :math:`(p, p)` for all prime factors
        `p` of its size: :math:`(2, 2)` throughout where :math:`n = 2^s`.
    pad : bool
        Fill the matrix up with zeros, at the bottom and on the right, where `shapes` need more;
        the result has the larger shape.

    Returns
    -------
    Fit
        ``tensor``, a `Butterfly` whose factors have one norm; ``error``, its relative error;
        ``n_iter``, the number of splits; ``status``.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit (the nearest divisors are named), or are missing for a matrix that
        is not square, or `a` is empty or not finite.

    See Also
    --------
    monarch : two factors, of any rank.
    kronecker_svd : sums of Kronecker products, which for one term are butterflies too.

    Notes
    -----
    From left to right: the blocks of the matrix, each of :math:`m_1` rows at equal distances and
    :math:`n / n_1` columns in a row, are replaced by the best ones of rank one. Their left
    vectors, of length one, are :math:`X_1`; what remains is made of :math:`n_1` smaller matrices.
    The columns of :math:`X_1` that belong to one of them are orthonormal, so that errors add up
    in squares, and none is above that of the best butterfly: the argument for the tensor train,
    see [2]_. The supports determine the factors of a butterfly up to scales [1]_.

    The first split costs :math:`O(m n \min(m_1, n / n_1))` flops, and leaves :math:`m_1` times
    fewer entries to the next. Under ``jit``, ``vmap`` and ``grad`` the error is an array.

    References
    ----------
    .. [1] L. Zheng, E. Riccietti, R. Gribonval, "Efficient identification of butterfly sparse
       matrix factorizations", SIAM J. Math. Data Sci. 5, 2023. arXiv:2110.01230
    .. [2] Q.-T. Le, L. Zheng, E. Riccietti, R. Gribonval, "Butterfly factorization with error
       guarantees", 2024. arXiv:2411.04506

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.kronecker import butterfly
    >>> n = 16
    >>> dft = np.fft.fft(np.eye(n))
    >>> reversed_bits = np.arange(n).reshape(2, 2, 2, 2).T.reshape(-1)
    >>> fit = butterfly(dft[:, reversed_bits])
    >>> len(fit.tensor.factors), fit.tensor.n_parameters, fit.error < 1e-14
    (4, 128, True)
    """
    xp, a = prepare(a, ndim=2)
    pairs = _shapes(shapes, (int(a.shape[0]), int(a.shape[1])))
    a = padded(a, check_fit(pairs, a.shape, pad=pad), xp)
    safe, scale = equilibrate(a, xp, axis=(0, 1))
    found = _balanced(_butterfly(safe, pairs, xp=xp), xp.reshape(scale, ()), xp)
    error = relative_error(a, found)
    splits = len(pairs) - 1
    return Fit(found, error if differentiated(a) else float(error), splits, Status.CONVERGED)


def _shapes(shapes: Any, shape: tuple[int, int]) -> Shapes:
    """Return the shapes of the blocks, by default those of the prime factors of the size."""
    if shapes is not None:
        return check_shapes(shapes)
    m, n = shape
    if m != n:
        raise ValueError(
            f"shapes must be given for a matrix that is not square, such as {shape}: pairs whose "
            "products make up its sides; suggest_shapes finds some"
        )
    return tuple((p, p) for p in primes(n)) or ((1, 1),)


def _butterfly(a: Array, shapes: Shapes, *, xp: Namespace) -> Butterfly:
    """Split off the factors from the left; all but the last have columns of length one."""
    factors, rest = [], a[None, ...]
    for m, n in shapes[:-1]:
        blocks = blocks_of(rest, m, n, xp)
        u, s, vh = leading_svd(blocks, 1, xp)
        u, vh = canonical_signs(u, vh, xp)
        factors.append(xp.permute_dims(u[..., 0], (0, 3, 1, 2)))
        rows = vh[..., 0, :] * s
        rest = xp.reshape(rows, (-1, *rows.shape[2:]))
    return Butterfly((*factors, rest[..., None]))


def blocks_of(a: Array, m: int, n: int, xp: Namespace) -> Array:
    """Return of each matrix (..., m q, n p) the n q blocks of shape (m, p), as (..., n, q, m, p).

    Block (k, j) has the rows that are j modulo q, and the columns from k p on.
    """
    *batch, rows, columns = a.shape
    t = xp.reshape(a, (*batch, m, rows // m, n, columns // n))
    first = len(batch)
    return xp.permute_dims(t, (*range(first), first + 2, first + 1, first, first + 3))


def _balanced(b: Butterfly, scale: Array, xp: Namespace) -> Butterfly:
    """Multiply a butterfly by a number, and give its factors one norm."""
    lengths = [xp.linalg.vector_norm(f) for f in b.factors]
    count = len(lengths)
    share = math.prod((length ** (1 / count) for length in lengths), start=scale ** (1 / count))
    ratios = [share / xp.where(length > 0, length, xp.ones_like(length)) for length in lengths]
    pairs = zip(b.factors, ratios, strict=True)
    return Butterfly(tuple(f * xp.astype(xp.reshape(r, (1,) * 4), f.dtype) for f, r in pairs))
