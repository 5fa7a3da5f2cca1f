"""Structure of a matrix that the factors of its Kronecker-product SVD keep."""

import numpy as np
import pytest
from scipy.linalg import toeplitz

from tdecomp.kronecker import kronecker_svd
from tdecomp.testing import gaussian

SHAPES = ((5, 5), (6, 6))


def parities(fit):
    """+1 for symmetric factors, -1 for skew ones, 0 for others; a row for each place."""
    out = []
    for stack in fit.tensor.factors:
        signs = []
        for x in stack:
            unit = 1e-14 * abs(x).max()
            signs.append(int(abs(x - x.T).max() <= unit) - int(abs(x + x.T).max() <= unit))
        out.append(signs)
    return np.array(out)


def exchange(a):
    """The matrix of the products with factors exchanged: symmetric and skew terms alike."""
    return a + a.T


@pytest.mark.parametrize("large", [False, True])
def test_factors_of_a_symmetric_matrix_are_symmetric_or_skew_alike(large):
    shapes = ((20, 20), (25, 25)) if large else SHAPES
    n = shapes[0][0] * shapes[1][0]
    a = exchange(gaussian((n, n)))
    fit = kronecker_svd(a, shapes, rank=6, rng=0)
    signs = parities(fit)
    assert np.all(signs[0] == signs[1])
    assert np.all(signs != 0)
    assert fit.error == pytest.approx(
        np.linalg.norm(a - fit.tensor.to_array()) / np.linalg.norm(a), rel=1e-6
    )


@pytest.mark.parametrize("large", [False, True])
def test_factors_of_a_hermitian_matrix_are_hermitian(large):
    shapes = ((12, 12), (14, 14)) if large else SHAPES
    n = shapes[0][0] * shapes[1][0]
    a = gaussian((n, n), dtype="complex128")
    terms = [
        np.kron(
            *(
                m + m.conj().T
                for m in (gaussian((s, s), rng=9 * k + s, dtype="complex128") for s, _ in shapes)
            )
        )
        * 0.5**k
        for k in range(4)
    ]
    a = sum(terms) + 1e-6 * (a + a.conj().T)
    fit = kronecker_svd(a, shapes, rank=3, rng=0)
    for stack in fit.tensor.factors:
        for x in stack:
            assert abs(x - x.conj().T).max() <= 1e-14 * abs(x).max()
    for x in fit.tensor.left:
        assert max(np.diag(x).real, key=abs) > 0
    error = np.linalg.norm(a - fit.tensor.to_array()) / np.linalg.norm(a)
    assert fit.error == pytest.approx(error, rel=1e-6)


def test_equal_singular_values_do_not_mix_the_two_kinds():
    # One symmetric and one skew term of the same norm: any mixture is a singular pair, too.
    rng = np.random.default_rng(0)
    even = [m + m.T for m in (rng.standard_normal((5, 5)), rng.standard_normal((6, 6)))]
    odd = [m - m.T for m in (rng.standard_normal((5, 5)), rng.standard_normal((6, 6)))]
    pairs = [[m / np.linalg.norm(m) for m in pair] for pair in (even, odd)]
    a = sum(np.kron(*pair) for pair in pairs)
    fit = kronecker_svd(a, SHAPES, rank=2)
    assert sorted(parities(fit)[0]) == [-1, 1]
    assert fit.error <= 1e-14


LARGE = ((12, 12), (14, 14))


def forms(a):
    """A matrix as an array, in compressed rows, and by its products alone."""
    import scipy.sparse as sp
    from scipy.sparse.linalg import aslinearoperator

    return a, sp.csr_array(a), aslinearoperator(a)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("shapes", [SHAPES, LARGE])
def test_the_leading_factors_of_a_semidefinite_matrix_are_semidefinite(shapes, dtype):
    n = shapes[0][0] * shapes[1][0]
    b = gaussian((n, 3), dtype=dtype)
    for a in forms(b @ b.conj().T):
        fit = kronecker_svd(a, shapes, rank=3)
        for stack in fit.tensor.factors:
            values = np.linalg.eigvalsh(stack[0])
            assert values[0] >= -1e-13 * values[-1]


@pytest.mark.parametrize("shapes", [SHAPES, LARGE])
def test_the_leading_factors_of_a_nonnegative_matrix_are_nonnegative(shapes):
    n = shapes[0][0] * shapes[1][0]
    for a in forms(np.maximum(gaussian((n, n)), 0) ** 8):
        for rank in (1, 4):
            fit = kronecker_svd(a, shapes, rank=rank)
            assert min(stack[0].min() for stack in fit.tensor.factors) >= 0


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_all_kinds_of_matrices_hand_symmetry_down(dtype):
    a = gaussian((168, 168), dtype=dtype)
    a = a + a.conj().T
    for form in forms(a):
        fit = kronecker_svd(form, LARGE, rank=3)
        for stack in fit.tensor.factors:
            for x in stack:
                sign = 1 if dtype == "complex128" or np.sum(x * x.T) > 0 else -1
                assert abs(x - sign * x.conj().T).max() <= 1e-14 * abs(x).max()
        error = np.linalg.norm(a - fit.tensor.to_array()) / np.linalg.norm(a)
        assert fit.error == pytest.approx(error, rel=1e-10)


def orthonormal_hermitian(n, count):
    """Hermitian matrices, orthonormal to one another."""
    x = gaussian((count, n, n), rng=n, dtype="complex128")
    x = (x + x.conj().transpose(0, 2, 1)).reshape(count, -1)
    q, _ = np.linalg.qr(np.concatenate([x.real, x.imag], axis=1).T)
    return (q[: n * n] + 1j * q[n * n :]).T.reshape(count, n, n)


def test_equal_singular_values_leave_complex_factors_hermitian():
    pairs = zip(*(orthonormal_hermitian(n, 3) for n, _ in SHAPES), strict=True)
    a = sum(np.kron(*pair) for pair in pairs)
    fit = kronecker_svd(a + a.conj().T, SHAPES, rank=3)
    assert fit.error <= 1e-14
    for stack in fit.tensor.factors:
        for x in stack:
            assert abs(x - x.conj().T).max() <= 1e-14


@pytest.mark.parametrize("rtol", [0.5, 0.1])
@pytest.mark.parametrize("shapes", [SHAPES, LARGE])
def test_structure_costs_no_tolerance(shapes, rtol):
    n = shapes[0][0] * shapes[1][0]
    for a in (abs(gaussian((n, n))), gaussian((n, 3)) @ gaussian((n, 3)).T):
        fit = kronecker_svd(a, shapes, rtol=rtol)
        assert np.linalg.norm(a - fit.tensor.to_array()) <= rtol * np.linalg.norm(a)


@pytest.mark.parametrize("seed", range(4))
def test_they_are_where_entries_off_the_diagonal_are_as_large(seed):
    u, b = np.array([1.0, -1.0, 1.0, -1.0, 1.0]), gaussian((6, 6), rng=seed)
    fit = kronecker_svd(np.kron(np.outer(u, u), b @ b.T), SHAPES, rank=1)
    for stack in fit.tensor.factors:
        values = np.linalg.eigvalsh(stack[0])
        assert values[0] >= -1e-14 * values[-1]


def test_toeplitz_blocks_give_toeplitz_factors():
    blocks = gaussian((9, 11))
    inner = np.stack([toeplitz(b[5::-1], b[5:]) for b in blocks])
    outer = np.arange(5)[:, None] - np.arange(5) + 4
    a = inner[outer].transpose(0, 2, 1, 3).reshape(30, 30)
    fit = kronecker_svd(a, SHAPES, rank=4)
    for stack in fit.tensor.factors:
        for x in stack:
            assert abs(x[1:, 1:] - x[:-1, :-1]).max() <= 1e-14 * abs(x).max()


def test_a_band_stays_a_band():
    a = np.kron(np.eye(5), gaussian((6, 6))) + np.kron(np.diag(np.ones(4), 1), gaussian((6, 6)))
    fit = kronecker_svd(a, SHAPES, rank=2)
    outside = ~(np.eye(5) + np.diag(np.ones(4), 1)).astype(bool)
    assert fit.error <= 1e-14
    assert abs(fit.tensor.left[:, outside]).max() <= 1e-15
