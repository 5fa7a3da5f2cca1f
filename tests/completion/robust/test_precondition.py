"""Gradients in the metric of the other factor."""

import array_api_compat
import numpy as np
import pytest

from tdecomp.completion.robust._precondition import preconditioned

XP = array_api_compat.array_namespace(np.empty(0))


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_the_preconditioner_is_the_inverse_gram_matrix(dtype):
    rng = np.random.default_rng(0)
    g, r = (rng.standard_normal((7, 3)) + 1j * rng.standard_normal((7, 3)) for _ in range(2))
    g, r = (x.astype(dtype) if dtype.startswith("c") else x.real.copy() for x in (g, r))
    found = preconditioned(g, r, XP)
    np.testing.assert_allclose(found, g @ np.linalg.inv(r.conj().T @ r), rtol=1e-11, atol=1e-12)


def test_the_preconditioner_survives_factors_that_vanish():
    assert np.all(np.isfinite(preconditioned(np.ones((4, 2)), np.zeros((4, 2)), XP)))
