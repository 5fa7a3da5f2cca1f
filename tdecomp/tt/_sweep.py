"""Half a sweep of cross interpolation: new indices on one side of every bond, and a train."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, device, equilibrate
from tdecomp.linalg._robust import robust_svd
from tdecomp.linalg._truncation import tail_norms, truncation_rank
from tdecomp.tt._maxvol import _maxvol

# Coefficients of rows that were not chosen exceed one by no more than this.
_SLACK = 0.05


class Blocks(Protocol):
    """What a sweep asks: values between all pairs of parts, (left, mode, right)."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the modes."""

    @property
    def xp(self) -> Namespace:
        """The namespace of the values."""

    def block(self, mode: int, left: np.ndarray, right: np.ndarray) -> Array:
        """Return the values between all pairs of a left and a right part."""


class Cross(NamedTuple):
    """A train that interpolates a function, and the indices that it was made from.

    `left[k]` (p, k) holds parts of indices before mode `k`, `right[k]` (q, d - k) parts from mode
    `k` on. `ranks` are the numerical ranks found at the ``d - 1`` bonds; `saturated` tells of each
    whether more rows and columns were offered than that.
    """

    left: list[np.ndarray]
    right: list[np.ndarray]
    cores: tuple[Array, ...]
    ranks: tuple[int, ...]
    saturated: tuple[bool, ...]


def started(points: np.ndarray) -> Cross:
    """Return the parts of given points, without a train."""
    d = points.shape[1]
    left = [np.unique(points[:, :k], axis=0) for k in range(d)]
    right = [np.unique(points[:, k:], axis=0) for k in range(d + 1)]
    left[0] = np.empty((1, 0), dtype=np.int64)
    right[d] = np.empty((1, 0), dtype=np.int64)
    return Cross(left, right, (), (), (False,) * (d - 1))


def half_sweep(
    sampler: Blocks,
    cross: Cross,
    points: np.ndarray,
    *,
    forward: bool,
    tau: float,
    limits: Sequence[int] | None,
) -> Cross:
    """Choose new parts on one side of every bond, bond after bond, and build the train.

    The parts of `points` join those that the pivoting chooses, so that the next half sweep looks
    there as well.
    """
    d = len(sampler.shape)
    done = [np.empty((1, 0), dtype=np.int64)]
    cores, ranks, saturated = [], [], []
    for k in range(d) if forward else reversed(range(d)):
        block = _fibres(sampler, cross, k, done[-1], forward=forward)
        if len(done) == d:
            cores.append(block)
            break
        height, n, width = block.shape
        parts = _longer(done[-1], n, forward=forward)
        wanted = points[:, : k + 1] if forward else points[:, k:]
        matrix = sampler.xp.reshape(block, (height * n, width))
        most = None if limits is None else limits[k if forward else k - 1]
        found = _interpolated(matrix, _places(parts, wanted), tau, most, sampler.xp)
        done.append(parts[list(found.rows)])
        cores.append(sampler.xp.reshape(found.coefficients, (height, n, len(found.rows))))
        ranks.append(found.rank)
        saturated.append(found.rank < min(matrix.shape))
    if forward:
        left, right = done, cross.right
    else:
        cores = [sampler.xp.permute_dims(core, (2, 1, 0)) for core in reversed(cores)]
        ranks, saturated = ranks[::-1], saturated[::-1]
        left, right = cross.left, [*cross.right[:1], *done[::-1]]
    return Cross(left, right, tuple(cores), tuple(ranks), tuple(saturated))


def _fibres(sampler: Blocks, cross: Cross, mode: int, done: np.ndarray, *, forward: bool) -> Array:
    """Return the fibres between what is done and what is to come: (done, mode, to come)."""
    if forward:
        return sampler.block(mode, done, cross.right[mode + 1])
    block = sampler.block(mode, cross.left[mode], done)
    return sampler.xp.permute_dims(block, (2, 1, 0))


def _longer(done: np.ndarray, n: int, *, forward: bool) -> np.ndarray:
    """Return the rows of a block as whole parts: what is done, one mode longer."""
    outer = np.repeat(done, n, axis=0)
    inner = np.tile(np.arange(n), done.shape[0])[:, None]
    return np.concatenate([outer, inner] if forward else [inner, outer], axis=1)


def _places(parts: np.ndarray, wanted: np.ndarray) -> list[int]:
    """Return where those rows of `wanted` are that `parts` holds."""
    known = {bytes(part): place for place, part in enumerate(parts)}
    found = (known.get(bytes(part)) for part in np.ascontiguousarray(wanted))
    return list(dict.fromkeys(place for place in found if place is not None))


class Interpolated(NamedTuple):
    """Chosen rows of a matrix, the coefficients of all rows in them, and its numerical rank."""

    rows: tuple[int, ...]
    coefficients: Array
    rank: int


def _interpolated(
    a: Array, extra: Sequence[int], tau: float, rank: int | None, xp: Namespace
) -> Interpolated:
    """Express the rows of `a` in a few of them: those that maxvol chooses, and `extra` ones.

    With more rows than rank, coefficients are those of least norm, which damp errors.
    """
    unit, _ = equilibrate(a, xp, axis=(0, 1))
    u, s, _ = robust_svd(unit, xp)
    r = truncation_rank(s, rank=rank, atol=tau * float(tail_norms(s)[0]))
    rows, c = _maxvol(u[:, :r], _SLACK, xp=xp)
    more = [row for row in extra if row not in set(rows)]
    if more:
        rows = (*rows, *more)
        chosen = xp.take(c, xp.asarray(rows, device=device(c)), axis=0)
        q, triangle = xp.linalg.qr(chosen)
        turned = xp.linalg.solve(xp.matrix_transpose(triangle), xp.matrix_transpose(c))
        c = xp.matrix_transpose(turned) @ adjoint(q, xp)
    return Interpolated(rows, c, r)
