"""Products of fibres with a few columns: by kernels, and by the matrix products they replace."""

import numpy as np
import pytest

from tdecomp.linalg import _fibres
from tdecomp.linalg._fibres import draft_fibres, project_fibres, squared_gap, step_fibres
from tdecomp.testing import gaussian

SHAPE = (37, 41, 45)


@pytest.fixture(autouse=True)
def size(monkeypatch):
    """Let the kernels take tensors of any size; the function sets another limit."""

    def limit(entries):
        monkeypatch.setattr(_fibres, "_ENTRIES", entries)

    limit(0)
    return limit


@pytest.fixture
def both(size):
    """The result of a function with kernels, and without."""

    def call(function, *arguments):
        fast = function(*arguments, np)
        size(np.inf)
        return fast, function(*arguments, np)

    return call


def wide(x, mode):
    """The unfolding, in double precision."""
    return np.moveaxis(x, mode, 0).reshape(x.shape[mode], -1).astype(float)


@pytest.mark.parametrize("columns", [1, 8, 20, 61])
@pytest.mark.parametrize("mode", [0, 1, 2])
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_a_projection_by_kernels_is_that_by_matrix_products(monkeypatch, kind, mode, columns):
    x, q = gaussian(SHAPE, dtype=kind), gaussian((SHAPE[mode], columns), rng=1, dtype=kind)
    monkeypatch.setattr(_fibres, "_mode_product", None)
    found = project_fibres(x, q, mode, np)
    sizes = abs(wide(q, 0)).T @ abs(wide(x, mode))
    assert found.dtype == x.dtype
    assert found.flags.c_contiguous
    assert found.shape == (*SHAPE[:mode], columns, *SHAPE[mode + 1 :])
    gap = abs(wide(found, mode) - wide(q, 0).T @ wide(x, mode))
    assert np.all(gap <= 8 * np.finfo(kind).eps * sizes)


@pytest.mark.parametrize("columns", [1, 28])
@pytest.mark.parametrize("mode", [0, 1, 2])
@pytest.mark.parametrize(("kind", "draft"), [("float64", "float64"), ("float64", "float32"),
                                             ("float32", "float32")])  # fmt: skip
def test_a_step_by_kernels_is_that_by_matrix_products(both, kind, draft, mode, columns):
    x, q = gaussian(SHAPE, dtype=kind), gaussian((SHAPE[mode], columns), rng=1, dtype=draft)
    fast, plain = both(step_fibres, x, q, mode)
    a = wide(x, mode)
    bound = 8 * np.finfo(draft).eps * (abs(a) @ (abs(a).T @ abs(wide(q, 0))))
    for found in (fast, plain):
        assert found.dtype == np.float64
        assert np.all(abs(found - a @ (a.T @ q)) <= bound)


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_a_draft_is_right_to_its_precision_by_kernels_and_without(both, mode):
    x = gaussian(SHAPE)
    q = gaussian((SHAPE[mode], 8), rng=1, dtype="float32")
    fast, plain = both(draft_fibres, x, q, mode)
    assert (fast.dtype, plain.dtype) == (np.float64, np.float32)
    bound = 8 * np.finfo("float32").eps * (abs(wide(q, 0)).T @ abs(wide(x, mode)))
    for found in (fast, plain):
        assert np.all(abs(wide(found, mode) - wide(q, 0).T @ wide(x, mode)) <= bound)


@pytest.mark.parametrize("form", ["Fortran", "strided", "read-only", "complex", "short"])
@pytest.mark.parametrize("mode", [0, 1, 2])
def test_every_form_of_an_array_gives_the_same(form, mode):
    x = gaussian(SHAPE, dtype="complex128" if form == "complex" else "float64")
    if form == "Fortran":
        x = np.asfortranarray(x)
    elif form == "strided":
        x = np.repeat(x, 2, axis=2)[..., ::2]
    elif form == "short":
        x = x[..., :3].copy()
    x.flags.writeable = form != "read-only"
    q = gaussian((x.shape[mode], 5), rng=1, dtype=x.dtype)
    a = np.moveaxis(x, mode, 0).reshape(x.shape[mode], -1)
    eps, norm = np.finfo(float).eps, np.linalg.norm(x) * np.linalg.norm(q)
    found = np.moveaxis(project_fibres(x, q, mode, np), mode, 0).reshape(5, -1)
    assert np.linalg.norm(found - q.conj().T @ a) <= 8 * eps * norm
    step = step_fibres(x, q, mode, np)
    assert np.linalg.norm(step - a @ (a.conj().T @ q)) <= 8 * eps * norm * np.linalg.norm(x)


def test_the_functions_that_kernels_are_compiled_from_agree():
    from tdecomp._kernels import _fibre_products as module
    from tdecomp._kernels._tile import lanes

    for shape in ((3, 5, 40), (40, 5, 1)):
        x, q = gaussian(shape), gaussian((5, 2 * lanes(8)), rng=1)
        rank = q.shape[1] - 1
        out = np.empty((shape[0], rank, shape[2]))
        module.mode_product.py_func(x, q, lanes(8), 16, out)
        assert np.allclose(out, np.einsum("ijk,jr->irk", x, q[:, :rank]), rtol=0, atol=1e-13)
        shares = np.empty((2, *q.shape))
        module.normal_product.py_func(x, q, lanes(8), 16, shares)
        a = wide(x, 1)
        assert np.allclose(shares.sum(axis=0), a @ (a.T @ q), rtol=0, atol=1e-12)


@pytest.mark.parametrize("mode", [0, 1, 2])
@pytest.mark.parametrize("shape", [SHAPE, (3, 200, 150), (1, 40, 1)])
def test_a_gap_keeps_the_digits_that_a_difference_of_squares_loses(xp, mode, shape):
    b = gaussian((*shape[:mode], 3, *shape[mode + 1 :]), rng=3)
    q = gaussian((shape[mode], 3), rng=4)
    rest = 1e-9 * gaussian(shape, rng=5)
    x = np.moveaxis(np.tensordot(q, b, (1, mode)), 0, mode) + rest
    found = squared_gap(*map(xp.asarray, (x, q, b)), mode, xp.namespace)
    assert found == pytest.approx(np.sum(rest**2), rel=1e-4)
