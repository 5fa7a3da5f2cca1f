"""The truncated and the weighted SVD under jit, vmap and grad."""

import numpy as np
import pytest

import tdecomp as td
from tdecomp.testing import matrix

RANK = 4
GAPS = [3.0, 2.0, 1.2, 0.7, 0.3, 0.2, 0.1]
A = matrix(12, 7, GAPS, rng=1)
LEFT = np.linspace(1.0, 2.0, 12)
RIGHT = matrix(7, 7, np.linspace(2.0, 0.8, 7), rng=2)
# Rounding of two SVDs of a matrix of norm 4, amplified by at most the inverse of the gaps.
SLACK = 100 * np.finfo(float).eps

CALLS = {
    "truncated": lambda a, left, right: td.truncated_svd(a, rank=RANK),  # noqa: ARG005
    "one weight": lambda a, left, right: td.weighted_svd(a, left=left, rank=RANK),  # noqa: ARG005
    "two weights": lambda a, left, right: td.weighted_svd(a, left=left, right=right, rank=RANK),
}


def arrays(xp):
    return tuple(xp.asarray(x) for x in (A, LEFT, RIGHT))


@pytest.mark.parametrize("call", CALLS)
def test_jit_changes_nothing(xp, call):
    eager, compiled = CALLS[call](*arrays(xp)), xp.jit(CALLS[call])(*arrays(xp))
    assert type(compiled) is type(eager)
    gap = xp.to_numpy(eager.to_array()) - xp.to_numpy(compiled.to_array())
    assert np.abs(gap).max() <= SLACK


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
def test_jit_keeps_scales(xp, scale):
    s = xp.jit(lambda a: td.truncated_svd(a, rank=7).S)(xp.asarray(A * scale))
    assert np.abs(xp.to_numpy(s) / scale - GAPS).max() <= SLACK


def test_jit_of_nothing_is_finite(xp):
    svd = xp.jit(lambda a: td.truncated_svd(a, rank=2))(xp.asarray(0 * A))
    assert all(np.all(np.isfinite(xp.to_numpy(x))) for x in svd)
    assert np.all(xp.to_numpy(svd.S) == 0)


@pytest.mark.parametrize(
    "call",
    [lambda a: td.truncated_svd(a, rtol=0.1).S, lambda a: td.weighted_svd(a, rtol=0.1).left],
)
def test_jit_needs_a_rank_and_says_so(xp, call):
    if xp.name != "jax":
        pytest.skip("nothing else compiles")
    with pytest.raises(ValueError, match="rank="):
        xp.jit(call)(xp.asarray(A))


def vmap(xp):
    if xp.name == "jax":
        import jax

        return jax.vmap
    if xp.name == "torch":
        import torch

        return torch.func.vmap
    return pytest.skip("no vmap")


@pytest.mark.parametrize("call", CALLS)
def test_vmap_equals_a_loop(xp, call):
    mapped = vmap(xp)
    piles = [np.stack([x, 0.5 * x[::-1], 2 * x]) for x in (A, LEFT, RIGHT)]
    together = mapped(CALLS[call])(*map(xp.asarray, piles))
    for i in range(3):
        alone = CALLS[call](*(xp.asarray(pile[i]) for pile in piles))
        gap = xp.to_numpy(together.to_array()[i]) - xp.to_numpy(alone.to_array())
        assert np.abs(gap).max() <= SLACK


@pytest.mark.parametrize(
    ("part", "dtype"),
    [
        ("product", "float64"),
        ("left vectors", "complex128"),
        ("values", "float64"),
        ("two weights", "complex128"),
    ],
)
def test_gradients_equal_finite_differences(xp, part, dtype):
    xp.requires("weighted_svd" if "weight" in part else "truncated_svd", "grad")
    rng = np.random.default_rng(0)
    real = dtype == "float64"
    a = matrix(12, 7, GAPS, rng=1, dtype=dtype)
    seed, direction = (
        rng.standard_normal((12, 7)) + (0 if real else 1j) * rng.standard_normal((12, 7))
        for _ in range(2)
    )

    def loss(x, to):
        if part in CALLS:
            out = CALLS[part](x, to(LEFT), to(RIGHT.astype(dtype))).to_array()
        else:
            svd = td.truncated_svd(x, rank=RANK)
            out = {"product": svd.to_array(), "left vectors": svd.U, "values": svd.S}[part]
        weight = to(
            seed[tuple(slice(size) for size in out.shape)] if out.ndim > 1 else LEFT[:RANK]
        )
        product = weight * out
        return (product if real or part == "values" else (product + product.conj()) / 2).sum().real

    step = 1e-5
    ends = [loss(a + sign * step * direction, np.asarray) for sign in (1, -1)]
    slope = (ends[0] - ends[1]) / (2 * step)
    found = np.sum(np.conj(xp.gradient(lambda x: loss(x, xp.asarray), a)) * direction).real
    # The third derivative times the squared step; rounding over the step.
    assert found == pytest.approx(slope, rel=1e-7, abs=1e-7)


@pytest.mark.parametrize("shape", [(4200, 256), (256, 4200)])
def test_gradients_pass_through_large_long_matrices(xp, shape):
    xp.requires("truncated_svd", "grad")
    a = matrix(*shape, 1 / np.arange(1.0, 41.0))
    u, _, vh = td.truncated_svd(a, rank=3)
    # The derivative of a singular value is the outer product of its vectors.
    found = xp.gradient(lambda x: xp.namespace.sum(td.truncated_svd(x, rank=3).S), a)
    assert np.abs(found - u @ vh).max() <= SLACK
