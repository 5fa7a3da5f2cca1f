"""Tucker tensors of lower rank, at the cost of the core."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import differentiated, times_power
from tdecomp.tucker._algebra_norm import orthonormal
from tdecomp.tucker._format import Tucker, as_tucker
from tdecomp.tucker._hosvd import Plan, _sthosvd, decompose
from tdecomp.tucker._targets import check_tucker_target, precision_for


@full_precision
def truncate(
    x: Any, /, *, rank: int | Sequence[int] | None = None, rtol: float | None = None
) -> Tucker:
    r"""Lower the ranks of a Tucker tensor: `sthosvd`, at the cost of the core.

    Parameters
    ----------
    x : Tucker
        The tensor. Modes whose factor is None are left alone.
    rank : int or tuple of int, optional
        The rank of each mode that has a factor.
    rtol : float, optional
        Guarantee :math:`\|X - \hat X\|_F \le \mathtt{rtol}\, \|X\|_F`. With `rank` too, the
        smaller ranks win.

    Returns
    -------
    Tucker
        Of orthonormal factors.

    Raises
    ------
    TypeError, ValueError
        If neither `rank` nor `rtol` is given, or one is out of range.
    ToleranceError
        If `rtol` is below what rounding allows in this precision.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import tucker
    >>> x = tucker.Tucker(np.ones((2, 2)), (np.eye(4)[:, :2], np.eye(3)[:, :2]))
    >>> tucker.truncate(x, rtol=1e-12).rank
    (1, 1)
    """
    xp, core, factors = as_tucker(x, name="x")
    modes = tuple(k for k, factor in enumerate(factors) if factor is not None)
    core, factors, exponent = orthonormal(core, factors, xp)
    small = _compressed(core, modes, rank, rtol, xp)
    merged = [
        small.factors[k] if factor is None else factor @ small.factors[k]
        for k, factor in enumerate(factors)
    ]
    return Tucker(times_power(small.core, exponent, xp), tuple(merged))


def _compressed(
    core: Array, modes: tuple[int, ...], rank: Any, rtol: Any, xp: Namespace
) -> Tucker:
    """Decompose a core of orthonormal factors; its accurate route is cheap enough."""
    shape = tuple(map(int, core.shape))
    if not modes:
        return Tucker(core, (None,) * len(shape))
    ranks, rtol = check_tucker_target(rank, rtol, shape, modes)
    if differentiated(core):
        if ranks is None or rtol is not None:
            raise ValueError("under tracing or grad the rank must be fixed: pass rank= alone")
        return Tucker(*_sthosvd(core, ranks, modes, xp=xp))
    atol = None
    if rtol is not None:
        _, floor = precision_for(rtol, shape, modes, dtype=core.dtype, wide=core.dtype, xp=xp)
        atol = (rtol - floor) * float(xp.linalg.vector_norm(core))
    return decompose(core, Plan(modes, ranks, atol, "qr", 0, nested=True), xp)[0]
