"""Polar factors through a bidiagonal matrix: every entry exact, no singular vector needed."""

from fractions import Fraction

import numpy as np
import pytest

import tdecomp as td
from tdecomp._kernels import _lapack
from tdecomp._kernels._bidiagonal_sign import TOGETHER, bidiagonal_sign, inverse_norms
from tdecomp._xp import namespace
from tdecomp.linalg._polar import _bidiagonal, _polar
from tdecomp.linalg._polar._bidiagonal import bidiagonal_polar
from tdecomp.linalg._polar._svd import svd_polar
from tdecomp.testing import gaussian, matrix

EPS = float(np.finfo(float).eps)
DTYPES = ("float32", "float64", "complex64", "complex128")


def upper(d, e):
    return np.diag(d) + np.diag(e, 1)


def errors(a, u, h):
    """Return T1 and T2, measured in double precision."""
    a, u, h = (x.astype("complex128") for x in (a, u, h))
    unit = np.eye(a.shape[1])
    return np.linalg.norm(np.conj(u.T) @ u - unit), np.linalg.norm(a - u @ h) / np.linalg.norm(a)


def exact_sum(d, e, shifts, weights):
    """The sum of w B (B' B + t^2)^-1 in rational numbers."""
    n = len(d)
    b = [[Fraction(0)] * n for _ in range(n)]
    for i in range(n):
        b[i][i] = Fraction(d[i])
        if i + 1 < n:
            b[i][i + 1] = Fraction(e[i])
    total = [[Fraction(0)] * n for _ in range(n)]
    for shift, weight in zip(shifts, weights, strict=True):
        rows = []  # of [B' B + t^2 | B'], reduced by Gauss and Jordan
        for i in range(n):
            left = [sum(b[k][i] * b[k][j] for k in range(n)) for j in range(n)]
            left[i] += Fraction(shift) ** 2
            rows.append(left + [b[j][i] for j in range(n)])
        for i in range(n):
            rows[i] = [x / rows[i][i] for x in rows[i]]
            for k in range(n):
                if k != i:
                    rows[k] = [x - rows[k][i] * y for x, y in zip(rows[k], rows[i], strict=True)]
        for i in range(n):
            for j in range(n):
                total[j][i] += Fraction(weight) * rows[i][n + j]
    return np.array([[float(x) for x in row] for row in total])


@pytest.mark.parametrize("least", [1.0, 1e-8, 1e-25])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_every_entry_of_the_sum_is_exact(n, least):
    rng = np.random.default_rng(n)
    d, e = (np.geomspace(1, least, n)[:k] * rng.standard_normal(k) for k in (n, n - 1))
    shifts, weights = rng.random(TOGETHER) * np.array([1, least, 1e-3, 2]), rng.random(TOGETHER)
    b = np.empty(2 * n - 1)
    b[::2], b[1::2] = d, e
    out = np.empty((n, n))
    bidiagonal_sign(b, shifts, weights, out)
    expected = exact_sum(d, e, shifts, weights)
    assert np.all(np.abs(out.T - expected) <= 10 * n * EPS * np.abs(expected))


@pytest.mark.parametrize("n", [1, 3, 64, 65, 130, 200])
def test_the_sum_is_that_of_resolvents(n):
    b, shifts = gaussian(2 * n - 1), np.array([0.1, 0.7, 2.0, 1e-3])
    band, weights = upper(b[::2], b[1::2]), np.array([1.0, 2.0, 0.5, 0.01])
    out = np.empty((n, n))
    bidiagonal_sign(b, shifts, weights, out)
    u, s, vh = np.linalg.svd(band)
    values = sum(w * s / (s**2 + t**2) for w, t in zip(weights, shifts, strict=True))
    assert np.abs(out.T - (u * values) @ vh).max() <= 1e-11


@pytest.mark.parametrize("n", [1, 2, 7])
def test_norms_of_the_inverse_are_exact(n):
    b = gaussian(2 * n - 1)
    inverse = np.linalg.inv(upper(b[::2], b[1::2]))
    expected = np.linalg.norm(inverse, 1) * np.linalg.norm(inverse, np.inf)
    assert inverse_norms(b) ** 2 == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("kind", ["graded", "steep", "equal", "growing", "signs"])
@pytest.mark.parametrize("n", [2, 9, 150])
def test_the_factor_of_a_band_is_orthogonal_to_the_last_bits(kind, n):
    d, e = {
        "graded": (np.geomspace(1, 1e-14, n), np.geomspace(1, 1e-14, n)[:-1]),
        "steep": (np.geomspace(1, 1e-25, n), np.full(n - 1, 1e-3)),
        "equal": (np.ones(n), np.ones(n - 1)),
        "growing": (np.geomspace(1e-9, 1e3, n), np.geomspace(1e3, 1e-9, n)[:-1]),
        "signs": (gaussian(n), gaussian(n - 1, rng=1)),
    }[kind]
    x = _bidiagonal._polar_of_band(d, e, EPS)
    if x is None:
        assert kind != "signs"
        assert kind != "equal"
        return
    assert np.linalg.norm(x.T @ x - np.eye(n)) <= 5 * EPS * np.sqrt(n) * np.log2(2 * n)
    h, norm = x.T @ upper(d, e), np.linalg.norm(upper(d, e))
    assert np.linalg.norm(h - h.T) <= 10 * EPS * norm
    assert np.linalg.eigvalsh((h + h.T) / 2)[0] >= -10 * n * EPS * norm


def spectrum(kind, n, condition):
    if kind == "graded":
        return np.geomspace(1, 1 / condition, n)
    return [1.0] * (n - 1) + [1 / condition]


@pytest.mark.parametrize("kind", ["graded", "one small"])
@pytest.mark.parametrize("shape", [(5, 5), (70, 70), (90, 60), (150, 60)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_it_is_as_accurate_as_the_svd_at_any_condition(shape, kind, dtype):
    n, eps = shape[1], float(np.finfo(dtype).eps)
    for condition in (1.0, 1e2, 1e5, 1e10, 1e15):
        a = matrix(*shape, spectrum(kind, n, condition), rng=n, dtype=dtype)
        found = errors(a, *bidiagonal_polar(a, with_h=True, xp=namespace(a)))
        of_svd = errors(a, *svd_polar(a, xp=namespace(a)))
        assert found[0] <= max(1.2 * of_svd[0], 10 * eps * np.sqrt(n))
        assert found[1] <= max(1.2 * of_svd[1], 10 * eps)


def test_gaussian_matrices_come_out_nearer_to_orthogonal_than_by_the_svd():
    a = gaussian((300, 300))
    found = errors(a, *bidiagonal_polar(a, with_h=True, xp=namespace(a)))
    of_svd = errors(a, *svd_polar(a, xp=namespace(a)))
    assert found[0] <= 0.7 * of_svd[0]
    assert found[1] <= 0.7 * of_svd[1]


@pytest.mark.parametrize(
    "a",
    [
        np.zeros((130, 130)),
        np.ones((130, 130)),
        np.diag([*np.ones(129), 0.0]),
        np.triu(np.ones((130, 130)), 1),
        np.eye(130)[::-1].copy(),
        np.tril(np.full((140, 140), -1.0), -1) + np.eye(140),
    ],
    ids=["zero", "ones", "one zero", "nilpotent", "flip", "far below its pivots"],
)
def test_singular_matrices_are_certified_too(certified, a):
    certified(a, td.polar(a, method="bidiagonal"))


def test_what_may_be_singular_goes_to_the_svd(monkeypatch):
    calls = []

    def spy(a, **options):
        calls.append(a.shape)
        return svd_polar(a, **options)

    monkeypatch.setattr(_polar, "svd_polar", spy)
    a = gaussian((3, 140, 130))
    a[1] = 0
    td.polar(a)
    assert calls == [(140, 130)]


@pytest.mark.parametrize("shape", [(6, 6), (7, 5), (11, 4), (1, 1), (4, 1)])
@pytest.mark.parametrize("with_h", [True, False])
def test_any_order_of_memory_is_read_and_kept(shape, with_h, dtype):
    a = gaussian(shape, dtype=dtype)
    expected = svd_polar(a, xp=namespace(a))
    spread = np.zeros((2 * shape[0], 3 * shape[1]), dtype)
    spread[::2, ::3] = a
    for given in (a, np.asfortranarray(a), spread[::2, ::3], np.flip(np.flip(a).copy())):
        given.setflags(write=False)
        kept = given.copy()
        found = bidiagonal_polar(given, with_h=with_h, xp=namespace(a))
        assert np.all(given == kept)
        assert found[0].dtype == dtype
        assert (found[1] is None) == (not with_h)
        slack = 300 * np.finfo(dtype).eps * np.linalg.cond(a)
        for x, y in zip(found[: 1 + with_h], expected[: 1 + with_h], strict=True):
            assert np.abs(x - y).max() <= slack


@pytest.mark.parametrize("shape", [(5, 5), (9, 4), (3, 1), (1, 1)])
def test_lapack_makes_a_band_and_the_way_back(shape, dtype):
    a = gaussian(shape, dtype=dtype)
    found = _lapack.bidiagonalize(np.asfortranarray(a.copy()))
    x = np.zeros(shape, dtype, order="F")
    x[: shape[1]] = upper(found.diagonal, found.superdiagonal)
    _lapack.rotate(found, x)
    assert np.abs(x - a).max() <= 50 * np.finfo(dtype).eps


@pytest.mark.parametrize(("m", "k", "n"), [(4, 3, 5), (1, 3, 1), (3, 1, 2), (1, 1, 1)])
def test_products_of_parts_are_products(m, k, n, dtype):
    a, b = gaussian((m + 2, k + 1), dtype=dtype), gaussian((k + 1, n + 3), rng=1, dtype=dtype)
    for first in (a, np.asfortranarray(a)):
        for second in (b, np.asfortranarray(b)):
            out = np.zeros((m + 1, n + 2), dtype, order="F")
            _lapack.product(first[2:, 1:], second[1:, 3:], out[1:, 1 : n + 1])
            expected = a[2:, 1:] @ b[1:, 3:]
            assert np.abs(out[1:, 1 : n + 1] - expected).max() <= 50 * np.finfo(dtype).eps
            assert np.all(out[0] == 0)
            assert np.all(out[:, [0, n + 1]] == 0)


def test_an_invalid_argument_of_lapack_is_an_error():
    a = np.zeros((3, 3), order="F")
    routine = _lapack._routine(a, "gebrd", 11)
    real = np.zeros(3)
    given = (3, 3, a, 1, real, real, real, real)
    with pytest.raises(np.linalg.LinAlgError, match="argument 4"):
        _lapack._with_room(routine, a.dtype, given)


@pytest.mark.parametrize("method", ["bidiagonal", "auto"])
def test_libraries_agree(xp, method):
    a = matrix(260, 130, spectrum("graded", 130, 1e12))
    if xp.name == "array-api-strict" and method == "bidiagonal":
        with pytest.raises(ValueError, match="works in main memory, and a lives on"):
            td.polar(xp.asarray(a), method=method)
        return
    found = td.polar(xp.asarray(a), method=method)
    assert type(found.U) is type(found.H) is type(xp.asarray(a))
    assert np.abs(xp.to_numpy(found.to_array()) - a).max() <= 1e-14
    u = xp.to_numpy(found.U)
    assert np.linalg.norm(u.T @ u - np.eye(130)) <= 30 * EPS * np.sqrt(130)
    assert np.all(xp.to_numpy(found.H) == xp.to_numpy(found.H).T)


@pytest.mark.parametrize("xp", ["torch", "jax"], indirect=True)
def test_gradients_and_tracing_are_refused(xp):
    a = xp.asarray(gaussian((5, 4)))
    a = a.requires_grad_() if xp.name == "torch" else a
    with pytest.raises(ValueError, match="'bidiagonal' looks at values"):
        xp.jit(lambda a: td.polar(a, method="bidiagonal").U)(a)


def test_lazy_views_of_torch_are_read():
    torch = pytest.importorskip("torch")
    a = torch.from_numpy(gaussian((130, 130), dtype="complex128"))
    for given in (a.mH, a.conj().imag, a.mT[1:]):
        expected = td.polar(given.resolve_conj().resolve_neg().numpy()).U
        assert np.abs(td.polar(given).U.numpy() - expected).max() <= 1e-11


def test_the_answer_is_where_the_matrix_is():
    torch = pytest.importorskip("torch")
    a = torch.from_numpy(gaussian((130, 130)))
    with torch.device("meta"):
        found = td.polar(a, method="bidiagonal")
    assert found.U.device == found.H.device == a.device


def test_a_step_along_an_axis_of_one_entry_may_be_anything():
    x = np.lib.stride_tricks.as_strided(np.arange(1.0, 9), shape=(1, 8), strides=(2**40, 8))
    for method in ("bidiagonal", "gram"):
        for a in (x, x.T):
            assert np.abs(td.polar(a, method=method).to_array() - a).max() <= 1e-14


def test_what_lapack_cannot_count_is_refused():
    with pytest.raises(ValueError, match="counts in 32 bits"):
        _lapack._pointers((2**31,))


def test_no_floating_point_error_is_raised():
    with np.errstate(all="raise"):
        td.polar(np.ones((140, 140)))
        td.polar(gaussian((140, 140)))
