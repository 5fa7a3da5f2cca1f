"""Butterflies: what is one comes back, and what is none is approximated nearly at best."""

import math
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tdecomp as td
from tdecomp.kronecker._butterfly import _butterfly, butterfly
from tdecomp.kronecker._butterfly_format import Butterfly
from tdecomp.kronecker._divisors import primes
from tdecomp.kronecker._monarch import monarch
from tdecomp.testing import gaussian

EPS = np.finfo(float).eps
SHAPES = ((2, 3), (3, 1), (2, 2))
sides = st.integers(1, 3)
all_shapes = st.lists(st.tuples(sides, sides), min_size=2, max_size=4).map(tuple)


def drawn(shapes, *, dtype="float64", rng=0):
    factors, before = [], 1
    for k, (m, n) in enumerate(shapes):
        after = math.prod(rows for rows, _ in shapes[k + 1 :])
        factors.append(gaussian((before, m, n, after), rng=rng + k, dtype=dtype))
        before *= n
    return Butterfly(tuple(factors))


def spread(factor):
    """The factor as a matrix, by its definition."""
    a, b, c, d = factor.shape
    out = np.zeros((a, b, d, a, c, d), factor.dtype)
    for i in range(a):
        for j in range(d):
            out[i, :, j, i, :, j] = factor[i, :, :, j]
    return out.reshape(a * b * d, a * c * d)


def dense(held):
    return reduce(np.matmul, map(spread, held.factors))


def sizes(held):
    return math.prod(np.linalg.norm(f) for f in held.factors)


def digits_reversed(radices):
    count = len(radices)
    return np.arange(math.prod(radices)).reshape(radices[::-1]).transpose(
        *range(count - 1, -1, -1)
    ).reshape(-1)  # fmt: skip


@given(shapes=all_shapes, columns=st.integers(1, 3), rng=st.integers(0, 9))
def test_products_and_entries_are_those_of_the_matrix(shapes, columns, rng):
    held = drawn(shapes, rng=rng)
    a = dense(held)
    x = gaussian((a.shape[1], columns), rng=rng)
    slack = 16 * EPS * sizes(held)
    assert held.shape == a.shape
    assert held.n_parameters == td.n_parameters(held)
    assert np.abs(held.to_array() - a).max() <= slack
    assert np.abs(held @ x - a @ x).max() <= slack * np.linalg.norm(x)
    assert np.abs(held.mT.to_array() - a.T).max() <= slack


def test_large_blocks_are_multiplied_alike():
    held = drawn(((5, 7), (6, 5)))
    a, x = dense(held), gaussian((2, 35, 3), rng=1)
    assert np.abs(held @ x - a @ x).max() <= 1e-12
    assert np.abs(held.mH @ (a @ x) - a.T @ (a @ x)).max() <= 1e-10


@given(shapes=all_shapes, rng=st.integers(0, 9))
def test_a_butterfly_comes_back(shapes, rng):
    a = dense(drawn(shapes, rng=rng))
    fit = butterfly(a, shapes)
    assert fit.error <= 100 * EPS
    lengths = [np.linalg.norm(f) for f in fit.tensor.factors]
    assert lengths == pytest.approx([lengths[0]] * len(lengths), rel=1e-13)


@pytest.mark.when_compiled(dtype="complex128")
def test_in_every_library(xp, dtype):
    a = dense(drawn(SHAPES, dtype=dtype))
    fit = butterfly(xp.asarray(a), SHAPES)
    assert fit.error <= 100 * np.finfo(dtype).eps
    assert all(xp.to_numpy(f).dtype == dtype for f in fit.tensor.factors)
    x = gaussian((6, 2), rng=1, dtype=dtype)
    slack = 200 * np.finfo(dtype).eps * np.linalg.norm(a)
    assert np.abs(xp.to_numpy(fit.tensor @ xp.asarray(x)) - a @ x).max() <= slack
    y = gaussian((12,), rng=2, dtype=dtype)
    assert np.abs(xp.to_numpy(fit.tensor.mH @ xp.asarray(y)) - a.conj().T @ y).max() <= slack


@pytest.mark.when_compiled(region=(4, 5))
@pytest.mark.parametrize(
    "region", [None, slice(2, 9, 3), (slice(None), 3), (4, 5), ([1, -1], slice(4, 1, -1))]
)
def test_a_region_is_cut_out(xp, region):
    held = drawn(SHAPES)
    wanted = dense(held) if region is None else dense(held)[region]
    found = xp.to_numpy(Butterfly(tuple(map(xp.asarray, held.factors))).to_array(region))
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= 100 * EPS


@pytest.mark.parametrize("n", [2, 8, 64, 12, 30, 7])
def test_the_fourier_transform_is_exact_in_the_right_order(n):
    order = digits_reversed(primes(n))
    fit = butterfly(np.fft.fft(np.eye(n))[:, order])
    assert fit.error <= 1e-14
    x = gaussian((n,), rng=3)
    assert np.abs(fit.tensor @ x[order] - np.fft.fft(x)).max() <= 1e-12
    assert fit.tensor.n_parameters == n * sum(primes(n))


def test_the_hadamard_transform_has_factors_of_ones():
    a = reduce(np.kron, [np.array([[1.0, 1.0], [1.0, -1.0]])] * 5)
    fit = butterfly(a)
    assert fit.error <= 20 * EPS
    assert all(np.allclose(np.abs(f), 1, atol=1e-13) for f in fit.tensor.factors)


@given(shapes=all_shapes, rng=st.integers(0, 9), noise=st.floats(1e-8, 10))
def test_the_error_is_nearly_the_least(shapes, rng, noise):
    near = dense(drawn(shapes, rng=rng))
    gap = gaussian(near.shape, rng=rng + 50)
    # No butterfly is farther away than this one, the nearest is within its distance.
    a = near + noise * gap
    fit = butterfly(a, shapes)
    bound = math.sqrt(len(shapes) - 1) * noise * np.linalg.norm(gap) / np.linalg.norm(a)
    assert fit.error <= bound * (1 + 1e-12) + 100 * EPS


@given(shapes=all_shapes, rng=st.integers(0, 9))
def test_the_error_is_no_less_than_that_of_any_two_factors(shapes, rng):
    a = gaussian(dense(drawn(shapes)).shape, rng=rng)
    error = butterfly(a, shapes).error
    for k in range(1, len(shapes)):
        halves = [
            tuple(math.prod(side) for side in zip(*part, strict=True))
            for part in (shapes[:k], shapes[k:])
        ]
        assert error >= monarch(a, halves).error - 50 * EPS


def test_two_factors_are_a_monarch():
    a = gaussian((15, 8), rng=4)
    shapes = ((3, 4), (5, 2))
    one, two = butterfly(a, shapes), monarch(a, shapes)
    assert one.error == pytest.approx(two.error, rel=1e-13)
    assert np.abs(one.tensor.to_array() - two.tensor.to_array()).max() <= 1e-13


def test_it_stays_where_it_is():
    a = gaussian((12, 6), rng=5)
    once = butterfly(a, SHAPES).tensor.to_array()
    assert butterfly(once, SHAPES).error <= 100 * EPS


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
def test_no_scale_matters(scale):
    a = gaussian((12, 6), rng=6)
    fit, plain = butterfly(a * scale, SHAPES), butterfly(a, SHAPES)
    assert fit.error == pytest.approx(plain.error, rel=1e-12)
    assert np.allclose(fit.tensor.to_array() / scale, plain.tensor.to_array())


def test_zeros_and_small_matrices_are_exact():
    assert butterfly(np.zeros((8, 8))).error == 0
    assert butterfly([[3.0]]).tensor.to_array() == pytest.approx(3.0)
    sparse = np.diag(np.arange(8.0))
    assert butterfly(sparse).error <= 20 * EPS


def test_padding_and_plain_numbers():
    a = np.arange(30).reshape(5, 6)
    fit = butterfly(a, ((2, 2),) * 3, pad=True)
    assert fit.tensor.shape == (8, 8)
    assert fit.tensor.dtype == np.float64
    assert butterfly(a.astype(np.float16), ((1, 2), (5, 3))).tensor.dtype == np.float32


def test_bad_input_is_named():
    a = gaussian((12, 6), rng=7)
    with pytest.raises(ValueError, match=r"shapes must be given .* not square, such as \(12, 6\)"):
        butterfly(a)
    with pytest.raises(ValueError, match=r"nearest sizes of a first factor .* \(6, 3\)"):
        butterfly(a, ((5, 3), (2, 2)))
    with pytest.raises(ValueError, match="shapes must hold the shapes of two or more factors"):
        butterfly(a, ((12, 6),))
    with pytest.raises(ValueError, match="a is empty"):
        butterfly(np.empty((0, 0)))
    with pytest.raises(ValueError, match="a must have 2 dimensions"):
        butterfly(np.ones(4))
    a[1, 2] = np.inf
    with pytest.raises(ValueError, match=r"the first at a\[1, 2\]"):
        butterfly(a, SHAPES)
    with pytest.raises(ValueError, match="a matrix with 6 columns cannot multiply shape"):
        drawn(SHAPES) @ np.ones((7, 2))


def test_compiled_and_differentiated(xp):
    a = gaussian((8, 8), rng=8)
    wanted = butterfly(a).tensor.to_array()
    found = xp.to_numpy(xp.jit(lambda x: butterfly(x).tensor.to_array())(xp.asarray(a)))
    assert np.abs(found - wanted).max() <= 1e-12
    if xp.name != "jax":
        return
    import jax

    shapes = ((2, 2),) * 3
    step = gaussian((8, 8), rng=9)

    def size(x):
        return jax.numpy.sum(_butterfly(x, shapes, xp=xp.namespace).to_array() ** 2)

    slope = float(np.sum(np.asarray(jax.jit(jax.grad(size))(xp.asarray(a))) * step))
    ends = [np.sum(butterfly(a + h * step).tensor.to_array() ** 2) for h in (1e-5, -1e-5)]
    assert slope == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6)


def test_torch_differentiates_products():
    torch = pytest.importorskip("torch")
    factors = [torch.tensor(f, requires_grad=True) for f in drawn(SHAPES).factors]
    x = torch.tensor(gaussian((6, 2), rng=10), requires_grad=True)
    assert torch.autograd.gradcheck(lambda *f: Butterfly(f[:-1]) @ f[-1], (*factors, x))
