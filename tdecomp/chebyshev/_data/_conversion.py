"""Chebyshev-Tucker functions on grids, as tensors in Tucker format."""

from __future__ import annotations

from typing import Any

from tdecomp._precision import full_precision
from tdecomp.chebyshev._format import as_function
from tdecomp.chebyshev._values._on_grid import _sampled
from tdecomp.tucker import Tucker


@full_precision
def to_tucker(f: Any, /, *axes: Any) -> Tucker:
    r"""Return the values of a function at all combinations of coordinates, in Tucker format.

    The core is that of the function, the factors hold the values of its series: a grid of any size
    costs no more than its sides. From there `tdecomp.convert` leads to other formats.

    Parameters
    ----------
    f : ChebyshevTucker
        The function, of `d` variables. Its core must be an array.
    *axes : array, shape (n_k,)
        Real coordinates for each variable, in any order, inside of the domain.

    Returns
    -------
    Tucker
        The tensor of shape (n_0, ..., n_{d-1}); its factors are not orthonormal.

    Raises
    ------
    TypeError, ValueError
        If `f` is something else, its core is a tensor train, there are not as many axes as
        variables, one is not real, not finite or empty, or a coordinate lies outside of the
        domain; under tracing all values that it takes part in are NaN.

    See Also
    --------
    evaluate_grid : the values themselves.
    from_grid : the way back.
    tdecomp.tucker.orthogonalise : the same tensor with orthonormal factors.

    Notes
    -----
    :math:`2 \sum_k n_k m_k r_k` flops.

    Examples
    --------
    >>> import numpy as np
    >>> import tdecomp as td
    >>> from tdecomp.chebyshev import chebyshev_tucker, to_tucker
    >>> f = chebyshev_tucker(lambda x, y, z: np.exp(x * y) + z, [(0, 1)] * 3, rtol=1e-8).tensor
    >>> x = np.linspace(0, 1, 10_000)
    >>> tensor = to_tucker(f, x, x, x)  # of 10**12 entries
    >>> tensor.shape
    (10000, 10000, 10000)
    >>> print(f"{float(tensor.to_array((5_000, 9_999, 0))):.6f}")  # exp(x[5000])
    1.648804
    >>> train = td.convert.to_tt(tensor, rtol=1e-8)
    >>> train.rank
    (5, 2)
    """
    xp, core, factors, domain = as_function(f)
    if len(axes) != len(factors):
        raise ValueError(f"f has {len(factors)} variables, got {len(axes)} axes")
    values = (
        _sampled(factor, axis, domain[k, :], xp, name=f"axes[{k}]")
        for k, (factor, axis) in enumerate(zip(factors, axes, strict=True))
    )
    return Tucker(core, tuple(values))
