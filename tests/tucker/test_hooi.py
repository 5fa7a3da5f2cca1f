"""HOOI: monotone, stationary, as good as others; weighted and missing data."""

import math

import numpy as np
import pytest

import tdecomp as td
from tdecomp import tucker
from tdecomp.ops import unfold
from tdecomp.testing import assert_isometry, gaussian, low_rank_tensor, tensor
from tdecomp.tucker._format import expand

SHAPE = (9, 10, 11)


def errors_of(x, **options):
    seen = []
    fit = tucker.hooi(x, callback=lambda p: seen.append(p.error), **options)
    return fit, np.array(seen)


@pytest.mark.parametrize("init", ["sthosvd", "random"])
@pytest.mark.parametrize("rank", [1, 3, (2, 5, 4)])
def test_the_error_never_grows_and_is_the_error(dtype, init, rank):
    x = gaussian(SHAPE, dtype=dtype, rng=0)
    fit, seen = errors_of(x, rank=rank, init=init, rng=0, tol=-1, max_iter=12)
    eps = float(np.finfo(dtype).eps)
    assert np.all(np.diff(seen) <= 20 * eps)
    assert fit.error == pytest.approx(float(td.relative_error(x, fit.tensor)), rel=1e-6)
    assert fit.error == pytest.approx(seen[-1], rel=1e-3)
    assert fit.tensor.dtype == x.dtype
    for factor in fit.tensor.factors:
        assert_isometry(factor)


def test_no_worse_than_the_start_and_close_to_the_best():
    s = 0.7 ** np.arange(9.0)
    x = tensor(SHAPE, s)
    fit = tucker.hooi(x, rank=3)
    best = np.linalg.norm(s[3:]) / np.linalg.norm(s)
    assert fit.status is td.Status.CONVERGED
    assert best * (1 - 1e-9) <= fit.error <= best * (1 + 1e-6)
    y = gaussian(SHAPE, rng=3)
    assert tucker.hooi(y, rank=3).error <= float(
        td.relative_error(y, tucker.sthosvd(y, rank=3))
    ) * (1 + 1e-12)


def test_a_fixed_point_is_stationary():
    x = gaussian(SHAPE, rng=0)
    fit = tucker.hooi(x, rank=(2, 3, 4), tol=1e-14, max_iter=3000)
    factors = fit.tensor.factors
    for mode in range(3):
        others = [None if k == mode else f.T for k, f in enumerate(factors)]
        y = unfold(expand(x, others, np), mode)
        u = factors[mode]
        gram = y @ y.T
        assert np.linalg.norm(gram @ u - u @ (u.T @ gram @ u)) <= 1e-5 * np.linalg.norm(gram)


def test_exact_ranks_are_found_at_once_from_any_start(dtype):
    x = low_rank_tensor(SHAPE, (2, 3, 4), dtype=dtype, rng=0)
    eps = float(np.finfo(dtype).eps)
    for init in ("sthosvd", "random"):
        fit = tucker.hooi(x, rank=(2, 3, 4), init=init, rng=0)
        assert fit.error <= 40 * eps
        assert fit.n_iter <= 6


def test_modes_left_alone_and_warm_starts(xp, host):
    x = low_rank_tensor(SHAPE, (3, 4, 4), noise=0.1, rng=0)
    fit = tucker.hooi(xp.asarray(x), rank=(3, 2), modes=(2, 0))
    found = host(fit.tensor, xp)
    assert found.rank == (2, 10, 3)
    assert found.factors[1] is None
    assert fit.error == pytest.approx(
        np.linalg.norm(found.to_array() - x) / np.linalg.norm(x), rel=1e-6
    )
    again = tucker.hooi(xp.asarray(x), rank=(3, 2), modes=(2, 0), init=fit.tensor)
    assert again.n_iter <= 2
    assert again.error <= fit.error * (1 + 1e-12)


def test_matches_tensorly():
    tensorly = pytest.importorskip("tensorly")
    from tensorly.decomposition import tucker as theirs

    x = gaussian(SHAPE, rng=0)
    core, factors = theirs(tensorly.tensor(x), rank=[3, 3, 3], n_iter_max=500, tol=1e-14)
    wanted = np.linalg.norm(tensorly.tucker_to_tensor((core, factors)) - x) / np.linalg.norm(x)
    assert tucker.hooi(x, rank=3, tol=1e-12, max_iter=1000).error <= wanted * (1 + 1e-6)


@pytest.mark.parametrize("size", [1e-300, 1e-160, 1e160, 1e300])
def test_scales_change_nothing_but_the_core(size):
    x = gaussian(SHAPE, rng=0)
    weights = np.random.default_rng(0).random(SHAPE)
    for w in (None, weights):
        one, other = (tucker.hooi(y, rank=2, weights=w, max_iter=5) for y in (x, x * size))
        assert other.error == pytest.approx(one.error, rel=1e-9)
        assert np.allclose(other.tensor.to_array() / size, one.tensor.to_array(), atol=1e-9)


def test_zero_one_mode_and_many_modes():
    assert tucker.hooi(np.zeros((3, 4, 5)), rank=2).error == 0
    assert not np.any(tucker.hooi(np.zeros((3, 4)), rank=2, weights=np.ones((3, 4))).tensor.core)
    fit = tucker.hooi(np.arange(1.0, 6), rank=1)
    assert fit.error <= 1e-15
    assert tucker.hooi(gaussian((2,) * 12, rng=0), rank=1, max_iter=3).tensor.rank == (1,) * 12
    assert tucker.hooi(gaussian((1, 5, 1, 4), rng=0), rank=3, max_iter=3).error < 1


def test_the_callback_sees_and_stops():
    x = gaussian(SHAPE, rng=0)
    kept = []
    fit = tucker.hooi(x, rank=2, tol=-1, callback=lambda p: kept.append(p) or len(kept) == 3)
    assert fit.status is td.Status.INTERRUPTED
    assert fit.n_iter == 3
    for progress in kept:
        assert progress.error == pytest.approx(float(td.relative_error(x, progress.tensor)))


def weighted_error(x, found, w):
    gap = w * np.abs(np.where(w > 0, x, 0) - found) ** 2
    return math.sqrt(np.sum(gap) / np.sum(w * np.abs(np.where(w > 0, x, 0)) ** 2))


@pytest.mark.parametrize("modes", [None, (0, 2)])
def test_the_weighted_error_never_grows_and_is_the_error(xp, modes):
    x = gaussian(SHAPE, rng=0)
    w = np.random.default_rng(1).random(SHAPE) ** 3
    seen = []
    fit = tucker.hooi(
        xp.asarray(x), rank=2, weights=xp.asarray(w), modes=modes, tol=-1, max_iter=6,
        callback=lambda p: seen.append(p.error),
    )  # fmt: skip
    assert np.all(np.diff(seen) <= 1e-13)
    found = xp.to_numpy(fit.tensor.to_array())
    assert fit.error == pytest.approx(weighted_error(x, found, w), rel=1e-10)
    assert fit.tensor.rank == ((2, 2, 2) if modes is None else (2, 10, 2))


def test_weights_of_one_change_nothing(dtype):
    x = gaussian(SHAPE, dtype=dtype, rng=0)
    plain = tucker.hooi(x, rank=2, tol=1e-7, max_iter=300)
    weighted = tucker.hooi(x, rank=2, weights=np.ones(SHAPE), tol=1e-7, max_iter=300)
    assert weighted.error == pytest.approx(plain.error, rel=1e-3)
    assert weighted.tensor.dtype == x.dtype


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_missing_entries_are_recovered(share):
    x = low_rank_tensor((20, 21, 22), (2, 2, 2), rng=0)
    missing = np.random.default_rng(0).random(x.shape) < share
    holed = np.where(missing, np.nan, x)
    fit = tucker.hooi(holed, rank=2, weights=~missing, tol=1e-9, max_iter=500)
    assert np.linalg.norm(fit.tensor.to_array() - x) <= 1e-4 * np.linalg.norm(x)


def test_weights_meet_an_exact_solution_of_every_block():
    x, w = gaussian((5, 6, 7), rng=0), np.random.default_rng(0).random((5, 6, 7))
    fit = tucker.hooi(x, rank=2, weights=w, tol=1e-13, max_iter=5000)
    core, factors = fit.tensor
    design = np.einsum("ia,jb,kc->ijkabc", *factors).reshape(x.size, 8)
    root = np.sqrt(w).reshape(-1)
    solution = np.linalg.lstsq(design * root[:, None], root * x.reshape(-1), rcond=None)[0]
    assert np.linalg.norm(core.reshape(-1) - solution) <= 1e-6 * np.linalg.norm(core)


def test_large_cores_take_conjugate_gradients(monkeypatch):
    from tdecomp.tucker import _weighted

    x, w = gaussian(SHAPE, rng=0), np.random.default_rng(0).random(SHAPE)
    direct = tucker.hooi(x, rank=3, weights=w, tol=1e-8, max_iter=500)
    monkeypatch.setattr(_weighted, "_DIRECT", 1)
    seen = []
    other = tucker.hooi(x, rank=3, weights=w, tol=1e-8, max_iter=500,
                        callback=lambda p: seen.append(p.error))  # fmt: skip
    assert np.all(np.diff(seen) <= 1e-13)
    assert other.error == pytest.approx(direct.error, rel=1e-4)


def test_slices_without_an_entry_are_named(xp):
    w = np.ones((4, 5, 6))
    w[:, 3, :] = 0
    with pytest.raises(ValueError, match=r"weights are 0 on all of x\[:, 3, :\].*1 such slices"):
        tucker.hooi(xp.asarray(np.ones((4, 5, 6))), rank=1, weights=xp.asarray(w))


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"rank": 0}, ValueError, "got 0"),
        ({"rank": 2.5}, TypeError, "got 2.5"),
        ({"rank": 2, "init": "svd"}, ValueError, "init must be"),
        ({"rank": 2, "init": tucker.Tucker(np.ones((1, 1)), (None, None))}, ValueError, "init"),
        ({"rank": 2, "max_iter": 0}, ValueError, "max_iter"),
        ({"rank": 2, "tol": "x"}, TypeError, "tol"),
        ({"rank": 2, "weights": -np.ones((4, 5, 6))}, ValueError, "not negative"),
        ({"rank": 2, "weights": np.ones((4, 5))}, ValueError, "cannot be broadcast"),
        ({"rank": 2, "weights": np.full((4, 5, 6), np.nan)}, ValueError, "weights"),
    ],
)
def test_bad_options_are_refused(options, kind, words):
    with pytest.raises(kind, match=words):
        tucker.hooi(gaussian((4, 5, 6)), **options)


def test_what_is_not_finite_counts_only_where_it_has_weight(xp):
    x = gaussian((4, 5, 6), rng=0)
    x[1, 2, 3] = np.inf
    with pytest.raises(ValueError, match=r"x\[1, 2, 3\]"):
        tucker.hooi(xp.asarray(x), rank=2)
    w = np.ones((4, 5, 6))
    with pytest.raises(ValueError, match=r"x\[1, 2, 3\]"):
        tucker.hooi(xp.asarray(x), rank=2, weights=xp.asarray(w))
    w[1, 2, 3] = 0
    assert tucker.hooi(xp.asarray(x), rank=2, weights=xp.asarray(w), max_iter=2).error < 1
