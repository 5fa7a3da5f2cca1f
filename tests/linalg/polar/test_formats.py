"""The formats of a polar decomposition, and the certificate that measures one."""

import pickle

import numpy as np
import pytest

import tdecomp as td
from tdecomp.linalg._polar._certificate import polar_certificate
from tdecomp.linalg._polar._formats import Polar
from tdecomp.testing import gaussian

SLACK = 100 * np.finfo(float).eps


def parts(shape, dtype="complex128"):
    """An isometry and a semidefinite matrix, by the SVD."""
    u, s, vh = np.linalg.svd(gaussian(shape, dtype=dtype), full_matrices=False)
    v = np.conj(np.swapaxes(vh, -1, -2))
    return u @ vh, (v * s[..., None, :]) @ vh


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (2, 4, 4)])
def test_a_format_behaves_as_its_matrix(xp, shape):
    u, h = map(xp.asarray, parts(shape))
    right = Polar(u, h)
    for fmt in (right, right.mH):
        whole = fmt.to_array()
        a = xp.to_numpy(whole)
        assert fmt.shape == a.shape
        assert (fmt.modes, fmt.rank) == (2, min(a.shape[-2:]))
        assert fmt.dtype == whole.dtype
        x = gaussian((a.shape[-1], 2), rng=1)
        product = xp.to_numpy(fmt @ xp.asarray(x.astype("complex128")))
        assert np.abs(product - a @ x).max() <= SLACK
        vector = xp.to_numpy(fmt @ xp.asarray(x[:, 0].astype("complex128")))
        assert np.abs(vector - a @ x[:, 0]).max() <= SLACK
        assert np.all(xp.to_numpy(fmt.to_array(slice(1, 3))) == a[..., 1:3, :])
        assert np.abs(xp.to_numpy(fmt.mH.to_array()) - np.conj(a.swapaxes(-1, -2))).max() <= SLACK
        assert type(fmt.mH.mH) is type(fmt)


def test_formats_pickle_unpack_and_measure():
    u, h = parts((5, 3))
    for fmt in (Polar(u, h), Polar(u, h).mH):
        again = pickle.loads(pickle.dumps(fmt))
        assert type(again) is type(fmt)
        assert all(np.array_equal(x, y) for x, y in zip(again, fmt, strict=True))
        assert td.relative_error(fmt.to_array(), fmt) <= SLACK
        with pytest.raises(TypeError):
            np.ones((2, fmt.shape[0])) @ fmt


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_a_certificate_measures_what_was_added(xp, side, scale):
    u, h = parts((6, 4))
    right = Polar(u, h)
    fmt = right if side == "right" else right.mH
    a = fmt.to_array()

    def measured(**changes):
        found = fmt._replace(**changes)
        found = found._replace(H=found.H * scale)
        moved = type(fmt)(*map(xp.asarray, found))
        return [float(x) for x in polar_certificate(xp.asarray(a * scale), moved)]

    assert max(measured()) <= SLACK
    orthogonality, residual, symmetry, _ = measured(U=1.001 * fmt.U)
    assert orthogonality == pytest.approx(2 * (1.001**2 - 1), rel=1e-9)
    assert residual == pytest.approx(0.001, rel=1e-9)
    assert symmetry <= SLACK
    skew = np.zeros_like(h)
    skew[0, 1] = 0.01
    assert measured(H=fmt.H + skew)[2] == pytest.approx(
        0.01 * np.sqrt(2) / np.linalg.norm(fmt.H + skew), rel=1e-6
    )
    values = np.linalg.eigvalsh(fmt.H)
    shift = 2 * values[0]
    expected = values[0] / max(values[-1] - shift, values[0])
    assert measured(H=fmt.H - shift * np.eye(4))[3] == pytest.approx(expected, rel=1e-9)


def test_a_certificate_refuses_what_it_cannot_measure():
    u, h = parts((6, 4))
    with pytest.raises(TypeError, match="Polar or a LeftPolar, got tuple"):
        polar_certificate(u @ h, (u, h))
    with pytest.raises(ValueError, match=r"shape \(6, 4\)"):
        polar_certificate((u @ h).T, Polar(u, h))
    with pytest.raises(ValueError, match="finite"):
        polar_certificate(np.nan * u, Polar(u, h))
    assert max(polar_certificate(0 * u, Polar(u, 0 * h))) <= SLACK
    assert polar_certificate(0 * u, Polar(u, h)).residual == np.inf
