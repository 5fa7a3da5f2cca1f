"""Many small matrices at once: every one of them as accurate as alone."""

import numpy as np
import pytest

import tdecomp as td
from tdecomp.linalg import nearest_orthogonal
from tdecomp.linalg._polar import _batched, _polar
from tdecomp.linalg._polar._svd import svd_polar
from tdecomp.testing import gaussian

COUNT = 70


@pytest.mark.parametrize("shape", [(8, 8), (5, 3), (3, 5), (1, 1), (20, 20), (6, 1)])
@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_batch_is_what_its_members_are(monkeypatch, certified, shape, side, dtype):
    calls = []
    square = _batched._square
    monkeypatch.setattr(_batched, "_square", lambda a: calls.append(a.shape) or square(a))
    a = gaussian((2, COUNT // 2, *shape), dtype=dtype)
    found = td.polar(a, side=side)
    assert calls == [(COUNT, min(shape), min(shape))]
    certified(a, found)
    slack = 50 * np.finfo(dtype).eps
    alone = td.polar(a, side=side, method="svd")
    condition = np.linalg.cond(a.astype("float64")).max()
    for x, y in zip(found, alone, strict=True):
        assert x.dtype == y.dtype
        assert np.abs(x - y).max() <= slack * condition
    assert np.abs(nearest_orthogonal(a) - found.U).max() <= slack * condition


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_condition_is_certified(monkeypatch, certified, graded, dtype):
    sent = []

    def spy(a, **options):
        sent.append(len(a))
        return svd_polar(a, **options)

    monkeypatch.setattr(_batched, "svd_polar", spy)
    a = np.stack([graded(9, 9, 10.0 ** (k / 4), dtype=dtype, rng=k) for k in range(64)])
    a[7] = 0
    a[8, :, 3] = 0
    certified(a, td.polar(a))
    assert 2 < sum(sent) < 50


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
def test_scales_go_to_the_semidefinite_factor(scale):
    a = gaussian((COUNT, 4, 4))
    plain, scaled = td.polar(a), td.polar(a * scale)
    condition = np.linalg.cond(a).max()
    assert np.abs(plain.U - scaled.U).max() <= 1e-14 * condition
    assert np.abs(plain.H - scaled.H / scale).max() <= 1e-14 * condition


def test_views_are_kept_and_need_no_layout():
    a = gaussian((COUNT, 5, 5))
    view = np.asfortranarray(np.repeat(a, 2, axis=1))[:, ::2]
    view.setflags(write=False)
    kept = view.copy()
    assert np.abs(td.polar(view).H - td.polar(a).H).max() <= 1e-13
    assert np.all(view == kept)


def test_without_h_there_is_none():
    assert _batched.batched_polar(gaussian((3, 4, 4)), with_h=False)[1] is None


def test_few_or_complex_or_large_matrices_are_not_batched(monkeypatch):
    monkeypatch.setattr(_polar, "batched_polar", None)
    for shape, dtype in (
        ((63, 4, 4), "float64"),
        ((64, 4, 4), "complex128"),
        ((64, 65, 2), "float32"),
    ):
        td.polar(gaussian(shape, dtype=dtype))


def growing(kind, n, factor):
    """A well-conditioned matrix on which pivots of elimination grow exponentially."""
    a = np.eye(n) - factor * np.tril(np.ones((n, n)), -1)
    if kind == "random":
        a = np.eye(n) - np.tril(np.random.default_rng(n).uniform(factor, 1, (n, n)), -1)
        a[:, -1] = np.random.default_rng(0).standard_normal(n)
    else:
        a[:, -1] = 1
    return a


@pytest.mark.parametrize("kind", ["plain", "random"])
@pytest.mark.parametrize("factor", [0.3, 0.6, 0.95, 1.0])
@pytest.mark.parametrize("n", [16, 24, 40, 64])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_growing_pivots_cost_no_digit(certified, kind, n, factor, dtype):
    a = gaussian((64, n, n), dtype=dtype)
    a[::3] = growing(kind, n, factor)
    certified(a, td.polar(a))
