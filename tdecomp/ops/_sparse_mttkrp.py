"""The matricised tensor times Khatri-Rao product of a tensor by its entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tdecomp._shim import index_add
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, namespace, prepare
from tdecomp.ops._coo import COO
from tdecomp.ops._operands import promoted

# Products held at a time.
_BLOCK_ENTRIES = 1 << 22
# Multiplications from which on the kernel saves more than a cold import of numba.
_KERNEL_WORK = 1 << 25


def check_factors(
    x: COO, factors: Sequence[Any], mode: int, *, check_finite: bool = True
) -> tuple[COO, list[Any]]:
    """Validate factors for a canonical tensor and a valid mode; bring all to one dtype."""
    factors = list(factors)
    if len(factors) != x.modes:
        raise ValueError(f"got {len(factors)} factors for {x.modes} modes; give one for each")
    given = [factor for k, factor in enumerate(factors) if k != mode]
    xp = namespace(x.values, *given)
    others = {
        k: prepare(a, ndim=2, like=x.values, check_finite=check_finite, name=f"factors[{k}]")[1]
        for k, a in enumerate(factors)
        if k != mode
    }
    if not others:
        raise ValueError("x has one mode: the product of no factors has no number of columns")
    width = next(iter(others.values())).shape[1]
    for k, factor in others.items():
        if tuple(factor.shape) != (x.shape[k], width):
            raise ValueError(
                f"factors[{k}] must have shape {(x.shape[k], width)} for x of shape {x.shape}, "
                f"got {tuple(factor.shape)}"
            )
    values, *aligned = promoted((x.values, *others.values()), xp)
    chosen: list[Any] = [None] * x.modes
    for k, factor in zip(others, aligned, strict=True):
        chosen[k] = factor
    return x._replace(values=values), chosen


def _sparse_mttkrp(x: COO, factors: Sequence[Array], mode: int, *, xp: Namespace) -> Array:
    """Multiply once: by entries, or sorted by the kernel where that is worth loading it."""
    width = next(a.shape[1] for k, a in enumerate(factors) if k != mode)
    if x.nnz * width * (x.modes - 1) >= _KERNEL_WORK:
        from tdecomp.ops._sparse_layout import arrangeable, arranged_mttkrp, arrangements

        if arrangeable(x):
            return arranged_mttkrp(arrangements(x, [mode])[mode], factors, mode, x.shape)
    return mttkrp_by_entries(x, factors, mode, xp=xp)


def mttkrp_by_entries(x: COO, factors: Sequence[Array], mode: int, *, xp: Namespace) -> Array:
    """Multiply gathered rows of the factors, and add them up by the rows of the mode."""
    others = {k: factor for k, factor in enumerate(factors) if k != mode}
    width = next(iter(others.values())).shape[1]
    out = xp.zeros((x.shape[mode], width), dtype=x.dtype, device=device(x.values))
    step = max(1, _BLOCK_ENTRIES // width)
    for start in range(0, x.nnz, step):
        chosen = slice(start, min(start + step, x.nnz))
        products = x.values[chosen, None]
        for k, factor in others.items():
            products = products * xp.take(factor, x.indices[k, chosen], axis=0)
        out = index_add(out, x.indices[mode, chosen], products, xp)
    return out
