"""One reading of the matrix: exact where it can be, near the optimum elsewhere."""

import numpy as np
import pytest

import tdecomp as td
from tdecomp import Status
from tdecomp.testing import matrix

EPS = float(np.finfo(float).eps)


def once(a, rank, **options):
    return td.randomized_svd(a, rank=rank, method="single-pass", **options)


@pytest.mark.parametrize("sketch", ["gaussian", "sparse-sign", "srht", "countsketch"])
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
@pytest.mark.parametrize("shape", [(150, 100), (100, 150)])
def test_exact_for_low_rank(shape, dtype, sketch, certified):
    a = matrix(*shape, [3.0, 2.0, 1.0, 0.1], dtype=dtype)
    fit = once(a, 4, sketch=sketch, rng=0)
    error, _ = certified(fit, a, projection=False)
    assert error <= 300 * float(np.finfo(dtype).eps)
    assert fit.status is Status.CONVERGED


@pytest.mark.parametrize("name", ["exponential", "polynomial", "noise floor"])
def test_the_mean_error_stays_below_the_bound_of_the_paper(name):
    i = np.arange(1.0, 201.0)
    s = {"exponential": 0.7**i, "polynomial": 1 / i, "noise floor": np.maximum(0.5**i, 1e-2)}[name]
    rank, a = 5, matrix(220, 200, s)
    k = 4 * rank + 1
    width = 2 * k + 1
    errors = [np.linalg.norm(a - once(a, rank, rng=seed).tensor.to_array()) for seed in range(20)]
    tails = np.sqrt(np.cumsum(s[::-1] ** 2)[::-1])
    # Theorem 5.1 bounds the untruncated error; truncation adds at most twice that to the optimum.
    bound = (
        (width - 1)
        / (width - k - 1)
        * min((k + rho - 1) / (k - rho - 1) * tails[rho] ** 2 for rho in range(k - 1))
    )
    assert np.mean(errors) <= tails[rank] + 2 * np.sqrt(bound)
    assert np.mean(errors) <= 2 * tails[rank]
    assert min(errors) >= tails[rank] * (1 - 1e-12)


def test_scale_and_zero():
    a = matrix(120, 100, 0.5 ** np.arange(100.0))
    for scale in (1e-300, 1e300):
        fit = once(a * scale, 3, rng=0)
        assert fit.error == pytest.approx(once(a, 3, rng=0).error, rel=1e-6)
    fit = once(0 * a, 3, rng=0)
    assert fit.error == 0
    assert np.all(fit.tensor.S == 0)


def test_where_sketches_would_be_wider_than_the_matrix_the_answer_is_exact(certified):
    a = matrix(60, 50, "polynomial")
    fit = once(a, 20, rng=0)
    error, optimum = certified(fit, a)
    assert error == pytest.approx(optimum, rel=1e-12)


def test_it_needs_a_rank():
    with pytest.raises(ValueError, match=r"single-pass.*rank="):
        td.randomized_svd(np.ones((90, 80)), rtol=0.1, method="single-pass")
