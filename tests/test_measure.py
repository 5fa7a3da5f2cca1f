"""Errors are true to rounding at every scale; sizes are counted."""

import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tdecomp as td
from tdecomp import LowRank
from tdecomp.testing import gaussian, tensor


class Whole(NamedTuple):
    """The format that stores everything: any error can be planted in it."""

    array: object
    modes: int = 2

    @property
    def shape(self):
        return tuple(self.array.shape)

    def to_array(self, region=None):
        if region is None:
            return self.array
        return self.array[(..., region, *(slice(None),) * (self.modes - 1))]


def error_of(xp, x, y, modes=2, **options):
    return xp.to_numpy(td.relative_error(xp.asarray(x), Whole(xp.asarray(y), modes), **options))


@given(shape=st.sampled_from([(1, 1), (5, 3), (2, 7)]), seed=st.integers(0, 99))
def test_it_is_the_norm_of_the_difference(xp, dtype, shape, seed):
    x, y = gaussian(shape, dtype=dtype, rng=seed), gaussian(shape, dtype=dtype, rng=seed + 1)
    wide = x.astype(complex), y.astype(complex)
    expected = np.linalg.norm(wide[0] - wide[1]) / np.linalg.norm(wide[0])
    found = error_of(xp, x, y)
    assert found.shape == ()
    assert found.dtype == x.real.dtype
    assert found == pytest.approx(expected, rel=20 * float(np.finfo(dtype).eps))


@given(exponent=st.integers(-950, 950), seed=st.integers(0, 99))
def test_it_does_not_depend_on_the_scale(xp, dtype, exponent, seed):
    info = np.finfo(dtype)
    # Clear of the numbers near zero that lose bits when scaled down.
    exponent = exponent * info.maxexp // 1200
    scale = np.real(np.zeros((), dtype)).dtype.type(2.0) ** exponent
    x, y = gaussian((4, 3), dtype=dtype, rng=seed), gaussian((4, 3), dtype=dtype, rng=seed + 1)
    tol = 8 * float(info.eps)
    assert error_of(xp, x * scale, y * scale) == pytest.approx(float(error_of(xp, x, y)), rel=tol)


@pytest.mark.parametrize("size", ["largest", "smallest"])
def test_it_is_right_at_the_ends_of_the_range(xp, dtype, size):
    info = np.finfo(dtype)
    top = float(info.max) / 8 if size == "largest" else float(info.smallest_normal) * 16
    x = np.full((3, 4), top, dtype)
    np.testing.assert_allclose(error_of(xp, x, x / 2), 0.5, rtol=10 * info.eps)


@given(exponent=st.integers(1, 52), seed=st.integers(0, 99))
def test_nothing_cancels(xp, exponent, seed):
    # One entry is off by a known number of its last bits: exact in floating point.
    x = np.abs(gaussian((4, 5), rng=seed)) + 1.0
    y = x.copy()
    y[2, 3] = np.floor(x[2, 3]) + 2.0**-exponent
    gap = abs(x[2, 3] - y[2, 3])
    assert error_of(xp, x, y) == pytest.approx(gap / np.linalg.norm(x), rel=1e-14, abs=0)


def test_errors_below_eps_are_seen(xp):
    x = np.ones((30, 30))
    x[0, 0] = y = 2.0**-30
    z = x.copy()
    z[0, 0] = y * (1 + 2.0**-40)
    assert error_of(xp, x, z) == pytest.approx(2.0**-70 / np.linalg.norm(x), rel=1e-12)


def test_an_equal_format_has_no_error(xp, dtype):
    x = gaussian((6, 4), dtype=dtype)
    assert error_of(xp, x, x) == 0.0


def test_zero_is_met_by_zero_alone(xp, dtype):
    zero, one = np.zeros((3, 2), dtype), np.ones((3, 2), dtype)
    assert error_of(xp, zero, zero) == 0.0
    assert error_of(xp, zero, one) == np.inf
    assert error_of(xp, one, zero) == 1.0


def test_each_member_of_a_batch_has_its_error(xp, dtype):
    scales = np.real(np.ones(1, dtype))[0] * np.array([[1.0, 1e-30], [1e30, 0.0]])
    x = (gaussian((2, 2, 4, 3), dtype=dtype) * scales[..., None, None]).astype(dtype)
    y = x * np.array([[0.5, 0.75], [1.0, 1.0]], dtype)[..., None, None]
    found = error_of(xp, x, y)
    tol = 20 * np.finfo(dtype).eps
    np.testing.assert_allclose(found, [[0.5, 0.25], [0.0, 0.0]], rtol=tol)


@given(block=st.integers(1, 9), modes=st.integers(1, 4))
def test_slabs_do_not_matter(block, modes):
    x = gaussian((2, *(7, 2, 3, 2)[:modes]))
    y = x + 1e-8 * gaussian(x.shape, rng=1)
    whole = td.relative_error(x, Whole(y, modes))
    found = td.relative_error(x, Whole(y, modes), block=block)
    np.testing.assert_allclose(found, whole, rtol=1e-14)
    direct = [np.linalg.norm(a - b) / np.linalg.norm(a) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(whole, direct, rtol=1e-14)


def test_memory_is_one_slab():
    longest = []

    class Watched(Whole):
        def to_array(self, region=None):
            longest.append(region.stop - region.start)
            return super().to_array(region)

    x = np.ones((10, 6))
    td.relative_error(x, Watched(x), block=4)
    assert longest == [4, 4, 2]
    longest.clear()
    td.relative_error(x, Watched(x))
    assert longest == [10]


def test_a_format_measures_the_tail(xp, dtype):
    s = np.array([4.0, 2.0, 1.0])
    a = xp.asarray(tensor((9, 6), s, dtype=dtype))
    found = td.relative_error(a, td.truncated_svd(a, rank=1))
    expected = math.sqrt(5.0) / math.sqrt(21.0)
    assert float(found) == pytest.approx(expected, rel=30 * float(np.finfo(dtype).eps))


@pytest.mark.parametrize("kind", ["int32", "bool", "float32"])
def test_integers_are_promoted(xp, kind):
    x = np.array([[1, 0], [1, 1]], dtype=kind)
    y = xp.asarray(np.zeros((2, 2)))
    found = td.relative_error(xp.asarray(x), Whole(y))
    assert float(found) == 1.0


def test_it_compiles(xp):
    x, y = gaussian((4, 3)), gaussian((4, 3), rng=1)
    compiled = xp.jit(lambda a, b: td.relative_error(a, Whole(b)))
    found = xp.to_numpy(compiled(xp.asarray(x), xp.asarray(y)))
    assert found == pytest.approx(np.linalg.norm(x - y) / np.linalg.norm(x), rel=1e-14)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (3, 2, 1)])
def test_one_shape_is_required(xp, shape):
    with pytest.raises(ValueError, match=r"one shape, got \(3, 2\) and"):
        error_of(xp, np.ones((3, 2)), np.ones(shape))


def test_bad_data_are_refused(xp):
    x = np.ones((3, 2))
    x[1, 0] = np.nan
    with pytest.raises(ValueError, match=r"first at x\[1, 0\]"):
        error_of(xp, x, np.ones((3, 2)))
    with pytest.raises(ValueError, match="x is empty"):
        error_of(xp, np.ones((0, 2)), np.ones((0, 2)))


def test_a_format_that_is_not_finite_is_no_silent_nan(xp):
    y = np.ones((3, 2))
    y[0, 0] = np.nan
    assert not np.isfinite(error_of(xp, np.ones((3, 2)), y))


@pytest.mark.parametrize("block", [0, -1, 2.5, True])
def test_a_block_is_a_positive_int(block):
    with pytest.raises((TypeError, ValueError), match="block must be an int >= 1"):
        td.relative_error(np.ones((3, 2)), Whole(np.ones((3, 2))), block=block)


def test_a_list_is_data_too():
    assert td.relative_error([[1.0, 2.0], [3.0, 4.0]], Whole(np.zeros((2, 2)))) == 1.0


def test_libraries_are_not_mixed(xp):
    if "numpy" in xp.name:
        pytest.skip("needs a second library")
    with pytest.raises(TypeError, match="one library"):
        td.relative_error(np.ones((2, 2)), Whole(xp.asarray(np.ones((2, 2)))))


# --- Sizes -------------------------------------------------------------------------------------


@given(m=st.integers(1, 50), n=st.integers(1, 50), r=st.integers(1, 50))
def test_parameters_are_counted(m, n, r):
    fmt = LowRank(np.ones((m, r)), np.ones((r, n)))
    assert td.n_parameters(fmt) == r * (m + n)
    assert td.compression_ratio(fmt) == pytest.approx(m * n / (r * (m + n)))


def test_nested_parameters_are_counted(xp):
    core, factors = xp.asarray(np.ones((2, 3))), (xp.asarray(np.ones((5, 2))), None, ())
    assert td.n_parameters((core, factors)) == 16
    assert td.n_parameters(xp.asarray(np.array(1.0))) == 1
    assert td.n_parameters((xp.asarray(np.ones((0, 3))),)) == 0
