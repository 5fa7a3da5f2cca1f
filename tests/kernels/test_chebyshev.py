"""Values of Chebyshev series at blocks of points: kernels against products of NumPy."""

from decimal import Decimal, localcontext

import numpy as np
import pytest

pytest.importorskip("numba")

from tdecomp._kernels import _chebyshev as kernels
from tdecomp._kernels._tile import lanes
from tdecomp.chebyshev._core import contracted
from tdecomp.testing import gaussian
from tdecomp.tt import TensorTrain

BLOCK = kernels.BLOCK
EPS = float(np.finfo(float).eps)


def both(kernel):
    """The compiled kernel, and the function that it was made from."""
    return kernel, kernel.py_func


def state_at(x, low, high):
    state = np.empty(4 * BLOCK)
    outside = kernels._start(x[:, None], 0, x.size, 0, low, high, state)
    return state, outside


def polynomials_at(x, count):
    """Polynomials (count, N) at points of [-1, 1], a block of points at a time."""
    found = []
    for i in range(0, x.size, BLOCK):
        part = x[i : i + BLOCK]
        out = np.empty((count + 7) // 8 * 8 * BLOCK)
        kernels._polynomials(state_at(part, -1.0, 1.0)[0], count, out)
        found.append(out.reshape(-1, BLOCK)[:count, : part.size])
    return np.concatenate(found, axis=1)


def exact(x, count):
    """Polynomials (count, N) by the recurrence, in fifty digits."""
    with localcontext() as context:
        context.prec = 50
        t = [Decimal(float(a)) for a in x]
        rows = [[Decimal(1)] * len(t), t]
        while len(rows) < count:
            rows.append([2 * a * b - c for a, b, c in zip(t, rows[-1], rows[-2], strict=True)])
        return np.array([[float(b) for b in row] for row in rows])


@pytest.mark.parametrize("start", both(kernels._start))
def test_distances_are_those_from_the_nearer_end(start):
    x = np.array([[1.0, 0.0], [1.0, 2.0], [1.0, 3.5], [1.0, 4.0], [1.0, 4.5]])
    state = np.empty(4 * BLOCK)
    assert start(x, 1, 3, 1, 0.0, 4.0, state) == 0
    distance, sign, first, half = state.reshape(4, BLOCK)
    assert np.array_equal(distance[:3], [2, 0.5, 0])
    assert np.array_equal(sign[:3] * (2 - distance[:3]) / 2, [0, 0.75, 1])
    assert np.all(first == 1)
    assert np.array_equal(half, -distance / 2)
    assert start(x, 1, 4, 1, 0.0, 4.0, state) == 0.25
    assert state[3] == 0
    assert np.isnan(start(np.array([[np.nan], [9.0]]), 0, 2, 0, 0.0, 4.0, state))


@pytest.mark.parametrize("polynomials", both(kernels._polynomials))
def test_polynomials_are_cosines(polynomials):
    angles = np.linspace(0, np.pi, 40)
    state, _ = state_at(np.cos(angles), -1.0, 1.0)
    for degrees in (range(12), range(16, 24)):
        out = np.empty((16, BLOCK))
        polynomials(state, len(degrees), out.reshape(-1))
        known = np.cos(np.outer(degrees, angles))
        assert np.abs(out[: len(degrees), :40] - known).max() <= 200 * EPS


def test_errors_grow_with_the_degree_and_not_with_its_square():
    near = 1 - 10.0 ** np.linspace(-16, -1, 30)
    x = np.concatenate([near, -near, np.linspace(-1, 1, 21)])
    count = 3000
    error = np.abs(polynomials_at(x, count) - exact(x, count)).max(axis=1)
    assert np.all(error <= (4 + np.arange(count) / 8) * EPS)


@pytest.mark.parametrize("enter", both(kernels._enter))
def test_cells_divide_the_root_of_the_distance_from_an_end(enter):
    w = np.linspace(0, 1, BLOCK // 2)
    x = np.concatenate([w**2, 2 - w**2])
    state, _ = state_at(x, 0.0, 2.0)
    distance = state[:BLOCK].copy()
    places = np.empty(BLOCK, np.intp)
    enter(state, 4, places)
    inside, sign, _, half = state.reshape(4, BLOCK)
    assert np.array_equal(half, -inside / 2)
    assert np.array_equal(places >= 4, x > 1)
    cell, s = places % 4, sign * (2 - inside) / 2
    assert np.all(np.abs(np.tile(w, 2) * 4 - cell - 0.5) <= 0.5 + EPS)
    assert set(places) == set(range(8))
    known = (2 * cell * (cell + 1) + 1 + s * (2 * cell + 1)) / 16
    assert np.abs(distance - known).max() <= 4 * EPS


@pytest.mark.parametrize(("terms", "vectors"), [(1, 1), (7, 2), (4, 3)])
def test_each_point_has_the_series_of_its_cell(terms, vectors):
    width = vectors * lanes(8)
    count, places = width - 1, np.random.default_rng(0).integers(0, 6, BLOCK)
    table, polynomials = gaussian((6, terms, width)), gaussian((8, BLOCK), rng=1)
    rows, found = np.full((count, BLOCK), np.nan), np.empty(2 * width)
    flat = np.append(np.zeros(lanes(8)), table)
    kernels._look_up(
        flat, lanes(8), terms, count, polynomials.reshape(-1), places, lanes(8),
        np.ones(2 * lanes(8)), found, rows.reshape(-1), 0,
    )  # fmt: skip
    known = np.einsum("qtj,tq->jq", table[places], polynomials[:terms])
    assert np.abs(rows - known[:count]).max() <= 1e-13


@pytest.mark.parametrize("shape", [(3, 5), (1, 7), (2, 3, 4), (3, 1, 2, 9), (2, 1, 2, 1, 2, 3)])
@pytest.mark.parametrize("contract", both(kernels._contract))
def test_arrays_are_contracted(contract, shape):
    core, rows = gaussian(shape), gaussian((sum(shape), BLOCK), rng=1)
    firsts = np.cumsum([0, *shape])
    sums = np.full(len(shape) * BLOCK, np.nan)
    contract(core.reshape(-1), np.array(shape), firsts, rows.reshape(-1), lanes(8), sums)
    parts = [part.T for part in np.split(rows, firsts[1:-1])]
    sizes = contracted(abs(core), [abs(part) for part in parts], np)
    assert np.all(np.abs(sums[:BLOCK] - contracted(core, parts, np)) <= 8 * EPS * sizes)


@pytest.mark.parametrize(("shape", "bonds"), [((5,), ()), ((3, 8, 2), (7, 4)), ((1, 2), (1,))])
@pytest.mark.parametrize("through", both(kernels._pass_through))
def test_trains_are_contracted(through, shape, bonds):
    bonds = (1, *bonds, 1)
    cores = [gaussian((bonds[k], n, bonds[k + 1]), rng=k) for k, n in enumerate(shape)]
    rows = gaussian((sum(shape), BLOCK), rng=9)
    firsts = np.cumsum([0, *shape])
    sums, spare = np.full((2, max(bonds) * BLOCK), np.nan)
    flat = np.concatenate([core.reshape(-1) for core in cores])
    through(
        flat, np.array(bonds), np.array(shape), firsts, rows.reshape(-1), lanes(8), sums, spare
    )
    parts = [part.T for part in np.split(rows, firsts[1:-1])]
    magnitudes = TensorTrain(tuple(map(abs, cores)))
    sizes = contracted(magnitudes, [abs(part) for part in parts], np)
    known = contracted(TensorTrain(tuple(cores)), parts, np)
    assert np.all(np.abs(sums[:BLOCK] - known) <= 8 * EPS * sizes)


@pytest.mark.parametrize("count", [1, BLOCK - 1, BLOCK, 3 * BLOCK + 1])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tasks_share_blocks_of_points(count, dtype):
    shapes = ((70, 3), (9, 2))
    core, factors = gaussian((3, 2), dtype=dtype), [gaussian(s, dtype=dtype) for s in shapes]
    box = np.array([[-2.0, 1.0], [0.0, 3.0]], dtype)
    t = np.random.default_rng(0).uniform(-1, 1, (count, 2)).astype(dtype)
    x = (box[:, 0] * (1 - t) + box[:, 1] * (1 + t)) / 2
    rows = [
        np.cos(np.arange(len(v)) * np.arccos(t[:, k, None].astype(float))) @ v
        for k, v in enumerate(factors)
    ]
    counts, ranks = np.array(shapes).T.copy()
    lane = lanes(x.itemsize)
    # Every factor begins a vector.
    series = np.concatenate([np.append(v, np.zeros(-v.size % lane, dtype)) for v in factors])
    columns, turned = np.array([1, 0]), x[:, ::-1].copy()
    for kernel in both(kernels.evaluate):
        for tasks in (1, 3, 8):
            out, outside = np.full((1, count), np.nan, dtype), np.full(tasks, np.nan, dtype)
            kernel(
                core.reshape(-1), np.empty(0, np.intp), series, np.zeros(2, np.intp), counts,
                ranks, columns, box[::-1].copy(), turned, lane, out, outside,
            )  # fmt: skip
            assert np.all(outside <= 8 * np.finfo(dtype).eps)
            slack = 1e4 * np.finfo(dtype).eps
            assert np.abs(out[0] - contracted(core, rows, np)).max() <= slack
