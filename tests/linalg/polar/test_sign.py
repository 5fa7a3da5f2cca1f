"""The sign of a matrix: what defines it, and who else knows."""

import numpy as np
import pytest
from scipy.linalg import signm

import tdecomp as td
from tdecomp.linalg import matrix_sign
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
    # Rounding decides whether an iterate is singular or never comes to rest.
    with pytest.raises(ValueError, match="no sign"):
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
