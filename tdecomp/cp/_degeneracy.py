"""Degeneracy: components that grow without bound and cancel one another."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tdecomp._iterate import Status
from tdecomp._typing import Array, Namespace
from tdecomp._xp import conj, floats

# Components at a smaller angle than this to the opposite of one another count as cancelling.
_OPPOSED = -0.99
# A load that is this many times what it was at half time grows. Of 60 tensors of border rank two,
# damped Gauss-Newton steps, 40 or 500, leave 1.55 at least, and of 30 more loads above 3e6; 90
# tensors with cancelling components and a minimum all let them converge within 40 steps, at loads
# below 50. Sweeps of alternating least squares alone tell the two apart in 33 of 40 cases only,
# between 1.01 and 2.8 and between 1.00 and 2: they have converged where they hardly move.
_GROWTH = 1.05
# Below this the components of a pair are no larger than the data: nothing is lost yet. With
# congruences of 0.95, whose products are not near enough to -1, the load is zero.
_HEAVY = 3.0


def opposition(weights: Array, grams: list[Array], norm: float, xp: Namespace) -> float:
    r"""Return how far components exceed the tensor in pairs that cancel.

    .. math:: \max_{r, s} \{ \min(\|X_r\|, \|X_s\|) / \|X\| : \cos(X_r, X_s) < -0.99 \}

    and 0 where there is no such pair. Costs :math:`R^2` operations for each mode.

    Parameters
    ----------
    weights : array, shape (R,)
        The weights of the components.
    grams : list of array, shape (R, R)
        The matrices :math:`A_k^* A_k`, or their conjugates.
    norm : float
        The norm of the tensor.
    xp : namespace
        The library of the arrays.
    """
    outer = weights[:, None] * conj(weights, xp)[None, :]
    for gram in grams:
        outer = outer * gram
    inner = xp.real(outer) if xp.isdtype(outer.dtype, "complex floating") else outer
    host = np.asarray([floats(inner[r, :]) for r in range(inner.shape[0])])
    sizes = np.sqrt(np.maximum(np.diag(host), 0.0))
    pairs = sizes[:, None] * sizes[None, :]
    opposed = host < _OPPOSED * pairs
    smaller = np.minimum(sizes[:, None], sizes[None, :])
    return float(np.max(smaller, where=opposed, initial=0.0)) / (norm or 1.0)


class Watch:
    """Follows the opposition of the components of an iteration, and judges at its end.

    A best approximation of the wanted rank need not exist: the errors then fall towards an
    infimum while two or more components diverge and cancel [1]_ [2]_. Components may also cancel
    in a minimum that does exist; they then stop growing, and nothing is reported.

    References
    ----------
    .. [1] V. de Silva, L.-H. Lim, "Tensor rank and the ill-posedness of the best low-rank
       approximation problem", SIAM J. Matrix Anal. Appl. 30, 2008. doi:10.1137/06066518X
    .. [2] W. P. Krijnen, T. K. Dijkstra, A. Stegeman, "On the non-existence of optimal solutions
       and the occurrence of degeneracy in the CANDECOMP/PARAFAC model", Psychometrika 73, 2008.
       doi:10.1007/s11336-008-9056-1
    """

    def __init__(self, eps: float) -> None:
        self._loads: list[float] = []
        # Cancellation has then eaten a third of the digits, and half of them.
        self._heavy, self._limit = eps ** (-1 / 3), eps**-0.5

    def see(self, load: float) -> bool:
        """Note the opposition after an iteration; tell whether going on is hopeless."""
        self._loads.append(load)
        return load > self._limit and self._grows()

    def judge(self, status: Status, attained: Callable[[], bool] | None = None) -> Status:
        """Return DEGENERATE in place of a verdict on an iteration whose components diverge.

        Parameters
        ----------
        status : Status
            The verdict.
        attained : callable, optional
            Tells, where components cancel, whether there is a minimum nearby. Without it those
            that grow diverge.
        """
        judged = (Status.CONVERGED, Status.MAX_ITER, Status.STAGNATED, Status.SWAMP)
        load = self._loads[-1] if self._loads else 0.0
        if status not in judged or not load > _HEAVY:
            return status
        if load > self._heavy:
            return Status.DEGENERATE
        diverge = self._grows() if attained is None else not attained()
        return Status.DEGENERATE if diverge else status

    def _grows(self) -> bool:
        """Tell whether the load is large, and larger than at half time."""
        if not self._loads or not self._loads[-1] > _HEAVY:
            return False
        before = self._loads[(len(self._loads) - 1) // 2]
        return math.isfinite(self._loads[-1]) and self._loads[-1] > _GROWTH * before
