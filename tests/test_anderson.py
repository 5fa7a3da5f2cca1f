"""Anderson acceleration: GMRES on linear maps, and no change where there was none."""

import numpy as np
import pytest

from tdecomp._anderson import anderson


@pytest.mark.parametrize("kind", ["f", "c"])
def test_a_linear_map_of_n_unknowns_is_solved_from_n_steps(xp, kind):
    rng = np.random.default_rng(0)
    n = 4
    m, b = rng.standard_normal((n, n)) / 4, rng.standard_normal(n)
    if kind == "c":
        m, b = m + 1j * rng.standard_normal((n, n)) / 4, b + 1j
    points = [rng.standard_normal(n) + 0 * b for _ in range(n + 1)]
    past = [(xp.asarray(x), xp.asarray(m @ x + b - x)) for x in points]
    fixed = np.linalg.solve(np.eye(n) - m, b)
    found = xp.to_numpy(anderson(past, xp))
    assert np.linalg.norm(found - fixed) <= 1e-9 * np.linalg.norm(fixed)


def test_what_no_step_has_changed_stays_to_the_last_bit():
    rng = np.random.default_rng(0)
    still = rng.standard_normal(50)
    past = []
    for _ in range(5):
        point, change = rng.standard_normal(9), 1e-15 * rng.standard_normal(9)
        past.append((np.append(still, point), np.append(0 * still, change)))
        np.testing.assert_array_equal(anderson(past, np)[:50], still)
