"""Trains under jit, vmap and grad, at fixed rank."""

import numpy as np
import pytest

from tdecomp import tt
from tdecomp.testing import gaussian, tensor

GAPS = [3.0, 2.0, 1.2, 0.7]
X = tensor((4, 5, 6), GAPS) + 1e-2 * gaussian((4, 5, 6))


def decomposed(x):
    return tt.tt_svd(x, rank=2).to_array()


def rounded(x):
    return tt.round(tt.tt_svd(x, rank=4), rank=2).to_array()


@pytest.mark.parametrize("call", [decomposed, rounded])
def test_jit_changes_nothing(xp, call):
    gap = xp.to_numpy(xp.jit(call)(xp.asarray(X))) - call(X)
    assert np.abs(gap).max() <= 1e-13


def test_jit_keeps_scales_and_says_that_it_needs_a_rank(xp):
    if xp.name != "jax":
        pytest.skip("nothing else compiles")
    train = xp.jit(lambda x: tt.tt_svd(x, rank=2))(xp.asarray(X * 1e300))
    assert isinstance(train, tt.TensorTrain)
    assert np.abs(xp.to_numpy(train.to_array()) / 1e300 - decomposed(X)).max() <= 1e-13
    for call in (tt.tt_svd, lambda x, rtol: tt.round(tt.tt_svd(x, rank=2), rtol=rtol)):
        with pytest.raises(ValueError, match="rank="):
            xp.jit(lambda x, call=call: call(x, rtol=0.1))(xp.asarray(X))


def test_vmap_equals_a_loop(xp):
    if xp.name == "jax":
        import jax

        mapped = jax.vmap
    elif xp.name == "torch":
        import torch

        mapped = torch.func.vmap
    else:
        pytest.skip("no vmap")
    pile = np.stack([X, X[::-1], 2 * X])
    trains = mapped(lambda x: tt.tt_svd(x, rank=2))(xp.asarray(pile))
    assert trains.shape == (3, 4, 5, 6)
    together = xp.to_numpy(trains.to_array())
    for one, x in zip(together, pile, strict=True):
        assert np.abs(one - decomposed(x)).max() <= 1e-13


@pytest.mark.parametrize("call", [decomposed, rounded])
def test_gradients_equal_finite_differences(xp, call):
    if xp.name not in ("jax", "torch"):
        pytest.skip("no grad")
    weight, direction, h = gaussian(X.shape, rng=1), gaussian(X.shape, rng=2), 1e-5
    found = np.vdot(xp.gradient(lambda x: (xp.asarray(weight) * call(x)).sum(), X), direction)
    ends = [np.vdot(weight, call(X + sign * h * direction)) for sign in (1, -1)]
    # The third derivative times the squared step; rounding over the step.
    assert found == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-6, abs=1e-8)


def test_gradients_of_norms_and_inner_products(xp):
    if xp.name not in ("jax", "torch"):
        pytest.skip("no grad")

    def loss(x):
        train = tt.tt_svd(x, rank=4)
        return tt.norm(train) + tt.inner(train, train)

    # At full rank the train is the tensor.
    full = tensor((4, 5, 6), GAPS)
    size = np.linalg.norm(full)
    found = xp.gradient(loss, full)
    assert np.vdot(found, full) == pytest.approx(size + 2 * size**2, rel=1e-10)


def test_gradients_flow_to_a_tolerance_where_nothing_is_traced():
    torch = pytest.importorskip("torch")
    x = tensor((4, 5, 6), [1.0, 0.5, 1e-3])
    weight = gaussian(x.shape, rng=1)
    for call in (
        lambda x: tt.tt_svd(x, rtol=0.1),
        lambda x: tt.tr_svd(x, rtol=0.1),
        lambda x: tt.round(tt.tt_svd(x, rank=3), rtol=0.1),
    ):
        leaf = torch.tensor(x, requires_grad=True)
        train = call(leaf)
        assert max(train.rank) == 2
        (torch.tensor(weight) * train.to_array()).sum().backward()
        # Scaling the tensor scales what is kept.
        kept = np.vdot(weight, train.to_array().detach().numpy())
        assert np.vdot(leaf.grad.numpy(), x) == pytest.approx(kept, rel=1e-10)
