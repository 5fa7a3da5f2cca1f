r"""The values at all combinations of nodes as a tensor train, from few of them.

The array of all combinations has as many entries as the product of the ranks. Its unfoldings at
the bonds between variables have ranks of their own, which are often as small, with rows and
columns that span them:

.. math:: X \approx C\, X_{I, :} , \qquad C = U\, U_I^{+} .

A sweep from the first variable on chooses rows, combinations of nodes of the variables so far, by
columns that are random at first; a sweep back chooses columns by these rows, and so forth, until
values at other combinations are met. Rows and columns of the sweep before stay if they still are
a good choice, so that most of what is needed is known.

References
----------
.. [1] I. V. Oseledets, E. E. Tyrtyshnikov, "TT-cross approximation for multidimensional arrays",
   Linear Algebra Appl. 432, 2010. doi:10.1016/j.laa.2009.07.024
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tdecomp._errors import ToleranceError
from tdecomp.chebyshev._sampling._combinations import Combinations, Indices
from tdecomp.chebyshev._sampling._pivots import cardinal, column_pivots, row_pivots
from tdecomp.chebyshev._sampling._sampler import Values
from tdecomp.linalg._robust import robust_svd
from tdecomp.linalg._truncation import tail_norms, truncation_rank
from tdecomp.tt import TensorTrain, norm, round
from tdecomp.tt._evaluate import _evaluate
from tdecomp.tt._maxvol import _maxvol
from tdecomp.tt._ranks import largest_ranks
from tdecomp.tt._sweep import _longer, _places

# Columns to begin with, more than the largest rank of a variable; combinations that join after
# each sweep; half of those that a train is compared at, and what passes, in tolerances.
_MORE, _JOINING, _COMPARED, _SLACK = 1, 2, 20, 10.0
# Coefficients of rows that stay, and of those that are chosen anew, exceed one by no more.
_STAYING, _CHOSEN = 2.0, 0.05
# Pivots of former rows count from that part of the largest on.
_INDEPENDENT = 0.05
# A train is expected to ask for so many times its entries.
_ASKED = 2.0
_SWEEPS = 12
# So many values are asked for one by one where most of them are known.
_WHOLE = 1 << 20


def pays(sizes: Sequence[int]) -> bool:
    """Tell whether a train is expected to ask for fewer values than there are combinations."""
    return expected(sizes) < math.prod(sizes)


def expected(sizes: Sequence[int]) -> int:
    """Return how many values are asked for, by a train or at all combinations."""
    most = max(sizes)
    bonds = (1, *(min(r, most + 1) for r in largest_ranks(sizes)), 1)
    entries = sum(r * n * s for r, n, s in zip(bonds[:-1], sizes, bonds[1:], strict=True))
    return min(math.ceil(_ASKED * entries), math.prod(sizes))


def crossed(table: Combinations, tol: float) -> TensorTrain | Values:
    """Return the train of all values, with errors near `tol`; if that does not pay, the values."""
    before = table.ask.evaluations
    ahead, known = _begun(table)
    extra = table.anywhere(_JOINING)
    whole = math.prod(table.shape)
    for sweep in range(_SWEEPS):
        found = _swept(table, _Sides(ahead, known, extra), tol, forward=sweep % 2 == 0)
        index = np.concatenate([table.anywhere(_COMPARED), table.extreme(_COMPARED)])
        missed = np.abs(_evaluate(found.cores, index, xp=table.xp) - table.at(index))
        # What was random is no choice to stay with.
        known, ahead = (ahead if sweep else []), found.parts
        if sweep % 2 == 0:
            table.left = found.parts
        else:
            table.right = found.parts
        if float(np.max(missed)) <= _SLACK * tol:
            break
        if table.ask.evaluations - before > whole / 2 and whole <= _WHOLE:
            return table.at(np.argwhere(np.ones(table.shape, bool))).reshape(table.shape)
        worst = np.argsort(-missed, kind="stable")[:_JOINING]
        extra = np.concatenate([extra[-_JOINING:], index[worst]])
    return _rounded(TensorTrain(tuple(found.cores)), tol)


def _rounded(train: TensorTrain, tol: float) -> TensorTrain:
    """Return a train without what joined it on the way, as far as rounding lets that be told."""
    rtol = tol / (float(norm(train)) or 1.0)
    try:
        return round(train, rtol=rtol)
    except ToleranceError as error:
        return round(train, rtol=2 * error.reachable)


class _Sides(NamedTuple):
    """Parts ahead of a sweep, those chosen by the one before, and combinations that join."""

    ahead: list[Indices]
    known: list[Indices]
    extra: Indices


class _Swept(NamedTuple):
    """A train, and the parts on which it stands."""

    cores: list[Values]
    parts: list[Indices]


def _begun(table: Combinations) -> tuple[list[Indices], list[Indices]]:
    """Return columns for the first sweep, of a train before and random ones; and its rows."""
    d = len(table.shape)
    points = table.anywhere(_JOINING if table.right else max(table.shape) + _MORE)
    ahead = [np.unique(points[:, k:], axis=0) for k in range(d + 1)]
    if table.right:
        pairs = zip(table.right, ahead, strict=True)
        ahead = [np.unique(np.concatenate(pair), axis=0) for pair in pairs]
    ahead[d] = np.empty((1, 0), np.int64)
    return ahead, table.left


def _swept(table: Combinations, sides: _Sides, tol: float, *, forward: bool) -> _Swept:
    """Choose parts on one side of every bond, bond after bond, and build the train."""
    d = len(table.shape)
    done, cores = [np.empty((1, 0), np.int64)], []
    for k in range(d) if forward else reversed(range(d)):
        if forward:
            block = table.block(k, done[-1], sides.ahead[k + 1])
        else:
            block = table.block(k, sides.ahead[k], done[-1]).transpose(2, 1, 0)
        if len(done) == d:
            cores.append(block)
            break
        height, n, width = block.shape
        parts = _longer(done[-1], n, forward=forward)
        bond = k + 1 if forward else k
        wanted = sides.extra[:, :bond] if forward else sides.extra[:, bond:]
        former = _places(parts, sides.known[bond]) if sides.known else []
        q = _leading(block.reshape(height * n, width), tol / max(table.shape), table)
        rows, c = _rows(q, former, _places(parts, wanted), table)
        done.append(parts[rows])
        cores.append(c.reshape(height, n, rows.size))
    if forward:
        return _Swept(cores, done)
    none = np.empty((0, d), np.int64)
    return _Swept([core.transpose(2, 1, 0) for core in reversed(cores)], [none, *done[::-1]])


def _leading(a: Values, tol: float, table: Combinations) -> Values:
    """Return the left singular vectors that count: without the others, entries miss `tol`."""
    u, s, _ = robust_svd(a, table.xp)
    total = float(tail_norms(s)[0])
    found: Values = u[:, : truncation_rank(s, atol=max(tol, 4 * table.unit * total))]
    return found


def _rows(
    q: Values, former: Sequence[int], extra: Sequence[int], table: Combinations
) -> tuple[npt.NDArray[np.intp], Values]:
    """Return rows that span the others, `former` ones if they are stable, and coefficients."""
    rows = row_pivots(q, _independent(q, former))
    c = cardinal(q, rows)
    if not former or float(np.max(np.abs(c))) > _STAYING:
        chosen, c = _maxvol(q, _CHOSEN, xp=table.xp)
        rows = np.asarray(chosen)
    more = np.setdiff1d(np.asarray(extra, np.intp), rows)
    if more.size:
        rows = np.concatenate([rows, more])
        c = q @ np.linalg.pinv(q[rows])
    return rows, c


def _independent(q: Values, rows: Sequence[int]) -> npt.NDArray[np.intp]:
    """Return those of some rows that are independent, at most as many as there are columns."""
    known = np.asarray(rows, np.intp)
    if not known.size:
        return known
    columns = np.conj(q[known].T)
    largest = float(np.max(np.linalg.norm(columns, axis=0)))
    found: npt.NDArray[np.intp] = known[column_pivots(columns, _INDEPENDENT * largest)]
    return found
