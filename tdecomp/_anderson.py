"""Acceleration of a fixed-point iteration by its own past."""

from __future__ import annotations

from collections.abc import Sequence

from tdecomp._program import one_program
from tdecomp._shim import lstsq
from tdecomp._typing import Array, Namespace


@one_program
def anderson(past: Sequence[tuple[Array, Array]], xp: Namespace) -> Array:
    r"""Return the point from which the next step is expected to change least.

    `past` holds pairs of a point :math:`x_j` and the change :math:`f_j` that a step made there,
    the newest last. If changes were linear in points, an affine combination of points would
    change by that of their changes; of all combinations the one that changes least is

    .. math:: x_k + f_k - \sum_{j<k} \gamma_j \bigl((x_k + f_k) - (x_j + f_j)\bigr), \qquad
        \gamma = \operatorname*{argmin}_\gamma \Bigl\| f_k - \sum_{j<k} \gamma_j (f_k - f_j)
        \Bigr\|

    which already includes the step [1]_. For a linear map this is GMRES [2]_. What no step has
    changed stays as it is, to the last bit.

    References
    ----------
    .. [1] D. G. Anderson, "Iterative procedures for nonlinear integral equations", J. ACM 12,
       1965. doi:10.1145/321296.321305
    .. [2] H. F. Walker, P. Ni, "Anderson acceleration for fixed-point iterations", SIAM J. Numer.
       Anal. 49, 2011, Theorem 2.2. doi:10.1137/10078356X
    """
    point, change = past[-1]
    reached = point + change
    if len(past) == 1:
        return reached
    # Vectors are long and few: rows of a matrix, whose small Gram matrix may be pseudo-inverted,
    # since nearly dependent differences can go.
    differences = xp.stack([change - f for _, f in past[:-1]])
    turned = differences
    if xp.isdtype(change.dtype, "complex floating"):
        turned = xp.conj(differences)
    gram, right = turned @ xp.matrix_transpose(differences), turned @ change
    lengths = xp.sqrt(xp.abs(xp.linalg.diagonal(gram)))
    lengths = xp.astype(xp.where(lengths > 0, lengths, xp.ones_like(lengths)), change.dtype)
    scaled = gram / lengths[:, None] / lengths
    gamma = lstsq(scaled, (right / lengths)[:, None], xp)[:, 0] / lengths
    mixed = reached
    for j, (x, f) in enumerate(past[:-1]):
        mixed = mixed - gamma[j] * (reached - (x + f))
    return mixed
