"""Growing projections: after every product an orthogonal projection of the matrix."""

import numpy as np
import pytest

from tdecomp.linalg._krylov import advance, start
from tdecomp.linalg._operand import operand
from tdecomp.linalg._sketch import matrix_of
from tdecomp.testing import assert_isometry, matrix

# LAPACK's bound for one factorisation; a projection is made of up to seven.
THRESHOLD = 7 * 30.0
INDEX = np.arange(90.0)
MATRICES = {
    "decay": lambda dtype: matrix(100, 90, 0.7**INDEX, dtype=dtype),
    "slow": lambda dtype: matrix(100, 90, 1 / (1 + INDEX), dtype=dtype),
    "low rank": lambda dtype: matrix(100, 90, [3.0, 2.0, 1.0], dtype=dtype),
    "identity": lambda dtype: np.eye(100, 90, dtype=dtype),
    "unit vectors": (np.eye(100, 90) * (INDEX < 20)).astype,
    "all ones": lambda dtype: np.ones((100, 90), dtype=dtype),
}


def check(p, op, xp, *, strictly):
    """The bases are orthonormal, the core is what they make of the matrix, Pythagoras holds."""
    a = xp.to_numpy(op.to_array())
    eps = float(np.finfo(a.dtype).eps)
    a = a.astype(np.result_type(a.dtype, float))
    left, core, right = map(xp.to_numpy, (p.left, p.core(op.xp), p.right))
    assert core.shape == (left.shape[1], right.shape[1])
    assert_isometry(left)
    assert_isometry(right)
    norm = float(np.linalg.norm(a))
    projected = left @ (left.conj().T @ a) if not p.from_left else a @ right @ right.conj().T
    # Errors of the coefficients add up over the products.
    assert np.linalg.norm(left @ core @ right.conj().T - projected) <= THRESHOLD * eps * norm
    outside = np.linalg.norm(a - projected) ** 2
    assert outside == pytest.approx(
        norm**2 - np.linalg.norm(core) ** 2, abs=THRESHOLD * eps * norm**2
    )
    u, s, vh = map(xp.to_numpy, p.svd(op.xp))
    assert np.linalg.norm((u * s) @ vh - left @ core @ right.conj().T) <= THRESHOLD * eps * norm
    if strictly:
        assert np.all(s <= np.linalg.svd(a, compute_uv=False)[: s.size] + THRESHOLD * eps * norm)


def begun(a, width, xp):
    draws = np.random.default_rng(0)
    op = operand(xp.asarray(a), draws)
    test = matrix_of("gaussian", draws, (a.shape[1], width), op.like, op.xp)
    return op, start(op, test), draws


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("name", MATRICES)
def test_every_product_gives_a_projection(name, keep, dtype, numpy_backend):
    op, p, _ = begun(MATRICES[name](dtype), 10, numpy_backend)
    for _ in range(7):
        p = advance(op, p, keep=keep)
        check(p, op, numpy_backend, strictly=True)


def test_every_backend(xp):
    op, p, _ = begun(MATRICES["decay"]("complex64"), 10, xp)
    for _ in range(3):
        p = advance(op, p, keep=True)
        check(p, op, xp, strictly=False)


@pytest.mark.parametrize("keep", [True, False])
def test_energy_never_falls(keep, numpy_backend):
    op, p, _ = begun(MATRICES["slow"]("float64"), 10, numpy_backend)
    energies = []
    for _ in range(7):
        p = advance(op, p, keep=keep)
        energies.append(float(np.linalg.norm(p.core(op.xp)) ** 2))
    assert np.all(np.diff(energies) >= -THRESHOLD * np.finfo(float).eps * op.total)


def test_krylov_contains_subspace_iteration(numpy_backend):
    op, p, _ = begun(MATRICES["slow"]("float64"), 10, numpy_backend)
    q = p
    for _ in range(5):
        p, q = advance(op, p, keep=True), advance(op, q, keep=False)
        new = q.left if q.from_left else q.right
        old = p.left if p.from_left else p.right
        # The gap is the rounding of one basis in the other, amplified by the decay of the blocks.
        assert np.linalg.norm(new - old @ (old.T @ new)) <= 1e4 * THRESHOLD * np.finfo(float).eps
