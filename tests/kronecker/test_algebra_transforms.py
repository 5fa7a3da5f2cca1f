"""Products, norms and systems of Kronecker sums under jit, vmap and grad."""

import numpy as np
import pytest

from tdecomp.kronecker import KroneckerSum
from tdecomp.kronecker._algebra import add, inner, norm
from tdecomp.kronecker._eigh import eigh
from tdecomp.kronecker._round import round as rounded
from tdecomp.kronecker._solve import logdet, solve
from tdecomp.testing import gaussian

LEFT, RIGHT = gaussian((2, 3, 3)), gaussian((2, 4, 4), rng=1)
B = gaussian((12,), rng=2)


def total(x):
    return (x * x).sum()


def hermitian(f):
    """Positive definite, of distinct eigenvalues."""
    return f @ f.swapaxes(-1, -2) + 0.5 * f.swapaxes(-1, -2) @ f


def one(k):
    return KroneckerSum(k.left[:1], k.right[:1])


def definite(k):
    return KroneckerSum(hermitian(k.left), hermitian(k.right))


CALLS = {
    "product": lambda k, b: total(k @ b),
    "product of sums": lambda k, b: total((k @ k.mT) @ b),
    "entries of three": lambda k, _: total(k._replace(rest=(k.left[:, :1],)).to_array()),
    "norm": lambda k, _: norm(k),
    "inner": lambda k, b: inner(k, KroneckerSum(k.left * b[0], k.right)),
    "sum": lambda k, b: norm(add(k, KroneckerSum(k.left, k.right * b[1]))),
    "round": lambda k, b: total(rounded(k, rank=1) @ b),
    "solve": lambda k, b: total(solve(one(k), b)),
    "solve two": lambda k, b: total(solve(definite(k), b)),
    "solve shifted": lambda k, b: total(solve(one(definite(k)), b, shift=b[0] ** 2)),
    "logdet": lambda k, _: logdet(one(k))[1],
    "logdet shifted": lambda k, b: logdet(one(definite(k)), shift=b[0] ** 2)[1],
    "quadratic": lambda k, b: eigh(one(definite(k))).quadratic(b, shift=b[0] ** 2),
}


@pytest.fixture(params=CALLS)
def call(request):
    return CALLS[request.param]


def apart(call):
    return lambda left, right, b: call(KroneckerSum(left, right), b)


def test_gradients_equal_finite_differences(xp, call):
    if xp.name not in ("jax", "torch"):
        pytest.skip("no grad")
    leaves = [xp.asarray(x) for x in (LEFT, RIGHT, B)]
    if xp.name == "jax":
        import jax

        found = jax.jit(jax.grad(apart(call), argnums=(0, 1, 2)))(*leaves)
    else:
        leaves = [leaf.requires_grad_() for leaf in leaves]
        apart(call)(*leaves).backward()
        found = [np.zeros(x.shape) if x.grad is None else x.grad for x in leaves]
    steps = [gaussian(x.shape, rng=7 + j) for j, x in enumerate((LEFT, RIGHT, B))]
    slope = sum(np.vdot(np.asarray(g), step) for g, step in zip(found, steps, strict=True))
    h = 1e-5
    ends = [
        apart(call)(
            *(x + sign * h * step for x, step in zip((LEFT, RIGHT, B), steps, strict=True))
        )
        for sign in (1, -1)
    ]
    # The third derivative times the squared step; rounding over the step.
    assert slope == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-5)


def test_jit_changes_nothing(xp, call):
    if xp.name != "jax":
        pytest.skip("nothing else compiles")
    found = xp.jit(apart(call))(*map(xp.asarray, (LEFT, RIGHT, B)))
    assert float(found) == pytest.approx(float(apart(call)(LEFT, RIGHT, B)), rel=1e-11)


@pytest.mark.parametrize("name", ["product", "norm", "inner", "solve", "solve shifted", "logdet"])
def test_vmap_equals_a_loop(xp, name):
    if xp.name == "jax":
        import jax

        mapped = jax.vmap
    elif xp.name == "torch":
        import torch

        mapped = torch.func.vmap
    else:
        pytest.skip("no vmap")
    piles = [np.stack([x, x[::-1], 2 * x]) for x in (LEFT, RIGHT, B)]
    found = mapped(apart(CALLS[name]))(*map(xp.asarray, piles))
    expected = [float(apart(CALLS[name])(*xs)) for xs in zip(*piles, strict=True)]
    assert np.allclose(np.asarray(found), expected, rtol=1e-10)


def test_gradients_of_determinants_exist_where_eigenvalues_coincide():
    jax = pytest.importorskip("jax")
    one, two = np.eye(3)[None], 2 * np.eye(4)[None]

    def loss(scale):
        return logdet(KroneckerSum(one * scale, jax.numpy.asarray(two)), shift=1.0)[1]

    assert float(jax.grad(loss)(jax.numpy.asarray(1.5))) == pytest.approx(12 * 2 / 4)


def test_a_singular_factor_yields_no_number_under_jit():
    jax = pytest.importorskip("jax")
    k = KroneckerSum(*(jax.numpy.asarray(f[None]) for f in (np.zeros((2, 2)), np.eye(3))))
    assert not np.isfinite(jax.jit(lambda k: solve(k, jax.numpy.ones(6)))(k)).any()
