"""Kernels over known entries give what sums over the entries give, compiled or not."""

import numba
import numpy as np
import pytest

pytest.importorskip("numba")

from numba.core.dispatcher import Dispatcher

from tdecomp._kernels import _lanes as lanes
from tdecomp._kernels import _observed as kernels
from tdecomp._kernels import _observed_gradients as gradients
from tdecomp._kernels import _observed_rows as rows
from tdecomp._kernels import _observed_sums as sums
from tdecomp._kernels import _small_squares as small
from tdecomp._xp import namespace
from tdecomp.completion import _gradients, _masked, _nonnegative
from tdecomp.completion._gradients import Effort
from tdecomp.completion._observed import Side

XP = namespace(np.ones(1))
MODULES = (lanes, rows, sums, gradients)
# These call instructions that only the compiler knows.
NATIVE = {"_panel", "add_squares", "minus_product", "minus_products", "pivot_root"}
# Whether entries have weights, and are less offsets.
KINDS = [(True, False), (False, False), (True, True), (False, True)]
# One to three vectors of columns, in whole ones and with a rest: every tile is taken.
RANKS = (1, 3, 8, 10, 12, 16, 21, 33)


@pytest.fixture(params=[True, False], ids=["compiled", "interpreted"])
def compiled(request, monkeypatch):
    """Whether the loops are compiled, or run as Python."""
    if not request.param:
        names = {module.__name__ for module in MODULES}
        for module in MODULES:
            for name, value in list(vars(module).items()):
                if isinstance(value, Dispatcher) and value.py_func.__module__ in names:
                    if name not in NATIVE:
                        monkeypatch.setattr(module, name, value.py_func)
    return request.param


@pytest.fixture(autouse=True)
def twin(monkeypatch):
    """Let the functions that choose kernels run their array-API twins."""
    for module in (_masked, _nonnegative, _gradients):
        monkeypatch.setattr(module, "compiled", lambda *_: False)


def problem(k, dtype="float64", *, weighted=True, shifted=False, m=9, n=60, seed=0):
    """Entries of a matrix with an empty row and a full one, two factors, and ridges.

    If `shifted`, offsets are to be subtracted.
    """
    rng = np.random.default_rng(seed)
    known = rng.random((m, n)) < 0.6
    known[0], known[m // 2] = True, False
    owners, others = np.nonzero(known)
    starts = np.zeros(m + 1, np.int64)
    np.cumsum(np.bincount(owners, minlength=m), out=starts[1:])
    weights = rng.random(owners.size).astype(dtype) + 0.5 if weighted else None
    values = rng.standard_normal(owners.size).astype(dtype)
    offsets = 3 * rng.standard_normal(n).astype(dtype) if shifted else None
    side = Side(starts, others.astype(np.int32), values, weights, offsets)
    left, right = (rng.standard_normal((size, k)).astype(dtype) for size in (m, n))
    return side, left, right, (0.1 + 0.3 * rng.random((m, k))).astype(dtype)


def close(found, expected, dtype, digits=16):
    """Whether rows differ by rounding only."""
    return np.max(abs(found - expected)) <= digits * np.finfo(dtype).eps * np.max(abs(expected))


known = _masked.laid_out


def listed(compiled):
    """The ranks that show every branch: Python is slow, and compiling too."""
    return RANKS if compiled else (3, 12)


def test_entries_and_products(compiled):
    for k in listed(compiled):
        side, left, right, _ = problem(k)
        out = np.full_like(side.values, np.nan)
        kernels.entries(side.starts, side.indices, left, right, out)
        assert close(out, _masked.entries(side, left, right, XP), "float64")
        out = np.full_like(left, np.nan)
        kernels.times(side.starts, side.indices, side.values, right, out)
        assert close(out, _masked.times(side, side.values, right, XP), "float64")


@pytest.mark.parametrize(("weighted", "shifted"), KINDS)
def test_residuals_and_their_products(compiled, weighted, shifted):
    for k in listed(compiled):
        side, left, right, _ = problem(k, weighted=weighted, shifted=shifted)
        out, losses = np.full_like(left, np.nan), np.full(left.shape[0], np.nan)
        kernels.residual_times(*known(side), left, right, out, losses)
        loss, expected = _masked.residual_times(side, left, right, XP)
        assert close(out, expected, "float64")
        assert losses.sum() == pytest.approx(loss, rel=1e-14)
        assert kernels.loss(*known(side), left, right) == pytest.approx(loss, rel=1e-14)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("weighted", "shifted"), KINDS)
def test_solutions_of_rows(compiled, dtype, weighted, shifted):
    for k in listed(compiled):
        check_rows(k, dtype, weighted=weighted, shifted=shifted)


# In half vectors and in whole ones, with a rest, and with room for an offset or without.
@pytest.mark.parametrize(
    ("k", "dtype"), [(3, "float64"), (4, "float64"), (10, "float32"), (14, "float64")]
)
def test_solutions_of_rows_without_a_buffer(k, dtype, monkeypatch):
    monkeypatch.setattr(kernels, "_MANY", 0)
    if not kernels.short(k, np.dtype(dtype).itemsize) > 1:
        pytest.skip("vectors are short")
    for weighted, shifted in KINDS:
        check_rows(k, dtype, weighted=weighted, shifted=shifted)


def test_a_compiler_without_so_many_registers_has_memory_instead(monkeypatch):
    monkeypatch.setattr(small, "VECTOR_BITS", 256 if small.VECTOR_BITS == 512 else 512)
    monkeypatch.setattr(kernels, "_MANY", 0)
    fresh = numba.njit(kernels.small.solve_small_by_row.py_func, error_model="numpy")
    monkeypatch.setattr(kernels.small, "solve_small_by_row", fresh)
    check_rows(10, "float64", weighted=True, shifted=True)
    assert fresh.signatures


def check_rows(k, dtype, *, weighted, shifted):
    """The minimisers, and what they leave, are those of the twin."""
    side, left, right, penalty = problem(k, dtype, weighted=weighted, shifted=shifted)
    out = np.full_like(left, np.nan)
    loss, doubt = kernels.solve_rows(*known(side), left, right, penalty, out)
    # Rounding errors grow with the condition of the normal equations, here below 200.
    expected = _masked.solve_rows(side, left, right, penalty, XP)
    assert close(out, expected, dtype, digits=500)
    assert not out[left.shape[0] // 2].any()
    exact = _masked.misfit(doubled(side), out.astype(float), right.astype(float), XP)
    assert abs(loss - exact) <= doubt <= 1e4 * np.finfo(dtype).eps * exact * k**2


def doubled(side):
    """The same in double precision."""
    return Side(*(x if x is None or x.dtype.kind == "i" else x.astype(float) for x in side))


def test_equations_that_fit_into_registers_come_in_the_shortest_vectors(monkeypatch):
    monkeypatch.setattr(small, "VECTOR_BITS", 512)
    monkeypatch.setattr(small, "lanes", lambda itemsize: 64 // itemsize)
    assert [small.short(k, 8) for k in (1, 12, 13, 16, 17)] == [4, 4, 8, 8, 0]
    assert [small.short(k, 4) for k in (1, 16, 17, 20, 21)] == [8, 8, 16, 16, 0]
    monkeypatch.setattr(small, "VECTOR_BITS", 256)
    monkeypatch.setattr(small, "lanes", lambda itemsize: 32 // itemsize)
    assert [small.short(k, 8) for k in (1, 16, 17)] == [4, 4, 0]
    assert [small.short(k, 4) for k in (1, 24, 25)] == [8, 8, 0]
    monkeypatch.setattr(small, "VECTOR_BITS", 128)
    assert small.short(3, 8) == 0


@pytest.mark.parametrize(("bits", "width", "most", "room"), [(512, 4, 12, 27), (256, 4, 16, 12)])
def test_every_equation_belongs_to_a_run_that_fits(monkeypatch, bits, width, most, room):
    monkeypatch.setattr(small, "VECTOR_BITS", bits)
    for k in range(1, most + 1):
        found = small.runs(k, width)
        assert [i for run in found for i in run] == list(range(k + 1))
        sums = [sum((min(i, k - 1)) // width + 1 for i in run) for run in found]
        assert max(sums) <= room
        assert (len(found) == 1) == (bits == 512)


def test_rows_that_are_filled_up_start_at_lines_of_memory():
    factor = np.random.default_rng(0).standard_normal((7, 10))
    flat, width = kernels.aligned(factor, np.empty(0), 4)
    assert (flat.ctypes.data % 64, width) == (0, 12)
    np.testing.assert_array_equal(flat.reshape(7, 12), np.pad(factor, ((0, 0), (0, 2))))
    flat, width = kernels.aligned(factor[:, :8], factor[:, 8], 4)
    np.testing.assert_array_equal(flat.reshape(7, 12), np.pad(factor[:, :9], ((0, 0), (0, 3))))


@pytest.mark.parametrize("shifted", [False, True])
def test_nonnegative_rows(compiled, shifted):
    for k in listed(compiled):
        side, left, right, penalty = problem(k, shifted=shifted)
        left, out = abs(left), np.full_like(left, np.nan)
        kernels.solve_nonnegative_rows(
            *known(side), left, right, penalty, _nonnegative._PASSES, out
        )
        expected = _nonnegative.descend_rows(side, left, right, penalty, XP)
        assert close(out, expected, "float64", digits=500)
        assert out.min() == 0


@pytest.mark.parametrize(("weighted", "shifted"), KINDS)
def test_conjugate_gradients(compiled, weighted, shifted):
    for k in listed(compiled):
        side, left, right, penalty = problem(k, weighted=weighted, shifted=shifted)
        effort = Effort(3, 0.01, 0.001)
        expected = _gradients.improve_rows(side, left, right, penalty, effort=effort, xp=XP)
        out = np.full_like(left, np.nan)
        kernels.improve_rows(*known(side), left, right, penalty, *effort, out)
        assert close(out, expected, "float64", digits=1000)


def test_rows_that_do_not_fit_into_the_buffer_are_read_again():
    side, left, right, penalty = problem(40, shifted=True, m=2, n=4000)
    right[:] /= 10
    effort = Effort(2, 0.0, 0.0)
    expected = _gradients.improve_rows(side, left, right, penalty, effort=effort, xp=XP)
    out = np.full_like(left, np.nan)
    kernels.improve_rows(*known(side), left, right, penalty, *effort, out)
    assert gradients._ROOM < 8 * 40 * 4000
    assert close(out, expected, "float64", digits=1000)


@pytest.mark.parametrize("shifted", [False, True])
def test_long_rows_are_divided(monkeypatch, shifted):
    side, left, right, penalty = problem(10, shifted=shifted)
    one = [np.full_like(left, np.nan) for _ in range(4)]
    two = [np.full_like(left, np.nan) for _ in range(4)]
    for found, fewest in ((one, kernels._FEWEST), (two, 16)):
        monkeypatch.setattr(kernels, "_FEWEST", fewest)
        losses = np.empty(left.shape[0])
        kernels.times(*known(side)[:3], right, found[0])
        kernels.residual_times(*known(side), left, right, found[1], losses)
        kernels.solve_rows(*known(side), left, right, penalty, found[2])
        kernels.solve_nonnegative_rows(*known(side), abs(left), right, penalty, 3, found[3])
        assert losses.sum() == pytest.approx(_masked.misfit(side, left, right, XP))
    assert kernels._layout(side.starts).parts.size
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


def test_stretches_have_equally_many_entries_and_every_row_once():
    counts = np.random.default_rng(0).integers(0, 50, 5000)
    starts = np.concatenate([[0], np.cumsum(counts)])
    bounds, most, parts = kernels._layout(starts)
    assert (bounds[0], bounds[-1]) == (0, 5000)
    assert np.max(np.diff(starts[bounds])) <= starts[-1] / kernels._STRETCHES + 50
    assert most >= 50
    assert not parts.size


def test_systems_in_lanes_are_solved_in_place():
    rng, k, lane = np.random.default_rng(0), 7, kernels.lanes(8)
    a, right = rng.standard_normal((lane, k, 2 * k)), rng.standard_normal((lane, k))
    a[-1] = right[-1] = 0
    square = a @ a.mT
    expected = np.zeros_like(right)
    expected[:-1] = np.linalg.solve(square[:-1], right[:-1, :, None])[..., 0]
    for solve in (lanes.solve_lanes, lanes.solve_lanes.py_func):
        x = np.concatenate([np.moveaxis(square, 0, -1).ravel(), right.T.ravel()])
        solve(x, k, lane, np.zeros(lane))
        np.testing.assert_allclose(x[k * k * lane :].reshape(k, lane).T, expected, rtol=1e-9)
