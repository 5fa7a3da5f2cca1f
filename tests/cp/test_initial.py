"""Where CP algorithms start: what each start promises."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tdecomp as td
from tdecomp import cp
from tdecomp.cp import CP
from tdecomp.cp._initial_gevd import _solved
from tdecomp.ops import COO, coo, from_dense, unfold
from tdecomp.testing import gaussian, low_rank_tensor, tensor

DTYPES = ("float32", "float64", "complex64", "complex128")
INITS = ("random", "hosvd", "gevd")


def exact(shape, rank, dtype="float64", seed=0):
    factors = tuple(gaussian((n, rank), rng=seed + k, dtype=dtype) for k, n in enumerate(shape))
    truth = CP(np.ones(rank, np.zeros(0, dtype).real.dtype), factors)
    return truth.to_array(), truth


@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple),
    rank=st.integers(1, 6),
    init=st.sampled_from(INITS),
    dtype=st.sampled_from(DTYPES),
)
def test_a_start_has_unit_columns_and_the_right_shape(shape, rank, init, dtype):
    x = gaussian(shape, rng=3, dtype=dtype)
    start = cp.initialise(x, rank=rank, init=init, rng=0)
    assert (start.shape, start.rank, start.dtype) == (shape, rank, dtype)
    assert start.weights.dtype == np.zeros(0, dtype).real.dtype
    for factor in start.factors:
        assert np.allclose(np.linalg.norm(factor, axis=0), 1, atol=1e-5)
    again = cp.initialise(x, rank=rank, init=init, rng=0)
    assert all(np.array_equal(a, b) for a, b in zip(start.factors, again.factors, strict=True))


@pytest.mark.parametrize("sparse", [False, True])
def test_hosvd_takes_leading_left_singular_vectors_and_fills_up(sparse):
    x = tensor((7, 2, 9), [5.0, 3.0])
    start = cp.initialise(from_dense(x) if sparse else x, rank=4, init="hosvd", rng=0)
    for mode, factor in enumerate(start.factors):
        u = np.linalg.svd(unfold(x, mode))[0][:, :2]
        # Gram matrices keep half of the digits, and a start needs no more.
        np.testing.assert_allclose(np.abs(np.sum(u * factor[:, :2], axis=0)), 1, atol=1e-12)
        assert np.all(np.linalg.norm(factor, axis=0) > 0.99)
    assert float(np.linalg.norm(start.weights)) == pytest.approx(np.linalg.norm(x))


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize(
    ("shape", "rank"),
    [((6, 7, 5), 4), ((5, 5, 5), 5), ((3, 12, 9), 6), ((9, 2, 8), 7), ((5, 3, 6, 2), 4),
     ((3, 3, 3, 3, 3), 3)],
)  # fmt: skip
def test_gevd_is_exact_where_the_tensor_is(shape, rank, dtype):
    x, truth = exact(shape, rank, dtype)
    start = cp.initialise(x, rank=rank, init="gevd", rng=0)
    assert float(td.relative_error(x, start)) <= 1e-11
    assert cp.factor_match_score(start, truth) == pytest.approx(1.0, abs=1e-8)


def test_gevd_of_coordinates_is_exact_up_to_the_digits_of_a_gram_matrix():
    rng = np.random.default_rng(0)
    factors = tuple(
        np.where(rng.random((n, 3)) < 0.3, rng.standard_normal((n, 3)), 0) for n in (30, 20, 25)
    )
    truth = CP(np.ones(3), factors)
    x = truth.to_array()
    start = cp.initialise(from_dense(x), rank=3, init="gevd", rng=0)
    assert float(td.relative_error(x, start)) <= 1e-6


def test_gevd_survives_noise():
    x, truth = exact((30, 20, 25), 4)
    noise = gaussian(x.shape, rng=9)
    noisy = x + 0.05 * np.linalg.norm(x) / np.linalg.norm(noise) * noise
    start = cp.initialise(noisy, rank=4, init="gevd", rng=0)
    assert float(td.relative_error(noisy, start)) <= 0.06
    assert cp.factor_match_score(start, truth) >= 0.97


def test_gevd_of_complex_pencils_stays_real():
    # Generic 2 x 2 x 2 tensors have rank 3 with positive probability: no real eigenvectors.
    x = np.zeros((2, 2, 2))
    x[:, :, 0], x[:, :, 1] = np.eye(2), [[0.0, 1.0], [-1.0, 0.0]]
    start = cp.initialise(x, rank=2, init="gevd", rng=0)
    assert start.dtype == np.float64
    assert float(td.relative_error(x, start)) <= 1.0


@pytest.mark.parametrize(
    ("shape", "rank"),
    [((4, 5), 3), ((4, 4, 4), 6), ((5, 2, 2), 4), ((6, 5, 4), 1), ((7,), 2), ((5, 5, 1), 3)],
)
def test_gevd_falls_back_to_hosvd(shape, rank):
    x = gaussian(shape, rng=1)
    one, two = (cp.initialise(x, rank=rank, init=init, rng=5) for init in ("gevd", "hosvd"))
    for a, b in zip(one.factors, two.factors, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


def test_a_singular_pencil_has_no_solution():
    slices = np.zeros((3, 3, 2))
    assert _solved(slices, (slices[..., 0], slices[..., 1])) is None


def test_gevd_of_a_tensor_of_lower_rank_falls_back():
    x = low_rank_tensor((8, 8, 8), (2, 2, 2))
    start = cp.initialise(x, rank=4, init="gevd", rng=0)
    assert all(np.all(np.isfinite(f)) for f in start.factors)


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("sparse", [False, True])
def test_every_backend(xp, init, sparse):
    x, _ = exact((5, 5, 5), 3)
    expected = cp.initialise(from_dense(x) if sparse else x, rank=3, init=init, rng=0)
    data = xp.asarray(x)
    if sparse:
        host = from_dense(x)
        data = COO(xp.asarray(host.indices), xp.asarray(host.values), host.shape)
    start = cp.initialise(data, rank=3, init=init, rng=0)
    got = CP(xp.to_numpy(start.weights), tuple(map(xp.to_numpy, start.factors)))
    assert cp.factor_match_score(got, expected) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
@pytest.mark.parametrize("init", INITS)
def test_scales(scale, init):
    x, _ = exact((6, 5, 7), 3)
    small, start = (cp.initialise(y, rank=3, init=init, rng=0) for y in (x, x * scale))
    np.testing.assert_allclose(start.weights / scale, small.weights, rtol=1e-9)
    assert cp.factor_match_score(start, small, compare_weights=False) == pytest.approx(1.0)


@pytest.mark.parametrize("init", INITS)
def test_zero_tensors(init):
    for x in (np.zeros((3, 4, 5)), coo(np.zeros((3, 0), int), np.zeros(0), (3, 4, 5))):
        start = cp.initialise(x, rank=2, init=init, rng=0)
        assert np.array_equal(start.weights, [0, 0])
        assert all(np.allclose(np.linalg.norm(f, axis=0), 1) for f in start.factors)


def test_a_large_sparse_tensor_is_not_densified():
    rng = np.random.default_rng(0)
    shape = (100_000, 50_000, 30_000)
    indices = np.stack([rng.integers(0, n, 5000) for n in shape])
    x = coo(indices, rng.standard_normal(5000), shape)
    start = cp.initialise(x, rank=3, init="hosvd", rng=0)
    assert start.shape == shape


def test_a_given_start_is_checked_and_cast(random_cp):
    x = gaussian((3, 4, 5), rng=0, dtype="complex64")
    given = random_cp((3, 4, 5), 2)
    start = cp.initialise(x, rank=2, init=given)
    assert start.dtype == np.complex64
    assert start.weights.dtype == np.float32
    same = cp.initialise(x.real.astype(float), rank=2, init=given)
    assert same.factors[0] is given.factors[0]


def test_what_is_no_start_is_refused(random_cp):
    x = gaussian((3, 4, 5), rng=0)
    refusals = [
        ({"rank": 2, "init": "nvecs"}, ValueError, "init must be one of 'random', 'hosvd'"),
        ({"rank": 2, "init": random_cp((3, 4, 6), 2)}, ValueError, "init must have shape"),
        ({"rank": 3, "init": random_cp((3, 4, 5), 2)}, ValueError, "and rank 3"),
        ({"rank": 2, "init": random_cp((3, 4, 5), 2, dtype="complex128")}, ValueError, "complex"),
        ({"rank": 2, "init": 3}, TypeError, "init must be a CP"),
        ({"rank": 0}, ValueError, "rank must be an int >= 1"),
        ({"rank": 2.5}, TypeError, "rank must be"),
        ({"rank": True}, TypeError, "rank must be"),
        ({"rank": 2, "rng": "seed"}, TypeError, "rng must be"),
    ]
    for options, error, message in refusals:
        with pytest.raises(error, match=message):
            cp.initialise(x, **options)
    with pytest.raises(ValueError, match="non-finite"):
        cp.initialise(np.full((3, 3, 3), np.nan), rank=2)
