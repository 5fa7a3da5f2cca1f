"""Sweeps that begin where those before them point to."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tdecomp._iterate import Step
from tdecomp._typing import Array, Namespace
from tdecomp._xp import eps
from tdecomp.completion._inner import inner
from tdecomp.completion._problem import Problem, Solver

# How many differences of sweeps are mixed; without so many there is no look ahead.
_MEMORY = 5
# Squares of differences are told from rounding above so many eps.
_DIGITS = 2.0**10

Sweep = Callable[[Array, Array], tuple[Array, Array, Step[Any]]]
"""Maps two factors to the next, and tells what these have reached."""


class _Past(NamedTuple):
    """Where the last sweep ended, how it changed the right factor, and how that had differed.

    All of this is in vectors. Differences are those of two sweeps in a row: of their ends, and of
    their changes, of which `gram` holds the real inner products.
    """

    ended: Array
    change: Array
    ends: tuple[Array, ...] = ()
    changes: tuple[Array, ...] = ()
    gram: np.ndarray = np.zeros((0, 0))

    def then(self, ended: Array, change: Array, xp: Namespace) -> _Past:
        """Return the past after one more sweep."""
        ends = (*self.ends, ended - self.ended)[-_MEMORY:]
        changes = (*self.changes, change - self.change)[-_MEMORY:]
        k = len(changes)
        gram = np.empty((k, k))
        gram[:-1, :-1] = self.gram[len(self.changes) + 1 - k :, len(self.changes) + 1 - k :]
        gram[-1] = gram[:, -1] = [inner(other, changes[-1], xp) for other in changes]
        return _Past(ended, change, ends, changes, gram)

    def ahead(self, xp: Namespace) -> Array:
        """Return the end of the affine combination of sweeps that would change least."""
        slopes = np.asarray([inner(other, self.change, xp) for other in self.changes])
        sizes = np.sqrt(np.diag(self.gram))
        sizes[sizes == 0] = 1.0
        rounding = _DIGITS * eps(self.change.dtype, xp)
        scaled = self.gram / sizes[:, None] / sizes
        shares = np.linalg.lstsq(scaled, slopes / sizes, rcond=rounding)[0] / sizes
        ahead = self.ended - float(shares[0]) * self.ends[0]
        for share, end in zip(shares[1:], self.ends[1:], strict=True):
            ahead -= float(share) * end
        return ahead


class _State(NamedTuple):
    """Two factors, their merit, and the sweeps that led there, none at first."""

    left: Array
    right: Array
    merit: float
    past: _Past | None


def extrapolated(problem: Problem, sweep: Sweep) -> Solver:
    r"""Return the iteration of a sweep, begun where its past points to [1]_.

    A sweep solves for the left factor first. So it is a map :math:`V \leftarrow T(V)` of the right
    one, and rests where :math:`T(V) = V`; mixing is for half of what is sought. Once six sweeps
    lie behind, each begins at the affine combination of their ends whose change would be least if
    `T` were affine over the reals: for changes of :math:`f_j` from :math:`v_j` on,

    .. math:: \sum_j c_j T(v_j), \qquad c = \operatorname*{argmin}_{\sum_j c_j = 1}
        \Bigl\| \sum_j c_j f_j \Bigr\|

    Where it does not end as low as the last sweep did, it is made again from the end of that one,
    and the past is forgotten: at most one sweep of seven is in vain, no step raises the objective,
    and limits are those of the sweep. This has to be continuous: no factor may be turned.

    Notes
    -----
    Ten inner products and seven sums of arrays like the right factor go with a sweep, and twelve
    such arrays are kept: let it be the one with fewer rows.

    References
    ----------
    .. [1] H. F. Walker, P. Ni, "Anderson acceleration for fixed-point iterations", SIAM J. Numer.
       Anal. 49, 2011, equation 2.1. doi:10.1137/10078356X
    """
    xp = problem.xp

    def step(state: _State) -> Step[_State]:
        if state.past is not None and len(state.past.ends) >= _MEMORY:
            found = swept(state, xp.reshape(state.past.ahead(xp), state.right.shape))
            if found.state.merit <= state.merit:
                return found
            state = state._replace(past=None)
        return swept(state, state.right)

    def swept(state: _State, begun: Array) -> Step[_State]:
        left, right, found = sweep(state.left, begun)
        ended, change = (xp.reshape(x, (-1,)) for x in (right, right - begun))
        past = _Past(ended, change) if state.past is None else state.past.then(ended, change, xp)
        return found._replace(state=_State(left, right, found.merit or 0.0, past))

    begun = _State(problem.left, problem.right, math.inf, None)
    return Solver(begun, step, lambda state: problem.joined(state.left, state.right))
