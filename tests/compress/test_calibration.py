"""Streamed statistics are those of the whole data, and no digit is lost on the way."""

import pickle

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp.compress import Calibration


def draw(seed, shape, dtype="float64"):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * rng.standard_normal(shape)
    return x.astype(dtype)


def moments(x, *, centred=False):
    """The second moments of the rows of `x`, in double precision."""
    x = x.astype(np.result_type(x.dtype, np.float64))
    x = x - x.mean(axis=0) if centred else x
    return x.T @ x.conj() / len(x)


def streamed(x, cuts, xp):
    parts = np.split(x, sorted(cuts))
    parts = [xp.asarray(part) for part in parts if len(part)]
    calibration = Calibration.of(parts[0])
    for part in parts[1:]:
        calibration = calibration.update(part)
    return calibration


def assert_statistics(calibration, x, xp):
    """Assert that the statistics are those of the rows of `x`, to the precision of `x`."""
    eps, size, n = np.finfo(x.dtype).eps, 3.0 + np.max(np.abs(x)), x.shape[1]
    assert calibration.n_inputs == len(x)
    wide = x.astype(np.result_type(x.dtype, np.float64))
    assert np.allclose(xp.to_numpy(calibration.mean), wide.mean(0), atol=50 * eps * size)
    assert np.allclose(xp.to_numpy(calibration.mean_abs), abs(wide).mean(0), atol=50 * eps * size)
    # The centred moments feel the mean by the rounding of the data only.
    for centred, square in ((False, size**2), (True, 25 + 25 * eps * size**2)):
        right = xp.to_numpy(calibration.right(centred=centred))
        assert right.dtype == x.dtype
        misfit = right @ right.conj().T - moments(x, centred=centred)
        assert np.max(np.abs(misfit)) <= 100 * n * eps * square


@pytest.mark.parametrize("offset", [0.0, 1e3])
@pytest.mark.parametrize("shape", [(1, 3), (5, 8), (30, 4)])
@pytest.mark.when_compiled(offset=1000.0)
def test_a_stream_has_the_statistics_of_the_whole(xp, dtype, shape, offset):
    x = draw(0, shape, dtype) + np.asarray(offset, dtype)
    assert_statistics(streamed(x, [shape[0] // 3, shape[0] // 2], xp), x, xp)


@given(
    seed=st.integers(0, 99),
    rows=st.integers(1, 30),
    n=st.integers(1, 8),
    cuts=st.lists(st.integers(0, 30), max_size=6),
    offset=st.floats(-1e3, 1e3),
)
def test_wherever_it_is_cut(seed, rows, n, cuts, offset):
    x = draw(seed, (rows, n)) + offset
    assert_statistics(streamed(x, [min(cut, rows) for cut in cuts], NumPy), x, NumPy)


@pytest.mark.parametrize("split", [1, 12])
def test_shards_may_be_merged_in_any_order(xp, split):
    x = draw(0, (20, 6)) * 3 + 5
    a, b = (Calibration.of(xp.asarray(part)) for part in (x[:split], x[split:]))
    for merged in (a.merge(b), b.merge(a)):
        assert merged.n_inputs == 20
        assert np.allclose(xp.to_numpy(merged.mean), x.mean(0), rtol=1e-13)
        for centred in (False, True):
            right = xp.to_numpy(merged.right(centred=centred))
            assert np.allclose(right @ right.T, moments(x, centred=centred), atol=1e-12)


def test_updates_leave_the_original_alone(xp):
    first = Calibration.of(xp.asarray(draw(0, (5, 3))))
    before = [np.array(xp.to_numpy(part)) for part in first[1:]]
    first.update(xp.asarray(draw(1, (5, 3))))
    assert all(np.array_equal(xp.to_numpy(a), b) for a, b in zip(first[1:], before, strict=True))


def test_axes_before_the_last_are_tokens(xp):
    x = draw(0, (2, 3, 4, 5))
    whole, flat = Calibration.of(xp.asarray(x)), Calibration.of(xp.asarray(x.reshape(-1, 5)))
    assert whole.n_inputs == 24
    assert np.allclose(xp.to_numpy(whole.right()), xp.to_numpy(flat.right()))


def test_the_condition_number_is_not_squared():
    # Singular values down to 1e-6, single precision: second moments reach down to 1e-12, far
    # below its rounding, while the factor keeps one digit of the smallest singular value.
    rng = np.random.default_rng(0)
    n, count = 60, 2000
    s = np.geomspace(1, 1e-6, n)
    q, _ = np.linalg.qr(rng.standard_normal((count, n)))
    v, _ = np.linalg.qr(rng.standard_normal((n, n)))
    x = np.sqrt(count) * (q * s) @ v.T
    calibration = streamed(x.astype(np.float32), range(0, count, 100), NumPy)
    found = np.linalg.svd(calibration.right().astype(np.float64), compute_uv=False)
    assert np.all(np.abs(found - s) <= 4 * np.finfo(np.float32).eps)
    gram = np.linalg.eigvalsh(x.astype(np.float32).T @ x.astype(np.float32) / count)
    assert np.sqrt(np.abs(gram[0])) > 10 * s[-1]


def test_a_large_mean_costs_no_digits_of_the_covariance():
    x = draw(0, (500, 4))
    shifted = Calibration.of(x[:200] + 1e8).update(x[200:] + 1e8)
    right = shifted.right(centred=True)
    # The data itself, rounded to a spacing of 1e8 eps, holds no more.
    assert np.allclose(right @ right.T, moments(x, centred=True), atol=1e-7)


def test_fewer_inputs_than_entries_give_a_wide_factor(xp):
    x = draw(0, (3, 7))
    calibration = Calibration.of(xp.asarray(x))
    assert tuple(calibration.factor.shape) == (3, 7)
    right = xp.to_numpy(calibration.right())
    assert right.shape[0] == 7
    assert np.allclose(right @ right.T, moments(x))


def test_one_input_has_no_variation(xp):
    x = draw(0, (1, 4))
    calibration = Calibration.of(xp.asarray(x[0]))
    assert calibration.n_inputs == 1
    assert np.array_equal(xp.to_numpy(calibration.right(centred=True)), np.zeros((4, 1)))
    right = xp.to_numpy(calibration.right())
    assert np.allclose(right @ right.T, x.T @ x)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_any_scale_is_fine(xp, scale):
    x = draw(0, (30, 4))
    calibration = Calibration.of(xp.asarray(x[:20] * scale)).update(xp.asarray(x[20:] * scale))
    right = xp.to_numpy(calibration.right()) / scale
    assert np.allclose(right @ right.T, moments(x))


def test_zero_inputs_are_fine(xp):
    calibration = Calibration.of(xp.asarray(np.zeros((5, 3))))
    assert not np.any(xp.to_numpy(calibration.right()))
    assert not np.any(xp.to_numpy(calibration.diagonal(0.5)))
    assert np.array_equal(xp.to_numpy(calibration.diagonal(0.0)), np.ones(3))


def test_half_precision_is_accumulated_in_single():
    x = draw(0, (50, 4)).astype(ml_dtypes.bfloat16)
    calibration = Calibration.of(x)
    assert calibration.factor.dtype == np.float32
    right = calibration.right()
    assert np.allclose(right @ right.T, moments(x.astype(np.float64)), rtol=1e-5)


def test_the_diagonal_is_a_power_of_the_mean_magnitude(xp):
    x = draw(0, (20, 3))
    calibration = Calibration.of(xp.asarray(x))
    assert np.allclose(xp.to_numpy(calibration.diagonal(0.25)), np.abs(x).mean(0) ** 0.25)
    with pytest.raises(ValueError, match="alpha must be a finite number >= 0, got -1"):
        calibration.diagonal(-1)


def test_statistics_survive_arrays_and_pickle(xp):
    calibration = Calibration.of(xp.asarray(draw(0, (9, 4))))
    arrays = calibration.to_arrays()
    assert all(hasattr(array, "shape") for array in arrays.values())
    back = Calibration.from_arrays(arrays)
    assert back.n_inputs == 9
    assert np.array_equal(xp.to_numpy(back.right()), xp.to_numpy(calibration.right()))
    if xp.name != "array-api-strict":
        again = pickle.loads(pickle.dumps(calibration))
        assert np.array_equal(xp.to_numpy(again.factor), xp.to_numpy(calibration.factor))


def test_bad_inputs_are_refused(xp):
    calibration = Calibration.of(xp.asarray(np.ones((2, 3))))
    with pytest.raises(ValueError, match="x must have the length 3 of the inputs so far, got 4"):
        calibration.update(xp.asarray(np.ones((2, 4))))
    with pytest.raises(ValueError, match="x has 1 non-finite"):
        calibration.update(xp.asarray(np.array([[1.0, np.nan, 0.0]])))
    with pytest.raises(ValueError, match="empty"):
        Calibration.of(xp.asarray(np.ones((0, 3))))


def test_damaged_arrays_are_refused():
    arrays = Calibration.of(np.ones((5, 3))).to_arrays()
    with pytest.raises(ValueError, match="missing: \\['mean'\\]"):
        Calibration.from_arrays({k: v for k, v in arrays.items() if k != "mean"})
    with pytest.raises(ValueError, match="shapes"):
        Calibration.from_arrays({**arrays, "mean": np.ones(4)})
    with pytest.raises(ValueError, match="n_inputs"):
        Calibration.from_arrays({**arrays, "n_inputs": np.asarray(0)})


class NumPy:
    """The smallest backend, for tests that are about numbers only."""

    asarray = staticmethod(np.asarray)
    to_numpy = staticmethod(np.asarray)
