"""Derivatives of leading singular triplets: right wherever there is a gap behind them."""

import numpy as np
import pytest

import tdecomp as td
from tdecomp.kronecker import butterfly, kronecker_svd, monarch
from tdecomp.testing import gaussian

SHAPES = ((3, 3), (4, 4))
# Exact zeros, in the matrix itself and in its rearrangement, with all the ties they bring.
LOW = {
    "diagonal": np.diag(np.r_[3.0, 1.0, np.zeros(10)]),
    "product": np.kron(np.diag([1.0, 2.0, 3.0]), np.eye(4)),
    "outer": np.outer(np.arange(1.0, 13.0), np.r_[1.0, np.zeros(11)]),
    "blocks": np.kron(
        np.outer([1.0, 0, 0], [1.0, 2, 3]), np.outer([1.0, 2, 3, 4], [1.0, 0, 0, 0])
    ),
}
CALLS = {
    "truncated_svd": ("diagonal", lambda a: td.truncated_svd(a, rank=2).to_array()),
    "batch": ("diagonal", lambda a: td.truncated_svd(a[None, ...], rank=2).to_array()[0, ...]),
    "weighted_svd": ("outer", lambda a: td.weighted_svd(a, rank=1).to_array()),
    "kronecker_svd": ("product", lambda a: kronecker_svd(a, SHAPES, rank=1).tensor.to_array()),
    "monarch": ("blocks", lambda a: monarch(a, SHAPES).tensor.to_array()),
    "butterfly": ("blocks", lambda a: butterfly(a, SHAPES).tensor.to_array()),
    "tucker": ("outer", lambda a: td.tucker.sthosvd(a, rank=(1, 1)).to_array()),
    "tensor train": ("outer", lambda a: td.tt.tt_svd(a, rank=1).to_array()),
}


@pytest.mark.parametrize("name", CALLS)
def test_gradients_at_low_rank_are_those_of_differences(xp, name):
    kind, call = CALLS[name]
    a, seed, direction = LOW[kind], gaussian((12, 12)), gaussian((12, 12), rng=1)
    found = xp.gradient(lambda x: (call(x) * xp.asarray(seed)).sum(), a)
    step = 1e-5
    ends = [call(a + sign * step * direction) for sign in (1, -1)]
    slope = np.sum((ends[0] - ends[1]) * seed) / (2 * step)
    assert np.sum(found * direction) == pytest.approx(slope, rel=1e-7, abs=1e-7)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("shape", [(7, 5), (5, 7)])
def test_hessians_are_those_of_differences(xp, shape, dtype):
    low = gaussian((shape[0], 2), dtype=dtype) @ gaussian((2, shape[1]), rng=1, dtype=dtype)
    seed, direction = (gaussian(shape, rng=k, dtype=dtype) for k in (2, 3))

    def along(t, to):
        found = td.truncated_svd(to(low) + t * to(direction), rank=2).to_array()
        product = found * to(seed)
        return (product + product.conj()).real.sum() / 2

    step = 1e-3
    ends = [float(along(t, np.asarray)) for t in (-step, 0.0, step)]
    curvature = (ends[0] - 2 * ends[1] + ends[2]) / step**2
    if xp.name == "jax":
        import jax

        found = float(jax.jit(jax.hessian(lambda t: along(t, xp.asarray)))(0.0))
    elif xp.name == "torch":
        import torch

        t = torch.zeros((), dtype=torch.float64, device=xp.device, requires_grad=True)
        (first,) = torch.autograd.grad(along(t, xp.asarray), t, create_graph=True)
        (second,) = torch.autograd.grad(first, t)
        found = float(second)
    else:
        pytest.skip("no gradients")
    assert found == pytest.approx(curvature, rel=1e-4)


def test_equal_discarded_values_of_a_full_matrix_cancel(xp):
    a = np.diag([4.0, 3.0, 1.0, 1.0, 1.0])
    found = xp.gradient(lambda x: xp.namespace.sum(td.truncated_svd(x, rank=2).S ** 2), a)
    assert np.abs(found - 2 * np.diag([4.0, 3.0, 0, 0, 0])).max() <= 1e-13
