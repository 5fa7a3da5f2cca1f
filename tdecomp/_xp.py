"""What every public function does first: namespace, dtype, device, finite check, scale."""

from __future__ import annotations

import math
from typing import Any

import array_api_compat
import numpy as np

from tdecomp._errors import nonfinite
from tdecomp._program import one_program
from tdecomp._typing import Array, Device, DType, Namespace

_SUPPORTED = "float32, float64, complex64 or complex128"
_NARROW_BITS = 16
_RUN = 4096


def namespace(*arrays: Array) -> Namespace:
    """Return the one library that all `arrays` come from; lists count as NumPy."""
    known = [a for a in arrays if a is not None and array_api_compat.is_array_api_obj(a)]
    if not known:
        return array_api_compat.array_namespace(np.empty(0))
    try:
        return array_api_compat.array_namespace(*known)
    except TypeError:
        kinds = ", ".join(sorted({f"{type(a).__module__}.{type(a).__name__}" for a in known}))
        raise TypeError(
            f"all arrays must come from one library, got {kinds}; convert them first"
        ) from None


def device(x: Array) -> Device:
    """Return the device that `x` lives on."""
    return array_api_compat.device(x)


def is_numpy(*arrays: Array) -> bool:
    """Tell whether every one of `arrays` is a plain ``numpy.ndarray``."""
    return all(type(a) is np.ndarray for a in arrays)


def eps(dtype: DType, xp: Namespace) -> float:
    """Return the spacing of `dtype` at 1."""
    return float(xp.finfo(dtype).eps)


def real_dtype(dtype: DType, xp: Namespace) -> DType:
    """Return the real dtype of the precision of `dtype`."""
    if not xp.isdtype(dtype, "complex floating"):
        return dtype
    return xp.float32 if dtype == xp.complex64 else xp.float64


def integers(xp: Namespace) -> DType:
    """Return the default dtype of integers, which in JAX has 64 bits on request only."""
    return xp.asarray(0).dtype


def floats(x: Array) -> list[float]:
    """Return the entries of a real vector as Python floats."""
    entries = x.tolist() if hasattr(x, "tolist") else (x[i] for i in range(x.shape[0]))
    return [float(entry) for entry in entries]


def adjoint(x: Array, xp: Namespace) -> Array:
    """Return the conjugate transpose of the last two axes."""
    if not xp.isdtype(x.dtype, "complex floating"):
        return xp.matrix_transpose(x)
    return _complex_adjoint(x, xp)


@one_program
def _complex_adjoint(x: Array, xp: Namespace) -> Array:
    return xp.conj(xp.matrix_transpose(x))


def conj(x: Array, xp: Namespace) -> Array:
    """Return the conjugate of what has one."""
    return xp.conj(x) if xp.isdtype(x.dtype, "complex floating") else x


def concrete(flag: Array) -> bool | None:
    """Return the truth of `flag`, or None where a transformation is still tracing it."""
    try:
        return bool(flag)
    except (TypeError, RuntimeError):
        return None


def traced(x: Any) -> bool:
    """Tell whether `x` is an array whose values a transformation is still tracing."""
    if not array_api_compat.is_array_api_obj(x) or array_api_compat.is_numpy_array(x):
        return False
    if array_api_compat.is_jax_array(x) and not _tracer(x):
        return False
    return x.ndim > 0 and 0 not in x.shape and concrete(x[(0,) * x.ndim]) is None


def differentiated(x: Array) -> bool:
    """Tell whether gradients are to flow through `x`, or a transformation is tracing it."""
    if is_numpy(x) or not array_api_compat.is_array_api_obj(x):
        return False
    return _tracer(x) or bool(getattr(x, "requires_grad", False)) or traced(x)


def _tracer(x: Array) -> bool:
    return any("Tracer" in kind.__name__ for kind in type(x).__mro__)


def as_array(x: Any, xp: Namespace, like: Array | None, name: str) -> Array:
    """Return an array as it is, and make one of lists and numbers; refuse what is neither."""
    if array_api_compat.is_array_api_obj(x) and type(x) not in (np.matrix, np.ma.MaskedArray):
        return x
    plain = (list, tuple, bool, int, float, complex, np.generic)
    if isinstance(x, plain) and not hasattr(x, "_fields"):
        where = {} if like is None else {"device": device(like)}
        try:
            return xp.asarray(np.asarray(x), **where) if where else xp.asarray(x)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{name} is not a rectangular array of numbers: {error}") from None
    ways = {
        "MaskedArray": "pass x.filled(nan) with weights=~x.mask to a method that takes weights=",
        "matrix": "pass numpy.asarray(x)",
        "DataFrame": "pass x.to_numpy()",
    }
    kind = type(x).__name__
    plain_way = "pass x.to_array()" if hasattr(x, "to_array") else "convert it to an array first"
    way = ways.get(kind, plain_way)
    if "scipy.sparse" in type(x).__module__:
        way = "randomized_svd takes it as it is; elsewhere pass x.toarray()"
    raise TypeError(f"{name} must be an array, got {type(x).__module__}.{kind}; {way}")


def as_floating(x: Array, xp: Namespace, *, name: str = "a") -> Array:
    """Promote to a supported dtype: narrow floats to float32, integers to the default float."""
    dtype = x.dtype
    if str(dtype).endswith("bfloat16"):
        return xp.astype(x, xp.float32)
    if isinstance(dtype, np.dtype) and not dtype.isnative:
        x = x.astype(dtype.newbyteorder("="))
        dtype = x.dtype
    if isinstance(dtype, np.dtype) and dtype.kind not in "biufc":
        raise TypeError(f"{name} has dtype {dtype}; convert it to {_SUPPORTED}")
    if xp.isdtype(dtype, ("bool", "integral")):
        return xp.astype(x, xp.asarray(0.0).dtype)
    if dtype in (xp.float32, xp.float64, xp.complex64, xp.complex128):
        return x
    if xp.isdtype(dtype, "real floating") and xp.finfo(dtype).bits == _NARROW_BITS:
        return xp.astype(x, xp.float32)
    raise TypeError(
        f"{name} has dtype {dtype}, which is not supported; convert it to {_SUPPORTED}"
    )


def finite(x: Array, xp: Namespace, *, name: str = "a") -> Array:
    """Return `x` if all its entries are finite; while tracing, all-NaN in place of a bad `x`.

    One infinite entry can make LAPACK loop forever, so nothing may reach it unchecked. A traced
    program cannot raise; a matrix full of NaN is what the factorisation then returns.
    """
    if is_numpy(x) and x.flags.forc and math.isfinite(squared_norm(x, xp)):
        return x  # no sum of squares is finite that an infinite entry, or a NaN, went into
    good = all_finite(x, xp)
    verdict = concrete(good)
    if verdict is False:
        bad = xp.astype(xp.reshape(~xp.isfinite(x), (-1,)), xp.int32)
        raise nonfinite(tuple(x.shape), int(xp.argmax(bad)), int(xp.sum(bad)), name=name)
    return x if verdict else xp.where(good, x, xp.nan)


@one_program
def all_finite(x: Array, xp: Namespace) -> Array:
    """Tell whether all entries are finite."""
    return xp.all(xp.isfinite(x))


def prepare(
    x: Any,
    /,
    *,
    ndim: int,
    batch: bool = False,
    like: Array | None = None,
    check_finite: bool = True,
    may_be_empty: bool = False,
    name: str = "a",
) -> tuple[Namespace, Array]:
    """Return the namespace of `x` and `x` as a finite, nonempty, floating array of `ndim` axes.

    With `batch`, leading axes are allowed too. An array-like (list, tuple, number) becomes an
    array of the library and device of `like`, of NumPy without it.
    """
    xp = namespace(x, like)
    x = as_floating(as_array(x, xp, like, name), xp, name=name)
    if x.ndim < ndim or (x.ndim > ndim and not batch):
        wanted = f"at least {ndim}" if batch else f"{ndim}"
        raise ValueError(f"{name} must have {wanted} dimensions, got shape {tuple(x.shape)}")
    if 0 in x.shape and not may_be_empty:
        raise ValueError(f"{name} is empty: shape {tuple(x.shape)}")
    return xp, finite(x, xp, name=name) if check_finite else x


def structured(x: Any, *, name: str = "x") -> tuple[Namespace, Array]:
    """Return the namespace of `x` and `x` as an array of any dtype: for what only moves data."""
    xp = namespace(x)
    return xp, as_array(x, xp, None, name)


def squared_norm(x: Array, xp: Namespace) -> float:
    """Return the sum of the squared magnitudes of all entries, infinite where it overflows.

    Runs of a few thousand entries are added by dot products, the runs in double precision: single
    precision keeps its digits, and no pool of BLAS threads wakes up, which would go on spinning
    for longer than a sweep takes.
    """
    flat = x.ravel(order="K") if is_numpy(x) else x
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        return sum((sum(floats(runs)) for runs in _squared_runs(flat, xp)), 0.0)


@one_program
def _squared_runs(x: Array, xp: Namespace) -> list[Array]:
    """Return the squared norms of long runs of entries, and of the rest."""
    flat = xp.reshape(x, (-1,))
    cut = flat.shape[0] // _RUN * _RUN
    parts = (xp.reshape(flat[:cut], (-1, _RUN)), flat[None, cut:])
    squares = [xp.vecdot(part, part) for part in parts if 0 not in part.shape]
    return [xp.real(s) for s in squares] if xp.isdtype(x.dtype, "complex floating") else squares


def _largest(x: Array, xp: Namespace, axis: int | tuple[int, ...]) -> Array:
    """Return the largest magnitude along `axis`, of real entries without a copy."""
    if xp.isdtype(x.dtype, "complex floating"):
        return xp.max(xp.abs(x), axis=axis, keepdims=True)
    high, low = (take(x, axis=axis, keepdims=True) for take in (xp.max, xp.min))
    return xp.maximum(high, -low)


def equilibrate(
    x: Array, xp: Namespace, *, axis: int | tuple[int, ...], always: bool = False
) -> tuple[Array, Array]:
    """Return ``x / scale`` and the power of two `scale`, kept along `axis`, near ``max(abs(x))``.

    Afterwards squares of entries neither overflow nor vanish, at any scale of the data. Unless
    `always`, a concrete `x` that is safe already comes back as it is, without a copy.
    """
    if not always and _surely_safe(x, axis):
        return x, np.ones((1,) * x.ndim, x.dtype)
    scale, safe = _power_of_two(x, xp, axis=axis)
    if not always and concrete(safe):
        return x, xp.ones_like(scale)
    return x / scale, scale


def _surely_safe(x: Array, axis: int | tuple[int, ...]) -> bool:
    """Tell of one real array of NumPy, in few steps, whether squares are safe."""
    whole = is_numpy(x) and x.dtype.kind == "f" and isinstance(axis, tuple) and len(axis) == x.ndim
    if not whole:
        return False
    top = max(float(x.max()), -float(x.min()))
    exponent = math.frexp(top)[1] - 1 if top else 0
    return math.isfinite(top) and abs(exponent) < _safe_exponent(float(np.finfo(x.dtype).max))


def _safe_exponent(largest: float) -> float:
    """Return the exponent of a power of two whose fourth power is far from the `largest`."""
    return math.log2(largest) / 8


@one_program
def _power_of_two(x: Array, xp: Namespace, *, axis: int | tuple[int, ...]) -> tuple[Array, Array]:
    """Return the scale along `axis`, and whether squares are safe without."""
    top = _largest(x, xp, axis)
    exponent = xp.floor(xp.log2(xp.where(top > 0, top, xp.ones_like(top))))
    limit = _safe_exponent(float(xp.finfo(x.dtype).max))
    # Two below the exponent range, so that neither the scale nor its inverse leaves it.
    bound = 8 * limit - 2
    scale = xp.pow(xp.full_like(top, 2.0), xp.clip(exponent, -bound, bound))
    return scale, xp.all(xp.abs(exponent) < limit)


def quotient(part: Array, whole: Array, xp: Namespace, *, of_nothing: float = 0.0) -> Array:
    """Return ``part / whole`` where the whole is positive, a number of your own elsewhere."""
    found = whole > 0
    ratio = part / xp.where(found, whole, xp.ones_like(whole))
    return xp.where(found, ratio, xp.full_like(ratio, of_nothing))


def times_power(x: Array, exponent: Array | float, xp: Namespace) -> Array:
    """Return ``x * 2 ** exponent`` in two steps, so that no factor leaves the range alone."""
    if isinstance(exponent, int | float):
        # The default of a library may be single precision, which has fewer powers.
        exponent = xp.asarray(exponent, dtype=real_dtype(x.dtype, xp), device=device(x))
    half = xp.floor(exponent / 2)
    with np.errstate(over="ignore", under="ignore"):
        for part in (half, exponent - half):
            x = x * xp.astype(xp.pow(xp.ones_like(part) * 2.0, part), x.dtype)
    return x
