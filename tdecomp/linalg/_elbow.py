"""The elbow of a spectrum: where it turns, whatever its scale and length."""

from __future__ import annotations

from typing import Any

from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, eps
from tdecomp.linalg._truncation import reachable_rtol, spectrum_of

# Logarithms are off by an eps of themselves, their differences by a few.
_ROUNDINGS = 16


def elbow_rank(s: Any, /) -> int:
    r"""Return the rank at which a spectrum turns: that farthest from the chord of its logarithm.

    With both axes scaled to :math:`[0, 1]`, the points

    .. math:: x_k = \frac{k}{n - 1}, \qquad
              y_k = \frac{\log s_k - \log s_{n-1}}{\log s_0 - \log s_{n-1}}

    run from :math:`(0, 1)` to :math:`(1, 0)`, and :math:`|x_k + y_k - 1|` is, up to a constant,
    the distance from the straight line between them. Where the farthest point lies above the
    line, it ends a plateau and is kept; where it lies below, a floor begins with it. Two levels
    are so told apart exactly, whichever is the longer.

    Parameters
    ----------
    s : array, shape (..., n)
        Singular values, descending; a batch shares the largest rank of its members.

    Returns
    -------
    int
        A rank between 1 and `n`: that before or at the elbow; without one, which is to say if
        the spectrum falls by a constant factor or not at all, the number of values that stand
        out of rounding.

    Raises
    ------
    TypeError, ValueError
        If `s` is empty, not finite, complex, negative or not descending.

    See Also
    --------
    truncation_rank : the smallest rank for an error, a guarantee where this is a guess.
    energy_rank : the smallest rank that keeps a part of the energy.

    Notes
    -----
    Values that an SVD cannot tell from rounding, zeros among them, count as equally small, and
    none is kept. The rank does not change with the scale of `s`, nor when it is raised to a
    power, as from singular values to eigenvalues, rounding aside.

    References
    ----------
    .. [1] V. Satopaa, J. Albrecht, D. Irwin, B. Raghavan, "Finding a 'kneedle' in a haystack:
       detecting knee points in system behavior", ICDCS Workshops, 2011.
       doi:10.1109/ICDCSW.2011.20

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.linalg import elbow_rank
    >>> elbow_rank(np.array([9.0, 8.0, 7.0, 0.03, 0.02, 0.01]))
    3
    >>> elbow_rank(np.array([100.0, 20.0, 0.9, 0.8, 0.7, 0.6, 0.5]))
    2
    """
    xp, s = spectrum_of(s)
    return int(xp.max(_elbow_rank(s, xp=xp)))


def _elbow_rank(s: Array, *, xp: Namespace) -> Array:
    """Return the rank of each member of a batch."""
    n, unit = int(s.shape[-1]), eps(s.dtype, xp)
    top = s[..., :1]
    ratio = s / xp.where(top > 0, top, xp.ones_like(top))
    least = reachable_rtol(n, n, unit)
    clear = xp.where(ratio > least, xp.ones_like(s), xp.zeros_like(s))
    y = xp.log(xp.where(ratio > least, ratio, xp.full_like(ratio, least)))
    span = -y[..., -1:]
    safe = xp.where(span > 0, span, xp.ones_like(span))
    x = xp.arange(n, dtype=s.dtype, device=device(s)) / max(1, n - 1)
    height = x + y / safe
    place = xp.argmax(xp.abs(height), axis=-1, keepdims=True)
    far = xp.take_along_axis(height, place, axis=-1)
    found = xp.astype(place, s.dtype) + xp.astype(far > 0, s.dtype)
    straight = xp.abs(far) * span <= _ROUNDINGS * unit * (1 + span)
    found = xp.where(straight, xp.full_like(found, float(n)), found)[..., 0]
    return xp.clip(xp.minimum(found, xp.sum(clear, axis=-1)), 1, None)
