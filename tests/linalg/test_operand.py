"""What randomized methods see of a matrix: the same whatever holds it."""

import numpy as np
import pytest
import scipy.sparse
from scipy.sparse.linalg import LinearOperator, aslinearoperator

import tdecomp as td
from tdecomp import Status
from tdecomp.linalg._operand import operand
from tdecomp.testing import matrix

SHAPE = (120, 90)
EPS = float(np.finfo(float).eps)
FORMATS = ("csr", "csc", "coo", "bsr", "lil", "dok")


def sparse_values(dtype="float64"):
    """A matrix with empty rows and columns and a decaying spectrum."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal(SHAPE) * (rng.random(SHAPE) < 0.1) * 0.8 ** np.arange(90)
    if "complex" in dtype:
        a = a * np.exp(1j * np.arange(90))
    a[[3, 4, 119]] = 0
    a[:, [0, 50]] = 0
    return a.astype(dtype)


def repeated(a):
    """The same matrix in coordinates, each entry given in two parts."""
    coo = scipy.sparse.coo_array(a)
    data = np.concatenate([0.25 * coo.data, 0.75 * coo.data])
    row, col = (np.concatenate([index, index]) for index in coo.coords)
    return scipy.sparse.coo_array((data, (row, col)), shape=a.shape)


HOLDERS = {
    "array": np.asarray,
    "sparse array": scipy.sparse.csr_array,
    "sparse matrix": scipy.sparse.csr_matrix,
    "duplicates": repeated,
    "operator": aslinearoperator,
}


@pytest.fixture(params=HOLDERS)
def holder(request):
    return HOLDERS[request.param]


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("scale", [1.0, 1e200, 1e-200])
def test_products_and_norms(holder, dtype, scale):
    a = sparse_values(dtype)
    op = operand(holder(a * scale), np.random.default_rng(0))
    ratio = op.scale / scale
    rng = np.random.default_rng(1)
    x, y = (rng.standard_normal((size, 4)).astype(dtype) for size in (90, 120))
    assert tuple(op.shape) == SHAPE
    assert np.abs(op.matmat(x) * ratio - a @ x).max() <= 1e-13
    assert np.abs(op.rmatmat(y) * ratio - a.conj().T @ y).max() <= 1e-13
    left, right = y[:, :2], x.T[:2]
    for energy, true in (
        (op.total, np.linalg.norm(a) ** 2),
        (op.misfit(left / ratio, right), np.linalg.norm(a - left @ right) ** 2),
    ):
        if op.margin == 1:
            assert energy * ratio**2 == pytest.approx(true, rel=1e-13)
        else:
            assert true / op.margin <= energy * ratio**2 <= true * op.margin


def test_estimated_norms_are_unbiased():
    a = sparse_values()
    energies = [operand(aslinearoperator(a), np.random.default_rng(i)).total for i in range(200)]
    error = np.std(energies) / np.sqrt(len(energies))
    assert abs(np.mean(energies) - np.linalg.norm(a) ** 2) <= 5 * error


@pytest.mark.parametrize("dtype", ["float64", "complex128", "float32"])
@pytest.mark.parametrize("options", [{"rank": 5}, {"rank": 5, "power": 2}, {"rtol": 0.3},
                                     {"rank": 3, "method": "single-pass"}], ids=str)  # fmt: skip
def test_every_holder_gives_the_same_decomposition(holder, dtype, options):
    a = sparse_values(dtype)
    fit = td.randomized_svd(holder(a), rng=0, **options)
    truth = np.linalg.svd(a.astype(np.result_type(dtype, float)), compute_uv=False)
    error = np.linalg.norm(a - fit.tensor.to_array()) / np.linalg.norm(truth)
    best = np.linalg.norm(truth[fit.tensor.rank :]) / np.linalg.norm(truth)
    assert fit.tensor.dtype == np.dtype(dtype)
    assert error <= (2.0 if "method" in options else 1.01) * best
    assert error <= options.get("rtol", 1)
    if "operator" in str(type(holder(a))).lower():
        # From 24 probes: five standard deviations of a chi-square of at least 24 degrees.
        assert 0.5 <= fit.error / error <= 1.6
    else:
        assert fit.error == pytest.approx(error, rel=1e-6 if dtype != "float32" else 1e-4)


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("kind", ["array", "matrix"])
def test_every_sparse_format_is_the_same_matrix(fmt, kind):
    a = sparse_values()
    held = getattr(scipy.sparse, f"{fmt}_{kind}")(a)
    fit = td.randomized_svd(held, rank=5, rng=0)
    plain = td.randomized_svd(a, rank=5, rng=0)
    assert fit.n_iter == plain.n_iter
    assert np.abs(fit.tensor.to_array() - plain.tensor.to_array()).max() <= 1e3 * EPS


def test_duplicates_are_summed_and_the_input_stays():
    a = sparse_values()
    held = repeated(a)
    data, nnz = held.data.copy(), held.nnz
    fit = td.randomized_svd(held, rank=5, rng=0)
    assert np.array_equal(held.data, data)
    assert held.nnz == nnz
    plain = td.randomized_svd(a, rank=5, rng=0)
    assert np.abs(fit.tensor.to_array() - plain.tensor.to_array()).max() <= 1e3 * EPS


@pytest.mark.parametrize("dtype", ["bool", "int8", "int64"])
def test_sparse_integers_are_promoted(dtype):
    a = np.sign(sparse_values()).astype(dtype)
    fit = td.randomized_svd(scipy.sparse.csr_array(a), rank=5, rng=0)
    gap = np.linalg.norm(a - fit.tensor.to_array()) / np.linalg.norm(a)
    assert fit.tensor.dtype == np.float64
    assert fit.error == pytest.approx(gap, rel=1e-6)


@pytest.mark.parametrize("shape", [(200, 300), (3, 5)])
def test_a_sparse_matrix_without_entries_is_zero(shape):
    fit = td.randomized_svd(scipy.sparse.csr_array(shape), rank=2, rng=0)
    assert np.all(fit.tensor.S == 0)
    assert (fit.error, fit.status) == (0.0, Status.CONVERGED)


def test_a_sparse_number_that_is_none_is_named():
    a = scipy.sparse.csr_array(sparse_values())
    a.data[7] = np.nan
    with pytest.raises(ValueError, match=r"a\.data has 1 non-finite entries .* a\.data\[7\]"):
        td.randomized_svd(a, rank=2)
    b = sparse_values()
    b[5, 6] = np.inf
    for held in (scipy.sparse.coo_array(b), aslinearoperator(b)):
        with pytest.raises(ValueError, match="non-finite"), np.errstate(invalid="ignore"):
            td.randomized_svd(held, rank=2)


@pytest.mark.parametrize("shape", [(0, 4), (4, 0)])
def test_empty_matrices_are_refused(shape):
    for held in (scipy.sparse.csr_array(shape), aslinearoperator(np.ones(shape))):
        with pytest.raises(ValueError, match="a is empty: shape"):
            td.randomized_svd(held, rank=1)


def test_an_operator_of_ones_own(counted):
    a = sparse_values("complex128")
    fit = td.randomized_svd(counted(a), rank=5, rng=0)
    best = np.linalg.norm(np.linalg.svd(a, compute_uv=False)[5:])
    assert np.linalg.norm(a - fit.tensor.to_array()) <= 1.01 * best


@pytest.mark.parametrize("fmt", ["svd", "lowrank"])
def test_the_formats_of_the_library_are_operators(fmt):
    # They have shape, dtype, @ and mH: what the documentation asks for.
    a = matrix(*SHAPE, 0.7 ** np.arange(30.0))
    held = td.truncated_svd(a, rank=30)
    if fmt == "lowrank":
        held = td.LowRank(held.U * held.S, held.Vh)
    fit = td.randomized_svd(held, rank=5, rng=0)
    assert np.abs(fit.tensor.S - 0.7 ** np.arange(5.0)).max() <= 1e-3


class Products:
    """Only what is asked for, piece by piece."""

    def __init__(self, **attributes):
        vars(self).update(attributes)

    def __matmul__(self, x):
        return np.ones((self.shape[0], self.shape[1])) @ x


@pytest.mark.parametrize("held", [
    Products(shape=(90, 80), dtype=np.dtype(float)),
    LinearOperator((90, 80), matvec=lambda x: np.ones(90) * x.sum(), dtype=float),
    LinearOperator((90, 80), matmat=lambda x: np.ones((90, 80)) @ x, dtype=float,
                   matvec=lambda x: np.ones(90) * x.sum()),
], ids=["own", "matvec", "matmat"])  # fmt: skip
def test_without_an_adjoint_the_error_says_what_is_missing(held):
    with pytest.raises(TypeError, match="adjoint"):
        td.randomized_svd(held, rank=2)


@pytest.mark.parametrize("attributes", [
    {"shape": (90, 80)},
    {"shape": (90,), "dtype": np.dtype(float)},
    {"shape": (90, 80), "dtype": None},
])  # fmt: skip
def test_an_incomplete_operator_is_refused_by_name(attributes):
    adjoint = Products(shape=(80, 90), dtype=np.dtype(float))
    with pytest.raises((TypeError, ValueError), match=r"shape|dtype"):
        td.randomized_svd(Products(mH=adjoint, **attributes), rank=2)


def test_products_of_the_wrong_shape_are_refused_by_name():
    held = Products(shape=(90, 80), dtype=np.dtype(float))
    held.mH = Products(shape=(90, 80), dtype=np.dtype(float))
    with pytest.raises(ValueError, match=r"adjoint|shape"):
        td.randomized_svd(held, rank=2)


def test_an_adjoint_that_is_none_is_noticed(counted):
    # Inner products of images the library has anyway tell the two apart.
    a = matrix(90, 90, "polynomial")
    held = counted(a)
    held._adjoint = counted(a)
    with pytest.raises(ValueError, match="adjoint"):
        td.randomized_svd(held, rank=5, rng=0)


@pytest.mark.parametrize("precise", ["forward", "backward"])
def test_an_operator_may_work_in_two_precisions(precise):
    a = sparse_values("float32")
    wide, narrow = a.astype(float), a
    held = Factors(wide if precise == "forward" else narrow, np.dtype("float32"))
    held.mH = Factors((narrow if precise == "forward" else wide).T, np.dtype("float32"))
    fit = td.randomized_svd(held, rank=5, rng=0)
    best = np.linalg.norm(np.linalg.svd(wide, compute_uv=False)[5:])
    assert np.linalg.norm(a - fit.tensor.to_array()) <= 1.01 * best


class Factors:
    """A product in the precision of its matrix, whatever it says its dtype is."""

    def __init__(self, array, dtype):
        self.array, self.shape, self.dtype = array, array.shape, dtype

    def __matmul__(self, x):
        return self.array @ x.astype(self.array.dtype)


@pytest.mark.parametrize("size", [20, 300])
def test_large_sparse_matrices_take_a_kernel_to_the_same_answer(size):
    # A few million multiplications: enough that a compiled loop is worth loading.
    rng = np.random.default_rng(0)
    a = scipy.sparse.random_array((20 * size, 10 * size), density=0.05, rng=rng, format="csc")
    held = a * np.exp(1j * np.arange(10 * size))
    x = rng.standard_normal((10 * size, 30)) + 0j
    y = rng.standard_normal((20 * size, 30)) + 0j
    op = operand(held, rng)
    assert np.abs(op.matmat(x) * op.scale - held @ x).max() <= 1e-12
    assert np.abs(op.rmatmat(y) * op.scale - held.conj().T @ y).max() <= 1e-12
    assert np.abs(op.matmat(x[:, ::2]) * op.scale - (held @ x)[:, ::2]).max() <= 1e-12


@pytest.mark.parametrize("held", [3.0, None, "text", [1, [2]], {1: 2}, object()])
def test_what_is_no_matrix_is_refused(held):
    with pytest.raises((TypeError, ValueError), match=r"\ba (must|is|has)\b"):
        td.randomized_svd(held, rank=1)
