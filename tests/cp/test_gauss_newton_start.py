"""Where Gauss-Newton steps begin changes their path, not what they find."""

import numpy as np
import pytest

from tdecomp import cp
from tdecomp.cp import CP, cp_gauss_newton
from tdecomp.ops import khatri_rao, unfold
from tdecomp.testing import gaussian


@pytest.mark.parametrize("shape", [(30, 40, 20), (14, 9, 11, 8)])
def test_compression_never_changes_the_answer(shape):
    factors = tuple(gaussian((n, 3), rng=k) for k, n in enumerate(shape))
    x = CP(np.ones(3), factors).to_array()
    noise = gaussian(shape, rng=7)
    x = x + 0.2 * np.linalg.norm(x) / np.linalg.norm(noise) * noise
    start = cp.initialise(x, rank=3, init="hosvd", rng=0)
    one, two = (cp_gauss_newton(x, rank=3, init=start, compress=c) for c in (True, False))
    assert one.error == pytest.approx(two.error, rel=1e-9)
    assert cp.factor_match_score(one.tensor, two.tensor) == pytest.approx(1.0, abs=1e-4)
    # Stationary for the tensor itself: residuals are normal to all changes of one factor.
    gap = one.tensor.to_array() - x
    for mode in range(len(shape)):
        others = [f for k, f in enumerate(one.tensor.factors) if k != mode]
        gradient = unfold(gap, mode) @ khatri_rao(others)
        assert np.linalg.norm(gradient) <= 1e-4 * np.linalg.norm(gap)


@pytest.mark.parametrize("scale", [0.0, 1e-300, 1e300])
def test_a_start_need_not_know_the_size_of_the_data(scale):
    truth, factors = (tuple(gaussian((n, 2), rng=seed + n) for n in (5, 6, 7)) for seed in (0, 10))
    x, start = CP(np.ones(2), truth).to_array(), CP(scale * np.ones(2), factors)
    fit = cp_gauss_newton(x, rank=2, init=start)
    assert fit.error < 0.9
    assert all(np.isfinite(factor).all() for factor in fit.tensor.factors)


@pytest.mark.parametrize("init", ["gevd", "hosvd", "random"])
def test_no_start_ends_in_the_saddle_of_wrong_signs(init):
    # The singular vectors of a matrix of negative determinant have a sign too much.
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert cp_gauss_newton(x, rank=2, init=init, rng=0).error <= 1e-12
