"""Core consistency: whether the data want the components of a CP decomposition to interact."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, device, equilibrate, namespace, real_dtype
from tdecomp.cp._format import CP, as_cp
from tdecomp.cp._initial import as_data, values_of
from tdecomp.cp._normalise import phase_of, unit_columns
from tdecomp.ops._coo import COO
from tdecomp.ops._mode_products import _mode_products
from tdecomp.ops._operands import promoted
from tdecomp.ops._sparse_ttm import _sparse_mode_products


@full_precision
def core_consistency(x: Any, cp: Any, /) -> Array:
    r"""Return the core consistency of a CP decomposition, in percent: 100 where it is trilinear.

    A CP decomposition is a Tucker decomposition whose core :math:`T` is superdiagonal. Free the
    core, and it becomes

    .. math:: G = \arg\min_G \| X - G \times_0 A_0 \cdots \times_{d-1} A_{d-1} \|_F
                = X \times_0 A_0^+ \cdots \times_{d-1} A_{d-1}^+ .

    Core consistency [1]_ tells how little that changes:

    .. math:: 100 \, \Bigl( 1 - \frac{\| G - T \|_F^2}{\| T \|_F^2} \Bigr), \qquad
              \| T \|_F^2 = R .

    Components are taken in balance, with columns of the same length in all modes, so that
    :math:`T` has ones on its diagonal and the number does not depend on how the decomposition is
    scaled or ordered.

    Parameters
    ----------
    x : array, shape (n_0, ..., n_{d-1}), or COO
        The data, not what the decomposition stands for.
    cp : CP
        A fit to them.

    Returns
    -------
    array, shape ()
        A number up to 100, real. Near 100 the components do not interact; towards zero and below
        it, without bound, a Tucker core would rather be full: there are too many components.

    Raises
    ------
    TypeError, ValueError
        If one is no tensor or no decomposition, shapes differ, or `x` is not finite.

    See Also
    --------
    split_half : whether other data give the same components.
    suggest_rank : both, and the error on held-out entries, for several ranks.

    Notes
    -----
    Factors are decomposed as :math:`A_k = U_k S_k V_k^*` and the tensor is projected onto all
    :math:`U_k` first, as in [2]_: the Kronecker product of pseudoinverses is never formed, nor is
    a Gram matrix. About :math:`2 R \prod_k n_k` flops and :math:`R^d` numbers beside the tensor;
    for sparse tensors :math:`R^d` flops an entry. Where the columns of a factor are linearly
    dependent the core is not unique; the one taken is smallest, for columns of length one. A
    component that is zero has no core entries: it costs ``100 / R``.

    A rank-one decomposition that fits best has 100 always. So does a decomposition that is exact
    and has independent columns in every mode.

    References
    ----------
    .. [1] R. Bro, H. A. L. Kiers, "A new efficient method for determining the number of
       components in PARAFAC models", J. Chemometrics 17, 2003, Section 2. doi:10.1002/cem.801
    .. [2] E. E. Papalexakis, C. Faloutsos, "Fast efficient and scalable core consistency
       diagnostic for the PARAFAC decomposition for big sparse tensors", ICASSP 2015, Algorithm 2.
       doi:10.1109/ICASSP.2015.7179011

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import cp
    >>> rng = np.random.default_rng(0)
    >>> truth = cp.CP(np.ones(2), tuple(rng.standard_normal((n, 2)) for n in (10, 11, 12)))
    >>> noisy = truth.to_array() + 0.1 * rng.standard_normal((10, 11, 12))
    >>> fits = [cp.cp_als(noisy, rank=r, n_starts=4, rng=0).tensor for r in (1, 2, 3)]
    >>> [bool(cp.core_consistency(noisy, fit) > 90) for fit in fits]
    [True, True, False]
    """
    _, x = as_data(x)
    _, cp = as_cp(cp, like=values_of(x))
    xp = namespace(values_of(x), *cp.factors)
    if tuple(x.shape) != cp.shape:
        raise ValueError(f"x and cp must have one shape, got {tuple(x.shape)} and {cp.shape}")
    return _core_consistency(x, cp, xp=xp)


def _core_consistency(x: Any, cp: CP, *, xp: Namespace) -> Array:
    """Solve for the core of unit columns, then divide its entries by the balanced lengths."""
    values, *factors = promoted([values_of(x), *cp.factors], xp)
    cp = CP(cp.weights, tuple(factors))
    values, scale = equilibrate(values, xp, axis=tuple(range(values.ndim)), always=True)
    mantissas, exponents, columns = unit_columns(cp, xp=xp)
    core = _core(x._replace(values=values) if isinstance(x, COO) else values, columns, xp)
    sizes = xp.abs(mantissas)
    present = sizes > 0
    logs = xp.log2(xp.where(present, sizes, xp.ones_like(sizes)))
    logs = logs + exponents - xp.log2(xp.reshape(scale, ()))
    # Beyond this a component is absurdly small or large for the data; its powers stay finite.
    limit = math.log2(float(xp.finfo(sizes.dtype).max)) / (2 * cp.modes)
    share = xp.clip(-logs / cp.modes, -limit, limit)
    balance = xp.where(present, xp.pow(xp.full_like(share, 2.0), share), xp.zeros_like(share))
    phases = phase_of(mantissas, xp)
    if xp.isdtype(phases.dtype, "complex floating"):
        phases = xp.conj(phases)
    for mode in range(cp.modes):
        along = balance * phases if mode == 0 else balance
        core = core * xp.reshape(
            xp.astype(along, core.dtype), (1,) * mode + (-1,) + (1,) * (cp.modes - 1 - mode)
        )
    misfit = xp.sum(xp.abs(core - _superdiagonal(core, xp)) ** 2)
    return xp.astype(100 * (1 - misfit / cp.rank), real_dtype(core.dtype, xp))


def _core(x: Any, columns: Sequence[Array], xp: Namespace) -> Array:
    """Return the tensor multiplied by the pseudoinverses of the factors along all modes.

    Projected onto orthonormal bases first: what the inverses of small singular values amplify
    is small by then, and so are the products.
    """
    bases, inverses = [], []
    for column in columns:
        u, s, vh = xp.linalg.svd(column, full_matrices=False)
        cut = float(xp.finfo(s.dtype).eps) * max(column.shape) * xp.max(s)
        inverse = xp.where(s > cut, 1 / xp.where(s > cut, s, xp.ones_like(s)), xp.zeros_like(s))
        bases.append(adjoint(u, xp))
        inverses.append(adjoint(vh, xp) * xp.astype(inverse, vh.dtype))
    modes = range(len(bases))
    multiply = _sparse_mode_products if isinstance(x, COO) else _mode_products
    return _mode_products(multiply(x, bases, tuple(modes), xp=xp), inverses, modes, xp=xp)


def _superdiagonal(core: Array, xp: Namespace) -> Array:
    """Return a tensor of that shape with ones on its diagonal."""
    size, rank = math.prod(core.shape), core.shape[0]
    step = (size - 1) // (rank - 1) if rank > 1 else 1
    places = xp.reshape(xp.arange(size, device=device(core)), core.shape)
    return xp.astype((places % step == 0) | (rank == 1), core.dtype)
