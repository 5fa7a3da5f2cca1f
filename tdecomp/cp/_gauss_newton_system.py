r"""The damped normal equations of a CP approximation, solved exactly or by conjugate gradients.

The Jacobian of :math:`(A_0, \ldots, A_{d-1}) \mapsto \sum_r a^{(0)}_r \otimes \cdots \otimes
a^{(d-1)}_r` maps a direction :math:`V` to the sum of the tensors with one :math:`A_k` replaced by
:math:`V_k`. With :math:`W_k = A_k^T \overline{A_k}`, :math:`\Gamma_k = *_{j \ne k} W_j` and
:math:`\Gamma_{kl} = *_{j \ne k, l} W_j` (entrywise products),

.. math:: (J^* J V)_k = V_k \Gamma_k + A_k \sum_{l \ne k}
          \bigl(\Gamma_{kl} * (V_l^T \overline{A_l})\bigr) .

Let :math:`A_k = Q_k R_k`. Directions :math:`V_k \perp Q_k` do not meet one another: on them
:math:`J^* J` is :math:`V_k \mapsto V_k \Gamma_k`. What remains is the same problem for the small
factors :math:`R_k`, which have at most `R` rows: its size does not depend on that of the tensor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce

from tdecomp._shim import cholesky, lstsq, solve_triangular
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, conj, device, eps
from tdecomp.cp._least_squares import gram
from tdecomp.ops._factor_products import _khatri_rao

# The Jacobian of the small problem is decomposed itself up to this many multiplications and
# numbers; its Gram matrix, whose condition is the square, up to this many unknowns.
_SVD_WORK, _SVD_ENTRIES = 1 << 29, 1 << 23
_CHOLESKY_UNKNOWNS = 1500
_CG_ITER = 200
# Conjugate gradients stop at this residual: a step needs no more digits than it can use.
_FORCING = 1e-3


class System:
    """``(J^* J + damping) V = -gradient`` at some factors, for several values of the damping."""

    def __init__(self, factors: Sequence[Array], ridge: float, xp: Namespace) -> None:
        self._xp, self._ridge = xp, ridge
        pairs = [_small(factor, xp) for factor in factors]
        self._bases = [q for q, _ in pairs]
        self._factors = [r for _, r in pairs]
        self._grams = [gram(r, xp) for r in self._factors]
        self._gammas = [_product(self._grams, (k,)) for k in range(len(factors))]
        self._solve = self._solver()

    @property
    def scale(self) -> float:
        """The largest diagonal entry of ``J^* J``: the unit of the damping."""
        xp = self._xp
        return max(float(xp.max(xp.abs(xp.linalg.diagonal(gamma)))) for gamma in self._gammas)

    def step(self, gradient: Sequence[Array], damping: float) -> list[Array]:
        """Return the direction: outside of the bases mode by mode, inside them together."""
        xp, shift = self._xp, damping + self._ridge
        inside = [g if q is None else adjoint(q, xp) @ g
                  for q, g in zip(self._bases, gradient, strict=True)]  # fmt: skip
        steps = self._solve([-g for g in inside], shift)
        out = []
        for q, gamma, g, small, v in zip(
            self._bases, self._gammas, gradient, inside, steps, strict=True
        ):
            if q is None:
                out.append(v)
            else:
                out.append(q @ v - _divided(g - q @ small, gamma, shift, xp))
        return out

    def _solver(self) -> Callable[[list[Array], float], list[Array]]:
        """Choose by size, and by condition."""
        xp, rank = self._xp, self._factors[0].shape[1]
        rows = math.prod(int(r.shape[0]) for r in self._factors)
        unknowns = sum(int(r.shape[0]) for r in self._factors) * rank
        if unknowns > _CHOLESKY_UNKNOWNS:
            return self._by_cg
        small, large = min(rows, unknowns), max(rows, unknowns)
        fits = large * small <= _SVD_ENTRIES and large * small**2 <= _SVD_WORK
        dtype = self._factors[0].dtype
        if not fits or min(_rcond(g, xp) for g in self._gammas) > eps(dtype, xp) ** (1 / 3):
            return self._by_cholesky()
        exact, quick = self._by_svd(), self._by_cholesky()
        bound = eps(dtype, xp) ** 0.5 * self.scale
        return lambda right, shift: (quick if shift > bound else exact)(right, shift)

    def _by_svd(self) -> Callable[[list[Array], float], list[Array]]:
        """Decompose the Jacobian, which squares no condition number, when first asked."""
        xp = self._xp
        known: list[tuple[Array, Array]] = []

        def solve(right: list[Array], shift: float) -> list[Array]:
            if not known:
                matrix = _jacobian(self._factors, xp)
                if matrix.shape[0] > matrix.shape[1]:
                    matrix = xp.linalg.qr(matrix)[1]
                known.append(xp.linalg.svd(matrix, full_matrices=False)[1:])
            s, vh = known[0]
            squares = s**2 + shift
            kept = squares > (eps(s.dtype, xp) * s[0]) ** 2
            inverse = xp.where(kept, 1 / xp.where(kept, squares, xp.ones_like(squares)), 0 * s)
            flat = _flat(right, xp)
            inside, v = vh @ flat, adjoint(vh, xp)
            step = v @ (xp.astype(inverse, flat.dtype) * inside)
            if self._ridge:
                # Only a ridge has a gradient outside of the row space; else that is rounding.
                step = step + (flat - v @ inside) / shift
            return self._cut(step)

        return solve

    def _by_cholesky(self) -> Callable[[list[Array], float], list[Array]]:
        """Form ``J^* J``, and factor it once for each damping."""
        xp = self._xp
        matrix = _normal_matrix(self._factors, self._grams, xp)
        identity = xp.eye(matrix.shape[0], dtype=matrix.dtype, device=device(matrix))
        least = _least(matrix, xp)
        known: dict[float, Array] = {}

        def solve(right: list[Array], shift: float) -> list[Array]:
            if shift not in known:
                known.clear()
                known[shift] = cholesky(matrix + least + shift * identity, xp)
            lower, column = known[shift], _flat(right, xp)[:, None]
            if lower is None:
                return self._cut(lstsq(matrix + shift * identity, column, xp)[:, 0])
            half = solve_triangular(lower, column, xp, lower=True)
            return self._cut(solve_triangular(adjoint(lower, xp), half, xp, lower=False)[:, 0])

        return solve

    def _by_cg(self, right: list[Array], shift: float) -> list[Array]:
        """Conjugate gradients, preconditioned by the diagonal blocks."""
        xp = self._xp

        def applied(v: list[Array]) -> list[Array]:
            return [y + shift * x for y, x in zip(self._normal(v), v, strict=True)]

        def conditioned(r: list[Array]) -> list[Array]:
            pairs = zip(r, self._gammas, strict=True)
            return [_divided(x, gamma, shift, xp) for x, gamma in pairs]

        x = [0 * b for b in right]
        r = right
        z = conditioned(r)
        p, rho = z, _dot(r, z, xp)
        target = _FORCING**2 * _dot(right, right, xp)
        for _ in range(_CG_ITER):
            if not rho > 0:
                break
            y = applied(p)
            alpha = rho / _dot(p, y, xp)
            x = [a + alpha * b for a, b in zip(x, p, strict=True)]
            r = [a - alpha * b for a, b in zip(r, y, strict=True)]
            if _dot(r, r, xp) <= target:
                break
            z = conditioned(r)
            rho, previous = _dot(r, z, xp), rho
            p = [a + (rho / previous) * b for a, b in zip(z, p, strict=True)]
        return x

    def _normal(self, v: list[Array]) -> list[Array]:
        """Apply ``J^* J`` to a direction within the bases."""
        xp, factors, grams = self._xp, self._factors, self._grams
        turned = [xp.matrix_transpose(x) @ conj(a, xp) for x, a in zip(v, factors, strict=True)]
        out = []
        for k, (x, a) in enumerate(zip(v, factors, strict=True)):
            y = x @ self._gammas[k]
            for other in range(len(v)):
                if other != k:
                    y = y + a @ (_product(grams, (k, other)) * turned[other])
            out.append(y)
        return out

    def _cut(self, flat: Array) -> list[Array]:
        """Cut a vector of unknowns into matrices."""
        out, start = [], 0
        for r in self._factors:
            size = math.prod(r.shape)
            out.append(self._xp.reshape(flat[start : start + size], tuple(r.shape)))
            start += size
        return out


def curvature(factors: Sequence[Array], v: Sequence[Array], xp: Namespace) -> list[Array]:
    r"""Return :math:`J^* M''`, where :math:`M''` is the second derivative along `v`.

    It comes from Gram matrices: :math:`M''` is twice the sum of the tensors with two of the
    factors replaced by directions.
    """
    grams = [gram(a, xp) for a in factors]
    turned = [xp.matrix_transpose(x) @ conj(a, xp) for x, a in zip(v, factors, strict=True)]
    modes = range(len(factors))
    out = []
    for j in modes:
        others = [k for k in modes if k != j]
        total = 0 * factors[j]
        for k in others:
            total = total + v[j] @ (_product(grams, (j, k)) * turned[k])
            for other in others:
                if other > k:
                    mixed = _product(grams, (j, k, other)) * turned[k] * turned[other]
                    total = total + factors[j] @ mixed
        out.append(2 * total)
    return out


def _small(factor: Array, xp: Namespace) -> tuple[Array | None, Array]:
    """Return an orthonormal basis and the factor in it; None for the basis of a short factor."""
    return xp.linalg.qr(factor) if factor.shape[0] > factor.shape[1] else (None, factor)


def _product(grams: Sequence[Array], skip: tuple[int, ...]) -> Array:
    """Multiply matrices entry by entry, without those to `skip`."""
    chosen = [g for j, g in enumerate(grams) if j not in skip]
    return reduce(lambda a, b: a * b, chosen) if chosen else _ones(grams[0])


def _ones(like: Array) -> Array:
    """Return ones like an array, whatever its library."""
    return like * 0 + 1


def _rcond(gamma: Array, xp: Namespace) -> float:
    """Return the reciprocal condition number of a semidefinite matrix with a unit diagonal."""
    squares = xp.abs(xp.linalg.diagonal(gamma))
    inverse = 1 / xp.sqrt(xp.where(squares > 0, squares, xp.ones_like(squares)))
    inverse = xp.astype(inverse, gamma.dtype)
    values = xp.linalg.eigvalsh(gamma * inverse[:, None] * inverse[None, :])
    return float(values[0]) / (float(values[-1]) or 1.0)


def _divided(x: Array, gamma: Array, shift: float, xp: Namespace) -> Array:
    """Return ``x (gamma + shift)^-1`` for a semidefinite matrix, a little shifted at least."""
    identity = xp.eye(gamma.shape[0], dtype=gamma.dtype, device=device(gamma))
    shifted = gamma + _least(gamma, xp) + shift * identity
    turned = xp.linalg.solve(xp.matrix_transpose(shifted), xp.matrix_transpose(x))
    return xp.matrix_transpose(turned)


def _least(matrix: Array, xp: Namespace) -> Array:
    """Return what rounding leaves of a semidefinite matrix, as a diagonal matrix.

    Each unknown has a share of its own: a component that vanishes is not held up by the others.
    """
    own = xp.abs(xp.linalg.diagonal(matrix))
    own = xp.where(own > 0, own, xp.ones_like(own))
    identity = xp.eye(matrix.shape[0], dtype=matrix.dtype, device=device(matrix))
    return identity * xp.astype(eps(matrix.dtype, xp) * matrix.shape[0] * own, matrix.dtype)


def _jacobian(factors: Sequence[Array], xp: Namespace) -> Array:
    """Return the Jacobian of small factors as a matrix: entries of the tensor by unknowns."""
    sizes = [int(a.shape[0]) for a in factors]
    rank = int(factors[0].shape[1])
    blocks = []
    for k, n in enumerate(sizes):
        others = [a if j != k else xp.ones_like(a[:1, :]) for j, a in enumerate(factors)]
        around = [n_j if j != k else 1 for j, n_j in enumerate(sizes)]
        product = xp.reshape(_khatri_rao(others, xp=xp), (*around, 1, rank))
        identity = xp.eye(n, dtype=product.dtype, device=device(product))
        place = [n if j == k else 1 for j in range(len(sizes))]
        block = product * xp.reshape(identity, (*place, n, 1))
        blocks.append(xp.reshape(block, (math.prod(sizes), n * rank)))
    return xp.concat(blocks, axis=1)


def _normal_matrix(factors: Sequence[Array], grams: Sequence[Array], xp: Namespace) -> Array:
    """Return ``J^* J`` as a matrix, block by block."""
    rank = int(factors[0].shape[1])
    rows = []
    for k, a in enumerate(factors):
        n = int(a.shape[0])
        row = []
        for other, b in enumerate(factors):
            m = int(b.shape[0])
            gamma = xp.matrix_transpose(_product(grams, (k, other)))[None, :, None, :]
            if other == k:
                identity = xp.eye(n, dtype=a.dtype, device=device(a))
                block = identity[:, None, :, None] * gamma
            else:
                turned = xp.matrix_transpose(conj(b, xp))[None, :, :, None]
                block = a[:, None, None, :] * turned * gamma
            row.append(xp.reshape(block, (n * rank, m * rank)))
        rows.append(xp.concat(row, axis=1))
    return xp.concat(rows, axis=0)


def _flat(parts: Sequence[Array], xp: Namespace) -> Array:
    """Join matrices of unknowns to one vector."""
    return xp.concat([xp.reshape(part, (-1,)) for part in parts])


def _dot(a: Sequence[Array], b: Sequence[Array], xp: Namespace) -> float:
    """Return the real part of the inner product of two directions."""
    total = 0.0
    for x, y in zip(a, b, strict=True):
        product = xp.sum(conj(x, xp) * y)
        total += float(xp.real(product) if xp.isdtype(product.dtype, "complex floating") else
                       product)  # fmt: skip
    return total
