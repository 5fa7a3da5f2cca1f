"""Tucker decompositions under jit, vmap and grad."""

import numpy as np
import pytest

from tdecomp import tucker
from tdecomp.testing import low_rank_tensor
from tdecomp.tucker._hooi import _hooi
from tdecomp.tucker._hosvd import _hosvd, _sthosvd

X = low_rank_tensor((5, 6, 7), (3, 3, 3), noise=0.2, rng=0)
RANK = (2, 3, 2)
MODES = (0, 1, 2)
# Rounding, amplified by the gaps between singular values.
SLACK = 1e4 * np.finfo(float).eps


def cranky(name, xp):
    calls = {
        "sthosvd": lambda x: _sthosvd(x, RANK, MODES, xp=xp),
        "hosvd": lambda x: _hosvd(x, RANK, MODES, xp=xp),
        "hooi": lambda x: _hooi(x, RANK, MODES, sweeps=2, xp=xp),
    }
    return lambda x: tucker.Tucker(*calls[name](x))


@pytest.mark.parametrize("function", [tucker.sthosvd, tucker.hosvd])
def test_jit_changes_nothing(xp, function):
    x = xp.asarray(X)
    eager = xp.to_numpy(function(x, rank=RANK).to_array())
    compiled = xp.jit(lambda y: function(y, rank=RANK))(x)
    assert np.abs(xp.to_numpy(compiled.to_array()) - eager).max() <= SLACK


def test_jit_needs_a_rank_and_says_so(xp):
    if xp.name != "jax":
        pytest.skip("nothing else compiles")
    with pytest.raises(ValueError, match="rank="):
        xp.jit(lambda y: tucker.sthosvd(y, rtol=0.1).core)(xp.asarray(X))


def test_jit_turns_infinity_into_nan(xp):
    if xp.name != "jax":
        pytest.skip("nothing else compiles")
    bad = X.copy()
    bad[0, 0, 0] = np.inf
    core = xp.jit(lambda y: tucker.sthosvd(y, rank=2).core)(xp.asarray(bad))
    assert np.all(np.isnan(xp.to_numpy(core)))


@pytest.mark.parametrize("name", ["sthosvd", "hosvd", "hooi"])
def test_vmap_equals_a_loop(xp, name):
    if xp.name == "jax":
        import jax

        def mapped(function):
            return jax.jit(jax.vmap(function))

    elif xp.name == "torch":
        import torch

        mapped = torch.func.vmap
    else:
        pytest.skip("no vmap")
    pile = np.stack([X, 0.5 * X[::-1], X + 1])
    together = mapped(cranky(name, xp.namespace))(xp.asarray(pile)).to_array()
    for i in range(3):
        alone = cranky(name, np)(pile[i]).to_array()
        assert np.abs(xp.to_numpy(together[i]) - alone).max() <= SLACK


@pytest.mark.parametrize("name", ["sthosvd", "hosvd", "hooi"])
def test_gradients_equal_finite_differences(xp, name):
    xp.requires("tucker.sthosvd", "grad")
    rng = np.random.default_rng(0)
    seed, direction = rng.standard_normal((2, *X.shape))

    def loss(x, space, to):
        return space.sum(to(seed) * cranky(name, space)(x).to_array())

    step = 1e-5
    ends = [float(loss(X + sign * step * direction, np, np.asarray)) for sign in (1, -1)]
    slope = (ends[0] - ends[1]) / (2 * step)
    if xp.name == "jax":
        import jax

        slope_of = jax.grad(lambda x: loss(x, xp.namespace, xp.asarray))
        found = jax.jit(slope_of)(xp.asarray(X))
    else:
        x = xp.asarray(X).requires_grad_()
        loss(x, xp.namespace, xp.asarray).backward()
        found = x.grad
    assert np.sum(np.asarray(found) * direction) == pytest.approx(slope, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("options", [{"rank": 2}, {"rtol": 0.3}])
def test_gradients_flow_through_the_public_function(xp, options):
    xp.requires("tucker.sthosvd", "grad")
    if xp.name == "jax":
        import jax

        slope = jax.grad(lambda x: xp.namespace.sum(tucker.sthosvd(x, **options).core ** 2))
        if "rtol" in options:
            with pytest.raises(ValueError, match="rank="):
                slope(xp.asarray(X))
            return
        found = jax.jit(slope)(xp.asarray(X))
    else:
        x = xp.asarray(X).requires_grad_()
        (tucker.sthosvd(x, **options).core ** 2).sum().backward()
        found = x.grad
    # The squared norm of the core is homogeneous of degree two.
    core = tucker.sthosvd(X, **options).core
    assert np.sum(np.asarray(found) * X) == pytest.approx(2 * np.sum(core**2), rel=1e-10)
