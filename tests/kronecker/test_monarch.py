"""Monarch matrices: the nearest one, block by block, and what they are exact for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tdecomp as td
from tdecomp.kronecker._monarch import Monarch, _monarch, monarch
from tdecomp.testing import gaussian

EPS = np.finfo(float).eps
SHAPES = ((3, 4), (5, 2))
sides = st.integers(1, 5)
all_shapes = st.tuples(st.tuples(sides, sides), st.tuples(sides, sides))


def drawn(shapes, rank=1, *, dtype="float64", rng=0):
    (m1, n1), (m2, n2) = shapes
    first = gaussian((n1, rank * m2, n2), rng=rng, dtype=dtype)
    return Monarch(first, gaussian((m2, m1, n1 * rank), rng=rng + 1, dtype=dtype))


def dense(m, rank=1):
    """The definition, index by index."""
    m2, m1, _ = m.second.shape
    n1, _, n2 = m.first.shape
    second, first = m.second.reshape(m2, m1, n1, rank), m.first.reshape(n1, rank, m2, n2)
    return np.einsum("jlkr,krji->ljki", second, first).reshape(m1 * m2, n1 * n2)


def blocks(a, shapes):
    (m1, n1), (m2, n2) = shapes
    return a.reshape(m1, m2, n1, n2).transpose(2, 1, 0, 3)


def least_error(a, shapes, rank):
    s = np.linalg.svd(blocks(a, shapes), compute_uv=False)
    return np.linalg.norm(s[..., rank:]) / np.linalg.norm(s)


def hadamard(levels):
    out = np.ones((1, 1))
    for _ in range(levels):
        out = np.kron(out, [[1, 1], [1, -1]])
    return out


@given(shapes=all_shapes, rank=st.integers(1, 3), columns=st.integers(1, 4), rng=st.integers(0, 9))
def test_products_and_entries_are_those_of_the_matrix(shapes, rank, columns, rng):
    m = drawn(shapes, rank, rng=rng)
    a = dense(m, rank)
    x = gaussian((a.shape[1], columns), rng=rng)
    size = np.linalg.norm(m.first) * np.linalg.norm(m.second)
    assert (m.shape, m.shapes, m.rank) == (a.shape, shapes, rank)
    assert m.n_parameters == m.first.size + m.second.size == td.n_parameters(m)
    assert np.abs(m.to_array() - a).max() <= 8 * EPS * size
    assert np.abs(m @ x - a @ x).max() <= 32 * EPS * size * np.linalg.norm(x)
    assert np.abs(m.mT.to_array() - a.T).max() <= 8 * EPS * size


@given(shapes=all_shapes, rank=st.integers(1, 3), rng=st.integers(0, 9))
def test_the_error_is_the_least(shapes, rank, rng):
    rank = min(rank, shapes[0][0], shapes[1][1])
    a = gaussian((shapes[0][0] * shapes[1][0], shapes[0][1] * shapes[1][1]), rng=rng)
    fit = monarch(a, shapes, rank=rank)
    assert fit.error == pytest.approx(least_error(a, shapes, rank), rel=1e-10, abs=50 * EPS)
    assert fit.error == pytest.approx(float(td.relative_error(a, fit.tensor)), abs=1e-15)
    assert fit.status is td.Status.CONVERGED


def test_no_other_one_is_nearer():
    a = gaussian((15, 8), rng=1)
    fit = monarch(a, SHAPES)
    for rng in range(50):
        step = drawn(SHAPES, rng=2 * rng)
        for size in (1e-3, 0.3, 3.0):
            near = Monarch(
                fit.tensor.first + size * step.first, fit.tensor.second + size * step.second
            )
            assert td.relative_error(a, near) >= fit.error


def test_it_is_stationary():
    a = gaussian((15, 8), rng=2)
    m = monarch(a, SHAPES, rank=2).tensor
    gap = blocks(a - m.to_array(), SHAPES)
    left = m.second.reshape(5, 3, 4, 2).transpose(2, 0, 1, 3)
    right = m.first.reshape(4, 2, 5, 2).transpose(0, 2, 1, 3)
    for gradient in (left.swapaxes(-1, -2) @ gap, gap @ right.swapaxes(-1, -2)):
        assert np.abs(gradient).max() <= 100 * EPS * np.linalg.norm(a) ** 1.5


@pytest.mark.when_compiled(dtype="complex128", rank=2)
@pytest.mark.parametrize("rank", [1, 2])
def test_a_monarch_comes_back(xp, dtype, rank):
    m = drawn(SHAPES, rank, dtype=dtype)
    fit = monarch(xp.asarray(dense(m, rank)), SHAPES, rank=rank)
    assert fit.error <= 50 * np.finfo(dtype).eps
    again = monarch(fit.tensor.to_array(), SHAPES, rank=rank)
    assert xp.to_numpy(fit.tensor.first).dtype == dtype
    for one, two in zip(fit.tensor, again.tensor, strict=True):
        gap = np.abs(xp.to_numpy(one) - xp.to_numpy(two)).max()
        assert gap <= 3e4 * np.finfo(dtype).eps  # an eps over the least gap of a block


@pytest.mark.when_compiled(dtype="float32")
def test_a_product_is_the_same_in_every_library(xp, dtype):
    m = drawn(SHAPES, dtype=dtype)
    a, held = dense(m), Monarch(*map(xp.asarray, m))
    x = gaussian((2, 8, 3), rng=3, dtype=dtype)
    slack = 100 * np.finfo(dtype).eps * np.linalg.norm(a)
    assert np.abs(xp.to_numpy(held @ xp.asarray(x)) - a @ x).max() <= slack
    assert np.abs(xp.to_numpy(held @ xp.asarray(x[0, :, 0])) - a @ x[0, :, 0]).max() <= slack
    y = gaussian((15, 2), rng=4, dtype=dtype)
    assert np.abs(xp.to_numpy(held.mH @ xp.asarray(y)) - a.conj().T @ y).max() <= slack


@pytest.mark.parametrize(
    "region", [slice(2, 9, 3), (slice(None), 3), (4, 5), ([1, -1, 7], slice(6, 2, -1)), (-2, [0])]
)
def test_a_region_is_cut_out(xp, region):
    m = drawn(SHAPES, 2)
    held = Monarch(*map(xp.asarray, m))
    wanted = dense(m, 2)[region]
    found = xp.to_numpy(held.to_array(region))
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= 100 * EPS


def test_a_kronecker_product_is_one_with_equal_blocks():
    left, right = gaussian((3, 4), rng=5), gaussian((5, 2), rng=6)
    a = np.kron(left, right)
    equal = Monarch(np.broadcast_to(right, (4, 5, 2)), np.broadcast_to(left, (5, 3, 4)))
    assert np.array_equal(equal.to_array(), a)
    assert monarch(a, SHAPES).error <= 20 * EPS


@pytest.mark.parametrize(("p", "q"), [(4, 4), (8, 4), (2, 16), (5, 3)])
def test_the_fourier_transform_is_exact_in_the_right_order(p, q):
    a = np.fft.fft(np.eye(p * q))
    order = np.arange(p * q).reshape(q, p).T.reshape(-1)
    fit = monarch(a[:, order], ((p, p), (q, q)))
    assert fit.error <= 1e-14
    x = gaussian((p * q,), rng=7)
    assert np.abs(fit.tensor @ x[order] - np.fft.fft(x)).max() <= 1e-12
    assert monarch(a, ((p, p), (q, q))).error > 0.5


@pytest.mark.parametrize("split", [1, 2, 3])
def test_the_hadamard_transform_is_exact(split):
    fit = monarch(hadamard(4), ((2**split,) * 2, (2 ** (4 - split),) * 2))
    assert fit.error <= 20 * EPS
    first, second = map(np.abs, fit.tensor)
    assert np.allclose(first * second[0, 0, 0], 1)  # entries of 1, shared evenly by each block
    assert np.linalg.norm(first) == pytest.approx(np.linalg.norm(second), rel=1e-14)


@given(rtol=st.floats(1e-12, 0.99), rng=st.integers(0, 9))
def test_rtol_is_a_guarantee_by_the_least_rank(rtol, rng):
    shapes = ((6, 2), (2, 6))
    a = gaussian((12, 12), rng=rng) * np.geomspace(1, 1e-12, 12)
    fit = monarch(a, shapes, rtol=rtol)
    assert fit.error <= rtol
    if fit.tensor.rank > 1:
        assert least_error(a, shapes, fit.tensor.rank - 1) > rtol * (1 - 1e-3) - 1e-13
    assert monarch(a, shapes, rtol=rtol, rank=2).tensor.rank == min(2, fit.tensor.rank)


def test_full_rank_is_exact():
    a = gaussian((15, 8), rng=8)
    assert monarch(a, SHAPES, rank=2).error <= 20 * EPS


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
def test_no_scale_matters(scale):
    a = gaussian((15, 8), rng=9)
    fit, small = monarch(a * scale, SHAPES), monarch(a, SHAPES)
    assert fit.error == pytest.approx(small.error, rel=1e-12)
    assert np.allclose(fit.tensor.to_array() / scale, small.tensor.to_array())


def test_zeros_are_exact():
    fit = monarch(np.zeros((15, 8)), SHAPES)
    assert fit.error == 0
    assert not np.any(fit.tensor.to_array())


def test_padding_makes_room():
    a = gaussian((13, 7), rng=10)
    fit = monarch(a, SHAPES, pad=True)
    whole = np.zeros((15, 8))
    whole[:13, :7] = a
    assert fit.tensor.shape == (15, 8)
    assert fit.error == pytest.approx(least_error(whole, SHAPES, 1), rel=1e-10)


def test_plain_numbers_are_taken():
    a = np.arange(24).reshape(4, 6)
    shapes = ((2, 3), (2, 2))
    one = monarch(a, shapes).tensor
    assert one.dtype == np.float64
    assert np.array_equal(monarch(a.tolist(), shapes).tensor.first, one.first)
    narrow = monarch(a.astype(np.float16), shapes).tensor
    assert narrow.dtype == np.float32
    turned = np.asfortranarray(a.astype(">f8"))
    turned.setflags(write=False)
    assert np.array_equal(monarch(turned, shapes).tensor.first, one.first)


def test_bad_input_is_named():
    a = gaussian((15, 8), rng=11)
    with pytest.raises(ValueError, match=r"nearest sizes of a first factor .* \(5, 4\)"):
        monarch(a, ((4, 4), (5, 2)))
    with pytest.raises(ValueError, match=r"shapes must be two, .* got 3; butterfly takes more"):
        monarch(a, ((3, 4), (5, 1), (1, 2)))
    with pytest.raises(ValueError, match="rank must be an int between 1 and 2, got 3"):
        monarch(a, SHAPES, rank=3)
    with pytest.raises(TypeError, match=r"rank must be an int between 1 and 2, got 1\.5"):
        monarch(a, SHAPES, rank=1.5)
    with pytest.raises(td.ToleranceError, match="cannot be guaranteed"):
        monarch(a, SHAPES, rtol=1e-17)
    with pytest.raises(ValueError, match="a is empty"):
        monarch(np.empty((0, 8)), SHAPES)
    a[3, 4] = np.nan
    with pytest.raises(ValueError, match=r"the first at a\[3, 4\]"):
        monarch(a, SHAPES)
    with pytest.raises(ValueError, match="a matrix with 8 columns cannot multiply shape"):
        drawn(SHAPES) @ np.ones(9)
    with pytest.raises(TypeError, match="unsupported operand"):
        np.ones((3, 15)) @ drawn(SHAPES)


def test_transformations_change_nothing(xp):
    """Compiled, batched: the same matrix; and the gradient is that of a difference."""
    a = gaussian((15, 8), rng=12)
    wanted = monarch(a, SHAPES, rank=1)
    held = xp.asarray(a)
    found = xp.jit(lambda x: monarch(x, SHAPES, rank=1).tensor.to_array())(held)
    assert np.abs(xp.to_numpy(found) - wanted.tensor.to_array()).max() <= 100 * EPS
    if xp.name != "jax":
        return
    import jax

    def size(x):
        return jax.numpy.sum(_monarch(x, SHAPES, 1, xp=xp.namespace).to_array() ** 2)

    batched = jax.vmap(lambda x: _monarch(x, SHAPES, 1, xp=xp.namespace).to_array())
    both = jax.jit(batched)(xp.asarray(np.stack([a, 2 * a])))
    assert np.abs(np.asarray(both[1]) - 2 * wanted.tensor.to_array()).max() <= 200 * EPS
    # The projection of a cone: the gradient of its squared norm is twice itself.
    gradient = np.asarray(jax.jit(jax.grad(size))(held))
    assert np.abs(gradient - 2 * wanted.tensor.to_array()).max() <= 1e-12
    with pytest.raises(ValueError, match="pass rank= alone"):
        jax.jit(lambda x: monarch(x, SHAPES, rtol=0.5).tensor)(held)


def test_torch_differentiates_products_and_the_projection():
    torch = pytest.importorskip("torch")
    a = torch.tensor(gaussian((15, 8), rng=13), requires_grad=True)
    fit = monarch(a, SHAPES)
    torch.sum(fit.tensor.to_array() ** 2).backward()
    gap = a.grad - 2 * fit.tensor.to_array().detach()
    assert float(torch.abs(gap).max()) <= 1e-12
    factors = [torch.tensor(x, requires_grad=True) for x in drawn(((2, 2), (3, 2)), 2)]
    x = torch.tensor(gaussian((4, 2), rng=14), requires_grad=True)
    assert torch.autograd.gradcheck(lambda f, s, y: Monarch(f, s) @ y, (*factors, x))
