"""Rounding of trains: guaranteed errors, smallest ranks, honest refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tdecomp as td
from tdecomp import tt
from tdecomp.testing import tensor

SINGLE = {"float32", "complex64"}


def graded(d, n, decay, dtype="float64"):
    """A train of full rank whose unfoldings all have the singular values `decay ** i`."""
    return tt.tt_svd(tensor((n,) * d, decay ** np.arange(float(n)), dtype=dtype), rank=n)


@pytest.mark.parametrize("rtol", [0.5, 1e-1, 1e-3, 1e-5, 1e-8, 1e-12])
def test_rtol_is_kept_at_small_ranks(dtype, rtol):
    if dtype in SINGLE and rtol < 1e-5:
        pytest.skip("beyond single precision")
    train = graded(4, 6, 0.05, dtype)
    doubled = tt.add(train, train)
    small = tt.round(doubled, rtol=rtol)
    assert small.dtype == np.dtype(dtype)
    x = doubled.to_array().astype(np.result_type(dtype, np.float64))
    wide = [core.astype(x.dtype) for core in small.cores]
    assert td.relative_error(x, tt.TensorTrain(tuple(wide))) <= rtol
    # A fifth of the tolerance would do for the largest bond of the smallest train that there is.
    s = 0.05 ** np.arange(6.0)
    most = int(np.sum(np.linalg.norm(s) * rtol / 5 < np.sqrt(np.cumsum(s[::-1] ** 2))))
    assert max(small.rank) <= max(1, most)


def test_rtol_on_every_backend(xp, on_host):
    train = tt.tt_svd(tensor((3, 3, 3), [1.0, 1e-2, 1e-4], dtype="float32"), rank=3)
    moved = tt.TensorTrain(tuple(map(xp.asarray, train.cores)))
    for rtol, rank in ((2e-2, 1), (1e-5, 3)):
        small = on_host(tt.round(moved, rtol=rtol), xp)
        assert small.rank == (rank, rank)
        assert td.relative_error(train.to_array(), small) <= rtol


@given(
    shape=st.lists(st.integers(1, 4), min_size=2, max_size=6).map(tuple),
    rank=st.integers(1, 5), place=st.floats(0, 1), seed=st.integers(0, 99),
    kind=st.sampled_from(["float32", "float64", "complex64", "complex128"]),
)  # fmt: skip
def test_rtol_is_kept_on_random_trains(  # noqa: PLR0917
    shape, rank, place, seed, kind, train_of, brute
):
    train = train_of(shape, (rank,) * (len(shape) - 1), dtype=kind, seed=seed)
    rtol = (1e-5 if kind in SINGLE else 1e-12) ** place * 0.9
    small = tt.round(train, rtol=rtol)
    x = brute(train.cores)
    assert np.linalg.norm(brute(small.cores) - x) <= rtol * np.linalg.norm(x)
    assert all(new <= old for new, old in zip(small.rank, train.rank, strict=True))


def test_the_error_is_the_sum_of_the_tails(train_of, brute):
    train = train_of((4, 5, 3, 4), (4, 9, 4))
    x = brute(train.cores)
    half = tt.orthogonalise(train, center=-1)
    small = tt.round(train, rank=(2, 3, 2))
    # What the steps cut: singular values of the unfoldings of the partly truncated tensor.
    tails, current = 0.0, x
    for bond, rank in ((3, 2), (2, 3), (1, 2)):
        matrix = current.reshape(int(np.prod(x.shape[:bond])), -1)
        u, s, vh = np.linalg.svd(matrix, full_matrices=False)
        tails += np.sum(s[rank:] ** 2)
        current = (u[:, :rank] * s[:rank]) @ vh[:rank]
    assert np.linalg.norm(x - brute(small.cores)) ** 2 == pytest.approx(tails, rel=1e-12)
    assert np.linalg.norm(current.ravel() - brute(small.cores).ravel()) <= 1e-12 * tt.norm(half)


def test_rounding_recovers_ranks_that_grew(train_of):
    a, b = train_of((5, 6, 4, 7), (2, 3, 2)), train_of((5, 6, 4, 7), (1, 2, 1), seed=1)
    grown = tt.add(a, b, tt.scale(a, -3))
    assert tt.round(grown, rtol=1e-10).rank == (3, 5, 3)
    assert tt.round(grown, rank=2).rank == (2, 2, 2)
    assert tt.round(grown, rank=(1, 2, 3)).rank == (1, 2, 3)
    assert tt.round(grown, rank=2, rtol=0.9).rank <= (2, 2, 2)


def test_a_small_difference_is_rounded_relative_to_itself(train_of):
    a, nudge = train_of((4,) * 6, (3,) * 5), train_of((4,) * 6, (1,) * 5, seed=7)
    step = 1e-8 * float(tt.norm(a) / tt.norm(nudge))
    gap = tt.add(a, tt.scale(nudge, step), tt.scale(a, -1))
    small = tt.round(gap, rtol=1e-3)
    assert small.rank == (1,) * 5
    error = small.to_array() - step * nudge.to_array()
    assert np.linalg.norm(error) <= 1e-3 * step * float(tt.norm(nudge))
    with pytest.raises(td.ToleranceError) as caught:
        tt.round(gap, rtol=1e-9)
    assert 1e-9 < caught.value.reachable < 1e-4


def test_what_cancels_to_nothing_is_refused_at_any_tolerance(train_of):
    a = train_of((4,) * 4, (3,) * 3)
    with pytest.raises(td.ToleranceError):
        tt.round(tt.add(a, tt.scale(a, -1)), rtol=0.5)


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_the_scaling_of_bonds_costs_no_tolerance(scale, train_of):
    a = train_of((4, 5, 6), (3, 4))
    grades = scale ** np.arange(3.0), scale ** -np.arange(4.0)
    first = a.cores[0] * grades[0]
    second = a.cores[1] / grades[0][:, None, None] * grades[1]
    third = a.cores[2] / grades[1][:, None, None]
    graded_train = tt.TensorTrain((first, second, third))
    small = tt.round(graded_train, rtol=1e-12)
    assert td.relative_error(a.to_array(), small) <= 1e-12


def test_zero_trains_have_rank_one(xp, train_of):
    train = train_of((3, 3, 3), (3, 3))
    zero = tt.TensorTrain(tuple(map(xp.asarray, (*train.cores[:2], 0 * train.cores[2]))))
    for small in (tt.round(zero, rtol=1e-3), tt.round(zero, rank=1)):
        assert small.rank == (1, 1)
        assert not np.any(xp.to_numpy(small.to_array()))


def test_below_the_floor_the_error_names_what_can_be_reached(train_of):
    train = train_of((4, 5, 6), (3, 4))
    with pytest.raises(td.ToleranceError) as caught:
        tt.round(train, rtol=1e-17)
    floor = caught.value.reachable
    assert td.relative_error(train.to_array(), tt.round(train, rtol=floor * 1.001)) <= floor


@pytest.mark.parametrize(
    ("rank", "kind", "message"),
    [
        (0, ValueError, "rank must be an int between 1 and 6, got 0"),
        (-1, ValueError, "rank must be an int between 1 and 6, got -1"),
        (7, ValueError, "rank must be an int between 1 and 6, got 7"),
        (2.5, TypeError, "rank must be an int between 1 and 6, got 2.5"),
        (True, TypeError, "rank must be an int between 1 and 6"),
        ((2,), ValueError, "one entry for each of 2 bonds"),
        ((5, 2), ValueError, r"rank\[0\] must be an int between 1 and 4, got 5"),
        (None, ValueError, "pass rank="),
    ],
)
def test_ranks_out_of_range_are_named(rank, kind, message, train_of):
    x = np.ones((4, 5, 6))
    with pytest.raises(kind, match=message):
        tt.round(train_of((4, 5, 6), (3, 4)), rank=rank)
    with pytest.raises(kind, match=message):
        tt.tt_svd(x, rank=rank)


@pytest.mark.parametrize("rtol", [0, 1, -1.0, np.nan])
def test_an_rtol_out_of_range_is_named(rtol, train_of):
    for call in (tt.round, lambda train, rtol: tt.tt_svd(train.to_array(), rtol=rtol)):
        with pytest.raises(ValueError, match="strictly between 0 and 1"):
            call(train_of((4, 5, 6), (3, 4)), rtol=rtol)
