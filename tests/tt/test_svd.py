"""Trains of arrays: guaranteed errors, the sum of the tails, every kind of input."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tdecomp as td
from tdecomp import tt
from tdecomp.testing import gaussian, low_rank_tensor, tensor

SINGLE = {"float32", "complex64"}


def wide(x):
    """The same numbers in double precision."""
    return x.astype(np.result_type(x.dtype, np.float64))


def error(x, train):
    """The relative error of a train of NumPy cores, in double precision."""
    return float(td.relative_error(wide(x), tt.TensorTrain(tuple(map(wide, train.cores)))))


def hilbert(n, d):
    """The values 1 / (1 + i_1 + ... + i_d)."""
    return 1 / (1 + sum(np.ogrid[(slice(n),) * d]))


def best_tails(x, rank):
    """The least error of each unfolding at its rank."""
    shape = x.shape
    for k, r in enumerate(rank, start=1):
        s = np.linalg.svd(x.reshape(math.prod(shape[:k]), -1), compute_uv=False)
        yield np.linalg.norm(s[r:])


def orthonormal(train):
    """Tell whether all cores but one are orthonormal."""
    free = 0
    for core in map(wide, train.cores):
        left = np.einsum("aib,aic->bc", core.conj(), core)
        right = np.einsum("aib,cib->ac", core, core.conj())
        gaps = [np.abs(gram - np.eye(len(gram))).max() for gram in (left, right)]
        slack = 100 * np.finfo(train.dtype).eps
        free += min(gaps) > slack
    return free <= 1


@pytest.mark.parametrize("rtol", [0.3, 1e-2, 1e-4, 1e-5, 1e-8, 1e-12])
@pytest.mark.parametrize("shape", [(60, 50, 40), (9, 8, 7, 10, 6), (4,) * 7, (90, 70)])
def test_rtol_is_kept(shape, rtol, dtype):
    if dtype in SINGLE and rtol < 1e-5:
        pytest.skip("beyond single precision")
    decay = 0.3 ** np.arange(float(min(shape)))
    x = tensor(shape, decay, dtype=dtype) + 1e-9 * gaussian(shape, dtype=dtype)
    train = tt.tt_svd(x, rtol=rtol)
    assert train.dtype == np.dtype(dtype)
    assert error(x, train) <= rtol
    if rtol > 1e-5:
        # One rank for each factor of 0.3, and one to share the error among all bonds.
        needed = math.log(rtol / math.sqrt(len(shape))) / math.log(0.3)
        assert max(train.rank) <= min(math.ceil(needed) + 1, *shape)


@given(
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=6).map(tuple),
    place=st.floats(0, 1), seed=st.integers(0, 99), scale=st.integers(-100, 100),
    kind=st.sampled_from(["float32", "float64", "complex64", "complex128"]),
)  # fmt: skip
def test_rtol_is_kept_on_anything(shape, place, seed, scale, kind):
    power = 2.0 ** (scale if kind in SINGLE else 9 * scale)
    x = gaussian(shape, rng=seed, dtype=kind) * np.asarray(power, dtype=kind)
    rtol = (1e-5 if kind in SINGLE else 1e-12) ** place * 0.9
    train = tt.tt_svd(x, rtol=rtol)
    unit = wide(x) / power
    cores = [wide(core) for core in train.cores]
    # The free core carries the scale.
    top = max(range(len(shape)), key=lambda k: abs(math.log(np.abs(cores[k]).max())))
    cores[top] = cores[top] / power
    gap = tt.TensorTrain(tuple(cores)).to_array() - unit
    assert np.linalg.norm(gap) <= rtol * np.linalg.norm(unit)


@pytest.mark.parametrize("shape", [(7, 6, 8), (3, 4, 5, 3, 2), (3,) * 6])
def test_the_error_is_quasi_optimal_and_the_sum_of_the_tails(shape):
    x = gaussian(shape, dtype="complex128")
    rank = tuple(min(3, top) for top in tt._ranks.largest_ranks(shape))
    train = tt.tt_svd(x, rank=rank)
    assert train.rank == rank
    found = np.linalg.norm(x - train.to_array())
    tails = list(best_tails(x, rank))
    assert max(tails) <= found * (1 + 1e-12)
    assert found <= math.sqrt(sum(tail**2 for tail in tails)) * (1 + 1e-12)
    # Orthogonal parts: what is kept and what is left out share the norm.
    kept = float(tt.norm(train))
    assert kept**2 + found**2 == pytest.approx(np.linalg.norm(x) ** 2, rel=1e-13)


@given(
    shape=st.lists(st.integers(1, 5), min_size=2, max_size=5).map(tuple),
    rank=st.integers(1, 4), seed=st.integers(0, 99),
)  # fmt: skip
def test_a_train_of_that_rank_is_found_exactly(shape, rank, seed, train_of, brute):
    limits = tt._ranks.largest_ranks(shape)
    rank = tuple(min(rank, top) for top in limits)
    x = brute(train_of(shape, rank, seed=seed).cores)
    train = tt.tt_svd(x, rank=rank)
    assert error(x, train) <= 1e-13
    assert tt.tt_svd(x, rtol=1e-10).rank <= rank
    assert orthonormal(train)


@pytest.mark.parametrize(("n", "d"), [(20, 3), (8, 5), (2, 12)])
@pytest.mark.parametrize("rtol", [1e-4, 1e-8, 1e-12])
def test_smooth_functions_have_small_ranks(n, d, rtol):
    x = hilbert(n, d)
    train = tt.tt_svd(x, rtol=rtol)
    assert error(x, train) <= rtol
    assert max(train.rank) <= 2 - math.log10(rtol)


def test_the_same_train_as_tensorly_where_it_is_determined():
    decomposition = pytest.importorskip("tensorly.decomposition")
    x = tensor((6, 7, 5, 4), [4.0, 2.0, 1.0, 1e-3])
    theirs = np.asarray(decomposition.tensor_train(x, [1, 3, 3, 3, 1]).to_tensor())
    ours = tt.tt_svd(x, rank=3).to_array()
    # Both leave out one term of size 1e-3; the gaps are 1.
    assert np.linalg.norm(ours - theirs) <= 1e-12
    noisy = x + 0.1 * gaussian(x.shape)
    theirs = np.asarray(decomposition.tensor_train(noisy, [1, 3, 3, 3, 1]).to_tensor())
    found = np.linalg.norm(noisy - tt.tt_svd(noisy, rank=3).to_array())
    assert found == pytest.approx(np.linalg.norm(noisy - theirs), rel=0.05)


def test_every_backend(xp, on_host):
    kind = "float32" if xp.name == "jax" else "complex64"
    x = low_rank_tensor((4, 4, 4), (2, 2, 2), noise=1e-3, dtype=kind)
    fixed = tt.tt_svd(xp.asarray(x), rank=(2, 3))
    guaranteed = tt.tt_svd(xp.asarray(x), rtol=1e-2)
    assert error(x, on_host(guaranteed, xp)) <= 1e-2
    expected = tt.tt_svd(x, rank=(2, 3)).to_array()
    gap = xp.to_numpy(fixed.to_array()) - expected
    assert np.abs(gap).max() <= 100 * np.finfo(kind).eps
    assert on_host(fixed, xp).dtype == np.dtype(kind)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_scale_costs_no_digit(scale):
    x = tensor((5, 4, 6), [1.0, 0.5, 0.1, 1e-7])
    train = tt.tt_svd(x * scale, rtol=1e-5)
    assert train.rank == (3, 3)
    assert np.linalg.norm(train.to_array() / scale - x) == pytest.approx(1e-7, rel=1e-6)


def test_zero_tensors_and_modes_of_size_one(xp):
    zero = tt.tt_svd(xp.asarray(np.zeros((3, 3, 3))), rtol=1e-3)
    assert zero.rank == (1, 1)
    assert not np.any(xp.to_numpy(zero.to_array()))
    x = gaussian((1, 3, 1, 3))
    thin = tt.tt_svd(xp.asarray(x), rtol=1e-12)
    assert thin.rank == (1, 3, 3)
    assert np.abs(xp.to_numpy(thin.to_array()) - x).max() <= 1e-13
    one = tt.tt_svd(xp.asarray(np.arange(3.0)), rank=1)
    assert one.rank == ()
    assert np.array_equal(xp.to_numpy(one.to_array()), np.arange(3.0))


INTEGERS = np.random.default_rng(0).integers(-8, 9, size=(4, 3, 5))
FORMS = {
    "fortran": np.asfortranarray(INTEGERS.astype(float)),
    "backwards": np.ascontiguousarray(INTEGERS[::-1, :, ::-1].astype(float))[::-1, :, ::-1],
    "big endian": INTEGERS.astype(">f8"),
    "half": INTEGERS.astype("f2"),
    "int8": INTEGERS.astype("i1"),
    "lists": INTEGERS.tolist(),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_input_means_the_same_tensor(form):
    train = tt.tt_svd(FORMS[form], rank=5)
    assert train.dtype == (np.float32 if form == "half" else np.float64)
    assert np.abs(train.to_array() - INTEGERS).max() <= 400 * np.finfo(train.dtype).eps


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_number_that_is_none_is_named(xp, bad):
    x = np.ones((3, 4, 5))
    x[1, 2, 3] = bad
    with pytest.raises(ValueError, match=r"x has 1 non-finite .* first at x\[1, 2, 3\]"):
        tt.tt_svd(xp.asarray(x), rank=2)


def test_what_is_no_tensor_is_refused():
    with pytest.raises(ValueError, match="x is empty"):
        tt.tt_svd(np.ones((3, 0, 2)), rank=1)
    with pytest.raises(ValueError, match="at least 1 dimensions"):
        tt.tt_svd(np.array(1.0), rank=1)


def test_below_the_floor_the_error_names_what_can_be_reached(dtype):
    x = gaussian((8, 9, 10, 7), dtype=dtype)
    with pytest.raises(td.ToleranceError) as caught:
        tt.tt_svd(x, rtol=1e-30)
    floor = caught.value.reachable
    assert floor <= 500 * np.finfo(dtype).eps
    assert error(x, tt.tt_svd(x, rtol=floor * (1 + 1e-12))) <= floor


def test_the_input_is_left_alone():
    x = gaussian((6, 5, 7))
    before = x.copy()
    tt.tt_svd(x, rank=3)
    tt.tt_svd(x, rtol=1e-3)
    assert np.array_equal(x, before)
