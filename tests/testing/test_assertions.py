"""An assertion passes what rounding explains, and nothing more."""

import numpy as np
import pytest

from tdecomp import LowRank
from tdecomp.testing import assert_descending, assert_isometry, assert_reconstructs, matrix


def test_orthonormal_columns_pass(xp, dtype):
    for shape in ((7, 3), (5, 5), (1, 1), (40, 40)):
        assert_isometry(xp.asarray(matrix(*shape, "flat", dtype=dtype)))
    assert_isometry(xp.asarray(np.stack([matrix(7, 3, "flat", rng=k) for k in range(3)])))


@pytest.mark.parametrize("power", [5, -5])
def test_other_columns_do_not(xp, dtype, power):
    eps = float(np.finfo(dtype).eps)
    q = matrix(7, 3, "flat") * (1 + np.sign(power) * 100 * 7 * eps)
    with pytest.raises(AssertionError, match="not an isometry: norm"):
        assert_isometry(xp.asarray(q.astype(dtype)))
    assert_isometry(xp.asarray(q.astype(dtype)), factor=1000.0)


def test_wide_matrices_nan_and_one_bad_member_fail(xp):
    batch = np.stack([np.eye(3), np.eye(3) + 1e-9])
    for q in (np.eye(3)[:2], np.full((2, 1), np.nan), batch):
        with pytest.raises(AssertionError, match="not an isometry"):
            assert_isometry(xp.asarray(q))


def test_no_columns_are_orthonormal(xp):
    assert_isometry(xp.asarray(np.empty((3, 0))))


def test_a_reconstruction_is_measured(xp, dtype):
    u, v = matrix(5, 2, "flat", dtype=dtype), matrix(2, 4, "flat", dtype=dtype)
    fmt = LowRank(xp.asarray(u), xp.asarray(v))
    a = u.astype("complex128") @ v if u.dtype.kind == "c" else u.astype("float64") @ v
    assert_reconstructs(fmt, xp.asarray(a.astype(dtype)), rtol=10 * np.finfo(dtype).eps)
    a = xp.asarray((a * 1.01).astype(dtype))
    assert_reconstructs(fmt, a, rtol=0.0100)
    with pytest.raises(AssertionError, match=r"relative error 0.0099 > 0.0098"):
        assert_reconstructs(fmt, a, rtol=0.0098)


def test_every_member_of_a_batch_counts(xp):
    ones = np.ones((2, 3, 1)), np.ones((2, 1, 4))
    fmt = LowRank(*map(xp.asarray, ones))
    a = np.ones((2, 3, 4))
    assert_reconstructs(fmt, xp.asarray(a), rtol=1e-15)
    a[1] *= 2
    with pytest.raises(AssertionError, match=r"relative error 0\.5"):
        assert_reconstructs(fmt, xp.asarray(a), rtol=0.4)


def test_shapes_are_compared(xp):
    fmt = LowRank(xp.asarray(np.ones((3, 1))), xp.asarray(np.ones((1, 4))))
    with pytest.raises(AssertionError, match=r"shape \(3, 4\) stands for shape \(4, 3\)"):
        assert_reconstructs(fmt, xp.asarray(np.ones((4, 3))), rtol=0.5)


@pytest.mark.parametrize("s", [[], [1.0], [2.0, 2.0, 0.0], [[3.0, 1.0], [0.0, 0.0]]])
def test_singular_values_pass(xp, s):
    assert_descending(xp.asarray(np.array(s, dtype=float)))


@pytest.mark.parametrize(
    ("s", "reason"),
    [
        ([1.0, 2.0], "not descending"),
        ([1.0, -1.0], "negative"),
        ([1.0, np.nan], "not finite"),
        ([np.inf, 1.0], "not finite"),
        ([1.0 + 0j], "not real floating"),
        ([1], "not real floating"),
        ([[2.0, 1.0], [1.0, 2.0]], "not descending"),
    ],
)
def test_other_values_do_not(xp, s, reason):
    with pytest.raises(AssertionError, match=reason):
        assert_descending(xp.asarray(np.array(s)))
