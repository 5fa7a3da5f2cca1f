"""Conversions: the same tensor in another format, exactly or within what was promised."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tdecomp as td
from tdecomp import convert, cp, tt, tucker
from tdecomp.cp import CP
from tdecomp.ops import COO, coo, from_dense
from tdecomp.testing import assert_isometry, gaussian
from tdecomp.tt import TensorRing, TensorTrain
from tdecomp.tucker import Tucker

TO = {"tucker": convert.to_tucker, "tt": convert.to_tt}


def draw(kind, shape, *, dtype="float64", seed=0):
    """Return a format of rank two where it can have that."""

    def g(*sizes, k=0):
        return gaussian(sizes, rng=seed + 7 * k + sum(sizes), dtype=dtype)

    d = len(shape)
    if kind == "cp":
        real = np.zeros(0, dtype).real.dtype
        return CP(g(2).real.astype(real), tuple(g(n, 2, k=k) for k, n in enumerate(shape)))
    if kind == "tucker":
        factors = [g(n, 2, k=k) for k, n in enumerate(shape)]
        factors[-1] = None
        return Tucker(g(*(2,) * (d - 1), shape[-1]), tuple(factors))
    bonds = [2] * (d + 1)
    if kind == "train":
        bonds[0] = bonds[-1] = 1
    cores = tuple(g(bonds[k], n, bonds[k + 1], k=k) for k, n in enumerate(shape))
    return TensorRing(cores) if kind == "ring" else TensorTrain(cores)


def moved(fmt, move):
    """Move every array of a format."""
    if isinstance(fmt, tuple | list) and not hasattr(fmt, "dtype"):
        return type(fmt)(moved(part, move) for part in fmt)
    if hasattr(fmt, "_fields"):
        return type(fmt)(*(moved(part, move) for part in fmt))
    return None if fmt is None else move(fmt)


def close(found, x, slack=200):
    """Assert that a format stands for `x`, in double precision."""
    wide = np.asarray(found.to_array(), np.result_type(found.dtype, np.float64))
    gap = np.linalg.norm(wide - np.asarray(x))
    assert gap <= slack * float(np.finfo(found.dtype).eps) * max(np.linalg.norm(x), 1e-300)


KINDS = ("cp", "tucker", "train", "ring")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", TO)
@pytest.mark.parametrize("shape", [(7,), (6, 5), (4, 5, 6), (1, 5, 1, 3)])
def test_the_tensor_stays_the_same(kind, target, dtype, shape):
    x = draw(kind, shape, dtype=dtype)
    found = TO[target](x)
    assert found.shape == shape
    assert found.dtype == dtype
    close(found, x.to_array())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", TO)
def test_every_library(xp, kind, target):
    x = draw(kind, (4, 5, 6))
    found = TO[target](moved(x, xp.asarray))
    back = moved(found, xp.to_numpy)
    close(back, x.to_array())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", TO)
@pytest.mark.parametrize(
    ("dtype", "rtol"),
    [
        ("float64", 0.4),
        ("float64", 1e-3),
        ("float64", 1e-11),
        ("complex128", 1e-2),
        ("float32", 1e-4),
    ],
)
def test_a_tolerance_is_a_guarantee(kind, target, dtype, rtol):
    x = draw(kind, (6, 7, 8, 3), dtype=dtype)
    full = np.asarray(x.to_array(), np.result_type(dtype, np.float64))
    found = TO[target](x, rtol=rtol)
    wide = moved(found, lambda a: a.astype(np.result_type(a.dtype, np.float64)))
    assert found.dtype == dtype
    assert np.linalg.norm(wide.to_array() - full) <= rtol * np.linalg.norm(full)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", TO)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_said_to_be_reachable_is_reached(kind, target, dtype):
    x = draw(kind, (9, 10, 11, 6), dtype=dtype)
    with pytest.raises(td.ToleranceError) as info:
        TO[target](x, rtol=1e-17)
    rtol = 1.01 * info.value.reachable
    found = moved(TO[target](x, rtol=rtol), lambda a: a.astype(np.float64))
    full = moved(x, lambda a: a.astype(np.float64)).to_array()
    assert np.linalg.norm(found.to_array() - full) <= rtol * np.linalg.norm(full)


@pytest.mark.parametrize("target", TO)
def test_a_rank_is_a_limit(target):
    x = draw("cp", (6, 7, 8))
    found = TO[target](x, rank=1)
    assert set(found.rank) == {1}
    direct = (tucker.sthosvd if target == "tucker" else tt.tt_svd)(x.to_array(), rank=1)
    error = float(td.relative_error(x.to_array(), found))
    assert error <= 1.5 * float(td.relative_error(x.to_array(), direct))


def test_ranks_that_are_not_needed_are_found():
    x = draw("cp", (6, 7, 8))
    twice = cp.add(x, x)
    assert convert.to_tucker(twice).rank == (4, 4, 4)
    assert convert.to_tucker(twice, rtol=1e-12).rank == (2, 2, 2)
    assert convert.to_tt(twice, rtol=1e-12).rank == (2, 2)


@pytest.mark.parametrize("target", TO)
def test_what_cancels_is_refused_with_what_can_be_reached(target):
    x = draw("cp", (6, 7, 8))
    near = x._replace(factors=(x.factors[0] * (1 + 1e-9), *x.factors[1:]))
    gap = cp.add(x, near._replace(weights=-near.weights))
    with pytest.raises(td.ToleranceError) as info:
        TO[target](gap, rtol=1e-10)
    assert 1e-10 < info.value.reachable < 1e-3
    assert set(TO[target](gap, rtol=2 * info.value.reachable).rank) <= {1, 2}


def test_a_core_is_never_larger_than_the_tensor():
    x = CP(np.ones(9), tuple(gaussian((n, 9), rng=n) for n in (3, 20, 4)))
    found = convert.to_tucker(x)
    assert found.rank == (3, 9, 4)
    assert found.factors[0] is None
    close(found, x.to_array())
    train = TensorTrain(tuple(gaussian(s, rng=s[1]) for s in ((1, 3, 5), (5, 40, 5), (5, 4, 1))))
    assert convert.to_tucker(train).rank == (3, 25, 4)


def test_long_trains_and_many_modes_are_never_filled_in():
    # The tensor would have 10^24 entries.
    x = CP(np.ones(2), tuple(gaussian((100, 2), rng=k) for k in range(12)))
    assert convert.to_tt(x).rank == (2,) * 11
    found = convert.to_tucker(convert.to_tt(x))
    assert found.rank == (2, *(4,) * 10, 2)
    index = np.random.default_rng(0).integers(0, 100, (20, 12))
    expected = cp.evaluate(x, index)
    np.testing.assert_allclose(tt.evaluate(convert.to_tt(x), index), expected, rtol=1e-12)


@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple),
    seed=st.integers(0, 50),
    size=st.sampled_from([0.0, 1e-300, 1.0, 1e300]),
    kind=st.sampled_from(KINDS),
    target=st.sampled_from(sorted(TO)),
)
def test_every_shape_and_scale(shape, seed, size, kind, target):
    x = draw(kind, shape, seed=seed)
    scaled = {
        "cp": lambda: x._replace(weights=x.weights * size),
        "tucker": lambda: x._replace(core=x.core * size),
    }.get(kind, lambda: type(x)((x.cores[0] * size, *x.cores[1:])))()
    wanted = x.to_array()
    for options in ({}, {"rtol": 0.3}):
        found = TO[target](scaled, **options).to_array()
        if not size:
            assert not np.any(found)
            continue
        gap = np.linalg.norm(found / size - wanted)
        assert gap <= (0.3 if options else 1e-13) * np.linalg.norm(wanted)


def test_a_diagonal_core_is_a_cp_decomposition(xp, dtype):
    x = draw("cp", (5, 6, 7), dtype=dtype)
    there = moved(x, xp.asarray)
    for found in (
        convert.to_cp(convert.to_tucker(there)),
        convert.to_cp(convert.to_tt(there)),
        convert.to_cp(there),
    ):
        assert found.rank == 2
        back = moved(found, xp.to_numpy)
        close(back, x.to_array())
        assert cp.factor_match_score(back, x) > 1 - 1e-5
    core = np.zeros((2, 3, 4))
    core[0, 0, 0], core[1, 1, 1] = 2, 3
    assert convert.to_cp(Tucker(core, (None,) * 3)).weights.tolist() == [2, 3]


@pytest.mark.parametrize(
    "rank",
    [(1, 1, 1), (3, 1, 1), (1, 1, 3), (2, 3, 1), (3, 2, 1), (1, 2, 3), (3, 1, 2), (3,), (2, 3)],
)
def test_a_core_that_is_a_matrix_is_a_cp_decomposition(rank):
    x = Tucker(
        gaussian(rank, rng=0), tuple(gaussian((5 + k, r), rng=k) for k, r in enumerate(rank))
    )
    found = convert.to_cp(x)
    close(found, x.to_array())
    if len(rank) > 1:
        assert found.rank == sorted(rank)[-2]


def test_trains_of_vectors_are_cp_decompositions():
    for bonds in ((1, 1), (3, 1), (1, 3), (3, 1, 1), (1, 2, 1)):
        ends = (1, *bonds, 1)
        cores = tuple(gaussian((ends[k], 4 + k, ends[k + 1]), rng=k) for k in range(len(ends) - 1))
        found = convert.to_cp(TensorTrain(cores))
        assert found.rank == max(bonds)
        close(found, TensorTrain(cores).to_array())


def test_what_takes_an_iteration_is_refused_by_its_name():
    with pytest.raises(ValueError, match=r"core of rank \(2, 2, 6\) is not diagonal.*cp_als"):
        convert.to_cp(draw("tucker", (4, 5, 6)))
    for kind in ("train", "ring"):
        with pytest.raises(ValueError, match=r"not diagonal.*cp_als"):
            convert.to_cp(draw(kind, (4, 5, 6)))
    two_sums = TensorTrain(tuple(np.ones(s) for s in ((1, 3, 2), (2, 3, 1), (1, 3, 2), (2, 3, 1))))
    with pytest.raises(ValueError, match="components have to be found"):
        convert.to_cp(two_sums)
    with pytest.raises(TypeError, match=r"cp_als\(x, rank=...\)"):
        convert.to_cp(from_dense(np.eye(3)))
    with pytest.raises(TypeError, match=r"randomized_svd\(td.ops.to_scipy"):
        convert.to_svd(from_dense(np.eye(3)))


def test_the_way_out_of_the_refusal_works():
    x = convert.to_tucker(draw("cp", (6, 7, 8)), rtol=1e-12)
    x = tucker.orthogonalise(x)
    with pytest.raises(ValueError, match="is not diagonal"):
        convert.to_cp(x)
    small = td.cp.cp_als(x.core, rank=2, n_starts=4, rng=0).tensor
    found = CP(small.weights, [a @ b for a, b in zip(x.factors, small.factors, strict=True)])
    assert float(td.relative_error(x.to_array(), found)) < 1e-9


MATRICES = {
    "svd": lambda a: td.truncated_svd(a, rank=4),
    "lowrank": lambda a: td.LowRank(a[:, :4] + 0, a[:4, :] + 0),
    "cp": lambda a: CP(np.array([3.0, -2.0, 0.5]), (a[:, :3], a[:8, :3])),
    "tucker": lambda a: Tucker(a[:3, :8], (a[:, :3], None)),
    "train": lambda a: TensorTrain((a[None, :, :3], a[:3, :8, None])),
    "ring": lambda a: TensorRing(
        (a[:2, :3, None] * a[0, :2], a[:2, :4, None] * a[:2, :1, None] + a[0, :2])
    ),
}


@pytest.mark.parametrize("kind", MATRICES)
def test_formats_of_matrices_have_singular_values(kind, dtype):
    x = MATRICES[kind](gaussian((9, 8), rng=0, dtype=dtype))
    full = x.to_array()
    found = convert.to_svd(x)
    close(found, full)
    assert_isometry(found.U)
    expected = np.linalg.svd(full, compute_uv=False)[: found.rank]
    slack = 100 * float(np.finfo(dtype).eps) * expected[0]
    assert np.abs(found.S - expected).max() <= slack
    best = td.truncated_svd(full, rank=1)
    assert np.abs(convert.to_svd(x, rank=1).to_array() - best.to_array()).max() <= slack
    some = convert.to_svd(x, rtol=0.3)
    assert some.rank == td.truncated_svd(full, rtol=0.3).rank
    for target in TO.values():
        close(target(x), full)
    if kind not in ("tucker", "ring"):
        close(convert.to_cp(x), full)


def test_singular_values_in_every_library(xp):
    x = MATRICES["lowrank"](gaussian((9, 8), rng=0))
    found = convert.to_svd(moved(x, xp.asarray), rtol=0.1)
    expected = convert.to_svd(x, rtol=0.1)
    np.testing.assert_allclose(xp.to_numpy(found.U), expected.U, rtol=0, atol=1e-12)


def test_columns_of_any_scale_keep_their_digits():
    a, b = gaussian((6, 3), rng=0), gaussian((3, 5), rng=1)
    size = np.array([1e200, 1e-200, 1.0])
    wild = convert.to_svd(td.LowRank(a * size, b / size[:, None]))
    expected = convert.to_svd(td.LowRank(a, b)).S
    np.testing.assert_allclose(wild.S, expected, rtol=1e-12)
    for scale in (1e-300, 1e300):
        found = convert.to_svd(td.LowRank(a * scale, b)).S
        np.testing.assert_allclose(found / scale, expected, rtol=1e-12)
    assert np.all(convert.to_svd(td.LowRank(a * 0, b), rtol=0.1).S == 0)


def test_a_difference_of_matrices_promises_no_more_than_it_has():
    a, b = gaussian((9, 2), rng=0), gaussian((2, 8), rng=1)
    gap = td.LowRank(np.hstack([a, a]), np.vstack([b, -b * (1 + 1e-9)]))
    with pytest.raises(td.ToleranceError) as info:
        convert.to_svd(gap, rtol=1e-9)
    assert 1e-9 < info.value.reachable < 1e-3
    assert convert.to_svd(gap, rtol=2 * info.value.reachable).rank == 2


@given(
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple),
    seed=st.integers(0, 99),
    share=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
)
def test_sparse_tensors_become_blocks_and_trains(shape, seed, share):
    rng = np.random.default_rng(seed)
    x = np.where(rng.random(shape) < share, rng.standard_normal(shape), 0)
    sparse = from_dense(x)
    block, train = convert.to_tucker(sparse), convert.to_tt(sparse)
    assert np.array_equal(block.to_array(), x)
    assert np.array_equal(train.to_array(), x)
    filled = [max(1, len(np.unique(row))) for row in sparse.indices]
    assert block.rank == tuple(filled)
    for k, r in enumerate(train.rank, start=1):
        assert r <= max(1, sparse.nnz)
        assert r <= max(math.prod(shape[:k]), math.prod(shape[k:]))


def test_sparse_tensors_in_every_library(xp):
    x = np.zeros((4, 3, 5))
    x[1, 2, 3], x[3, 0, 3], x[3, 0, 1] = 1, 2, 3
    there = coo(xp.asarray(np.stack(np.nonzero(x))), xp.asarray(x[np.nonzero(x)]), x.shape)
    for target in TO.values():
        found = moved(target(there), xp.to_numpy)
        assert np.array_equal(found.to_array(), x)
        close(moved(target(there, rtol=1e-10), xp.to_numpy), x, slack=1e7)


def test_a_huge_sparse_tensor_of_few_entries():
    indices = np.array([[5, 999, 77], [8, 8, 500], [0, 1, 2], [9, 9, 9]])
    x = COO(indices, np.ones(3), (1000,) * 4)
    train = convert.to_tt(coo(*x))
    assert max(train.rank) <= 3
    np.testing.assert_array_equal(tt.evaluate(train, indices.T), np.ones(3))
    assert float(tt.norm(train)) == pytest.approx(math.sqrt(3))


def test_under_jit_and_gradients():
    jax = pytest.importorskip("jax")
    x = moved(draw("cp", (4, 5, 6)), jax.numpy.asarray)
    for target, back in itertools.product(TO.values(), TO.values()):
        found = jax.jit(lambda x, f=target, g=back: g(f(x)).to_array())(x)
        np.testing.assert_allclose(found, x.to_array(), atol=1e-12)
    norm = jax.grad(lambda x: (convert.to_tt(x, rank=1).to_array() ** 2).sum())(x)
    assert np.all(np.isfinite(norm.weights))


def test_what_is_no_format_is_told_its_way():
    for x in (np.ones((3, 4)), [[1.0, 2.0]]):
        with pytest.raises(TypeError, match=r"is an array, not a format.*sthosvd\(x, rtol=...\)"):
            convert.to_tucker(x)
        with pytest.raises(TypeError, match=r"tt_svd\(x, rtol=...\)"):
            convert.to_tt(x)
        with pytest.raises(TypeError, match=r"truncated_svd"):
            convert.to_svd(x)
    fit = cp.cp_als(np.ones((3, 4)), rank=1, rng=0)
    with pytest.raises(TypeError, match=r"pass x\.tensor"):
        convert.to_tt(fit)
    with pytest.raises(TypeError, match="bare tuple does not say which"):
        convert.to_tucker((np.ones(1), (np.ones((3, 1)),)))
    with pytest.raises(TypeError, match="got str"):
        convert.to_cp("cp")
    with pytest.raises(ValueError, match=r"must be a matrix, got a tensor of shape \(4, 5, 6\)"):
        convert.to_svd(draw("cp", (4, 5, 6)))
    with pytest.raises(ValueError, match="do not fit, of shapes"):
        convert.to_svd(td.LowRank(np.ones((3, 2)), np.ones((1, 4))))
    with pytest.raises(ValueError, match="rank must be an int between 1 and 2, got 3"):
        convert.to_svd(td.LowRank(np.ones((3, 2)), np.ones((2, 4))), rank=3)
    with pytest.raises(ValueError, match="strictly between 0 and 1, got 2"):
        convert.to_tucker(draw("train", (4, 5, 6)), rtol=2)
    with pytest.raises(ValueError, match=r"x\.factors\[0\]"):
        convert.to_tt(CP(np.ones(1), (np.full((3, 1), np.nan), np.ones((2, 1)))))


def test_inputs_are_left_alone():
    for kind, target in itertools.product(KINDS, TO.values()):
        x = draw(kind, (4, 5, 6))
        before = x.to_array()
        target(moved(x, np.asarray), rtol=0.3)
        assert np.array_equal(x.to_array(), before)
