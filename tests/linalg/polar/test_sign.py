"""The sign of a matrix and inverse square roots: what defines them, and who else knows."""

import numpy as np
import pytest
from scipy.linalg import signm, sqrtm

import tdecomp as td
from tdecomp.linalg import inverse_sqrt, matrix_sign
from tdecomp.testing import gaussian


def with_eigenvalues(values, dtype="float64"):
    z = gaussian((len(values), len(values)), dtype=dtype) + 2 * np.eye(len(values))
    return z @ np.diag(values) @ np.linalg.inv(z), z


@pytest.mark.parametrize("values", [[3, 2, -1, -0.01], [1e4, -1e-3, 5], [-2.0], [1 + 5j, -3 + 1j]])
@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_signs_are_those_of_real_parts(xp, values, scale):
    complex_ = any(isinstance(v, complex) for v in values)
    a, z = with_eigenvalues(values, "complex128" if complex_ else "float64")
    s = xp.to_numpy(matrix_sign(xp.asarray(a * scale)))
    expected = z @ np.diag(np.sign(np.real(values))) @ np.linalg.inv(z)
    slack = 1e-12 * np.linalg.cond(z) ** 2
    assert np.abs(s - expected).max() <= slack
    assert np.abs(s @ s - np.eye(len(values))).max() <= slack
    assert np.abs(s @ a - a @ s).max() <= slack * np.linalg.norm(a)


def test_the_polar_factor_is_a_block_of_a_sign():
    a = gaussian((5, 5))
    zero = np.zeros((5, 5))
    s = matrix_sign(np.block([[zero, a], [a.T, zero]]))
    u = td.polar(a).U
    assert np.abs(s - np.block([[zero, u], [u.T, zero]])).max() <= 1e-12


def test_a_batch_is_a_loop(xp):
    a = np.stack([with_eigenvalues(v)[0] for v in ([1, -2, 3], [-1, -5, 7], [10, 2, 1])])
    found = xp.to_numpy(matrix_sign(xp.asarray(a)))
    for k in range(3):
        assert np.abs(found[k] - matrix_sign(a[k])).max() <= 1e-12


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
def test_signs_are_those_of_scipy(dtype):
    a = gaussian((20, 20), dtype=dtype)
    expected = signm(a.astype(np.result_type(dtype, np.float64)))
    found = matrix_sign(a)
    assert found.dtype == dtype
    slack = 20 * np.finfo(dtype).eps * np.linalg.norm(expected) ** 2
    assert np.linalg.norm(found - expected) <= slack * np.linalg.norm(expected)


def test_a_sign_that_rounding_hides_is_refused():
    a = np.triu(gaussian((8, 8)) * 1e3, 1) + np.diag([1.0, -1.0] * 4)
    q = np.linalg.qr(gaussian((8, 8), rng=1))[0]
    with pytest.raises(ValueError, match="less than half of the digits"):
        matrix_sign(q @ a @ q.T)


def test_what_has_no_sign_is_refused():
    with pytest.raises(ValueError, match="imaginary axis"):
        matrix_sign(np.array([[0.0, 1.0], [-1.0, 0.0]]) + 0.0)
    with pytest.raises(ValueError, match="eigenvalue is zero"):
        matrix_sign(np.diag([1.0, 0.0]))
    with pytest.raises(ValueError, match="square"):
        matrix_sign(np.ones((2, 3)))
    with pytest.raises(ValueError, match="max_iter"):
        matrix_sign(np.eye(2), max_iter=0)
    with pytest.raises(ValueError, match="no sign in 1 steps"):
        matrix_sign(np.diag([1.0, 1e-8]), max_iter=1)


@pytest.mark.parametrize("condition", [1.0, 1e4, 1e10])
@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_inverse_roots_undo_the_matrix(xp, condition, scale):
    q = np.linalg.qr(gaussian((6, 6), dtype="complex128"))[0]
    a = (q * np.geomspace(1.0, 1 / condition, 6)) @ q.conj().T
    x = xp.to_numpy(inverse_sqrt(xp.asarray(a * scale))) * scale**0.5
    assert np.array_equal(x, x.conj().T)
    assert np.abs(x @ a @ x - np.eye(6)).max() <= 1e-14 * condition
    expected = np.linalg.inv(sqrtm(a))
    assert np.abs(x - expected).max() <= 1e-13 * condition * np.sqrt(condition)


def test_a_ridge_is_a_part_of_the_mean_eigenvalue(xp):
    a = np.diag([3.0, 1.0, 0.0])
    x = xp.to_numpy(inverse_sqrt(xp.asarray(a), ridge=0.3))
    assert np.allclose(x, np.diag((np.diag(a) + 0.3 * 4 / 3) ** -0.5), rtol=1e-13, atol=1e-15)
    with pytest.raises(ValueError, match="positive definite"):
        inverse_sqrt(xp.asarray(a))
    with pytest.raises(ValueError, match="ridge"):
        inverse_sqrt(xp.asarray(a), ridge=-1.0)


def test_gradients_of_inverse_roots(xp):
    b, seed, direction = (gaussian((4, 4), rng=k) for k in range(3))
    a, direction = b @ b.T + np.eye(4), direction + direction.T
    step = 1e-5
    ends = [inverse_sqrt(a + t * direction) for t in (step, -step)]
    slope = np.sum((ends[0] - ends[1]) * seed) / (2 * step)

    def loss(x):
        return (inverse_sqrt(x) * xp.asarray(seed)).sum()

    if xp.name == "jax":
        import jax

        found = np.asarray(jax.jit(jax.grad(loss))(xp.asarray(a)))
    elif xp.name == "torch":
        x = xp.asarray(a).requires_grad_()
        loss(x).backward()
        found = x.grad.cpu().numpy()
    else:
        pytest.skip("no gradients")
    assert np.sum(found * direction) == pytest.approx(slope, rel=1e-6)
