"""How far a format is from a sparse tensor, without filling in the zeros."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import array_api_compat

from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, device, eps, equilibrate, namespace
from tdecomp.ops._coo import COO
from tdecomp.ops._factor_products import _khatri_rao
from tdecomp.ops._mode_products import _mode_product
from tdecomp.ops._region import parts, restrict

_BLOCK_ENTRIES = 1 << 20
# A difference of squares is trusted where cancellation leaves it six digits.
_DIGITS = 1e6
# Of all entries of a tensor, so many can be looked at in some seconds.
_AFFORDABLE = 1 << 32
# Units of rounding in a squared norm of a model, at most.
_ROUNDING = 64.0


class Model(NamedTuple):
    """What a format tells of itself at coordinates (d, m), in total, and in a region.

    `square` is its squared norm, and `unit` that of rounding in it: eps times what the squared
    norm would be if nothing cancelled. `width` numbers are held for each coordinate.
    """

    entries: Callable[[Array], Array]
    square: float
    unit: float
    width: int
    region: Callable[[slice], Array]


def distance(x: COO, model: Model, *, xp: Namespace) -> float:
    r"""Return the distance of a model from a canonical tensor at a moderate scale.

    .. math:: \|X - M\|^2 = \sum_{p} |v_p - m_p|^2 + \Bigl(\|M\|^2 - \sum_p |m_p|^2\Bigr)

    The first sum forms the difference. The bracket, what the model has where nothing is stored,
    is one of squares: where it loses too much, all entries are formed; and where they are too
    many, what rounding may hide is added, so that the result is an upper bound.
    """
    inside = energy = 0.0
    step = max(1, _BLOCK_ENTRIES // model.width)
    for start in range(0, x.nnz, step):
        chosen = slice(start, min(start + step, x.nnz))
        shown = model.entries(x.indices[:, chosen])
        inside += _square(_minus(x.values[chosen], shown, xp), xp)
        energy += _square(shown, xp)
    if model.unit == 0.0:
        return math.sqrt(inside)
    outside = max(0.0, model.square - energy)
    if inside + outside > _DIGITS * model.unit:
        return math.sqrt(inside + outside)
    if math.prod(x.shape) <= _AFFORDABLE:
        return math.sqrt(_formed(x, model, xp))
    return math.sqrt(inside + outside + _ROUNDING * model.unit)


def _square(x: Array, xp: Namespace) -> float:
    """Sum squared magnitudes."""
    flat = xp.reshape(x, (-1,))
    return complex(xp.vecdot(flat, flat)).real


def _formed(x: COO, model: Model, xp: Namespace) -> float:
    """Form the difference slab by slab of the first mode, and sum its squares."""
    total, length = 0.0, x.shape[0]
    height = max(1, _BLOCK_ENTRIES * length // math.prod(x.shape))
    for start in range(0, length, height):
        stop = min(start + height, length)
        edges = xp.asarray([start, stop], dtype=x.indices.dtype, device=device(x.indices))
        first, last = (int(edge) for edge in xp.searchsorted(x.indices[0, ...], edges))
        part = COO(x.indices[:, first:last], x.values[first:last], x.shape)
        shown = model.region(slice(start, stop))
        total += _square(_minus(part.to_array(slice(start, stop)), shown, xp), xp)
    return total


def _minus(a: Array, b: Array, xp: Namespace) -> Array:
    """Subtract arrays of any two floating dtypes."""
    dtype = xp.result_type(a.dtype, b.dtype)
    return xp.astype(a, dtype, copy=False) - xp.astype(b, dtype, copy=False)


def _wide(array: Array, xp: Namespace) -> Array:
    """Bring factors to double precision, where there is one: squares of data need the digits."""
    if array_api_compat.is_jax_array(array) and xp.asarray(0.0).dtype != xp.float64:
        return array
    real = xp.isdtype(array.dtype, "real floating")
    return xp.astype(array, xp.float64 if real else xp.complex128, copy=False)


def cp_model(factors: Sequence[Array], *, xp: Namespace) -> Model:
    """Describe a sum of outer products of columns."""
    pairs = [equilibrate(_wide(factor, xp), xp, axis=0) for factor in factors]
    first, *rest = (factor for factor, _ in pairs)
    for _, scale in pairs:
        first = first * scale
    factors = [first, *rest]
    joint, sizes = None, None
    for factor in factors:
        gram = adjoint(factor, xp) @ factor
        joint = gram if joint is None else joint * gram
        norms = xp.linalg.vector_norm(factor, axis=0)
        sizes = norms if sizes is None else sizes * norms

    def entries(indices: Array) -> Array:
        product = xp.take(factors[0], indices[0, ...], axis=0)
        for k, factor in enumerate(factors[1:], start=1):
            product = product * xp.take(factor, indices[k, ...], axis=0)
        return xp.sum(product, axis=1)

    def region(rows: slice) -> Array:
        chosen = [factors[0][rows, :], *factors[1:]]
        split = (len(chosen) + 1) // 2
        left, shape = _khatri_rao(chosen[:split], xp=xp), [a.shape[0] for a in chosen]
        if split == len(chosen):
            return xp.sum(left, axis=1)
        right = xp.matrix_transpose(_khatri_rao(chosen[split:], xp=xp))
        return xp.reshape(left @ right, tuple(shape))

    square = complex(xp.sum(joint)).real
    unit = eps(first.dtype, xp) * float(xp.sum(sizes)) ** 2
    return Model(entries, square, unit, first.shape[1], region)


def tucker_model(core: Array, factors: Sequence[Array | None], *, xp: Namespace) -> Model:
    """Describe a core multiplied along its modes; a factor of None is the identity."""
    core = _wide(core, xp)
    known = [None if factor is None else _wide(factor, xp) for factor in factors]
    small = core
    for mode, factor in enumerate(known):
        if factor is not None:
            small = _mode_product(small, xp.linalg.qr(factor)[1], mode, xp=xp)
    square = _square(small, xp)

    def entries(indices: Array) -> Array:
        product = xp.reshape(core, (1, *core.shape))
        for mode, factor in enumerate(known):
            row, rest = indices[mode, ...], math.prod(core.shape[mode + 1 :])
            product = xp.reshape(product, (product.shape[0], core.shape[mode], rest))
            if factor is None:
                product = _picked(product, row, xp)
            elif mode == 0:
                product = xp.take(factor, row, axis=0) @ product[0, :, :]
            else:
                product = xp.sum(xp.take(factor, row, axis=0)[:, :, None] * product, axis=1)
        return product[:, 0]

    def region(chosen: slice) -> Array:
        out = core
        for mode, (factor, part) in enumerate(zip(known, parts(chosen, core.ndim), strict=True)):
            if factor is None:
                out = restrict(out, part, mode - core.ndim, xp, mode=mode)
            else:
                out = _mode_product(out, restrict(factor, part, -2, xp, mode=mode), mode, xp=xp)
        return out

    width = math.prod(core.shape[1:])
    return Model(entries, square, eps(core.dtype, xp) * square, width, region)


def _picked(product: Array, row: Array, xp: Namespace) -> Array:
    """Take index ``row[p]`` from the second axis at index `p` of the first, or at its only one."""
    n = product.shape[1]
    if product.shape[0] > 1:
        row = row + n * xp.arange(row.shape[0], dtype=row.dtype, device=device(row))
    return xp.take(xp.reshape(product, (-1, product.shape[2])), row, axis=0)


def train_model(
    cores: Sequence[Array], to_array: Callable[[slice], Array], xp: Namespace
) -> Model:
    """Describe a tensor train."""
    cores = [_wide(core, xp) for core in cores]
    carry = xp.ones((1, 1), dtype=cores[0].dtype, device=device(cores[0]))
    for core in cores:
        rows = xp.reshape(carry @ xp.reshape(core, (core.shape[0], -1)), (-1, core.shape[2]))
        carry = xp.linalg.qr(rows)[1]
    square = _square(carry, xp)

    def entries(indices: Array) -> Array:
        product = xp.take(cores[0][0, :, :], indices[0, ...], axis=0)
        for k, core in enumerate(cores[1:], start=1):
            slices = xp.take(xp.permute_dims(core, (1, 0, 2)), indices[k, ...], axis=0)
            product = xp.sum(product[:, :, None] * slices, axis=1)
        return product[:, 0]

    unit = eps(carry.dtype, xp) * square
    width = max(core.shape[0] * core.shape[2] for core in cores)
    return Model(entries, square, unit, width, lambda rows: _wide(to_array(rows), xp))


def model_of(fmt: Any, scale: float, *, xp: Namespace) -> Model | None:
    """Describe a format, divided by `scale`, that is known by its fields; None if it is not."""
    fields = getattr(fmt, "_fields", ())
    if fields == ("weights", "factors"):
        first, *rest = fmt.factors
        return cp_model([first * (fmt.weights / scale)[None, :], *rest], xp=xp)
    if fields == ("U", "S", "Vh"):
        right = xp.matrix_transpose(fmt.Vh)
        return cp_model([fmt.U * (fmt.S / scale)[None, :], right], xp=xp)
    if fields == ("left", "right"):
        return cp_model([fmt.left / scale, xp.matrix_transpose(fmt.right)], xp=xp)
    if fields == ("core", "factors"):
        return tucker_model(fmt.core / scale, fmt.factors, xp=xp)
    if fields == ("cores",) and fmt.cores[0].shape[0] == 1:
        cores = [fmt.cores[0] / scale, *fmt.cores[1:]]
        return train_model(cores, lambda rows: fmt.to_array(rows) / scale, xp)
    return None


def format_distance(x: COO, fmt: Any) -> tuple[float, float, float]:
    """Return the distance of a format from a canonical tensor, the norm of that, their scale."""
    xp = namespace(x.values, *_arrays(fmt))
    if tuple(fmt.shape) != x.shape:
        raise ValueError(
            f"x and its format must have one shape, got {x.shape} and {tuple(fmt.shape)}"
        )
    scale = 1.0
    if x.nnz:
        values, unit = equilibrate(x.values, xp, axis=0)
        x, scale = x._replace(values=values), float(unit[0])
    norm = math.sqrt(_square(_wide(x.values, xp), xp))
    model = model_of(fmt, scale, xp=xp)
    if model is not None:
        return distance(x, model, xp=xp), norm, scale
    formed = Model(
        lambda _: x.values[:0], 0.0, 0.0, 1, lambda rows: _wide(fmt.to_array(rows), xp) / scale
    )
    return math.sqrt(_formed(x, formed, xp)), norm, scale


def _arrays(fmt: Any) -> list[Array]:
    """Return the arrays that a format consists of."""
    if hasattr(fmt, "shape") and not isinstance(fmt, tuple):
        return [fmt]
    return [array for part in fmt if part is not None for array in _arrays(part)]
