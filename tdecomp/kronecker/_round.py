"""Recompression of a sum of two-factor Kronecker products, and its singular values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tdecomp._errors import check_target
from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import equilibrate
from tdecomp.cp._normalise import scaled_by_two
from tdecomp.kronecker._balance import balanced
from tdecomp.kronecker._format import KroneckerSum, as_sum, of_vectors
from tdecomp.linalg._robust import robust_svd
from tdecomp.linalg._signs import canonical_signs
from tdecomp.tt._formats import TensorTrain
from tdecomp.tt._round import round as round_train


@full_precision
def round(k: Any, /, *, rank: int | None = None, rtol: float | None = None) -> KroneckerSum:
    r"""Return the best sum of fewer terms, or the shortest one within a guaranteed error.

    The rearranged matrix :math:`\sum_k \operatorname{vec}(L_k) \operatorname{vec}(R_k)^T = X Y^T`
    has the entries of the sum, in another place [1]_. From :math:`X = Q_X T_X` and
    :math:`Y = Q_Y T_Y` follow its singular triplets, those of the small :math:`T_X T_Y^T`, and
    the leading ones are optimal:

    .. math:: \|A - \hat A\|_F^2 = \sum_{i > r} \sigma_i^2 .

    Parameters
    ----------
    k : KroneckerSum
        A sum of products of two factors.
    rank : int, optional
        The largest number of terms to keep, up to ``min(m_1 n_1, m_2 n_2)``.
    rtol : float, optional
        Guarantee :math:`\|A - \hat A\|_F \le \mathtt{rtol}\, \|A\|_F` with the fewest terms that
        do. With `rank` too, the smaller number wins.

    Returns
    -------
    KroneckerSum
        Terms by descending norm :math:`\sigma_i`; vectorised factors are orthogonal and have the
        norm :math:`\sigma_i^{1/2}` each; the entry of largest magnitude of a left one is positive.

    Raises
    ------
    TypeError, ValueError
        If `k` is no such sum or is not finite, has more than two factors, neither `rank` nor
        `rtol` is given, or one is out of range.
    ToleranceError
        If `rtol` is below what rounding allows: errors of :math:`\epsilon \sum_k \|L_k\| \|R_k\|`
        are relative to the norm of the sum, in which terms may cancel.

    See Also
    --------
    spectrum : the singular values, to choose by.
    kronecker_svd : from a matrix.

    Notes
    -----
    About :math:`4 (m_1 n_1 + m_2 n_2) r^2 + 20 r^3` flops. A tolerance that single precision
    cannot guarantee is met by computing in double, if the library has doubles. Under tracing
    (``jit``, ``vmap``) `rank` is required.

    References
    ----------
    .. [1] C. F. Van Loan, N. Pitsianis, "Approximation with Kronecker products", in Linear
       Algebra for Large Scale and Real-Time Applications, 1993.
       doi:10.1007/978-94-015-8196-7_17

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import kronecker
    >>> one = kronecker.KroneckerSum(np.ones((1, 2, 2)), np.eye(3)[None])
    >>> kronecker.round(kronecker.add(one, one), rtol=1e-8).rank
    1
    """
    xp, k = as_sum(k)
    return _rounded(k, rank, rtol, xp)


def _rounded(k: KroneckerSum, rank: int | None, rtol: float | None, xp: Namespace) -> KroneckerSum:
    """Round the train of two cores that the rearranged matrix is."""
    check_two(k, "cp.cp_als finds sums of more factors")
    columns = _as_columns(balanced(k.factors, xp), xp)
    rank, rtol = check_target(rank, rtol, min(c.shape[0] for c in columns))
    first, second = columns
    train = TensorTrain((first[None, :, :], xp.matrix_transpose(second)[:, :, None]))
    left, right = round_train(train, rank=rank, rtol=rtol).cores
    # Norms are taken of columns at a safe scale.
    left, scale = equilibrate(left[0, :, :], xp, axis=(0, 1))
    u, vh = canonical_signs(left, right[:, :, 0], xp)
    return of_vectors((u, xp.matrix_transpose(vh)), scale[0, 0], k.shapes, xp)


@full_precision
def spectrum(k: Any, /) -> Array:
    r"""Return the singular values of the rearranged matrix: the norms of the best terms.

    .. math:: \min_{\operatorname{rank} B \le r} \|A - B\|_F^2 = \sum_{i > r} \sigma_i^2 , \qquad
              \|A\|_F^2 = \sum_i \sigma_i^2

    Parameters
    ----------
    k : KroneckerSum
        A sum of products of two factors.

    Returns
    -------
    array, shape (min(r, m_1 n_1, m_2 n_2),)
        The values, descending and real; each within about :math:`\epsilon \sum_k \|L_k\|
        \|R_k\|`.

    Raises
    ------
    TypeError, ValueError
        If `k` is no such sum or is not finite, or has more than two factors.

    See Also
    --------
    round : the best sum of fewer terms.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import kronecker
    >>> one = kronecker.KroneckerSum(np.ones((1, 2, 2)), np.ones((1, 3, 3)))
    >>> kronecker.spectrum(one)
    array([6.])
    """
    xp, k = as_sum(k)
    check_two(k, "more factors have no such values")
    return _spectrum(k, xp=xp)


def _spectrum(k: KroneckerSum, *, xp: Namespace) -> Array:
    """Return the singular values of the product of triangular factors."""
    small, exponent = [], 0.0
    for columns in _as_columns(balanced(k.factors, xp), xp):
        scaled, scale = equilibrate(columns, xp, axis=(0, 1))
        tall = columns.shape[0] > columns.shape[1]
        small.append(xp.linalg.qr(scaled)[1] if tall else scaled)
        exponent = exponent + xp.log2(scale[0, 0])
    values = robust_svd(small[0] @ xp.matrix_transpose(small[1]), xp)[1]
    return scaled_by_two(values, exponent, xp)


def check_two(k: KroneckerSum, way: str) -> None:
    """Refuse a sum whose rearrangement is no matrix."""
    if len(k.factors) != 2:
        raise ValueError(
            f"k must have two factors in each term, got {len(k.factors)}: its rearrangement is a "
            f"tensor, of which a best sum of given length need not exist; {way}"
        )


def vectors_of(k: KroneckerSum, xp: Namespace) -> list[Array]:
    """Return vectorised factors as columns (m_k n_k, r)."""
    return _as_columns(k.factors, xp)


def _as_columns(factors: Sequence[Array], xp: Namespace) -> list[Array]:
    return [xp.matrix_transpose(xp.reshape(f, (f.shape[0], -1))) for f in factors]
