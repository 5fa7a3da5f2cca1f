"""Kernels of weighted and nonnegative rows give what brute force gives, compiled or not."""

import numpy as np
import pytest

pytest.importorskip("numba")

from tdecomp._kernels._counting import counting_sort
from tdecomp._kernels._descent import nonnegative_rows
from tdecomp._kernels._rows import (
    along_line,
    solve_nonnegative_rows,
    solve_rows,
    triangular_rows,
)
from tdecomp._kernels._threads import threads_for
from tdecomp.cp._weighted_sorted import sorted_entries

COMPILED = pytest.mark.parametrize("compiled", [True, False])
# Compiling takes seconds for each dtype; the fits in tests/cp compile the other two.
CASES = pytest.mark.parametrize(
    ("dtype", "compiled"),
    [
        *((dtype, False) for dtype in ("float32", "float64", "complex64", "complex128")),
        ("float32", True),
        ("complex128", True),
    ],
)
SHAPE, RANK = (4, 5, 6), 3


def draw(rng, shape, dtype):
    x = rng.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * rng.standard_normal(shape)
    return x.astype(dtype)


def problem(dtype, *, even=False):
    rng = np.random.default_rng(0)
    seen = rng.random(SHAPE) < 0.7
    indices = np.stack(np.nonzero(seen))
    values = draw(rng, indices.shape[1], dtype)
    real = np.dtype(dtype).type(0).real.dtype
    weights = np.ones(values.size, real) if even else rng.random(values.size).astype(real) + 0.1
    flat = draw(rng, (sum(SHAPE), RANK), dtype)
    return indices, values, weights.astype(real), flat


def designs(indices, values, weights, flat, mode):
    """The weighted least-squares problem of every row, by the definition."""
    firsts = np.concatenate([[0], np.cumsum(SHAPE)])
    k = np.ones((values.size, RANK), flat.dtype)
    for other in range(3):
        if other != mode:
            k = k * flat[firsts[other] + indices[other]]
    root = np.sqrt(weights)
    for i in range(SHAPE[mode]):
        here = indices[mode] == i
        yield root[here, None] * k[here], root[here] * values[here]


def run(function, compiled, *arguments):
    (function if compiled else function.py_func)(*arguments)


def close(a, b, dtype, factor=1e3):
    assert np.abs(a - b).max() <= factor * np.finfo(dtype).eps * max(1.0, np.abs(b).max())


@CASES
@pytest.mark.parametrize("even", [True, False])
@pytest.mark.parametrize("mode", [0, 1, 2])
def test_rows_solve_their_least_squares_problems(dtype, compiled, even, mode):
    indices, values, weights, flat = problem(dtype, even=even)
    layout = sorted_entries(indices, values, weights, SHAPE).layouts[mode]
    out, failed = np.empty((SHAPE[mode], RANK), dtype), np.empty(SHAPE[mode], np.uint8)
    run(solve_rows, compiled, *layout, flat, np.zeros((RANK, RANK), dtype), 0.0, out, failed)
    wanted = [
        np.linalg.lstsq(a, b, rcond=None)[0]
        for a, b in designs(indices, values, weights, flat, mode)
    ]
    assert not failed.any()
    close(out, np.stack(wanted), dtype)


@CASES
def test_rotations_leave_the_triangle_of_each_problem(dtype, compiled):
    indices, values, weights, flat = problem(dtype)
    layout = sorted_entries(indices, values, weights, SHAPE).layouts[1]
    chosen = np.array([3, 0])
    out = np.empty((2, RANK, RANK + 1), dtype)
    root = draw(np.random.default_rng(1), (RANK, RANK), dtype)
    run(triangular_rows, compiled, chosen, *layout[1:], flat, root, out)
    rows = list(designs(indices, values, weights, flat, 1))
    for t, i in enumerate(chosen):
        (a, b), own = rows[i], flat[SHAPE[0] + i]
        a, gap = np.concatenate([a, root]), np.append(b - a @ own, -root @ own)
        triangle, right = out[t, :, :RANK], out[t, :, RANK]
        assert np.array_equal(triangle, np.triu(triangle))
        close(triangle.conj().T @ triangle, a.conj().T @ a, dtype)
        close(triangle.conj().T @ right, a.conj().T @ gap, dtype)


@CASES
def test_a_line_has_the_misfit_of_its_points(dtype, compiled):
    indices, values, weights, flat = problem(dtype)
    layout = sorted_entries(indices, values, weights, SHAPE).layouts[0]
    direction = draw(np.random.default_rng(1), flat.shape, dtype)
    parts = np.empty((layout.bounds.size - 1, 4, 4))
    run(along_line, compiled, *layout, flat, direction, parts)
    gram = np.tril(parts.sum(0)) + np.tril(parts.sum(0), -1).T
    for t in (0.0, 1.0, -0.5):
        moved = flat + np.asarray(t, flat.real.dtype) * direction
        misfit = sum(
            np.linalg.norm(a @ moved[i] - b) ** 2
            for i, (a, b) in enumerate(designs(indices, values, weights, moved, 0))
        )
        powers = t ** np.arange(4)
        close(powers @ gram @ powers, misfit, dtype)


@COMPILED
@pytest.mark.parametrize("modes", [1, 2, 4])
def test_a_line_of_any_number_of_modes(compiled, modes):
    rng = np.random.default_rng(0)
    shape = (3, 2, 3, 2)[:modes]
    indices, values = np.indices(shape).reshape(modes, -1), rng.standard_normal(np.prod(shape))
    layout = sorted_entries(indices, values, np.ones(values.size), shape).layouts[0]
    flat, direction = rng.standard_normal((2, sum(shape), RANK))
    parts = np.empty((layout.bounds.size - 1, modes + 1, modes + 1))
    run(along_line, compiled, *layout, flat, direction, parts)
    gram = np.tril(parts.sum(0)) + np.tril(parts.sum(0), -1).T
    firsts = np.concatenate([[0], np.cumsum(shape)])
    for t in (0.0, 0.7):
        factors = [(flat + t * direction)[firsts[k] + indices[k]] for k in range(modes)]
        misfit = np.linalg.norm(np.prod(factors, axis=0).sum(1) - values) ** 2
        powers = t ** np.arange(modes + 1)
        close(powers @ gram @ powers, misfit, "float64")


@COMPILED
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nonnegative_rows_reach_what_scipy_reaches(dtype, compiled):
    from scipy.optimize import nnls

    indices, values, weights, flat = problem(dtype)
    flat = np.abs(flat)
    layout = sorted_entries(indices, values, weights, SHAPE).layouts[2]
    out = np.empty((SHAPE[2], RANK), dtype)
    run(solve_nonnegative_rows, compiled, *layout, flat, np.zeros((RANK, RANK), dtype), 2000, out)
    wanted = [nnls(a, b)[0] for a, b in designs(indices, values, weights, flat, 2)]
    assert (out >= 0).all()
    close(out, np.stack(wanted), dtype, 1e4)


@COMPILED
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_gram_matrix_for_all_rows(dtype, compiled):
    from scipy.optimize import nnls

    rng = np.random.default_rng(0)
    a, b = rng.random((20, RANK)), rng.standard_normal((20, 7))
    out = np.ones((7, RANK), dtype)
    products, gram = (b.T @ a).astype(dtype), (a.T @ a).astype(dtype)
    run(nonnegative_rows, compiled, products, gram, 2000, out)
    close(out, np.stack([nnls(a, column)[0] for column in b.T]), dtype, 1e4)


@COMPILED
def test_counting_sorts_stably(compiled):
    keys = np.random.default_rng(0).integers(0, 9, 100)
    start, order = np.zeros(11, np.int64), np.empty(100, np.int64)
    run(counting_sort, compiled, keys, start, order)
    assert np.array_equal(order, np.argsort(keys, kind="stable"))
    assert np.array_equal(start, np.searchsorted(np.sort(keys), np.arange(11)))


def test_small_work_wakes_no_threads():
    import numba

    before = numba.get_num_threads()
    with threads_for(1e3):
        assert numba.get_num_threads() == 1
    with threads_for(1e9):
        assert numba.get_num_threads() == before
    assert numba.get_num_threads() == before
