"""Values by the kernel: those by products of arrays, for what is NumPy's and much."""

import numpy as np
import pytest

pytest.importorskip("numba")

from tdecomp.chebyshev._core import contracted
from tdecomp.chebyshev._domain import from_unit
from tdecomp.chebyshev._format import ChebyshevTucker
from tdecomp.chebyshev._values import _compiled
from tdecomp.chebyshev._values._compiled import compiled, flops, real_parts, tabulated, whole_train
from tdecomp.chebyshev._values._evaluate import evaluate
from tdecomp.testing import gaussian
from tdecomp.tt import TensorTrain

EPS = float(np.finfo(float).eps)
SHAPES = [
    ((9,), (5,)),
    ((1, 90), (1, 7)),
    ((8, 5, 66), (8, 1, 4)),
    ((3, 2, 5, 3, 1, 4), (2, 2, 1, 3, 1, 2)),
]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    """No work is too little for the kernel, and no points too few."""
    monkeypatch.setattr(_compiled, "_KERNEL_WORK", 0)
    monkeypatch.setattr(_compiled, "_FEWEST", 0)


def function(sizes, ranks, dtype="float64", *, train=False):
    core = gaussian(ranks, dtype=dtype)
    if train:
        bonds = (1, *range(2, len(ranks) + 1), 1)
        core = TensorTrain(
            tuple(
                gaussian((bonds[k], r, bonds[k + 1]), rng=k, dtype=dtype)
                for k, r in enumerate(ranks)
            )
        )
    factors = tuple(
        gaussian((m, r), rng=k, dtype=dtype) / np.arange(1, m + 1, dtype=dtype)[:, None]
        for k, (m, r) in enumerate(zip(sizes, ranks, strict=True))
    )
    box = np.array([[-1.0 - k, 2.0 * k + 1] for k in range(len(sizes))])
    return ChebyshevTucker(core, factors, box.astype(factors[0].real.dtype))


def inside(f, count, rng=0):
    t = np.random.default_rng(rng).uniform(-1, 1, (count, len(f.factors))).astype(f.domain.dtype)
    t[:1] = -1
    return np.clip(from_unit(t, f.domain, np), f.domain[:, 0], f.domain[:, 1])


def by_products(f, x, monkeypatch):
    """The values by products of arrays, and the sums of magnitudes that they may round like."""
    with monkeypatch.context() as patch:
        patch.setattr(_compiled, "_KERNEL_WORK", np.inf)
        values = evaluate(f, x)
        core = f.core
        if isinstance(core, TensorTrain):
            core = TensorTrain(tuple(map(abs, core.cores)))
        # All polynomials are 1 at the end of the box.
        sizes = f._replace(core=core if isinstance(core, TensorTrain) else abs(core))
        sizes = sizes._replace(factors=tuple(map(abs, f.factors)))
        return values, float(evaluate(sizes, f.domain[:, 1]))


@pytest.mark.parametrize(("sizes", "ranks"), SHAPES)
@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_values_are_those_by_products(sizes, ranks, train, dtype, monkeypatch):
    f = function(sizes, ranks, dtype, train=train)
    x = inside(f, 130)
    many = dtype == "complex128" and len(sizes) > 3 and not train
    assert (compiled(f.core, f.factors, f.domain, x) is None) == many
    values, size = by_products(f, x, monkeypatch)
    found = evaluate(f, x.reshape(2, 65, -1))
    assert found.shape == (2, 65)
    assert np.abs(found.reshape(-1) - values).max() <= 10 * max(sizes) * EPS * size


@pytest.mark.parametrize("dtype", ["float64", "float32", "complex128"])
@pytest.mark.parametrize("train", [False, True])
def test_tables_hold_what_series_are(dtype, train, monkeypatch):
    f, real = function((600, 7), (3, 2), dtype, train=train), np.empty(0, dtype).real.dtype
    near = 1 - 10.0 ** np.linspace(-16, -1, 50)
    t = np.concatenate([near, -near, np.linspace(-1, 1, 201)])
    x = from_unit(np.stack([t, np.cos(t)], axis=-1).astype(real), f.domain, np)
    x = np.clip(x, f.domain[:, 0], f.domain[:, 1])
    direct = evaluate(f, x)
    monkeypatch.setattr(_compiled, "_OFTEN", 0)
    parts = [np.ascontiguousarray(factor).view(real) for factor in f.factors]
    assert [tabulated(part, x.shape[0]).cells for part in parts] == [128, 0]
    size = by_products(f, x, monkeypatch)[1]
    assert np.abs(evaluate(f, x) - direct).max() <= 600 / 8 * np.finfo(dtype).eps * size


def test_a_wave_of_the_highest_degree_is_in_the_table(monkeypatch):
    for degree in (598, 599):
        factor = np.zeros((600, 1))
        factor[degree] = 1
        f = ChebyshevTucker(np.ones(1), (factor,), np.array([[-1.0, 1.0]]))
        x = np.random.default_rng(0).uniform(-1, 1, (1000, 1))
        direct = evaluate(f, x)
        with monkeypatch.context() as patch:
            patch.setattr(_compiled, "_OFTEN", 0)
            assert np.abs(evaluate(f, x) - direct).max() <= 600 / 8 * EPS


def test_tables_are_for_long_series_and_many_points(monkeypatch):
    factor = gaussian((600, 3))
    assert tabulated(factor, 64 * 600).cells == 128
    assert tabulated(factor, 64 * 600 - 1) == (pytest.approx(factor.reshape(-1)), 0, 600)
    assert tabulated(factor[:60], 10**9).cells == 0
    monkeypatch.setattr(_compiled, "_LARGEST", factor.size - 1)
    assert tabulated(factor, 64 * 600).cells == 0


@pytest.mark.parametrize("shape", [(3,), (3, 2), (2, 3, 4), (2, 1, 3, 2), (2, 2, 3, 1, 2)])
def test_arrays_are_trains(shape):
    core = gaussian(shape)
    assert np.array_equal(TensorTrain(whole_train(core)).to_array(), core)


def test_complex_trains_are_real_ones_of_twice_the_size():
    shapes = [(1, 3, 2), (2, 2, 3), (3, 4, 1)]
    cells = [gaussian(shape, rng=k, dtype="complex128") for k, shape in enumerate(shapes)]
    rows = [gaussian((7, s[1]), rng=9 + k, dtype="complex128") for k, s in enumerate(shapes)]
    parts = real_parts(cells)
    assert [part.shape for part in parts] == [(1, 6, 4), (4, 4, 6), (6, 8, 2)]
    values = contracted(TensorTrain(tuple(cells)), rows, np)
    pairs = [row.view(float) for row in rows]
    for j, part in enumerate((values.real, values.imag)):
        train = TensorTrain((*parts[:-1], parts[-1][:, :, j : j + 1]))
        assert np.abs(contracted(train, pairs, np) - part).max() <= 100 * EPS


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_single_precision_stays_single(dtype, monkeypatch):
    f = function((20, 9), (3, 4), dtype)
    x = inside(f, 99)
    values, size = by_products(f, x, monkeypatch)
    found = evaluate(f, x.astype(np.float64))
    assert found.dtype == dtype
    assert np.abs(found - values).max() <= 200 * np.finfo(np.float32).eps * size


@pytest.mark.parametrize("change", [1e-300, 1e300])
def test_boxes_and_values_of_any_scale(change):
    f = function((20, 9), (3, 4))
    x = inside(f, 99)
    scaled = f._replace(core=f.core * change, domain=f.domain * change)
    found = evaluate(scaled, x * change) / change
    assert np.abs(found - evaluate(f, x)).max() <= 1e4 * EPS


def test_arrays_may_be_of_any_layout():
    f = function((8, 5, 6), (3, 1, 4))
    x = inside(f, 200)
    known = evaluate(f, x)
    frozen = [np.array(a) for a in (f.core, *f.factors, f.domain, x)]
    for a in frozen:
        a.setflags(write=False)
    core, *factors, domain, still = frozen
    assert np.array_equal(evaluate(ChebyshevTucker(core, tuple(factors), domain), still), known)
    others = ChebyshevTucker(
        np.asfortranarray(f.core), tuple(map(np.asfortranarray, f.factors)), f.domain.astype(">f8")
    )
    assert np.array_equal(evaluate(others, np.asfortranarray(x).astype(">f8")), known)
    assert np.array_equal(evaluate(f, np.repeat(x, 2, axis=0)[::2]), known)
    assert np.array_equal(evaluate(f, x.tolist()), known)


def test_points_outside_are_named():
    f = function((4, 5), (2, 3))
    x = inside(f, 300)
    x[271, 1] = 3.5
    with pytest.raises(ValueError, match=r"points\[271, 1\] is 3.5, outside of the domain"):
        evaluate(f, x)
    x[271, 1] = np.nan
    with pytest.raises(ValueError, match=r"points .*NaN"):
        evaluate(f, x)
    x[271, 1] = 3 * (1 + 4 * EPS)
    assert compiled(f.core, f.factors, f.domain, x) is not None
    x[271, 1] = 3
    assert evaluate(f, x)[271] == evaluate(f, x[271])


def test_it_is_for_arrays_of_numpy_and_enough_of_them(monkeypatch):
    f, x = function((4, 5), (2, 3)), np.zeros((10, 2))
    assert flops(f.core, f.factors) == 2 * (4 * 2 + 5 * 3 + 2 * 3)
    assert compiled(memoryview(f.core), f.factors, f.domain, x) is None
    monkeypatch.setattr(_compiled, "_FEWEST", 11)
    assert compiled(f.core, f.factors, f.domain, x) is None
    monkeypatch.setattr(_compiled, "_FEWEST", 10)
    assert compiled(f.core, f.factors, f.domain, x) is not None
    monkeypatch.setattr(_compiled, "_KERNEL_WORK", 10 * flops(f.core, f.factors) + 1)
    assert compiled(f.core, f.factors, f.domain, x) is None
