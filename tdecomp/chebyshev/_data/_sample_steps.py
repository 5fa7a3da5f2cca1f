r"""Least squares for a Chebyshev-Tucker function, one factor after the other, then the core.

With all but one factor known a function is linear in the coefficients of that one; with all of
them known, in the core. A sweep lowers

.. math:: \frac1N \sum_n w_n |y_n - f(x_n)|^2 + \lambda \sum_k \|C \times_k D\|_F^2

each time, where :math:`C = G \times_k V_k` are the coefficients, and :math:`D` multiplies those of
degree `i` by :math:`i (i - 1)`, a measure of second derivatives. With orthonormal columns of all
factors but one, penalties are those of small triangles. Equations are reduced to a triangle block
by block, by orthogonal transformations, which keep all digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from tdecomp._iterate import Status, Step
from tdecomp._shim import lstsq, solve_triangular
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, device, eps
from tdecomp.chebyshev._series import polynomials
from tdecomp.linalg._left_triangle import triangle_of
from tdecomp.ops._factor_products import _khatri_rao
from tdecomp.ops._mode_products import _mode_product
from tdecomp.ops._unfold import _unfold

# Entries of a block of equations.
_BLOCK_ENTRIES = 1 << 22
# An error of so many eps is that of rounding.
_ROUNDING = 8.0


class Samples(NamedTuple):
    """Points (N, d) of the unit box, values (N,), and roots of weights (N,) of mean one."""

    t: Array
    values: Array
    roots: Array


class Model(NamedTuple):
    """A core, and factors with orthonormal columns."""

    core: Array
    factors: tuple[Array, ...]


def sweep(samples: Samples, ridge: float, xp: Namespace) -> Callable[[Model], Step[Model]]:
    """Return the iteration that updates all factors and the core."""
    total = float(xp.linalg.vector_norm(samples.values * samples.roots))
    price = math.sqrt(samples.t.shape[0] * ridge)

    def step(model: Model) -> Step[Model]:
        for k in range(len(model.factors)):
            model = _with_factor(model, k, samples, price, xp)
        model = with_core(model, samples, ridge, xp)
        missed = residual(model, samples, xp)
        error = missed / total if total > 0 else 0.0
        bent = price * math.hypot(*(float(xp.linalg.vector_norm(x)) for x in _bends(model, xp)))
        merit = math.hypot(missed, bent) / (total or 1.0)
        done = error <= _ROUNDING * eps(samples.t.dtype, xp)
        return Step(model, error, merit=merit, verdict=Status.CONVERGED if done else None)

    return step


def with_core(model: Model, samples: Samples, ridge: float, xp: Namespace) -> Model:
    """Return the model with the best core.

    Factors are turned first, so that the penalty has an entry for each entry of the core.
    """
    shape = model.core.shape
    factors, penalties = list(model.factors), []
    if ridge:
        total = xp.zeros_like(model.core)
        for k, factor in enumerate(factors):
            m, r = factor.shape
            bent = _steepness(m, factor, xp)[:, None] * factor
            _, s, vh = xp.linalg.svd(bent, full_matrices=False)
            factors[k] = factor @ adjoint(vh, xp)
            along = xp.reshape(s, tuple(r if j == k else 1 for j in range(len(shape))))
            total = total + xp.astype(along**2, total.dtype)
        diagonal = xp.reshape(xp.sqrt(samples.t.shape[0] * ridge * total), (-1,))
        eye = xp.eye(diagonal.shape[0], dtype=diagonal.dtype, device=device(diagonal))
        penalties = [eye * diagonal]
    model = Model(model.core, tuple(factors))

    def design(t: Array) -> Array:
        return xp.matrix_transpose(_products(model, t, None, xp))

    solution = _solved(design, math.prod(shape), samples, penalties, xp)
    return Model(xp.reshape(solution, shape), model.factors)


def residual(model: Model, samples: Samples, xp: Namespace) -> float:
    """Return the weighted norm of what is missed."""
    flat, squares = xp.reshape(model.core, (1, -1)), 0.0
    for t, values, roots in _blocks(samples, math.prod(model.core.shape)):
        found = (flat @ _products(model, t, None, xp))[0, :]
        squares += float(xp.linalg.vector_norm((values - found) * roots)) ** 2
    return math.sqrt(squares)


def _with_factor(model: Model, k: int, samples: Samples, price: float, xp: Namespace) -> Model:
    """Return the model with the best factor of one variable, orthonormal again."""
    m, r = model.factors[k].shape
    unfolded = _unfold(model.core, k, xp=xp)
    penalties = []
    if price:
        eye = xp.eye(m, dtype=unfolded.dtype, device=device(unfolded))
        own = xp.linalg.qr(xp.matrix_transpose(unfolded))[1]
        penalties.append(_kronecker(price * _steepness(m, unfolded, xp)[:, None] * eye, own, xp))
        others = [
            xp.matrix_transpose(_unfold(_mode_product(model.core, b, j, xp=xp), k, xp=xp))
            for j, b in enumerate(_bent(model.factors, xp))
            if j != k
        ]
        if others:
            joint = xp.linalg.qr(xp.concat(others))[1]
            penalties.append(_kronecker(eye, price * joint, xp))

    def design(t: Array) -> Array:
        rest = unfolded @ _products(model, t, k, xp)
        basis = xp.astype(polynomials(t[:, k], m, xp), rest.dtype, copy=False)
        return xp.reshape(basis[:, :, None] * xp.matrix_transpose(rest)[:, None, :], (-1, m * r))

    solution = _solved(design, m * r, samples, penalties, xp)
    q, triangle = xp.linalg.qr(xp.reshape(solution, (m, r)))
    factors = (*model.factors[:k], q, *model.factors[k + 1 :])
    return Model(_mode_product(model.core, triangle, k, xp=xp), factors)


def _solved(
    design: Callable[[Array], Array],
    width: int,
    samples: Samples,
    penalties: Sequence[Array],
    xp: Namespace,
) -> Array:
    """Return the least-squares solution of all equations and penalties."""

    def parts() -> Iterator[Array]:
        for t, values, roots in _blocks(samples, width):
            yield xp.concat([design(t), values[:, None]], axis=1) * roots[:, None]
        for penalty in penalties:
            yield xp.concat([penalty, xp.zeros_like(penalty[:, :1])], axis=1)

    triangle = triangle_of(parts(), xp)
    left, right = triangle[:width, :width], triangle[:width, width:]
    heights = xp.abs(xp.linalg.diagonal(left))
    firm = left.shape[0] == width and bool(
        xp.min(heights) > math.sqrt(eps(left.dtype, xp)) * xp.max(heights)
    )
    if firm:
        return solve_triangular(left, right, xp, lower=False)[:, 0]
    return lstsq(left, right, xp)[:, 0]


def _blocks(samples: Samples, width: int) -> Iterator[Samples]:
    """Cut samples into blocks of bounded designs."""
    step = max(1, 2 * width, _BLOCK_ENTRIES // width)
    n = int(samples.t.shape[0])
    for start in range(0, n, step):
        part = slice(start, min(start + step, n))
        yield Samples(samples.t[part, :], samples.values[part], samples.roots[part])


def _products(model: Model, t: Array, skip: int | None, xp: Namespace) -> Array:
    """Return products (r_0 r_1 ..., N) of the functions of all variables but one, at points."""
    rows = []
    for j, factor in enumerate(model.factors):
        if j != skip:
            basis = polynomials(t[:, j], int(factor.shape[0]), xp)
            basis = xp.astype(basis, factor.dtype, copy=False)
            rows.append(xp.matrix_transpose(basis @ factor))
    if not rows:
        return xp.ones_like(xp.astype(t[None, :, 0], model.core.dtype))
    return _khatri_rao(rows, xp=xp)


def _steepness(m: int, like: Array, xp: Namespace) -> Array:
    """Return how much each degree is penalised."""
    degrees = xp.arange(m, device=device(like))
    return xp.astype(degrees * (degrees - 1), like.dtype)


def _bent(factors: Sequence[Array], xp: Namespace) -> Iterator[Array]:
    """Yield triangles of factors that are multiplied by what degrees are penalised."""
    for factor in factors:
        yield xp.linalg.qr(_steepness(int(factor.shape[0]), factor, xp)[:, None] * factor)[1]


def _bends(model: Model, xp: Namespace) -> Iterator[Array]:
    """Yield the core of second derivatives with respect to each variable."""
    for k, triangle in enumerate(_bent(model.factors, xp)):
        yield _mode_product(model.core, triangle, k, xp=xp)


def _kronecker(a: Array, b: Array, xp: Namespace) -> Array:
    product = a[:, None, :, None] * b[None, :, None, :]
    return xp.reshape(product, (a.shape[0] * b.shape[0], a.shape[1] * b.shape[1]))
