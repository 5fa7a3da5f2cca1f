r"""Truncation of Chebyshev-Tucker functions in the norm of :math:`L^2`.

Coefficients are no isometric picture of a function, since Chebyshev polynomials are not orthogonal
in :math:`L^2`. With the inner products :math:`M = L L^T` of polynomials,

.. math:: \|f\|_{L^2} = \| G \times_k L_k^T V_k \|_F

(up to the volume of the box): a truncation of coefficients times :math:`L_k^T` along every mode is
one of the function. Condition numbers of :math:`M` grow like its side, and are 82 at 64: Cholesky
factors lose no digit that counts. Of long series, values at twice as many points times the roots
of the weights of Clenshaw and Curtis, which are exact for products, take the place of
:math:`L_k^T V_k`: transforms instead of a matrix of the squared length.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from tdecomp._shim import solve_triangular
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, namespace
from tdecomp.chebyshev._core import arrays, mode_product, truncated
from tdecomp.chebyshev._format import ChebyshevTucker
from tdecomp.chebyshev._series import inner_products, integrals
from tdecomp.chebyshev._transform import coefficients, values

# From so many coefficients on, series are long.
_LONG = 1024


@lru_cache(maxsize=64)
def root(count: int) -> npt.NDArray[np.float64]:
    """Return the factor `L^T` of the inner products of the first `count` polynomials."""
    like = np.empty(0)
    products = inner_products(count, count, like.dtype, like, namespace(like))
    upper = np.linalg.cholesky(products).T
    upper.setflags(write=False)
    return upper


def orthonormal(
    core: Any, factors: Sequence[Array], xp: Namespace
) -> tuple[Any, tuple[Array, ...]]:
    """Return the same function with factors that are orthonormal on the unit box.

    The norm of the core is then that of the function.
    """
    bases = []
    for k, factor in enumerate(factors):
        basis, r = (_short if factor.shape[0] < _LONG else _long)(factor, xp)
        core = mode_product(core, r, k, xp)
        bases.append(basis)
    return core, tuple(bases)


def _short(factor: Array, xp: Namespace) -> tuple[Array, Array]:
    """Return orthonormal series and the triangle by which they make those of a factor."""
    upper = _root_like(int(factor.shape[0]), factor, xp)
    q, r = xp.linalg.qr(upper @ factor)
    return solve_triangular(upper, q, xp, lower=False), r


def _long(factor: Array, xp: Namespace) -> tuple[Array, Array]:
    """Do the same by values at points."""
    m = int(factor.shape[0])
    roots = xp.asarray(np.sqrt(_weights(2 * m - 1)), device=device(factor))
    roots = xp.astype(roots, factor.dtype, copy=False)[:, None]
    longer = xp.concat([factor, xp.zeros_like(factor[1:, :])])
    q, r = xp.linalg.qr(roots * values(longer, xp))
    return coefficients(q / roots, xp)[:m, :], r


@lru_cache(maxsize=64)
def _weights(count: int) -> npt.NDArray[np.float64]:
    """Return the weights of Clenshaw and Curtis: the integrals of cardinal functions."""
    like = np.empty(0)
    xp = namespace(like)
    # The transform of values to coefficients, transposed, is the other one but for the ends.
    ends = np.ones(count)
    ends[0] = ends[-1] = 0.5
    found: npt.NDArray[np.float64] = values(ends * integrals(count, like.dtype, like, xp), xp)
    return found * ends * (2 / (count - 1))


def recompress(f: ChebyshevTucker, **targets: Any) -> ChebyshevTucker:
    """Return a function of least rank near another one, in the norm of L2.

    The `targets`, ``rank`` and ``rtol``, are those of `sthosvd`. Factors are orthonormal on the
    unit box.
    """
    xp = namespace(*arrays(f.core), *f.factors)
    core, bases = orthonormal(f.core, f.factors, xp)
    core, turns = truncated(core, **targets)
    factors = tuple(q @ u for q, u in zip(bases, turns, strict=True))
    return ChebyshevTucker(core, factors, f.domain)


def _root_like(count: int, like: Array, xp: Namespace) -> Array:
    """Return the root in the library, dtype and device of an array."""
    upper = xp.asarray(root(count).copy(), device=device(like))
    return xp.astype(upper, like.dtype, copy=False)
