"""The polar decomposition: what holds of it, on every side and shape, and what is refused."""

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

import tdecomp as td
from tdecomp.linalg import LeftPolar, Polar, nearest_orthogonal
from tdecomp.testing import gaussian, matrix

SHAPES = [(5, 3), (3, 5), (4, 4), (1, 3), (3, 1), (1, 1), (2, 5, 3), (2, 2, 3, 3)]


def adjoint(x):
    return np.conj(np.swapaxes(x, -1, -2))


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("shape", SHAPES)
def test_both_sides_are_those_of_scipy(xp, shape, side, dtype):
    a = gaussian(shape, dtype=dtype)
    found = td.polar(xp.asarray(a), side=side)
    u, h = xp.to_numpy(found.U), xp.to_numpy(found.H)
    assert u.dtype == h.dtype == a.dtype
    assert type(found) is (Polar if side == "right" else LeftPolar)
    assert found.shape == shape
    assert found.dtype == xp.asarray(a).dtype
    slack = 200 * np.finfo(dtype).eps
    for index in np.ndindex(shape[:-2]):
        expected = scipy.linalg.polar(a[index].astype("complex128"), side=side)
        condition = np.linalg.cond(a[index])
        assert np.abs(u[index] - expected[0]).max() <= slack * condition
        assert np.abs(h[index] - expected[1]).max() <= slack * condition
    assert np.all(h == adjoint(h))
    product = u @ h if side == "right" else h @ u
    assert np.abs(product - a).max() <= slack
    gram = adjoint(u) @ u if shape[-2] >= shape[-1] else u @ adjoint(u)
    assert np.abs(gram - np.eye(min(shape[-2:]))).max() <= slack


@pytest.mark.parametrize("condition", [1.0, 1e4, 1e8, 1e12, 1e15])
@pytest.mark.parametrize("shape", [(5, 5), (40, 40), (90, 30)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_every_condition_is_certified(graded, certified, shape, condition, dtype):
    a = graded(*shape, condition, dtype=dtype)
    certified(a, td.polar(a))
    certified(np.conj(a.T), td.polar(np.conj(a.T), side="left"))


@pytest.mark.parametrize("case", [(300, 1.0), (1000, 1e4), (300, 1e8), (1000, 1e15)], ids=str)
@pytest.mark.parametrize("method", ["auto", "svd", "qdwh", "newton"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_sides_are_certified(graded, certified, method, case, dtype):
    n, condition = case
    if condition * np.finfo(dtype).eps > 1 and method in ("qdwh", "newton"):
        pytest.skip("iterations leave behind what is zero in this precision")
    a = graded(n, n, condition, dtype=dtype)
    certified(a, td.polar(a, method=method))


def test_a_large_side_is_certified_for_zolo(graded, certified):
    a = graded(1000, 1000, 1e12)
    certified(a, td.polar(a, method="zolo"))


@given(m=st.integers(1, 8), n=st.integers(1, 8), condition=st.floats(1, 1e6))
def test_identities_of_the_isometric_factor(m, n, condition):
    k = min(m, n)
    a = matrix(m, n, np.geomspace(1, 1 / condition, k) if k > 1 else [1.0], rng=m)
    u = nearest_orthogonal(a)
    slack = 100 * np.finfo(float).eps * condition * k
    nuclear = np.linalg.norm(a, "nuc")
    assert np.sum(u * a) == pytest.approx(nuclear, rel=1e-13)
    assert np.abs(nearest_orthogonal(7 * a) - u).max() <= slack
    assert np.abs(nearest_orthogonal(a.T) - u.T).max() <= slack
    assert np.abs(nearest_orthogonal(u) - u).max() <= slack
    q = np.linalg.qr(gaussian((m, m)))[0]
    assert np.abs(nearest_orthogonal(q @ a) - q @ u).max() <= slack
    cube = a @ a.T @ a if condition < 1e2 else a
    assert np.abs(nearest_orthogonal(cube) - u).max() <= slack * condition**2


@pytest.mark.parametrize("shape", [(6, 3), (4, 4), (3, 6)])
def test_no_isometry_is_nearer(shape):
    a = gaussian(shape)
    u = nearest_orthogonal(a)
    for k in range(50):
        other = nearest_orthogonal(u + 0.3 * gaussian(shape, rng=k))
        for norm in ("fro", "nuc", 2):
            assert np.linalg.norm(a - u, norm) <= np.linalg.norm(a - other, norm) * (1 + 1e-14)


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1.0, 1e160, 1e300])
@pytest.mark.parametrize("side", ["right", "left"])
def test_scales_go_to_the_semidefinite_factor(xp, scale, side):
    a = gaussian((2, 5, 3))
    plain, scaled = (td.polar(xp.asarray(x), side=side) for x in (a, a * scale))
    assert np.abs(xp.to_numpy(plain.U) - xp.to_numpy(scaled.U)).max() <= 1e-14
    assert np.abs(xp.to_numpy(plain.H) - xp.to_numpy(scaled.H) / scale).max() <= 1e-14
    u = xp.to_numpy(nearest_orthogonal(xp.asarray(a * scale)))
    assert np.abs(xp.to_numpy(plain.U) - u).max() <= 1e-14


@pytest.mark.parametrize("shape", [(4, 2), (2, 4), (3, 3)])
@pytest.mark.parametrize("side", ["right", "left"])
def test_the_zero_matrix_has_a_complete_isometry(xp, shape, side):
    found = td.polar(xp.asarray(np.zeros(shape)), side=side)
    u = xp.to_numpy(found.U)
    gram = u.T @ u if shape[0] >= shape[1] else u @ u.T
    assert np.abs(gram - np.eye(min(shape))).max() <= 1e-15
    assert np.all(xp.to_numpy(found.H) == 0)


@pytest.mark.parametrize(
    "values", [[[1, 2], [3, 4]], np.array([[True, False]]), np.float16([[1, 2], [3, 5]])]
)
def test_other_numbers_are_promoted(values):
    u, h = td.polar(values)
    expected = np.float32 if getattr(values, "dtype", None) == np.float16 else np.float64
    assert u.dtype == h.dtype == expected
    assert np.abs(u @ h - np.asarray(values)).max() <= 8 * np.finfo(expected).eps


@pytest.mark.parametrize(
    "layout",
    [np.asfortranarray, lambda x: np.repeat(x, 2, axis=0)[::2], lambda x: x.astype(">f8")],
)
def test_layouts_do_not_matter(layout):
    a = gaussian((5, 3))
    given = layout(a)
    kept = given.copy()
    assert np.abs(td.polar(given).U - td.polar(a).U).max() <= 1e-14
    assert np.all(given == kept)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a: td.polar(a[0]), "at least 2 dimensions"),
        (lambda a: td.polar(a[:0]), "empty"),
        (lambda a: td.polar(a * np.nan), r"12 non-finite entries .* a\[0, 0\]"),
        (lambda a: nearest_orthogonal(a / 0.0), "non-finite"),
        (lambda a: td.polar(a, side="up"), "side must be one of 'right', 'left'"),
        (lambda a: td.polar(a, method="best"), "method must be one of 'auto', 'svd'"),
        (lambda a: td.polar(a, rank=0), "rank must be an int between 1 and 3, got 0"),
        (lambda a: td.polar(a, rank=-1), "between 1 and 3"),
        (lambda a: td.polar(a, rank=4), "between 1 and 3, got 4"),
        (lambda a: td.polar(a, rank=2.5), "2.5 of type float; to choose it by size"),
        (lambda a: td.polar(a, rank=True), "between 1 and 3, got True"),
        (lambda a: td.polar(a, cutoff=-0.1), "cutoff must be a fraction"),
        (lambda a: td.polar(a, cutoff=1.0), "cutoff must be a fraction"),
        (lambda a: td.polar(a, cutoff="small"), "cutoff must be a number"),
        (lambda a: nearest_orthogonal(a, rank=2, method="qdwh"), "use method='svd'"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_what_makes_no_sense_is_refused(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call(gaussian((4, 3)))


def test_jit_and_vmap_change_nothing(xp):
    a = gaussian((3, 5, 4))
    expected = xp.to_numpy(td.polar(xp.asarray(a)).U)
    if xp.name == "jax":
        import jax

        mapped = jax.jit(jax.vmap(td.polar))
    elif xp.name == "torch":
        import torch

        mapped = torch.func.vmap(td.polar)
    else:
        pytest.skip("no vmap")
    assert np.abs(xp.to_numpy(mapped(xp.asarray(a)).U) - expected).max() <= 1e-14


@pytest.mark.parametrize("method", ["bidiagonal", "qdwh", "newton", "zolo", "gram"])
@pytest.mark.parametrize("shape", [(5, 5), (7, 3), (3, 7), (2, 5, 3)])
@pytest.mark.parametrize("side", ["right", "left"])
def test_every_method_finds_the_same(xp, certified, shape, method, side):
    if method == "bidiagonal" and xp.name == "array-api-strict":
        pytest.skip("this method works in main memory")
    a = gaussian(shape, rng=2, dtype="complex128")
    found = td.polar(xp.asarray(a), side=side, method=method)
    certified(a, type(found)(*map(xp.to_numpy, found)))
    expected = td.polar(a, side=side, method="svd").U
    slack = 100 * np.finfo(float).eps * np.linalg.cond(a).max()
    assert np.abs(xp.to_numpy(found.U) - expected).max() <= slack
    u = xp.to_numpy(nearest_orthogonal(xp.asarray(a), method=method))
    assert np.abs(u - expected).max() <= slack


@pytest.mark.parametrize("method", ["qdwh", "zolo"])
def test_iterations_take_any_condition(graded, certified, method):
    for condition in (1.0, 1e8, 1e15):
        a = graded(9, 6, condition)
        certified(a, td.polar(a, method=method))
