"""Kernels of soft-impute give what their twins give, compiled or not, wherever rows end."""

import numpy as np
import pytest

pytest.importorskip("numba")

from tdecomp._kernels import _imputed as kernels
from tdecomp._kernels import _picked_sums as picked
from tdecomp._kernels._tile import lanes
from tdecomp._xp import namespace
from tdecomp.completion._methods import _imputed as twins
from tdecomp.completion._observed import Side

XP = namespace(np.ones(1))
LOOPS = ("_gaps", "_squares", "_ordered_times")


@pytest.fixture(params=[True, False], ids=["compiled", "interpreted"], autouse=True)
def loops(request, monkeypatch):
    """Compile the loops or run them as Python, beside the twins."""
    if not request.param:
        for name in LOOPS:
            monkeypatch.setattr(kernels, name, getattr(kernels, name).py_func)
    monkeypatch.setattr(twins, "compiled", lambda *_: False)
    monkeypatch.setattr("tdecomp.completion._masked.compiled", lambda *_: False)


def problem(counts, k, dtype="float64", *, weighted=True, n=40):
    """Rows of so many entries each, a factor, two models of the entries, and an order."""
    rng = np.random.default_rng(0)
    counts = np.asarray(counts)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    indices = np.concatenate([np.sort(rng.permutation(n)[:c]) for c in counts]).astype(np.int32)
    size = indices.size
    values, now, last = rng.standard_normal((3, size)).astype(dtype)
    weights = (rng.random(size) + 0.5).astype(dtype) if weighted else None
    side = Side(starts, indices, values, weights)
    factor = rng.standard_normal((n, k)).astype(dtype)
    return side, factor, twins.Seen(now, last, 0.375), rng.permutation(size)


def listed(side):
    return np.empty(0, side.values.dtype) if side.weights is None else side.weights


# Rows that many stretches share, rows shorter than one, empty ones first, last and between.
COUNTS = ([40, 40, 1], [0, 3, 0, 0, 40, 7, 0], [1], [2] * 100, [35] * 30)


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("k", [3, 8, 20, 33])
def test_products_with_values_in_any_order(counts, k):
    side, factor, _, order = problem(counts, k)
    out = np.full((len(counts), k), np.nan)
    kernels.ordered_times(side.starts, side.indices, side.values, order, factor, out)
    expected = twins.ordered_times(side, side.values, order, factor, XP)
    np.testing.assert_allclose(out, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(("dtype", "digits"), [("float64", 1e-14), ("float32", 1e-5)])
@pytest.mark.parametrize("weighted", [True, False])
def test_what_is_missed_and_its_squares(dtype, digits, weighted):
    side, _, seen, _ = problem([35] * 30, 3, dtype, weighted=weighted)
    out = np.full_like(side.values, np.nan)
    kernels.gaps(side.values, listed(side), *seen, 1.7, out)
    expected = twins.missed(side, seen, 1.7, None)
    np.testing.assert_allclose(out, expected, rtol=digits, atol=digits)
    found = np.cos(seen.now)
    one = kernels.squares(side.values, listed(side), found, *seen)
    two = twins.squares(side, found, seen, XP)
    np.testing.assert_allclose(one, two, rtol=10 * digits)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("vectors", range(1, 10))
def test_picked_rows_are_added_for_every_width(dtype, vectors):
    rng, lane = np.random.default_rng(0), lanes(np.dtype(dtype).itemsize)
    width = vectors * lane
    for count in (0, 1, 7, 8, 21):
        rows = rng.standard_normal((9, width)).astype(dtype)
        shares = rng.standard_normal(count + 2).astype(dtype)
        indices = rng.integers(0, 9, count + 3).astype(np.int32)
        total = np.ones(width, dtype)
        picked.add_picked(shares, 2, indices, 3, count, rows.reshape(-1), width, lane, total)
        expected = 1 + shares[2:].astype(float) @ rows[indices[3:]].astype(float)
        digits = 100 * np.finfo(dtype).eps
        np.testing.assert_allclose(total, expected, rtol=digits, atol=digits)


def test_the_order_by_columns_is_that_of_a_stable_sort():
    side, *_ = problem([0, 3, 0, 0, 40, 7, 0], 3)
    order = twins.by_columns(side, (7, 40), XP)
    np.testing.assert_array_equal(order, np.argsort(side.indices, kind="stable"))
