"""What the array-API standard lacks: native where a library has it, plain where not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from importlib import import_module

import array_api_compat as compat
import numpy as np

from tdecomp._program import one_program
from tdecomp._quiet import multiplications, quiet_runs
from tdecomp._typing import Array, Namespace
from tdecomp._xp import all_finite, is_numpy

_BLOCK = 8


def constant(x: Array) -> Array:
    """Return the same array, to be held fixed by differentiation."""
    if compat.is_torch_array(x):
        return x.detach()
    return import_module("jax").lax.stop_gradient(x) if compat.is_jax_array(x) else x


def host(x: Array) -> np.ndarray:
    """Return an array of any library and device as one of NumPy."""
    if is_numpy(x):
        return np.asarray(x)
    if compat.is_torch_array(x):
        return np.asarray(x.detach().cpu().resolve_conj().resolve_neg().numpy())
    return np.array(np.from_dlpack(x, device="cpu"))


def plus_product(
    alpha: float, x: Array, beta: float, factors: tuple[Array, Array], xp: Namespace
) -> Array:
    """Return ``alpha * x + beta * y @ z``, in one pass over memory where a library has that."""
    y, z = factors
    if x.ndim == 2 and compat.is_torch_array(x):
        return xp.addmm(x, y, z, beta=alpha, alpha=beta)
    product = y @ z
    return alpha * x + (product if beta == 1.0 else beta * product)


def solve_triangular(t: Array, b: Array, xp: Namespace, *, lower: bool) -> Array:
    """Solve ``t @ x = b`` for a triangular `t`, without a factorisation of `t`.

    NumPy has none of its own; SciPy's comes with a second pool of BLAS threads, which spin
    against NumPy's and were measured to double the time of everything around the call.
    """
    if compat.is_torch_array(t):
        return import_module("torch").linalg.solve_triangular(t, b, upper=not lower)
    if compat.is_jax_array(t):
        return import_module("jax.scipy.linalg").solve_triangular(t, b, lower=lower)
    return _substitute(t, b, xp, lower=lower)


def _substitute(t: Array, b: Array, xp: Namespace, *, lower: bool) -> Array:
    """Substitute block by block, in matrix products with the inverses of small diagonal blocks.

    Rows of a block are scaled to one another first: a graded `t` costs no digits.
    """
    n = t.shape[-1]
    blocks = [slice(i, min(i + _BLOCK, n)) for i in range(0, n, _BLOCK)]
    blocks = blocks if lower else blocks[::-1]
    inverses = []
    for rows in blocks:
        corner = t[..., rows, rows]
        scale = xp.astype(xp.max(xp.abs(corner), axis=-1), t.dtype)
        inverses.append(xp.linalg.inv(corner / scale[..., :, None]) / scale[..., None, :])
    out = xp.empty_like(b)
    for columns in _runs_of_columns(t, b):
        for rows, inverse in zip(blocks, inverses, strict=True):
            known = slice(0, rows.start) if lower else slice(rows.stop, n)
            rest = -t[..., rows, known] @ out[..., known, columns]
            rest += b[..., rows, columns]
            out[..., rows, columns] = inverse @ rest
    return out


def _runs_of_columns(t: Array, b: Array) -> Iterable[slice]:
    """Cut the columns of a right-hand side so that substitution wakes nobody."""
    width = b.shape[-1]
    if not (is_numpy(t) and is_numpy(b)):
        return [slice(0, width)]
    return quiet_runs(width, multiplications(_BLOCK * t.shape[-1], t, b))


def cholesky(a: Array, xp: Namespace) -> Array | None:
    """Return the lower Cholesky factor, None where there is none."""
    try:
        lower = xp.linalg.cholesky(a)
    except Exception as error:  # each library has a class of its own
        if "positive" not in str(error):
            raise
        return None
    return lower if bool(all_finite(lower, xp)) else None


@one_program
def lstsq(a: Array, b: Array, xp: Namespace) -> Array:
    """Return the least-squares solution of ``a @ x = b`` of smallest norm, by the SVD.

    Singular values below ``eps * max(m, n)`` times the largest count as zero.
    """
    u, s, vh = xp.linalg.svd(a, full_matrices=False)
    cut = float(xp.finfo(s.dtype).eps) * max(a.shape[-2:]) * xp.max(s, axis=-1, keepdims=True)
    inverse = xp.where(s > cut, 1.0 / xp.where(s > cut, s, xp.ones_like(s)), xp.zeros_like(s))
    adjoint = xp.conj if xp.isdtype(a.dtype, "complex floating") else (lambda y: y)
    projected = adjoint(xp.matrix_transpose(u)) @ b
    return adjoint(xp.matrix_transpose(vh)) @ (
        xp.astype(inverse, a.dtype)[..., :, None] * projected
    )


def index_add(x: Array, index: Array, values: Array, xp: Namespace) -> Array:
    """Return a copy of `x` with ``values[i]`` added to row ``index[i]``; repeats accumulate."""
    if compat.is_numpy_array(x):
        out = x.copy()
        np.add.at(out, index, values)
        return out
    if compat.is_torch_array(x):
        return x.index_add(0, index, values)
    if compat.is_jax_array(x):
        return _jax_index_add(x, index, values, xp)
    rows = xp.arange(x.shape[0], dtype=index.dtype, device=compat.device(x))
    hits = xp.astype(rows[:, None] == index[None, :], x.dtype)
    width = math.prod(x.shape[1:])
    return x + xp.reshape(hits @ xp.reshape(values, (values.shape[0], width)), x.shape)


@one_program
def _jax_index_add(x: Array, index: Array, values: Array, xp: Namespace) -> Array:  # noqa: ARG001
    return x.at[index].add(values)


def einsum(subscripts: str, operands: Sequence[Array], xp: Namespace) -> Array:
    """Contract `operands` by explicit Einstein `subscripts` such as ``"ir,jr->ijr"``."""
    if all(map(compat.is_numpy_array, operands)):
        return np.einsum(subscripts, *operands, optimize=True)
    first = operands[0]
    if compat.is_torch_array(first):
        return import_module("torch").einsum(subscripts, *operands)
    if compat.is_jax_array(first):
        return import_module("jax.numpy").einsum(subscripts, *operands)
    return _plain_einsum(subscripts, operands, xp)


def _plain_einsum(subscripts: str, operands: Sequence[Array], xp: Namespace) -> Array:
    """Contract by broadcasting every operand over all labels: correct, not fast."""
    inputs, output = subscripts.replace(" ", "").split("->")
    terms = inputs.split(",")
    labels = list(output) + sorted(set("".join(terms)) - set(output))
    product = None
    for term, operand in zip(terms, operands, strict=True):
        order = sorted(range(len(term)), key=lambda axis: labels.index(term[axis]))
        moved = xp.permute_dims(operand, tuple(order))
        sizes = iter(moved.shape)
        spread = xp.reshape(moved, tuple(next(sizes) if x in term else 1 for x in labels))
        product = spread if product is None else product * spread
    summed = tuple(range(len(output), len(labels)))
    return xp.sum(product, axis=summed) if summed else product
