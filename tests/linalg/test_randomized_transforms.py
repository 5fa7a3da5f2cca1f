"""The randomized SVD under jit and vmap: everything that has a shape is fixed."""

import numpy as np
import pytest

import tdecomp as td
from tdecomp import Status
from tdecomp.testing import assert_isometry, matrix

jax = pytest.importorskip("jax")

DECAY = 0.7 ** np.arange(80.0)
EPS = float(np.finfo(float).eps)


def compiled(a, **options):
    return jax.jit(lambda x: td.randomized_svd(x, rng=5, **options))(jax.numpy.asarray(a))


@pytest.mark.parametrize("power", [0, 2])
@pytest.mark.parametrize("method", ["krylov", "subspace"])
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_jit_equals_the_same_number_of_products(power, method, dtype):
    a = matrix(90, 80, DECAY, dtype=dtype)
    fit = compiled(a, rank=5, power=power, method=method)
    plain = td.randomized_svd(a, rank=5, power=power, method=method, rng=5)
    eps = float(np.finfo(dtype).eps)
    assert np.abs(fit.tensor.to_array() - plain.tensor.to_array()).max() <= 100 * eps
    assert float(fit.error) == pytest.approx(plain.error, rel=100 * eps)
    assert (int(fit.n_iter), Status(int(fit.status))) == (2 * power + 2, Status.CONVERGED)
    assert fit.tensor.dtype == np.dtype(dtype)


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
def test_jit_keeps_scales(scale):
    a = matrix(90, 80, DECAY)
    fit = compiled(a * scale, rank=5, power=1)
    assert np.abs(np.asarray(fit.tensor.S) / scale - DECAY[:5]).max() <= 1e-6
    assert float(fit.error) == pytest.approx(0.7**5, rel=1e-3)


def test_jit_of_nothing_is_nothing():
    fit = compiled(np.zeros((90, 80)), rank=5, power=1)
    assert float(fit.error) == 0
    assert np.all(np.asarray(fit.tensor.S) == 0)
    assert all(bool(jax.numpy.all(jax.numpy.isfinite(x))) for x in fit.tensor)


@pytest.mark.parametrize("power", [1, 3])
def test_jit_of_low_rank_stays_orthonormal(power):
    a = np.eye(90, 80) * (np.arange(80) < 3)
    u, s, vh = map(np.asarray, compiled(a, rank=5, power=power).tensor)
    assert_isometry(u)
    assert_isometry(vh.T)
    assert np.abs(s - [1, 1, 1, 0, 0]).max() <= 30 * EPS


@pytest.mark.parametrize("options", [
    {"rank": 5}, {"power": 1}, {"rtol": 0.1}, {"rtol": 0.1, "power": 1},
    {"rank": 5, "power": 1, "rtol": 0.5},
    {"rank": 5, "power": 1, "method": "single-pass"},
])  # fmt: skip
def test_jit_refuses_what_depends_on_values(options):
    with pytest.raises(ValueError, match=r"tracing|jit"):
        compiled(matrix(90, 80, DECAY), **options)


def test_vmap_equals_a_loop():
    pile = np.stack([matrix(90, 80, DECAY, rng=i) for i in range(3)])
    together = jax.vmap(lambda x: td.randomized_svd(x, rank=5, power=1, rng=5).tensor)(
        jax.numpy.asarray(pile)
    )
    for one, a in zip(np.asarray(together.to_array()), pile, strict=True):
        alone = td.randomized_svd(a, rank=5, power=1, rng=5).tensor.to_array()
        assert np.abs(one - alone).max() <= 100 * EPS


def test_torch_vmap_equals_a_loop():
    torch = pytest.importorskip("torch")
    pile = np.stack([matrix(90, 80, DECAY, rng=i) for i in range(3)])
    together = torch.func.vmap(lambda x: td.randomized_svd(x, rank=5, power=1, rng=5).tensor)(
        torch.asarray(pile)
    )
    for one, a in zip(together.to_array().numpy(), pile, strict=True):
        alone = td.randomized_svd(a, rank=5, power=1, rng=5).tensor.to_array()
        assert np.abs(one - alone).max() <= 100 * EPS
