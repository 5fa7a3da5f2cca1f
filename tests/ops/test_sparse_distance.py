"""The distance of a format from a sparse tensor is true, although zeros are not filled in."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tdecomp as td
from tdecomp.ops import COO, SparseLayout, _sparse_distance, coo, mode_products
from tdecomp.testing import gaussian

SHAPE = (5, 6, 4)


class CP(NamedTuple):
    weights: object
    factors: tuple

    shape = property(lambda self: tuple(f.shape[0] for f in self.factors))
    modes = property(lambda self: len(self.factors))

    def to_array(self, region=None):
        first, *rest = self.factors
        rows = first if region is None else first[region, :]
        out = rows * self.weights[None, :]
        for factor in rest:
            out = out[..., None, :] * factor
        return out.sum(-1)


class Tucker(NamedTuple):
    core: object
    factors: tuple

    @property
    def shape(self):
        pairs = zip(self.core.shape, self.factors, strict=True)
        return tuple(n if factor is None else factor.shape[0] for n, factor in pairs)

    modes = property(lambda self: self.core.ndim)

    def to_array(self, region=None):
        known = [(k, a) for k, a in enumerate(self.factors) if a is not None]
        out = mode_products(self.core, [a for _, a in known], modes=[k for k, _ in known])
        return out if region is None else out[region]


class TensorTrain(NamedTuple):
    cores: tuple

    shape = property(lambda self: tuple(core.shape[1] for core in self.cores))
    modes = property(lambda self: len(self.cores))

    def to_array(self, region=None):
        out = np.einsum("aib,bjc,ckd->ijk", *self.cores)
        return out if region is None else out[region]


class Dense(NamedTuple):
    array: object

    shape = property(lambda self: self.array.shape)
    modes = property(lambda self: self.array.ndim)

    def to_array(self, region=None):
        return self.array if region is None else self.array[region]


def cp(rank=2, dtype="float64", xp=np):
    factors = [gaussian((n, rank), rng=n, dtype=dtype) for n in SHAPE]
    return CP(xp.asarray(gaussian((rank,), dtype=dtype)), tuple(map(xp.asarray, factors)))


def formats(dtype="float64"):
    tucker = [gaussian((n, 2), rng=n, dtype=dtype) for n in SHAPE]
    cores = [(1, 5, 2), (2, 6, 3), (3, 4, 1)]
    return {
        "cp": cp(dtype=dtype),
        "tucker": Tucker(gaussian((2, 2, 2), dtype=dtype), tuple(tucker)),
        "partial": Tucker(gaussian((5, 2, 4), dtype=dtype), (None, tucker[1], None)),
        "train": TensorTrain(tuple(gaussian(s, rng=k, dtype=dtype) for k, s in enumerate(cores))),
        "other": Dense(gaussian(SHAPE, dtype=dtype)),
    }


def data(dtype="float64", seed=0, nnz=25):
    rng = np.random.default_rng(seed)
    indices = np.stack([rng.integers(0, n, nnz) for n in SHAPE])
    return coo(indices, gaussian((nnz,), rng=seed, dtype=dtype), SHAPE)


@pytest.mark.parametrize("name", formats())
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_it_is_what_forming_the_difference_gives(name, dtype):
    x, fmt = data(dtype), formats(dtype)[name]
    expected = np.linalg.norm(x.to_array() - fmt.to_array())
    assert x.distance(fmt) == pytest.approx(expected, rel=20 * float(np.finfo(dtype).eps))
    found = td.relative_error(x, fmt)
    assert found.dtype == np.finfo(dtype).dtype
    dense = td.relative_error(x.to_array(), fmt)
    assert float(found) == pytest.approx(float(dense), rel=40 * float(np.finfo(dtype).eps))


@pytest.mark.parametrize("name", formats())
def test_an_exact_fit_has_an_error_of_rounding(name):
    fmt = formats()[name]
    dense = fmt.to_array()
    x = coo(np.nonzero(dense), dense[np.nonzero(dense)], SHAPE)
    assert float(td.relative_error(x, fmt)) <= 20 * np.finfo(float).eps


@pytest.mark.parametrize("size", [1e-4, 1e-7, 1e-10, 1e-13])
@pytest.mark.parametrize("name", formats())
def test_small_errors_are_true(name, size):
    fmt = formats()[name]
    noise = size * np.where(gaussian(SHAPE, rng=9) > 0, gaussian(SHAPE, rng=9), 0)
    dense = fmt.to_array() + noise
    x = coo(np.nonzero(dense), dense[np.nonzero(dense)], SHAPE)
    expected = np.linalg.norm(x.to_array() - fmt.to_array())
    slack = 20 * np.finfo(float).eps * np.linalg.norm(dense)
    assert x.distance(fmt) == pytest.approx(expected, rel=1e-6, abs=slack)


@given(seed=st.integers(0, 99), nnz=st.integers(0, 60))
def test_any_number_of_entries_will_do(seed, nnz):
    x, fmt = data(seed=seed, nnz=nnz), cp()
    expected = np.linalg.norm(x.to_array() - fmt.to_array())
    assert x.distance(fmt) == pytest.approx(expected, rel=1e-13)


def test_matrices_are_measured_in_their_formats():
    x = coo([[0, 1, 3], [2, 0, 1]], [1.0, 5.0, 2.0], (4, 3))
    svd = td.truncated_svd(x.to_array(), rank=2)
    assert x.distance(svd) == pytest.approx(1.0, rel=1e-13)
    assert x.distance(td.LowRank(svd.U * svd.S, svd.Vh)) == pytest.approx(1.0, rel=1e-13)


def test_where_all_entries_are_too_many_it_is_an_upper_bound(monkeypatch):
    fmt = cp()
    dense = fmt.to_array()
    x = coo(np.nonzero(dense), dense[np.nonzero(dense)], SHAPE)
    monkeypatch.setattr(_sparse_distance, "_AFFORDABLE", 1)
    assert 0 <= x.distance(fmt) <= 1e-6 * np.linalg.norm(dense)
    nudged = x._replace(values=x.values * (1 + 1e-9))
    true = np.linalg.norm(nudged.to_array() - dense)
    assert true <= nudged.distance(fmt) <= true + 1e-6 * np.linalg.norm(dense)


def test_components_that_cancel_are_seen_through():
    fmt = cp()
    factors = tuple(np.concatenate([f, f], axis=1) for f in fmt.factors)
    nothing = CP(np.concatenate([1e6 * fmt.weights, -1e6 * fmt.weights]), factors)
    x = data()
    expected = np.linalg.norm(x.values)
    assert x.distance(nothing) == pytest.approx(expected, rel=1e-6)


def test_on_every_backend(xp, dtype):
    x, fmt = data(dtype), cp(dtype=dtype)
    expected = np.linalg.norm(x.to_array() - fmt.to_array())
    there = COO(xp.asarray(x.indices), xp.asarray(x.values), x.shape)
    moved = CP(xp.asarray(fmt.weights), tuple(map(xp.asarray, fmt.factors)))
    found = xp.to_numpy(td.relative_error(there, moved))
    norm = np.linalg.norm(x.values)
    assert float(found) == pytest.approx(expected / norm, rel=40 * float(np.finfo(dtype).eps))


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
def test_any_scale_will_do(scale):
    x, fmt = data(), cp()
    expected = float(td.relative_error(x, fmt))
    large = x._replace(values=x.values * scale)
    for k in range(3):
        factors = [f * scale if j == k else f for j, f in enumerate(fmt.factors)]
        found = td.relative_error(large, CP(fmt.weights, tuple(factors)))
        assert float(found) == pytest.approx(expected, rel=1e-12)


def test_a_layout_measures_as_its_tensor_does():
    x, fmt = data(), cp()
    factors = [fmt.factors[0] * fmt.weights, *fmt.factors[1:]]
    assert SparseLayout(x).distance(factors) == pytest.approx(x.distance(fmt), rel=1e-14)


def test_nothing_against_nothing_is_no_error():
    x = coo(np.zeros((3, 0), np.int64), [], SHAPE)
    zero = CP(np.zeros(1), tuple(np.ones((n, 1)) for n in SHAPE))
    assert float(td.relative_error(x, zero)) == 0.0
    assert float(td.relative_error(x, cp())) == np.inf
    assert float(td.relative_error(data(), zero)) == pytest.approx(1.0, rel=1e-15)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"one shape, got \(5, 6, 4\) and \(5, 6\)"):
        td.relative_error(data(), Dense(np.ones((5, 6))))


def test_libraries_are_not_mixed():
    torch = pytest.importorskip("torch")
    fmt = CP(torch.ones(1), tuple(torch.ones(n, 1) for n in SHAPE))
    with pytest.raises(TypeError, match="one library"):
        td.relative_error(data(), fmt)
