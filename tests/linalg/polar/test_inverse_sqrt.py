"""Inverse square roots of definite matrices: what defines them, and who else knows."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from tdecomp.linalg import inverse_sqrt
from tdecomp.testing import gaussian


@pytest.mark.parametrize("condition", [1.0, 1e4, 1e10])
@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_inverse_roots_undo_the_matrix(xp, condition, scale):
    q = np.linalg.qr(gaussian((6, 6), dtype="complex128"))[0]
    a = (q * np.geomspace(1.0, 1 / condition, 6)) @ q.conj().T
    x = xp.to_numpy(inverse_sqrt(xp.asarray(a * scale))) * scale**0.5
    assert np.array_equal(x, x.conj().T)
    unit = 20 * np.finfo(float).eps
    assert np.abs(x @ a @ x - np.eye(6)).max() <= unit * condition
    expected = np.linalg.inv(sqrtm(a))
    assert np.abs(x - expected).max() <= unit * condition**1.5


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

    assert np.sum(xp.gradient(loss, a) * direction) == pytest.approx(slope, rel=1e-6)
