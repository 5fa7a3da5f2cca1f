"""Eigenvectors of Kronecker products: what is solved in their basis agrees with dense algebra."""

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp.kronecker import KroneckerSum
from tdecomp.kronecker._eigh import eigh
from tdecomp.testing import gaussian

MIXED = (-1.0, 2.3)
sizes = st.lists(st.integers(1, 4), min_size=2, max_size=4)
dtypes = st.sampled_from(["float32", "float64", "complex64", "complex128"])


def on_host(arrays, xp):
    return [xp.to_numpy(x) for x in arrays]


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 2)])
def test_eigenvectors_diagonalise_the_product(xp, dtype, shape, hermitian):
    k, a = hermitian(shape, dtype=dtype, values=MIXED, xp=xp)
    eps = np.finfo(dtype).eps
    e = eigh(k)
    assert (e.shape, e.dtype, e.metric_logdet) == (a.shape, getattr(xp, dtype), None)
    v = reduce(np.kron, on_host(e.vectors, xp))
    w = xp.to_numpy(e.eigenvalues())
    assert w.dtype == np.finfo(dtype).dtype
    assert np.abs(v.conj().T @ v - np.eye(len(v))).max() <= 50 * eps
    assert np.abs(a @ v - v * w).max() <= 50 * eps * np.abs(w).max()
    inorder = xp.to_numpy(e.eigenvalues(sort=True))
    assert np.abs(inorder - np.linalg.eigvalsh(a)).max() <= 50 * eps * np.abs(w).max()


def test_all_methods_agree_with_the_dense_matrix(xp, dtype, hermitian):
    k, a = hermitian((4, 3), dtype=dtype, xp=xp)
    b, eps, shift = gaussian((12, 2), rng=5, dtype=dtype), np.finfo(dtype).eps, 0.25
    c, one = xp.asarray(b), np.eye(12)
    # The largest number is below 10, the smallest above 1/10.
    slack = 500 * eps

    def everything(k, c):
        e = eigh(k)
        return (
            *(e.solve(c, shift=shift), e.solve(c[:, 0]), *e.logdet(shift=shift)),
            *(e.quadratic(c, shift=shift), e.quadratic(c[:, 0])),
            *(e.apply(lambda x: x**0.5, e.apply(lambda x: (x + shift) ** 0.5, c)),),
            e.diagonal(lambda x: x * shift / (x + shift)),
        )

    found = on_host(xp.jit(everything)(k, c), xp)
    shifted, inverse = a + shift * one, np.linalg.inv(a + shift * one)
    w, v = np.linalg.eigh(a)
    expected = [
        *(inverse @ b, np.linalg.solve(a, b[:, 0]), *np.linalg.slogdet(shifted)),
        *(np.diag(b.conj().T @ inverse @ b).real, np.vdot(b[:, 0], np.linalg.solve(a, b[:, 0]))),
        (v * (w * (w + shift)) ** 0.5) @ v.conj().T @ b,
        np.diag(shift * a @ inverse).real,
    ]
    for x, y in zip(found, expected, strict=True):
        assert x.shape == np.shape(y)
        assert np.abs(x - y).max() <= slack * max(1.0, np.abs(y).max())
    assert found[4].dtype == found[7].dtype == found[3].dtype == np.finfo(dtype).dtype
    assert found[0].dtype == np.dtype(dtype)


def test_a_metric_diagonalises_two_terms_together(xp, dtype, hermitian):
    k, a = hermitian((4, 3), dtype=dtype, values=MIXED, xp=xp)
    metric, m = hermitian((4, 3), dtype=dtype, rng=9, xp=xp)
    b, eps = gaussian((12, 2), rng=5, dtype=dtype), np.finfo(dtype).eps

    def everything(k, metric, c):
        e = eigh(k, metric=metric)
        found = e.solve(c, shift=3.0), e.quadratic(c, shift=3.0), *e.logdet(shift=3.0)
        return e.values, e.vectors, found

    values, vectors, found = xp.jit(everything)(k, metric, xp.asarray(b))
    v = reduce(np.kron, on_host(vectors, xp))
    w = reduce(np.kron, on_host(values, xp))
    # Eigenvalues of the metric lie between 1/4 and 4, those of the pencil within 4 * 5.3.
    assert np.abs(v.conj().T @ m @ v - np.eye(12)).max() <= 200 * eps
    assert np.abs(v.conj().T @ a @ v - np.diag(w)).max() <= 200 * eps * np.abs(w).max()
    whole = a + 3.0 * m
    x = np.linalg.solve(whole, b)
    slack = 200 * eps * np.linalg.cond(whole)
    solved, quadratic, sign, size = on_host(found, xp)
    assert np.abs(solved - x).max() <= slack * np.abs(x).max()
    assert np.abs(quadratic - np.diag(b.conj().T @ x).real).max() <= slack * np.abs(x).max() * 9
    assert sign == np.sign(np.linalg.slogdet(whole)[0].real)
    assert abs(size - np.linalg.slogdet(whole)[1]) <= slack


@given(shape=sizes, dtype=dtypes, rng=st.integers(0, 99), shift=st.floats(0.5, 5.0))
def test_shifted_systems_are_those_of_the_matrix(shape, dtype, rng, shift, hermitian):
    k, a = hermitian(shape, dtype=dtype, rng=rng)
    b = gaussian((len(a), 2), rng=rng, dtype=dtype)
    e, shifted = eigh(k), a.astype(np.result_type(dtype, "float64")) + shift * np.eye(len(a))
    slack = 50 * np.finfo(dtype).eps * np.linalg.cond(shifted)
    x = np.linalg.solve(shifted, b)
    assert np.linalg.norm(e.solve(b, shift=shift) - x) <= slack * np.linalg.norm(x)
    sign, size = e.logdet(shift=shift)
    expected = np.linalg.slogdet(shifted)
    assert sign == 1
    assert abs(size - expected[1]) <= slack * len(a)
    quadratic = np.linalg.norm(e.quadratic(b, shift=shift) - np.sum(b.conj() * x, axis=0))
    assert quadratic <= slack * np.linalg.norm(b) * np.linalg.norm(x)


def test_batches_and_complex_shifts(hermitian):
    k, a = hermitian((3, 2), values=MIXED)
    e, b = eigh(k), gaussian((2, 4, 6, 3))
    shift = 0.3 + 0.4j
    x = np.linalg.solve(a + shift * np.eye(6), b)
    assert np.allclose(e.solve(b, shift=shift), x, rtol=0, atol=1e-13)
    assert np.allclose(e.quadratic(b, shift=shift), np.sum(b * x, axis=-2), rtol=0, atol=1e-12)
    assert e.quadratic(b).shape == (2, 4, 3)
    sign, size = e.logdet(shift=np.array(shift))
    assert sign * np.exp(size) == pytest.approx(np.linalg.det(a + shift * np.eye(6)))
    complex_b = b[0, 0] + 1j * b[1, 0]
    assert np.allclose(e.solve(complex_b), np.linalg.solve(a, complex_b))


def test_a_draw_has_the_covariance(hermitian):
    k, a = hermitian((4, 3))
    e, shift = eigh(k), 0.1
    root = e.apply(lambda x: np.sqrt(x + shift), np.eye(12))
    assert np.allclose(root @ root.T, a + shift * np.eye(12), rtol=0, atol=1e-14)


def test_what_is_singular_is_named(xp):
    factor = np.diag([0.0, 1.0, 2.0])
    e = eigh(KroneckerSum(*(xp.asarray(f[None]) for f in (np.diag([1.0, 4.0]), factor))))
    with pytest.raises(np.linalg.LinAlgError, match=r"eigenvalue \(0, 0\) = 0, plus the shift"):
        e.solve(xp.asarray(np.ones(6)))
    with pytest.raises(np.linalg.LinAlgError, match=r"eigenvalue \(1, 1\) = 4"):
        e.quadratic(xp.asarray(np.ones(6)), shift=-4.0)
    with pytest.raises(ValueError, match=r"not finite at eigenvalue \(0, 0\) = 0"):
        e.apply(lambda x: 1 / x, xp.asarray(np.ones(6)))
    sign, size = e.logdet()
    assert (float(sign), float(size)) == (0.0, -np.inf)
    assert float(e.logdet(shift=-0.5)[0]) == 1.0
    assert float(e.logdet(shift=-1.5)[0]) == -1.0


def test_scales_neither_overflow_nor_vanish():
    sides = (np.diag([1e-200, 4e-200]), np.diag([1e-200, 2e-200]), np.diag([3.0, 1.0]) * 1e300)
    left, right, last = (f[None] for f in sides)
    e = eigh(KroneckerSum(left, right, (last,)))
    assert e.eigenvalues(sort=True)[[0, -1]] == pytest.approx([1e-100, 2.4e-99], rel=1e-13)
    assert e.logdet()[1] == pytest.approx(8 * np.log(1e-100) + 4 * np.log(24), rel=1e-13)
    assert e.solve(np.ones(8))[0] == pytest.approx(1e100 / 3, rel=1e-13)


def test_what_is_not_hermitian_or_does_not_fit_is_refused(xp, hermitian, drawn):
    k, _ = hermitian((3, 2), xp=xp)
    skew = k._replace(right=xp.asarray(np.array([[[1.0, 1.0], [0.0, 1.0]]])))
    with pytest.raises(ValueError, match=r"k\.factors\[1\] must be Hermitian"):
        eigh(skew)
    with pytest.raises(ValueError, match=r"metric\.factors\[1\] must be Hermitian"):
        eigh(k, metric=skew)
    with pytest.raises(ValueError, match=r"k\.factors\[0\] must be square, got 2 x 3"):
        eigh(drawn(((2, 3), (3, 3)), 1, xp=xp)[0])
    with pytest.raises(ValueError, match="one term here, got 2"):
        eigh(drawn(((3, 3), (3, 3)), 2, xp=xp)[0])
    with pytest.raises(ValueError, match="k and metric must have factors of the same shapes"):
        eigh(k, metric=hermitian((2, 3), xp=xp)[0])
    with pytest.raises(ValueError, match=r"factors\[0\] has 9 non-finite"):
        eigh(k._replace(left=xp.asarray(np.full((1, 3, 3), np.nan))))
    negative, _ = hermitian((3, 2), values=MIXED, xp=xp)
    with pytest.raises(np.linalg.LinAlgError, match=r"metric\.factors\[0\] must be positive"):
        eigh(k, metric=negative)
    e = eigh(k)
    with pytest.raises(ValueError, match=r"b must have shape \(6,\) or \(\.\.\., 6, c\)"):
        e.solve(xp.asarray(np.ones(5)))
    with pytest.raises(ValueError, match=r"at b\[2\]"):
        e.solve(xp.asarray(np.array([0, 0, np.nan, 0, 0, 0])))
    with pytest.raises(ValueError, match="shift"):
        e.solve(xp.asarray(np.ones(6)), shift=float("nan"))
    with pytest.raises(ValueError, match=r"shape \(6,\), got \(5,\)"):
        e.apply(lambda x: x[:5], xp.asarray(np.ones(6)))
    with pytest.raises(ValueError, match=r"shape \(6,\), got float"):
        e.diagonal(lambda x: 1.0)  # noqa: ARG005
    for call in (lambda f: e.apply(f, xp.asarray(np.ones(6))), e.diagonal):
        with pytest.raises(TypeError, match="function must be callable, got 3"):
            call(3)
    with pytest.raises(ValueError, match="without metric="):
        eigh(k, metric=k).apply(lambda x: x, xp.asarray(np.ones(6)))
    if not xp.name.startswith("numpy"):
        with pytest.raises(TypeError, match="one library"):
            e.solve(np.ones(6))


def test_rounding_of_a_kernel_matrix_is_no_asymmetry():
    x = gaussian((40, 30), dtype="float32")
    gram = x @ x.T
    gram[0, 1] *= 1 + 2**-22
    k = KroneckerSum(gram[None], np.eye(2, dtype="float32")[None])
    assert eigh(k).solve(np.ones(80), shift=1.0).dtype == np.float64


@pytest.mark.parametrize(("given", "promoted"), [("int64", "float64"), ("float16", "float32")])
def test_narrow_numbers_are_promoted(given, promoted):
    k = KroneckerSum(np.eye(2, dtype=given)[None], 2 * np.eye(3, dtype=given)[None])
    e = eigh(k)
    assert e.dtype == e.solve(np.ones(6, given)).dtype == np.dtype(promoted)
    assert np.all(e.solve([2.0] * 6) == 1)
