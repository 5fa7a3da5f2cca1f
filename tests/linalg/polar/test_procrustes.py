"""The nearest rotation: against SciPy, against others, and with a determinant of one."""

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes

import tdecomp as td
from tdecomp.testing import gaussian


@pytest.mark.parametrize("shape", [(9, 4), (3, 5), (2, 7, 3)])
@pytest.mark.parametrize("complex_", [False, True])
def test_no_other_isometry_comes_nearer(xp, shape, complex_):
    dtype = "complex128" if complex_ else "float64"
    a, b = (gaussian(shape, rng=k, dtype=dtype) for k in range(2))
    found = td.procrustes(xp.asarray(a), xp.asarray(b))
    r, error = xp.to_numpy(found.rotation), xp.to_numpy(found.error)
    assert np.all(xp.to_numpy(found.scale) == 1)
    gap = np.linalg.norm(a @ r - b, axis=(-2, -1)) / np.linalg.norm(b, axis=(-2, -1))
    assert np.abs(error - gap).max() <= 1e-14
    cross = np.conj(a.swapaxes(-1, -2)) @ b
    nuclear = np.linalg.svd(cross, compute_uv=False).sum(axis=-1)
    inner = np.sum(np.conj(r) * cross, axis=(-2, -1)).real
    assert np.allclose(inner, nuclear, rtol=1e-13)
    if a.ndim == 2 and a.shape[0] >= a.shape[1]:
        expected, _ = orthogonal_procrustes(a, b)
        assert np.abs(r - expected).max() <= 1e-12


@pytest.mark.parametrize("scaling", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_a_proper_rotation_is_the_best_of_its_kind(xp, scaling, seed):
    a, b = gaussian((6, 3), rng=seed), gaussian((6, 3), rng=seed + 10)
    found = td.procrustes(xp.asarray(a), xp.asarray(b), scaling=scaling, proper=True)
    r, s = xp.to_numpy(found.rotation), float(found.scale)
    assert np.linalg.det(r) == pytest.approx(1.0, abs=1e-13)
    best = np.linalg.norm(s * a @ r - b)
    for k in range(300):
        q = np.linalg.qr(gaussian((3, 3), rng=k))[0]
        q[:, 0] *= np.sign(np.linalg.det(q))
        t = max(np.sum((a @ q) * b) / np.sum(a * a), 0) if scaling else 1.0
        assert np.linalg.norm(t * a @ q - b) >= best - 1e-12


@pytest.mark.parametrize("scales", [(1.0, 1.0), (1e200, 1e-100), (1e-300, 1.0)])
def test_a_similarity_is_found_at_every_scale(xp, scales):
    a = gaussian((10, 3))
    q = np.linalg.qr(gaussian((3, 3), rng=1))[0]
    found = td.procrustes(
        xp.asarray(scales[0] * a), xp.asarray(scales[1] * (2.5 * a @ q)), scaling=True
    )
    assert np.abs(xp.to_numpy(found.rotation) - q).max() <= 1e-13
    assert float(found.scale) / (scales[1] / scales[0]) == pytest.approx(2.5, rel=1e-13)
    assert float(found.error) <= 1e-13


@pytest.mark.parametrize("scaling", [False, True])
@pytest.mark.parametrize(("first", "second"), [(1e-300, 1e300), (1e300, 1e-300)])
def test_errors_are_true_where_the_scale_leaves_the_range(first, second, scaling):
    a = gaussian((10, 3))
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        found = td.procrustes(first * a, second * a, scaling=scaling)
    if scaling:
        assert found.error <= 1e-14
    else:
        assert found.error == (1.0 if second > first else np.inf)


def test_mixed_and_integer_points_become_what_holds_both(xp):
    points = [[1, 2], [3, 4], [0, 1]]
    found = td.procrustes(points, points, proper=True)
    assert np.abs(found.rotation - np.eye(2)).max() <= 1e-15
    wide = gaussian((4, 2), dtype="complex64"), gaussian((4, 2), dtype="float32")
    rotation, scale, error = td.procrustes(*map(xp.asarray, wide), scaling=True)
    assert "complex64" in str(rotation.dtype)
    assert "float32" in str(scale.dtype)
    assert "float32" in str(error.dtype)


@pytest.mark.parametrize("case", ["generic", "reflected", "repeated"])
def test_gradients_of_rotations(xp, case):
    """Also where singular values are equal, and those of the SVD are NaN."""
    a, seed, direction = (gaussian((3, 3), rng=k) for k in range(3))
    target = gaussian((3, 3), rng=4)
    if case == "reflected":
        target[:, 0] *= -np.sign(np.linalg.det(a.T @ target))
    if case == "repeated":
        a = target = np.eye(3)
    step = 1e-5
    ends = [td.procrustes(a + t * direction, target, proper=True).rotation for t in (step, -step)]
    slope = np.sum((ends[0] - ends[1]) * seed) / (2 * step)

    def loss(x):
        return (
            td.procrustes(x, xp.asarray(target), proper=True).rotation * xp.asarray(seed)
        ).sum()

    assert np.sum(xp.gradient(loss, a) * direction) == pytest.approx(slope, rel=1e-6)


def test_nothing_is_moved_to_nothing_without_harm():
    zero, ones = np.zeros((4, 2)), np.ones((4, 2))
    assert td.procrustes(zero, zero, scaling=True).error == 0
    assert td.procrustes(zero, ones, scaling=True).error == 1
    assert td.procrustes(ones, zero, scaling=True).scale == 0
    assert td.procrustes(ones, zero).error == np.inf


def test_bad_points_are_named():
    a = gaussian((4, 3))
    with pytest.raises(ValueError, match=r"shapes \(4, 3\) and \(3, 4\)"):
        td.procrustes(a, a.T)
    with pytest.raises(ValueError, match="b has 12 non-finite"):
        td.procrustes(a, np.nan * a)
    with pytest.raises(ValueError, match="proper=True is for real"):
        td.procrustes(1j * a, a, proper=True)
    with pytest.raises(ValueError, match=r"dimension|empty"):
        td.procrustes(a[0], a[0])
