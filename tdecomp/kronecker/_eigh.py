"""Eigenvalues and eigenvectors of a Kronecker product of Hermitian matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tdecomp._precision import full_precision
from tdecomp._shim import solve_triangular
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, concrete
from tdecomp.kronecker._eigh_format import KroneckerEigh
from tdecomp.kronecker._format import as_sum, as_sums
from tdecomp.kronecker._square import hermitian_factors


@full_precision
def eigh(k: Any, /, *, metric: Any = None) -> KroneckerEigh:
    r"""Return eigenvalues and eigenvectors of a Kronecker product of Hermitian matrices.

    Those of the factors are enough: :math:`(A \otimes B)(u \otimes v) = \lambda \mu\, (u \otimes
    v)`. With a metric, those of :math:`K x = \lambda M x`: from :math:`M_1 = L L^*` follow the
    eigenvectors :math:`u = L^{-*} y` of :math:`L^{-1} A L^{-*} y = \lambda y` for every factor,
    and with them any sum :math:`K + sM` is diagonal, such as a covariance whose noise varies.

    Parameters
    ----------
    k : KroneckerSum
        A sum of one term, of any number of factors, each Hermitian to rounding.
    metric : KroneckerSum, optional
        A sum of one term of factors of the same shapes, Hermitian and positive definite.

    Returns
    -------
    KroneckerEigh
        Eigenvalues and eigenvectors by factor, with `solve`, `logdet`, `quadratic`, `apply` and
        `diagonal`.

    Raises
    ------
    TypeError, ValueError
        If one is no such sum, has several terms, or a factor is not Hermitian or not finite.
    numpy.linalg.LinAlgError
        If a factor of the metric is not positive definite.

    See Also
    --------
    solve : a single system.

    Notes
    -----
    About :math:`9 \sum_k n_k^3` flops instead of :math:`9 \prod_k n_k^3`. Eigenvalues are within
    a modest multiple of :math:`\epsilon \prod_k \|A_k\|` of the true ones; with a metric, times
    its condition number. Gradients through eigenvectors need distinct eigenvalues. Under tracing
    (``jit``, ``vmap``) factors are taken for Hermitian unseen.

    References
    ----------
    .. [1] C. F. Van Loan, "The ubiquitous Kronecker product", J. Comput. Appl. Math. 123, 2000.
       doi:10.1016/S0377-0427(00)00393-9
    .. [2] G. H. Golub, C. F. Van Loan, "Matrix Computations", 4th ed., 2013, Algorithm 8.7.1.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import kronecker
    >>> k = kronecker.KroneckerSum(np.diag([1.0, 2.0])[None], np.diag([1.0, 3.0])[None])
    >>> kronecker.eigh(k).eigenvalues(sort=True)
    array([1., 2., 3., 6.])
    """
    if metric is None:
        xp, k = as_sum(k)
        return _eigh(hermitian_factors(k, xp), None, xp=xp)
    xp, (k, metric) = as_sums([k, metric], names=("k", "metric"))
    if k.shapes != metric.shapes:
        raise ValueError(
            f"k and metric must have factors of the same shapes, got {k.shapes} and "
            f"{metric.shapes}"
        )
    return _eigh(hermitian_factors(k, xp), hermitian_factors(metric, xp, name="metric"), xp=xp)


def _eigh(
    factors: Sequence[Array], metric: Sequence[Array] | None, *, xp: Namespace
) -> KroneckerEigh:
    """Decompose factor by factor."""
    if metric is None:
        pairs = [xp.linalg.eigh(f) for f in factors]
        return KroneckerEigh(tuple(w for w, _ in pairs), tuple(v for _, v in pairs))
    values, vectors, logs = [], [], []
    n = math.prod(f.shape[0] for f in factors)
    for j, (f, m) in enumerate(zip(factors, metric, strict=True)):
        lower = _cholesky(m, xp, name=f"metric.factors[{j}]")
        half = solve_triangular(lower, f, xp, lower=True)
        whole = solve_triangular(lower, adjoint(half, xp), xp, lower=True)
        w, y = xp.linalg.eigh((whole + adjoint(whole, xp)) / 2)
        values.append(w)
        vectors.append(solve_triangular(adjoint(lower, xp), y, xp, lower=False))
        diagonal = xp.linalg.diagonal(lower)
        logs.append(2 * (n // f.shape[0]) * xp.sum(xp.log(xp.abs(diagonal))))
    return KroneckerEigh(tuple(values), tuple(vectors), sum(logs[1:], start=logs[0]))


def _cholesky(x: Array, xp: Namespace, *, name: str) -> Array:
    """Return the lower triangular factor, or name the matrix that has none."""
    try:
        lower = xp.linalg.cholesky(x)
    except Exception:  # each library has a class of its own
        lower = None
    if lower is None or concrete(xp.all(xp.isfinite(lower))) is False:
        raise np.linalg.LinAlgError(f"{name} must be positive definite, and is not")
    return lower
