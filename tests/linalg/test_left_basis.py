"""The leading left basis of an unfolding: every route against the SVD."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp.linalg import truncation_rank
from tdecomp.linalg._left_basis import LeftBasis, _left_basis, left_basis
from tdecomp.linalg._left_sketch import SIX_DIGITS
from tdecomp.ops import unfold
from tdecomp.testing import assert_isometry, gaussian, low_rank_tensor, tensor

ROUTES = ("auto", "gram", "qr", "randomized")
SHAPES = [(9, 10, 11), (30, 40, 33), (7,), (1, 6), (6, 1, 5), (4, 3, 2, 5, 2), (40, 2, 3)]
LARGE = (40, 60, 50)


def optimum(x, mode, rank):
    s = np.linalg.svd(unfold(x, mode), compute_uv=False).astype(float)
    return float(np.linalg.norm(s[rank:]))


def noisy(shape, dtype="float64", noise=1e-2):
    rank = tuple(min(4, n) for n in shape)
    return low_rank_tensor(shape, rank, noise=noise, dtype=dtype, rng=1)


def check(basis, x, mode, rank, *, route):
    """The basis is orthonormal, its error what it says, and the least there is."""
    eps, norm = float(np.finfo(x.dtype).eps), float(np.linalg.norm(x))
    u, core, _ = basis
    assert u.dtype == core.dtype == x.dtype
    assert u.shape == (x.shape[mode], min(rank, x.size // x.shape[mode]))
    assert_isometry(u)
    error = float(np.linalg.norm(unfold(x, mode) - u @ unfold(core, mode)))
    if route == "randomized":
        # What a difference of squares can tell.
        assert basis.error == pytest.approx(error, rel=1e-3, abs=norm * 1e-3)
        return
    best = optimum(x, mode, u.shape[1])
    assert error == pytest.approx(best, rel=1e-5, abs=40 * eps * norm)
    slack = norm * (40 * eps if route == "qr" else 4 * math.sqrt(eps))
    assert basis.error == pytest.approx(best, rel=1e-5, abs=slack)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_basis_is_the_leading_one(dtype, shape, route):
    x = gaussian(shape, dtype=dtype)
    for mode in range(len(shape)):
        rank = max(1, shape[mode] // 2)
        basis = left_basis(x, mode, rank=rank, route=route, xp=np)
        check(basis, x, mode, rank, route=route)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_every_library_gives_that_basis(xp, dtype, route):
    x = noisy((33, 34, 35), dtype)
    basis = left_basis(xp.asarray(x), 1, rank=4, route=route, xp=xp.namespace)
    check(LeftBasis(*map(xp.to_numpy, basis[:2]), basis.error), x, 1, 4, route=route)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("mode", [0, 1, 2])
def test_a_tolerance_is_met_by_the_smallest_rank(dtype, mode, route):
    s = 0.5 ** np.arange(20.0)
    x = tensor(LARGE, s, dtype=dtype)
    norm = float(np.linalg.norm(s))
    for atol in (0.1 * norm, 0.004 * norm):
        basis = left_basis(x, mode, atol=atol, route=route, xp=np)
        assert basis.U.shape == (LARGE[mode], truncation_rank(s, atol=atol))
        error = np.linalg.norm(unfold(x, mode) - basis.U @ unfold(basis.core, mode))
        assert error <= atol
        assert basis.error == pytest.approx(error, rel=2e-2)


@pytest.mark.parametrize("route", ["auto", "qr"])
@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-13), ("complex128", 1e-12),
                                             ("float32", 1e-5), ("complex64", 1e-5)])  # fmt: skip
def test_tolerances_below_what_a_gram_matrix_tells_are_met(dtype, rtol, route):
    x = tensor(LARGE, 0.2 ** np.arange(30.0), dtype=dtype)
    norm = float(np.linalg.norm(x))
    basis = left_basis(x, 1, atol=rtol * norm, route=route, xp=np)
    u = basis.U.astype(complex)
    wide = unfold(x, 1).astype(complex)
    least = int(np.sum(0.2 ** np.arange(30.0) > rtol * norm))
    assert abs(u.shape[1] - least) <= 1
    eps = float(np.finfo(dtype).eps)
    assert np.linalg.norm(wide - u @ (u.conj().T @ wide)) <= (rtol + 4 * eps) * norm


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mode", [0, 1, 2])
def test_auto_has_the_six_digits_of_the_least_error(mode, dtype):
    for noise in (1e-1, 1e-3, 1e-6, 0.0):
        x = noisy(LARGE, dtype, noise)
        basis = left_basis(x, mode, rank=4, xp=np)
        wide = unfold(x, mode).astype(float)
        error = np.linalg.norm(wide - basis.U @ (basis.U.T @ wide))
        best = optimum(x.astype(float), mode, 4)
        assert error <= best * (1 + 2 * SIX_DIGITS) + 20 * np.finfo(dtype).eps


def test_auto_takes_the_randomized_route_where_it_proves_itself(monkeypatch):
    from tdecomp.linalg import _left_basis as module

    def refuse(*_args, **_options):
        raise AssertionError

    monkeypatch.setattr(module, "_by_gram", refuse)
    monkeypatch.setattr(module, "_by_qr", refuse)
    x = low_rank_tensor((128, 100, 120), (4, 5, 6), noise=1e-2, rng=0)
    for mode in range(3):
        assert left_basis(x, mode, rank=4, xp=np).U.shape[1] == 4
        assert left_basis(x, mode, atol=2e-2, xp=np).U.shape[1] <= 6
    flat = np.random.default_rng(0).standard_normal((128, 100, 120))
    with pytest.raises(AssertionError):
        left_basis(flat, 0, rank=4, xp=np)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("mode", [0, 1, 2])
def test_a_tiny_tolerance_is_met_by_a_residual_without_a_decomposition(monkeypatch, mode, dtype):
    # Of the whole unfolding, that is: 1e-11 is far below what a Gram matrix shows.
    from tdecomp.linalg import _left_basis as module

    def refuse(*_args, **_options):
        raise AssertionError

    for name in ("_by_gram", "_by_qr"):
        monkeypatch.setattr(module, name, refuse)
    s = 10.0 ** -np.arange(16.0)
    x = tensor((128, 130, 129), s, dtype=dtype)
    for atol, rank in ((1e-8, 8), (1e-11, 11)):
        basis = left_basis(x, mode, atol=1.2 * atol, xp=np)
        assert basis.U.shape[1] == rank
        error = np.linalg.norm(unfold(x, mode) - basis.U @ unfold(basis.core, mode))
        assert error <= 1.2 * atol
        assert basis.error == pytest.approx(error, rel=1e-2)
        assert_isometry(basis.U)


def test_directions_are_as_many_as_the_tolerance_needs():
    from tdecomp.linalg._left_sketch import _enough, _Task

    w = [0.9**k for k in range(64)]
    task = _Task(None, 0, 64, (1.01 * sum(w[10:])) ** 0.5, sum(w), None, False, False, None)
    assert _enough(task, w, 10, columns=10**6) == 16
    assert _enough(task, w, 10, columns=100) == 18
    assert _enough(task._replace(atol=0.0), w, 64, columns=100) == 64


def test_auto_leaves_the_gram_matrix_where_it_would_lose_digits():
    # Singular values down to 1e-12: a Gram matrix shows none below 1e-8.
    s = 10.0 ** -np.arange(13.0)
    x = tensor((40, 40, 40), s)
    for mode in range(3):
        basis = left_basis(x, mode, rank=12, xp=np)
        error = np.linalg.norm(unfold(x, mode) - basis.U @ unfold(basis.core, mode))
        assert error <= 1.1e-12


@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=5).map(tuple),
    route=st.sampled_from(ROUTES),
    seed=st.integers(0, 9),
    zero=st.booleans(),
)
def test_every_shape_and_every_rank(shape, route, seed, zero):
    rng = np.random.default_rng(seed)
    x = np.zeros(shape) if zero else rng.standard_normal(shape)
    mode = int(rng.integers(len(shape)))
    limit = min(shape[mode], x.size // shape[mode])
    rank = int(rng.integers(1, shape[mode] + 1))
    basis = left_basis(x, mode, rank=rank, route=route, xp=np)
    assert basis.U.shape == (shape[mode], min(rank, limit))
    assert_isometry(basis.U)
    if rank >= limit:
        assert np.abs(unfold(x, mode) - basis.U @ unfold(basis.core, mode)).max() <= 1e-7


def test_views_without_a_copy_are_read_as_they_are():
    x = noisy((40, 30, 36))
    for y in (np.asfortranarray(x), x[::-1], np.repeat(x, 2, axis=2)[..., ::2]):
        before = y.copy()
        basis = left_basis(y, 1, rank=3, xp=np)
        assert np.array_equal(y, before)
        best = optimum(y, 1, 3)
        assert basis.error == pytest.approx(best, rel=1e-6)


def test_the_transformable_twin_agrees(xp, dtype):
    x = noisy((6, 7, 8), dtype)
    eps = float(np.finfo(dtype).eps)
    u, core = map(xp.to_numpy, _left_basis(xp.asarray(x), 1, 4, xp=xp.namespace))
    basis = left_basis(x, 1, rank=4, route="qr", xp=np)
    # The fourth value lies a few percent of the norm above the fifth.
    assert np.abs(u @ u.conj().T - basis.U @ basis.U.conj().T).max() <= 1e3 * eps
    assert core.shape == basis.core.shape


def test_the_largest_entry_of_every_vector_is_positive(is_canonical, dtype):
    x = noisy(LARGE, dtype)
    for route in ROUTES:
        assert is_canonical(left_basis(x, 1, rank=4, route=route, xp=np).U)
