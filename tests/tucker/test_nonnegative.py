"""Nonnegative Tucker: monotone, stationary in the sense of Karush, Kuhn and Tucker."""

import numpy as np
import pytest

import tdecomp as td
from tdecomp import tucker
from tdecomp.tucker import Tucker

SHAPE = (9, 10, 11)
COLUMNS = (np.ones((2, 1)), np.ones((3, 1)))


def planted(shape, rank, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    core = rng.random(rank) * (rng.random(rank) < 0.6)
    factors = tuple(
        rng.random((n, r)) * (rng.random((n, r)) < 0.7) for n, r in zip(shape, rank, strict=True)
    )
    return Tucker(core, factors).to_array().astype(dtype)


@pytest.mark.parametrize(("modes", "dtype"), [(None, "float32"), ((2, 0), "float64")])
def test_nothing_is_negative_and_the_error_never_grows(xp, dtype, modes, host):
    x = np.random.default_rng(0).random(SHAPE).astype(dtype)
    seen = []
    fit = tucker.nonnegative_tucker(
        xp.asarray(x), rank=2, modes=modes, rng=0, tol=-1, max_iter=8,
        callback=lambda p: seen.append(p.error),
    )  # fmt: skip
    found = host(fit.tensor, xp)
    assert found.dtype == x.dtype
    assert found.rank == ((2, 2, 2) if modes is None else (2, 10, 2))
    assert all(np.all(a >= 0) for a in (found.core, *found.factors) if a is not None)
    assert np.all(np.diff(seen) <= 10 * np.finfo(dtype).eps)
    exact = np.linalg.norm(found.to_array() - x) / np.linalg.norm(x)
    assert fit.error == pytest.approx(exact, rel=1e-4)


def test_a_limit_satisfies_the_conditions_of_karush_kuhn_and_tucker():
    x = np.random.default_rng(0).random((5, 6, 7)) - 0.2
    fit = tucker.nonnegative_tucker(x, rank=2, rng=0, tol=1e-15, max_iter=20000)
    core, (a, b, c) = fit.tensor
    rest = fit.tensor.to_array() - x
    gradients = (
        (core, np.einsum("ijk,ia,jb,kc->abc", rest, a, b, c)),
        (a, np.einsum("ijk,abc,jb,kc->ia", rest, core, b, c)),
        (b, np.einsum("ijk,abc,ia,kc->jb", rest, core, a, c)),
        (c, np.einsum("ijk,abc,ia,jb->kc", rest, core, a, b)),
    )
    scale = np.linalg.norm(x) * np.linalg.norm(core)
    for value, slope in gradients:
        # No way downhill: the slope is nil inside, and points outwards on the boundary.
        assert np.abs(np.minimum(value, slope)).max() <= 1e-5 * scale


def test_planted_tensors_are_explained():
    x = planted(SHAPE, (2, 3, 2))
    fit = tucker.nonnegative_tucker(x, rank=(2, 3, 2), rng=1, max_iter=1000)
    assert fit.error <= 1e-5


def test_warm_starts_go_on(xp):
    x = xp.asarray(planted(SHAPE, (2, 2, 2)))
    first = tucker.nonnegative_tucker(x, rank=2, rng=0, max_iter=5)
    second = tucker.nonnegative_tucker(x, rank=2, init=first.tensor, max_iter=5)
    assert second.error <= first.error


@pytest.mark.parametrize("size", [1e-300, 1e300])
def test_scales_change_nothing_but_the_core(size):
    x = planted((4, 5, 6), (2, 2, 2))
    one, other = (tucker.nonnegative_tucker(y, rank=2, rng=0, max_iter=20) for y in (x, x * size))
    assert other.error == pytest.approx(one.error, rel=1e-6)
    again = tucker.nonnegative_tucker(x * size, rank=2, init=other.tensor, max_iter=2)
    assert again.error <= other.error * (1 + 1e-9)


def test_zero_negative_and_trivial_data():
    assert tucker.nonnegative_tucker(np.zeros((3, 4)), rank=1, rng=0).error == 0
    fit = tucker.nonnegative_tucker(-np.ones((3, 4, 5)), rank=2, rng=0)
    assert fit.error == 1
    assert not np.any(fit.tensor.to_array())
    assert tucker.nonnegative_tucker(np.arange(1.0, 5), rank=1, rng=0).error <= 1e-12


@pytest.mark.parametrize(
    ("x", "options", "kind", "words"),
    [
        (np.ones((2, 3)) * 1j, {"rank": 1}, TypeError, "real"),
        (np.ones((2, 3)), {"rank": 4}, ValueError, "between 1 and 3"),
        (np.ones((2, 3)), {"rank": 1, "init": "svd"}, ValueError, "init"),
        (np.ones((2, 3)), {"rank": 1, "init": (-np.ones((1, 1)), COLUMNS)},
         ValueError, "negative"),
        (np.ones((2, 3)), {"rank": 1, "init": (np.ones((1, 1)), COLUMNS[::-1])},
         ValueError, "shape"),
        (np.full((2, 3), np.nan), {"rank": 1}, ValueError, "non-finite"),
        (np.ones((2, 3)), {"rank": 1, "max_iter": 0}, ValueError, "max_iter"),
    ],
)  # fmt: skip
def test_bad_input_is_refused(x, options, kind, words):
    with pytest.raises(kind, match=words):
        tucker.nonnegative_tucker(x, **options)


def test_the_callback_stops():
    fit = tucker.nonnegative_tucker(
        np.ones((3, 4)), rank=1, rng=0, tol=-1, callback=lambda _: True
    )
    assert fit.status is td.Status.INTERRUPTED
