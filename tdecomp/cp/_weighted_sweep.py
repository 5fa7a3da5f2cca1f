"""Sweeps over the factors of a weighted problem, in which what is not observed may fade."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tdecomp._random import like
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, floats
from tdecomp.cp._hals import alive
from tdecomp.cp._least_squares import gram, joint_gram
from tdecomp.cp._unseen import mass
from tdecomp.cp._weighted_data import Observations
from tdecomp.cp._weighted_solve import split

# How often each entry of a nonnegative factor is minimised in a sweep.
_PASSES = 8
# Of 96 tensors of rank 2 to 4, of which 7 to 20 % were seen, one random start recovered 39 % by
# plain sweeps, 52 % by imputation (TensorLy), and 78 % after 40 sweeps of fading from the deep
# shadow; of 128, 74 % from the deep and 67 % from the light one. 30 or 80 sweeps change that by
# 3 %. 16 starts recovered all 96.
_FADING = 40
# Weights of what is not observed: the deep shadow in units of the mean weight of what is, the
# light one and the last in units of the mean over all entries.
_DEEP, _LIGHT, _LAST = 10.0, 1.0, 0.1
# Where more than this is observed, random starts have been seen to need no help.
_HALF = 0.5


class Plan(NamedTuple):
    """What every sweep needs to know; factors are held in units, one for each mode."""

    problem: Observations
    free: tuple[int, ...]
    nonnegative: frozenset[int]
    ridge: float
    units: tuple[float, ...]
    rounding: float
    xp: Namespace


def sweep(plan: Plan, flat: Array, shadow: float = 0.0) -> Array:
    r"""Solve for one factor after the other, each with the newest of the others.

    A `shadow` :math:`\mu` adds :math:`\mu \|M\|^2`, over all entries of the model, to what is
    minimised.
    """
    xp = plan.xp
    parts = split(flat, plan.problem.shape)
    identity = xp.eye(flat.shape[1], dtype=flat.dtype, device=device(flat))
    grams = [gram(part, xp) for part in parts] if shadow else []
    for mode in plan.free:
        joined, penalty = xp.concat(parts), plan.ridge * identity
        if shadow:
            penalty = penalty + shadow * xp.matrix_transpose(joint_gram(grams, mode))
        if mode in plan.nonnegative:
            found = plan.problem.solve_nonnegative(joined, mode, penalty, _PASSES)
            parts[mode] = alive(found, xp)
        else:
            parts[mode] = plan.problem.solve(joined, mode, penalty)
        if shadow:
            grams[mode] = gram(parts[mode], xp)
    return xp.concat(parts)


def balance(plan: Plan, flat: Array) -> Array | None:
    """Return what spreads the lengths of columns evenly over the free modes: powers of two.

    None where they are even enough. Sweeps commute with that, and nothing is rounded.
    """
    if len(plan.free) < 2:
        return None
    xp, parts = plan.xp, split(flat, plan.problem.shape)
    lengths = np.asarray(
        [floats(xp.linalg.vector_norm(parts[mode], axis=0)) for mode in plan.free]
    )
    usable = np.all((lengths > 0) & np.isfinite(lengths), axis=0)
    exponents = np.log2(np.where(usable, lengths, 1.0))
    shifts = np.rint(np.mean(exponents, axis=0) - exponents)
    shifts[-1] = -np.sum(shifts[:-1], axis=0)
    if not shifts.any():
        return None
    table = np.zeros((len(parts), flat.shape[1]))
    table[list(plan.free)] = shifts
    return like(np.repeat(2.0**table, plan.problem.shape, axis=0), flat, xp)


def fading(plan: Plan, flat: Array, most: int) -> tuple[list[float], list[float]]:
    """Return shadows for sweeps from starts by chance, at most so many: deep ones, and light ones.

    From a deep shadow nearly all starts follow one path; from a light one each has its own.
    """
    entries = math.prod(plan.problem.shape)
    share = mass(plan.problem.unweighted(), flat, plan.xp) / entries
    if share > _HALF:
        return [], []
    mean = mass(plan.problem, flat, plan.xp) / entries
    deep, light = (
        np.geomspace(first, _LAST * mean, min(_FADING, most)).tolist()
        for first in (_DEEP * mean / share, _LIGHT * mean)
    )
    return deep, light


def faded(plan: Plan, flat: Array, shadows: Sequence[float]) -> Array:
    r"""Sweep while zeros fade that stand for what is not observed.

    The objective with :math:`\mu \|M\|^2` added has, for large :math:`\mu`, the minima of the
    misfit to the data with zeros for what is missing, but for the size: every entry of the model
    is held, and a row with few observations cannot grow to fit them. They are followed as
    :math:`\mu` falls, a sweep for each value, to where observations outweigh it tenfold.
    """
    for shadow in shadows:
        scale = balance(plan, flat)
        flat = sweep(plan, flat if scale is None else flat * scale, shadow)
    return flat
