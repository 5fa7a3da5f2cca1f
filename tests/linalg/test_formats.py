"""The formats of a matrix: what they stand for, however they are asked."""

import pickle

import numpy as np
import pytest

import tdecomp as td
from tdecomp.linalg import SVD, LowRank, breakeven_rank
from tdecomp.testing import matrix

SLACK = 30 * np.finfo(float).eps
DTYPE = "complex128"


def parts(batch=()):
    """A complex SVD, with everything that can go wrong about conjugates."""
    members = [np.linalg.svd(matrix(12, 7, "polynomial", rng=i, dtype=DTYPE), full_matrices=False)
               for i in range(int(np.prod(batch)))]  # fmt: skip
    u, s, vh = (np.stack(x).reshape(*batch, *x[0].shape) for x in zip(*members, strict=True))
    return u[..., :4], s[..., :4], vh[..., :4, :]


def formats(xp, batch=()):
    """The same matrix in both formats, and as an array."""
    u, s, vh = parts(batch)
    scaled = u * s[..., None, :]
    svd = SVD(xp.asarray(u), xp.asarray(s), xp.asarray(vh))
    return (svd, LowRank(xp.asarray(scaled), xp.asarray(vh))), scaled @ vh


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_a_format_behaves_as_its_matrix(xp, batch):
    both, a = formats(xp, batch)
    x = np.random.default_rng(0).standard_normal((*batch, 7, 5)).astype(DTYPE)
    for fmt in both:
        assert (fmt.shape, fmt.rank, fmt.modes) == ((*batch, 12, 7), 4, 2)
        assert fmt.dtype == xp.asarray(x).dtype
        assert np.abs(xp.to_numpy(fmt.to_array()) - a).max() <= SLACK
        rows = xp.to_numpy(fmt.to_array(slice(3, 8)))
        assert np.abs(rows - a[..., 3:8, :]).max() <= SLACK
        assert np.abs(xp.to_numpy(fmt @ xp.asarray(x)) - a @ x).max() <= 10 * SLACK
        vector = x.reshape(-1)[:7]
        assert np.abs(xp.to_numpy(fmt @ xp.asarray(vector)) - a @ vector).max() <= 10 * SLACK
        adjoint = fmt.mH
        assert type(adjoint) is type(fmt)
        assert adjoint.shape == (*batch, 7, 12)
        gap = xp.to_numpy(adjoint.to_array()) - np.conj(np.swapaxes(a, -1, -2))
        assert np.abs(gap).max() <= SLACK
        assert np.abs(xp.to_numpy(adjoint.mH.to_array()) - a).max() <= SLACK


def test_formats_unpack_as_the_field_writes_them(xp):
    (svd, lowrank), _ = formats(xp)
    u, s, vh = svd
    left, right = lowrank
    assert u is svd.U
    assert s is svd.S
    assert vh is svd.Vh
    assert left is lowrank.left
    assert right is lowrank.right


def test_formats_pickle():
    both, a = formats_of_numpy()
    for fmt in both:
        again = pickle.loads(pickle.dumps(fmt))
        assert type(again) is type(fmt)
        assert np.array_equal(again.to_array(), fmt.to_array())
        assert again.shape == a.shape


def test_formats_are_pytrees():
    jax = pytest.importorskip("jax")
    both, a = formats_of_numpy()
    for fmt in both:
        doubled = jax.jit(lambda f: jax.tree.map(lambda x: 2 * x, f))(fmt)
        assert type(doubled) is type(fmt)
        factor = 8 if isinstance(fmt, SVD) else 4
        assert np.abs(np.asarray(doubled.to_array()) - factor * a).max() <= factor * SLACK


def formats_of_numpy():
    u, s, vh = parts()
    return (SVD(u, s, vh), LowRank(u * s, vh)), (u * s) @ vh


def test_an_array_times_a_format_is_refused_not_guessed():
    for fmt in formats_of_numpy()[0]:
        with pytest.raises(TypeError):
            np.ones((3, 12)) @ fmt
    # NumPy would take two square factors for a batch of two matrices.
    square = LowRank(np.eye(4), np.eye(4))
    with pytest.raises(TypeError):
        np.eye(4) @ square
    with pytest.raises(TypeError):
        np.eye(4) - square


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 2), (3, 7), (10, 10), (64, 48), (12, 4)])
def test_breakeven_rank_is_the_last_that_saves(shape):
    m, n = shape
    saving = [r for r in range(min(m, n) + 1) if r * (m + n) < m * n]
    assert breakeven_rank(m, n) == saving[-1]


def test_sizes_are_counted():
    (svd, lowrank), _ = formats_of_numpy()
    assert td.n_parameters(svd) == 12 * 4 + 4 + 4 * 7
    assert td.n_parameters(lowrank) == 4 * (12 + 7)
    assert td.compression_ratio(lowrank) == pytest.approx(84 / 76)
